"""Elementwise reference kernels: arithmetic, powers, exponentials, trigonometry, rounding.

Every kernel takes an array (and for two operands an array of the same dtype that broadcasts, or a
Python number) and an optional ``out``. The half types are computed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Array, KernelBase, Scalar

Function = Callable[..., Any]

ZERO_DIVISION = "ZeroDivisionError"


class ElementwiseKernels(KernelBase):
    """Arithmetic and the elementary functions."""

    # ------------------------------------------------------------------ how one is applied
    def _operand(self, y: Array | Scalar, dtype: Any) -> Any:
        """``y`` as NumPy may combine it with an array of type ``dtype`` without promotion.

        A Python integer wraps around to an integer type's range, as it does in PyTorch.
        """
        if isinstance(y, (bool, int)) and dtype.kind in "iu":
            bits = 8 * dtype.itemsize
            unsigned = self.xp.dtype(f"u{dtype.itemsize}")
            return self.xp.asarray(int(y) & ((1 << bits) - 1), dtype=unsigned).astype(dtype)
        if isinstance(y, (bool, int, float, complex)):
            return y
        return self.widen(y)

    def _unary(self, function: Function, x: Array, out: Array | None) -> Array:
        with self.quiet():
            if self._writes(function, x.dtype, out):
                function(x, out=out)
                return out
            return self.finish(function(self.widen(x)), x.dtype, out, (x,))

    def _binary(self, function: Function, x: Array, y: Array | Scalar, out: Array | None) -> Array:
        with self.quiet():
            if self._writes(function, x.dtype, out):
                function(x, self._operand(y, x.dtype), out=out)
                return out
            result = function(self.widen(x), self._operand(y, x.dtype))
            return self.finish(result, x.dtype, out, (x, y))

    def _writes(self, function: Function, dtype: Any, out: Array | None) -> bool:
        """Whether a function of the namespace itself can put its results into ``out``."""
        if out is None or out.dtype != dtype or self.is_half(dtype):
            return False
        return isinstance(function, self.xp.ufunc)

    def _refuse_zero(self, x: Array, y: Array | Scalar) -> None:
        """Integer division by zero has no result; PyTorch's class and message."""
        if x.dtype.kind in "iub" and not self.xp.all(self.xp.asarray(y)):
            raise RuntimeError(ZERO_DIVISION)

    # ------------------------------------------------------------------ arithmetic
    def add(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.add, x, y, out)

    def sub(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.subtract, x, y, out)

    def mul(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.multiply, x, y, out)

    def div(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.true_divide, x, y, out)

    def add_scaled(self, x: Array, y: Array, alpha: Scalar, out: Array | None = None) -> Array:
        """``x + alpha * y``."""

        def combine(a: Array, b: Array) -> Any:
            return self.xp.add(a, self.xp.multiply(b, self._operand(alpha, b.dtype)))

        return self._binary(combine, x, y, out)

    def addcmul(
        self, x: Array, y: Array, z: Array, value: Scalar, out: Array | None = None
    ) -> Array:
        """``x + value * y * z``."""
        with self.quiet():
            product = self._operand(value, x.dtype) * self.widen(y) * self.widen(z)
            return self.finish(self.widen(x) + product, x.dtype, out, (x, y, z))

    def addcdiv(
        self, x: Array, y: Array, z: Array, value: Scalar, out: Array | None = None
    ) -> Array:
        """``x + value * y / z``."""
        with self.quiet():
            quotient = self._operand(value, x.dtype) * self.widen(y) / self.widen(z)
            return self.finish(self.widen(x) + quotient, x.dtype, out, (x, y, z))

    def lerp(self, x: Array, end: Array, weight: Array | Scalar, out: Array | None = None) -> Array:
        """``x + weight * (end - x)``; for weights from 1/2 on counted back from ``end``."""
        with self.quiet():
            start, stop = self.widen(x), self.widen(end)
            part, distance = self._operand(weight, x.dtype), stop - start
            forth, back = start + part * distance, stop - distance * (1 - part)
            result = self.xp.where(self.xp.abs(part) < 0.5, forth, back)
            return self.finish(result, x.dtype, out, (x, end, weight))

    def floor_div(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """Quotient rounded down; ``RuntimeError`` for integers divided by zero."""
        self._refuse_zero(x, y)
        return self._binary(self.xp.floor_divide, x, y, out)

    def trunc_div(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """Quotient rounded towards zero; ``RuntimeError`` for integers divided by zero."""
        self._refuse_zero(x, y)

        def divide(a: Array, b: Any) -> Any:
            if a.dtype.kind not in "iu":
                return self.xp.trunc(self.xp.true_divide(a, b))
            down = self.xp.floor_divide(a, b)
            inexact = self.xp.subtract(a, self.xp.multiply(down, b)) != 0
            return down + (inexact & (down < 0)).astype(a.dtype)

        return self._binary(divide, x, y, out)

    def remainder(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The remainder that has the divisor's sign."""
        self._refuse_zero(x, y)

        def modulo(a: Array, b: Any) -> Any:
            if a.dtype.kind in "iub":
                return self.xp.remainder(a, b)
            rest = self.xp.fmod(a, b)
            other_sign = (rest != 0) & ((rest < 0) != (self.xp.asarray(b) < 0))
            return self.xp.where(other_sign, rest + b, rest)

        return self._binary(modulo, x, y, out)

    def fmod(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The remainder that has the dividend's sign."""
        self._refuse_zero(x, y)
        return self._binary(self.xp.fmod, x, y, out)

    def pow(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """``x ** y``; integers to a negative power are 0, except for bases 1 and -1."""

        def power(a: Array, b: Any) -> Any:
            if a.dtype.kind != "i":
                return self.xp.power(a, b)
            b = self.xp.asarray(b)
            size = self.xp.power(a, self.xp.abs(b))
            inverse = self.xp.where(self.xp.abs(a) == 1, size, self.xp.zeros_like(size))
            return self.xp.where(b < 0, inverse, size)

        return self._binary(power, x, y, out)

    def neg(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.negative, x, out)

    def abs(self, x: Array, out: Array | None = None) -> Array:
        """Magnitude; complex input gives the real type."""
        if x.dtype.kind == "c":
            magnitude = self.xp.abs(x)
            return self.finish(magnitude, magnitude.dtype, out, (x,))
        return self._unary(self.xp.absolute, x, out)

    def sign(self, x: Array, out: Array | None = None) -> Array:
        """-1, 0 or 1; NaN has sign 0."""

        def sign_of(a: Array) -> Any:
            if a.dtype.kind == "b":
                return a
            signs = self.xp.sign(a)
            return self.xp.where(a == a, signs, self.xp.zeros_like(signs))

        return self._unary(sign_of, x, out)

    def square(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.square, x, out)

    def reciprocal(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(lambda a: 1 / a, x, out)

    # ------------------------------------------------------------------ roots, exponentials
    def sqrt(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.sqrt, x, out)

    def rsqrt(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(lambda a: 1 / self.xp.sqrt(a), x, out)

    def exp(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.exp, x, out)

    def exp2(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.exp2, x, out)

    def expm1(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.expm1, x, out)

    def log(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.log, x, out)

    def log1p(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.log1p, x, out)

    def log2(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.log2, x, out)

    def log10(self, x: Array, out: Array | None = None) -> Array:
        """By way of float64, so that powers of ten come out whole."""

        def exactly(a: Array) -> Any:
            return self.xp.log10(a.astype(self.xp.float64) if a.dtype == self.xp.float32 else a)

        return self._unary(exactly, x, out)

    # ------------------------------------------------------------------ trigonometry
    def sin(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.sin, x, out)

    def cos(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.cos, x, out)

    def tan(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.tan, x, out)

    def asin(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arcsin, x, out)

    def acos(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arccos, x, out)

    def atan(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arctan, x, out)

    def sinh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.sinh, x, out)

    def cosh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.cosh, x, out)

    def tanh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.tanh, x, out)

    def asinh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arcsinh, x, out)

    def acosh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arccosh, x, out)

    def atanh(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.arctanh, x, out)

    def atan2(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.arctan2, x, y, out)

    def hypot(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.hypot, x, y, out)

    # ------------------------------------------------------------------ rounding
    def floor(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self._for_fractions(self.xp.floor), x, out)

    def ceil(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self._for_fractions(self.xp.ceil), x, out)

    def trunc(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self._for_fractions(self.xp.trunc), x, out)

    def frac(self, x: Array, out: Array | None = None) -> Array:
        """``x - trunc(x)``."""
        return self._unary(lambda a: a - self.xp.trunc(a), x, out)

    def round(self, x: Array, decimals: int = 0, out: Array | None = None) -> Array:
        """Nearest multiple of ``10 ** -decimals``, ties to even."""

        def rounded(a: Array) -> Any:
            scale = a.dtype.type(10.0 ** abs(decimals))
            if decimals > 0:
                return self.xp.rint(a * scale) / scale
            if decimals < 0:
                return self.xp.rint(a / scale) * scale
            return self.xp.rint(a)

        return self._unary(self._for_fractions(rounded), x, out)

    def _for_fractions(self, function: Function) -> Function:
        """``function``, applied to floating types only: integers are round already."""
        return lambda a: function(a) if a.dtype.kind == "f" else a

    # ------------------------------------------------------------------ choosing
    def maximum(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The larger; NaN if either is NaN."""
        return self._binary(self.xp.maximum, x, y, out)

    def minimum(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The smaller; NaN if either is NaN."""
        return self._binary(self.xp.minimum, x, y, out)

    def fmax(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The larger; a NaN gives way to a number."""
        return self._binary(self.xp.fmax, x, y, out)

    def fmin(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """The smaller; a NaN gives way to a number."""
        return self._binary(self.xp.fmin, x, y, out)

    def clamp(
        self,
        x: Array,
        low: Array | Scalar | None,
        high: Array | Scalar | None,
        out: Array | None = None,
    ) -> Array:
        """``min(max(x, low), high)``, either bound optional; NaN stays NaN."""
        with self.quiet():
            result = self.widen(x)
            if low is not None:
                result = self.xp.maximum(result, self._operand(low, x.dtype))
            if high is not None:
                result = self.xp.minimum(result, self._operand(high, x.dtype))
            result = result.copy() if result is x else result
            return self.finish(result, x.dtype, out, (x, low, high))

    def copysign(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.copysign, x, y, out)

    def nextafter(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """The next number of x's own type in the direction of ``y``."""
        with self.quiet():
            return self.finish(self.xp.nextafter(x, y), x.dtype, out, (x, y))

    def heaviside(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """0 where ``x`` is negative or NaN, 1 where it is positive, ``y`` where it is 0."""

        def step(a: Array, b: Array) -> Any:
            return self.xp.where(a == 0, b, (a > 0).astype(a.dtype))

        return self._binary(step, x, y, out)

    def xlogy(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """``x log(y)``; 0 where ``x`` is 0 and ``y`` no NaN."""

        def product(a: Array, b: Any) -> Any:
            is_void = (a == 0) & (b == b)
            return a * self.xp.where(is_void, a.dtype.type(0), self.xp.log(b))

        return self._binary(product, x, y, out)

    def float_function(self, name: str, x: Array, y: Array, out: Array | None = None) -> Array:
        """A function of the namespace on two fractional operands; half types go by float32."""
        return self._binary(getattr(self.xp, name), x, y, out)

    def gcd(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.gcd, x, y, out)

    def lcm(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.lcm, x, y, out)
