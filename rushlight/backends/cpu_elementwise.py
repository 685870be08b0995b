"""Native elementwise kernels, each with the reference behind it."""

from __future__ import annotations

from typing import Any

from . import _native
from .reference import Kernels
from .reference.base import Array, Scalar


class NativeElementwise(Kernels):
    """float32, float64, int32 and int64, in any layout."""

    def add(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.add(x, y, out)
        return super().add(x, y, out) if result is NotImplemented else result

    def sub(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.sub(x, y, out)
        return super().sub(x, y, out) if result is NotImplemented else result

    def mul(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.mul(x, y, out)
        return super().mul(x, y, out) if result is NotImplemented else result

    def div(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.div(x, y, out)
        return super().div(x, y, out) if result is NotImplemented else result

    def maximum(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.maximum(x, y, out)
        return super().maximum(x, y, out) if result is NotImplemented else result

    def minimum(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.minimum(x, y, out)
        return super().minimum(x, y, out) if result is NotImplemented else result

    def relu_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        result = _native.relu_grad(grad, result, out)
        return super().relu_grad(grad, result, out) if result is NotImplemented else result

    def sigmoid_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        result = _native.sigmoid_grad(grad, result, out)
        return super().sigmoid_grad(grad, result, out) if result is NotImplemented else result

    def tanh_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        result = _native.tanh_grad(grad, result, out)
        return super().tanh_grad(grad, result, out) if result is NotImplemented else result

    def silu_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        result = _native.silu_grad(grad, x, out)
        return super().silu_grad(grad, x, out) if result is NotImplemented else result

    def eq(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.eq(x, y, out)
        return super().eq(x, y, out) if result is NotImplemented else result

    def ne(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.ne(x, y, out)
        return super().ne(x, y, out) if result is NotImplemented else result

    def lt(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.lt(x, y, out)
        return super().lt(x, y, out) if result is NotImplemented else result

    def le(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.le(x, y, out)
        return super().le(x, y, out) if result is NotImplemented else result

    def gt(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.gt(x, y, out)
        return super().gt(x, y, out) if result is NotImplemented else result

    def ge(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.ge(x, y, out)
        return super().ge(x, y, out) if result is NotImplemented else result

    def neg(self, x: Array, out: Array | None = None) -> Array:
        result = _native.neg(x, out)
        return super().neg(x, out) if result is NotImplemented else result

    def abs(self, x: Array, out: Array | None = None) -> Array:
        result = _native.abs(x, out)
        return super().abs(x, out) if result is NotImplemented else result

    def square(self, x: Array, out: Array | None = None) -> Array:
        result = _native.square(x, out)
        return super().square(x, out) if result is NotImplemented else result

    def reciprocal(self, x: Array, out: Array | None = None) -> Array:
        result = _native.reciprocal(x, out)
        return super().reciprocal(x, out) if result is NotImplemented else result

    def sqrt(self, x: Array, out: Array | None = None) -> Array:
        result = _native.sqrt(x, out)
        return super().sqrt(x, out) if result is NotImplemented else result

    def rsqrt(self, x: Array, out: Array | None = None) -> Array:
        result = _native.rsqrt(x, out)
        return super().rsqrt(x, out) if result is NotImplemented else result

    def relu(self, x: Array, out: Array | None = None) -> Array:
        result = _native.relu(x, out)
        return super().relu(x, out) if result is NotImplemented else result

    def exp(self, x: Array, out: Array | None = None) -> Array:
        result = _native.exp(x, out)
        return super().exp(x, out) if result is NotImplemented else result

    def log(self, x: Array, out: Array | None = None) -> Array:
        result = _native.log(x, out)
        return super().log(x, out) if result is NotImplemented else result

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        result = _native.tanh(x, out)
        return super().tanh(x, out) if result is NotImplemented else result

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        result = _native.sigmoid(x, out)
        return super().sigmoid(x, out) if result is NotImplemented else result

    def silu(self, x: Array, out: Array | None = None) -> Array:
        result = _native.silu(x, out)
        return super().silu(x, out) if result is NotImplemented else result

    def erf(self, x: Array, out: Array | None = None) -> Array:
        result = _native.erf(x, out)
        return super().erf(x, out) if result is NotImplemented else result

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

    def add_scaled(self, x: Array, y: Array, alpha: Scalar, out: Array | None = None) -> Array:
        result = _native.add_scaled(x, y, alpha, out)
        return super().add_scaled(x, y, alpha, out) if result is NotImplemented else result

    def clamp(
        self,
        x: Array,
        low: Array | Scalar | None,
        high: Array | Scalar | None,
        out: Array | None = None,
    ) -> Array:
        result = _native.clamp(x, low, high, out)
        return super().clamp(x, low, high, out) if result is NotImplemented else result

    def addcmul(
        self, x: Array, y: Array, z: Array, value: Scalar, out: Array | None = None
    ) -> Array:
        result = _native.addcmul(x, y, z, value, out)
        return super().addcmul(x, y, z, value, out) if result is NotImplemented else result

    def addcdiv(
        self, x: Array, y: Array, z: Array, value: Scalar, out: Array | None = None
    ) -> Array:
        result = _native.addcdiv(x, y, z, value, out)
        return super().addcdiv(x, y, z, value, out) if result is NotImplemented else result

    def lerp(self, x: Array, end: Array, weight: Array | Scalar, out: Array | None = None) -> Array:
        result = _native.lerp(x, end, weight, out)
        return super().lerp(x, end, weight, out) if result is NotImplemented else result

    def where(self, condition: Array, x: Array, y: Array | Scalar) -> Array:
        result = _native.where(condition, x, y)
        return super().where(condition, x, y) if result is NotImplemented else result

    def masked_fill(self, x: Array, mask: Array, value: Any) -> Array:
        result = _native.masked_fill(x, mask, value)
        return super().masked_fill(x, mask, value) if result is NotImplemented else result

    def cast(self, x: Array, dtype: Any) -> Array:
        result = _native.cast(x, dtype)
        return super().cast(x, dtype) if result is NotImplemented else result
