"""Native reductions, softmax and losses, each with the reference behind it."""

from __future__ import annotations

import numpy

from . import _native
from .cpu_method import native_or
from .reference import Kernels
from .reference.base import Array, Axes


class NativeReduce(Kernels):
    """float32, float64 and (sums, extremes) int64, where some axis lies side by side in memory."""

    sum = native_or(Kernels.sum, _native.sum)
    mean = native_or(Kernels.mean, _native.mean)
    amax = native_or(Kernels.amax, _native.amax)
    amin = native_or(Kernels.amin, _native.amin)
    argmax = native_or(Kernels.argmax, _native.argmax)
    argmin = native_or(Kernels.argmin, _native.argmin)

    def var(
        self, x: Array, axes: Axes = None, correction: float = 1, keepdims: bool = False
    ) -> Array:
        """In double precision, as the reference, by the other kernels of this class."""
        axes = self.all_axes(x, axes)
        count = self._count(x, axes)
        if x.dtype not in (numpy.float32, numpy.float64) or not count:
            return super().var(x, axes, correction, keepdims)
        wide = self.cast(x, numpy.dtype(numpy.float64))
        distance = self.sub(wide, self.mean(wide, axes, True))
        total = self.sum(self.square(distance), axes, keepdims)
        return self.cast(self.div(total, float(max(0, count - correction))), x.dtype)

    def norm(self, x: Array, p: float = 2, axes: Axes = None, keepdims: bool = False) -> Array:
        everything = p == 2 and not keepdims and (axes is None or len(axes) == x.ndim)
        result = _native.norm2(x) if everything else NotImplemented
        return super().norm(x, p, axes, keepdims) if result is NotImplemented else result


class NativeSoftmax(Kernels):
    """float32 and float64, along any axis."""

    softmax = native_or(Kernels.softmax, _native.softmax)
    log_softmax = native_or(Kernels.log_softmax, _native.log_softmax)
    softmax_grad = native_or(Kernels.softmax_grad, _native.softmax_grad)
    log_softmax_grad = native_or(Kernels.log_softmax_grad, _native.log_softmax_grad)


class NativeLoss(Kernels):
    """float32 and float64; the reference reports targets that are no class."""

    nll_loss = native_or(Kernels.nll_loss, _native.nll_loss)
    nll_loss_grad = native_or(Kernels.nll_loss_grad, _native.nll_loss_grad)
    mse_loss = native_or(Kernels.mse_loss, _native.mse_loss)
    mse_loss_grad = native_or(Kernels.mse_loss_grad, _native.mse_loss_grad)
