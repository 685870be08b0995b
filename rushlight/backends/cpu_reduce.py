"""Native reductions, softmax and losses, each with the reference behind it."""

from __future__ import annotations

import numpy

from . import _native
from .reference import Kernels
from .reference.base import Array, Axes


class NativeReduce(Kernels):
    """float32, float64 and (sums, extremes) int64, where some axis lies side by side in memory."""

    def sum(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        result = _native.sum(x, axes, keepdims)
        return super().sum(x, axes, keepdims) if result is NotImplemented else result

    def mean(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        result = _native.mean(x, axes, keepdims)
        return super().mean(x, axes, keepdims) if result is NotImplemented else result

    def amax(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        result = _native.amax(x, axes, keepdims)
        return super().amax(x, axes, keepdims) if result is NotImplemented else result

    def amin(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        result = _native.amin(x, axes, keepdims)
        return super().amin(x, axes, keepdims) if result is NotImplemented else result

    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        result = _native.argmax(x, axis, keepdims)
        return super().argmax(x, axis, keepdims) if result is NotImplemented else result

    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        result = _native.argmin(x, axis, keepdims)
        return super().argmin(x, axis, keepdims) if result is NotImplemented else result

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
    """Contiguous float32 and float64, along any axis."""

    def softmax(self, x: Array, dim: int) -> Array:
        result = _native.softmax(x, dim)
        return super().softmax(x, dim) if result is NotImplemented else result

    def log_softmax(self, x: Array, dim: int) -> Array:
        result = _native.log_softmax(x, dim)
        return super().log_softmax(x, dim) if result is NotImplemented else result

    def softmax_grad(self, grad: Array, result: Array, dim: int) -> Array:
        dx = _native.softmax_grad(grad, result, dim)
        return super().softmax_grad(grad, result, dim) if dx is NotImplemented else dx

    def log_softmax_grad(self, grad: Array, result: Array, dim: int) -> Array:
        dx = _native.log_softmax_grad(grad, result, dim)
        return super().log_softmax_grad(grad, result, dim) if dx is NotImplemented else dx


class NativeLoss(Kernels):
    """Contiguous float32 and float64; the reference reports targets that are no class."""

    def nll_loss(
        self, logp: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
    ) -> tuple[Array, Array]:
        arguments = (logp, target, weight, ignore_index, reduction)
        result = _native.nll_loss(*arguments)
        return super().nll_loss(*arguments) if result is NotImplemented else result

    def nll_loss_grad(
        self,
        grad: Array,
        logp_shape: tuple[int, ...],
        target: Array,
        weight: Array | None,
        ignore_index: int,
        reduction: str,
        total_weight: Array,
    ) -> Array:
        arguments = (grad, logp_shape, target, weight, ignore_index, reduction, total_weight)
        result = _native.nll_loss_grad(*arguments)
        return super().nll_loss_grad(*arguments) if result is NotImplemented else result

    def mse_loss(self, x: Array, y: Array, reduction: str) -> Array:
        result = _native.mse_loss(x, y, reduction)
        return super().mse_loss(x, y, reduction) if result is NotImplemented else result

    def mse_loss_grad(self, grad: Array, x: Array, y: Array, reduction: str) -> Array:
        result = _native.mse_loss_grad(grad, x, y, reduction)
        return super().mse_loss_grad(grad, x, y, reduction) if result is NotImplemented else result
