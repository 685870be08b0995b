"""Native matrix products, convolutions and pooling, each with the reference behind it."""

from __future__ import annotations

from . import _native
from .reference import Kernels
from .reference.base import Array, Scalar
from .reference.windows import Ints


class NativeLinalg(Kernels):
    """Products in float32 and float64; windows of one to three dimensions in float32."""

    # ------------------------------------------------------------------ matrix products
    def matmul(self, a: Array, b: Array) -> Array:
        result = _native.matmul(a, b)
        return super().matmul(a, b) if result is NotImplemented else result

    def addmm(self, bias: Array, a: Array, b: Array, beta: Scalar, alpha: Scalar) -> Array:
        if beta == 1 and alpha == 1:
            result = _native.addmm(bias, a, b)
            if result is not NotImplemented:
                return result
        return super().addmm(bias, a, b, beta, alpha)

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        result = _native.linear(x, weight, bias)
        return super().linear(x, weight, bias) if result is NotImplemented else result

    # ------------------------------------------------------------------ convolution
    def conv(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        result = _native.conv(x, weight, bias, stride, padding, dilation, groups)
        if result is NotImplemented:
            return super().conv(x, weight, bias, stride, padding, dilation, groups)
        return result

    def conv_input_grad(
        self,
        grad: Array,
        weight: Array,
        input_shape: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        window = (stride, padding, dilation, groups)
        result = _native.conv_input_grad(grad, weight, input_shape, *window)
        if result is NotImplemented:
            return super().conv_input_grad(grad, weight, input_shape, *window)
        return result

    def conv_weight_grad(
        self,
        grad: Array,
        x: Array,
        weight_shape: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        window = (stride, padding, dilation, groups)
        result = _native.conv_weight_grad(grad, x, weight_shape, *window)
        if result is NotImplemented:
            return super().conv_weight_grad(grad, x, weight_shape, *window)
        return result

    def conv_bias_grad(self, grad: Array) -> Array:
        result = _native.conv_bias_grad(grad)
        return super().conv_bias_grad(grad) if result is NotImplemented else result

    # ------------------------------------------------------------------ pooling
    def max_pool(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        ceil_mode: bool,
    ) -> tuple[Array, Array]:
        result = _native.max_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
        if result is NotImplemented:
            return super().max_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
        return result

    def max_pool_values(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        ceil_mode: bool,
    ) -> Array:
        result = _native.max_pool_values(x, kernel_size, stride, padding, dilation, ceil_mode)
        if result is NotImplemented:
            return super().max_pool_values(x, kernel_size, stride, padding, dilation, ceil_mode)
        return result

    def max_pool_grad(self, grad: Array, indices: Array, input_shape: Ints) -> Array:
        result = _native.max_pool_grad(grad, indices, input_shape)
        if result is NotImplemented:
            return super().max_pool_grad(grad, indices, input_shape)
        return result

    def avg_pool(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array:
        window = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        result = _native.avg_pool(x, *window)
        return super().avg_pool(x, *window) if result is NotImplemented else result

    def avg_pool_grad(
        self,
        grad: Array,
        input_shape: Ints,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array:
        window = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        result = _native.avg_pool_grad(grad, input_shape, *window)
        if result is NotImplemented:
            return super().avg_pool_grad(grad, input_shape, *window)
        return result

    def adaptive_max_pool(self, x: Array, output_size: Ints) -> tuple[Array, Array]:
        result = _native.adaptive_max_pool(x, output_size)
        return super().adaptive_max_pool(x, output_size) if result is NotImplemented else result

    def adaptive_avg_pool(self, x: Array, output_size: Ints) -> Array:
        result = _native.adaptive_avg_pool(x, output_size)
        return super().adaptive_avg_pool(x, output_size) if result is NotImplemented else result

    def adaptive_avg_pool_grad(self, grad: Array, input_shape: Ints) -> Array:
        result = _native.adaptive_avg_pool_grad(grad, input_shape)
        if result is NotImplemented:
            return super().adaptive_avg_pool_grad(grad, input_shape)
        return result
