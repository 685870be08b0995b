"""Native normalisations: contiguous float32 and float64, with the reference behind them."""

from __future__ import annotations

from . import _native
from .reference import Kernels
from .reference.base import Array
from .reference.norm import Needs


class NativeNorm(Kernels):
    """Batch, layer, group and RMS normalisation with their derivatives."""

    def batch_norm(
        self,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        running_mean: Array | None,
        running_var: Array | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> tuple[Array, Array, Array]:
        arguments = (x, weight, bias, running_mean, running_var, training, momentum, eps)
        result = _native.batch_norm(*arguments)
        return super().batch_norm(*arguments) if result is NotImplemented else result

    def batch_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        invstd: Array,
        training: bool,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        arguments = (grad, x, weight, mean, invstd, training, needs)
        result = _native.batch_norm_grad(*arguments)
        return super().batch_norm_grad(*arguments) if result is NotImplemented else result

    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, axes: int, eps: float
    ) -> tuple[Array, Array, Array]:
        arguments = (x, weight, bias, axes, eps)
        result = _native.layer_norm(*arguments)
        return super().layer_norm(*arguments) if result is NotImplemented else result

    def layer_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        rstd: Array,
        axes: int,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        arguments = (grad, x, weight, mean, rstd, axes, needs)
        result = _native.layer_norm_grad(*arguments)
        return super().layer_norm_grad(*arguments) if result is NotImplemented else result

    def group_norm(
        self, x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
    ) -> tuple[Array, Array, Array]:
        arguments = (x, weight, bias, groups, eps)
        result = _native.group_norm(*arguments)
        return super().group_norm(*arguments) if result is NotImplemented else result

    def group_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        rstd: Array,
        groups: int,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        arguments = (grad, x, weight, mean, rstd, groups, needs)
        result = _native.group_norm_grad(*arguments)
        return super().group_norm_grad(*arguments) if result is NotImplemented else result

    def rms_norm(
        self, x: Array, weight: Array | None, axes: int, eps: float
    ) -> tuple[Array, Array]:
        result = _native.rms_norm(x, weight, axes, eps)
        return super().rms_norm(x, weight, axes, eps) if result is NotImplemented else result

    def rms_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, rstd: Array, axes: int, needs: Needs
    ) -> tuple[Array | None, Array | None]:
        arguments = (grad, x, weight, rstd, axes, needs)
        result = _native.rms_norm_grad(*arguments)
        return super().rms_norm_grad(*arguments) if result is NotImplemented else result
