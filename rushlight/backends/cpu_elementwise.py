"""Native elementwise kernels, each with the reference behind it."""

from __future__ import annotations

from . import _native
from .cpu_method import native_or
from .reference import Kernels
from .reference.base import Array


class NativeElementwise(Kernels):
    """float32, float64, int32 and int64, in any layout."""

    add = native_or(Kernels.add, _native.add)
    sub = native_or(Kernels.sub, _native.sub)
    mul = native_or(Kernels.mul, _native.mul)
    div = native_or(Kernels.div, _native.div)
    maximum = native_or(Kernels.maximum, _native.maximum)
    minimum = native_or(Kernels.minimum, _native.minimum)
    relu_grad = native_or(Kernels.relu_grad, _native.relu_grad)
    sigmoid_grad = native_or(Kernels.sigmoid_grad, _native.sigmoid_grad)
    tanh_grad = native_or(Kernels.tanh_grad, _native.tanh_grad)
    silu_grad = native_or(Kernels.silu_grad, _native.silu_grad)
    eq = native_or(Kernels.eq, _native.eq)
    ne = native_or(Kernels.ne, _native.ne)
    lt = native_or(Kernels.lt, _native.lt)
    le = native_or(Kernels.le, _native.le)
    gt = native_or(Kernels.gt, _native.gt)
    ge = native_or(Kernels.ge, _native.ge)
    neg = native_or(Kernels.neg, _native.neg)
    abs = native_or(Kernels.abs, _native.abs)
    sign = native_or(Kernels.sign, _native.sign)
    square = native_or(Kernels.square, _native.square)
    reciprocal = native_or(Kernels.reciprocal, _native.reciprocal)
    sqrt = native_or(Kernels.sqrt, _native.sqrt)
    rsqrt = native_or(Kernels.rsqrt, _native.rsqrt)
    relu = native_or(Kernels.relu, _native.relu)
    floor = native_or(Kernels.floor, _native.floor)
    ceil = native_or(Kernels.ceil, _native.ceil)
    trunc = native_or(Kernels.trunc, _native.trunc)
    frac = native_or(Kernels.frac, _native.frac)
    exp = native_or(Kernels.exp, _native.exp)
    log = native_or(Kernels.log, _native.log)
    tanh = native_or(Kernels.tanh, _native.tanh)
    sigmoid = native_or(Kernels.sigmoid, _native.sigmoid)
    silu = native_or(Kernels.silu, _native.silu)
    erf = native_or(Kernels.erf, _native.erf)
    erfc = native_or(Kernels.erfc, _native.erfc)
    erfinv = native_or(Kernels.erfinv, _native.erfinv)
    lgamma = native_or(Kernels.lgamma, _native.lgamma)
    digamma = native_or(Kernels.digamma, _native.digamma)
    expm1 = native_or(Kernels.expm1, _native.expm1)
    log1p = native_or(Kernels.log1p, _native.log1p)

    def round(self, x: Array, decimals: int = 0, out: Array | None = None) -> Array:
        result = NotImplemented if decimals else _native.round(x, out)
        return super().round(x, decimals, out) if result is NotImplemented else result

    def gelu(self, x: Array, approximate: str = "none", out: Array | None = None) -> Array:
        native = _native.gelu_tanh if approximate == "tanh" else _native.gelu
        result = native(x, out)
        return super().gelu(x, approximate, out) if result is NotImplemented else result

    def gelu_grad(
        self, grad: Array, x: Array, approximate: str = "none", out: Array | None = None
    ) -> Array:
        native = _native.gelu_tanh_grad if approximate == "tanh" else _native.gelu_grad
        result = native(grad, x, out)
        return super().gelu_grad(grad, x, approximate, out) if result is NotImplemented else result

    add_scaled = native_or(Kernels.add_scaled, _native.add_scaled)
    clamp = native_or(Kernels.clamp, _native.clamp)
    addcmul = native_or(Kernels.addcmul, _native.addcmul)
    addcdiv = native_or(Kernels.addcdiv, _native.addcdiv)
    lerp = native_or(Kernels.lerp, _native.lerp)
    where = native_or(Kernels.where, _native.where)
    masked_fill = native_or(Kernels.masked_fill, _native.masked_fill)
    cast = native_or(Kernels.cast, _native.cast)
    leaky_relu = native_or(Kernels.leaky_relu, _native.leaky_relu)
    elu = native_or(Kernels.elu, _native.elu)
    threshold = native_or(Kernels.threshold, _native.threshold)
    hardsigmoid = native_or(Kernels.hardsigmoid, _native.hardsigmoid)
    hardswish = native_or(Kernels.hardswish, _native.hardswish)
    mish = native_or(Kernels.mish, _native.mish)
    nan_to_num = native_or(Kernels.nan_to_num, _native.nan_to_num)
    softplus = native_or(Kernels.softplus, _native.softplus)
    logsigmoid = native_or(Kernels.logsigmoid, _native.logsigmoid)
    softshrink = native_or(Kernels.softshrink, _native.softshrink)
    hardshrink = native_or(Kernels.hardshrink, _native.hardshrink)
    leaky_relu_grad = native_or(Kernels.leaky_relu_grad, _native.leaky_relu_grad)
    elu_grad = native_or(Kernels.elu_grad, _native.elu_grad)
    threshold_grad = native_or(Kernels.threshold_grad, _native.threshold_grad)
    hardtanh_grad = native_or(Kernels.hardtanh_grad, _native.hardtanh_grad)
    hardsigmoid_grad = native_or(Kernels.hardsigmoid_grad, _native.hardsigmoid_grad)
    hardswish_grad = native_or(Kernels.hardswish_grad, _native.hardswish_grad)
    mish_grad = native_or(Kernels.mish_grad, _native.mish_grad)
    softplus_grad = native_or(Kernels.softplus_grad, _native.softplus_grad)
    logsigmoid_grad = native_or(Kernels.logsigmoid_grad, _native.logsigmoid_grad)
    shrink_grad = native_or(Kernels.shrink_grad, _native.shrink_grad)
    fmod = native_or(Kernels.fmod, _native.fmod)
    remainder = native_or(Kernels.remainder, _native.remainder)
    floor_div = native_or(Kernels.floor_div, _native.floor_div)
    trunc_div = native_or(Kernels.trunc_div, _native.trunc_div)
    hypot = native_or(Kernels.hypot, _native.hypot)
    copysign = native_or(Kernels.copysign, _native.copysign)
    heaviside = native_or(Kernels.heaviside, _native.heaviside)
    nextafter = native_or(Kernels.nextafter, _native.nextafter)
    pow = native_or(Kernels.pow, _native.pow)
    atan2 = native_or(Kernels.atan2, _native.atan2)
    xlogy = native_or(Kernels.xlogy, _native.xlogy)
    bitwise_and = native_or(Kernels.bitwise_and, _native.bitwise_and)
    bitwise_or = native_or(Kernels.bitwise_or, _native.bitwise_or)
    bitwise_xor = native_or(Kernels.bitwise_xor, _native.bitwise_xor)
    bitwise_not = native_or(Kernels.bitwise_not, _native.bitwise_not)
    logical_and = native_or(Kernels.logical_and, _native.logical_and)
    logical_or = native_or(Kernels.logical_or, _native.logical_or)
    logical_xor = native_or(Kernels.logical_xor, _native.logical_xor)
    logical_not = native_or(Kernels.logical_not, _native.logical_not)
    left_shift = native_or(Kernels.left_shift, _native.left_shift)
    right_shift = native_or(Kernels.right_shift, _native.right_shift)
