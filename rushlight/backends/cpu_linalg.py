"""Native matrix products, convolutions and pooling, each with the reference behind it."""

from __future__ import annotations

from . import _native
from .cpu_method import native_or
from .reference import Kernels


class NativeLinalg(Kernels):
    """Products of floats and of int8; windows of one to three dimensions in float32."""

    # ------------------------------------------------------------------ matrix products
    matmul = native_or(Kernels.matmul, _native.matmul)

    matmul_right = native_or(Kernels.matmul_right, _native.matmul_right)
    matmul_left = native_or(Kernels.matmul_left, _native.matmul_left)
    addmm = native_or(Kernels.addmm, _native.addmm)
    linear = native_or(Kernels.linear, _native.linear)
    int_matmul = native_or(Kernels.int_matmul, _native.int_matmul)

    # ------------------------------------------------------------------ convolution
    conv = native_or(Kernels.conv, _native.conv)
    conv_input_grad = native_or(Kernels.conv_input_grad, _native.conv_input_grad)
    conv_weight_grad = native_or(Kernels.conv_weight_grad, _native.conv_weight_grad)
    conv_bias_grad = native_or(Kernels.conv_bias_grad, _native.conv_bias_grad)

    # ------------------------------------------------------------------ pooling
    max_pool = native_or(Kernels.max_pool, _native.max_pool)
    max_pool_values = native_or(Kernels.max_pool_values, _native.max_pool_values)
    max_pool_grad = native_or(Kernels.max_pool_grad, _native.max_pool_grad)
    avg_pool = native_or(Kernels.avg_pool, _native.avg_pool)
    avg_pool_grad = native_or(Kernels.avg_pool_grad, _native.avg_pool_grad)
    adaptive_max_pool = native_or(Kernels.adaptive_max_pool, _native.adaptive_max_pool)
    adaptive_avg_pool = native_or(Kernels.adaptive_avg_pool, _native.adaptive_avg_pool)
    adaptive_avg_pool_grad = native_or(
        Kernels.adaptive_avg_pool_grad, _native.adaptive_avg_pool_grad
    )
