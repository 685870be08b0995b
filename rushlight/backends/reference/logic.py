"""Comparisons, logic, bits, tests for NaN, selection and conversion: the reference kernels."""

from __future__ import annotations

from typing import Any

from .base import Array, Scalar
from .elementwise import ElementwiseKernels, Function


class LogicKernels(ElementwiseKernels):
    """Kernels whose result is bool or bits, and ``where`` and ``cast``."""

    def _predicate(
        self, function: Function, x: Array, y: Array | Scalar, out: Array | None
    ) -> Array:
        with self.quiet():
            result = function(self.widen(x), self._operand(y, x.dtype))
            return self.finish(result, bool, out, (x, y))

    # ------------------------------------------------------------------ comparisons
    def eq(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.equal, x, y, out)

    def ne(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.not_equal, x, y, out)

    def lt(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.less, x, y, out)

    def le(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.less_equal, x, y, out)

    def gt(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.greater, x, y, out)

    def ge(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.greater_equal, x, y, out)

    # ------------------------------------------------------------------ logic: nonzero is true
    def logical_and(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.logical_and, x, y, out)

    def logical_or(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.logical_or, x, y, out)

    def logical_xor(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._predicate(self.xp.logical_xor, x, y, out)

    def logical_not(self, x: Array, out: Array | None = None) -> Array:
        return self.finish(self.xp.logical_not(self.widen(x)), bool, out, (x,))

    # ------------------------------------------------------------------ bits
    def bitwise_and(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.bitwise_and, x, y, out)

    def bitwise_or(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.bitwise_or, x, y, out)

    def bitwise_xor(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        return self._binary(self.xp.bitwise_xor, x, y, out)

    def bitwise_not(self, x: Array, out: Array | None = None) -> Array:
        return self._unary(self.xp.invert, x, out)

    def left_shift(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """``x << y``; 0 where ``y`` is negative or at least the type's width."""

        def shifted(a: Array, b: Any) -> Any:
            b = self.xp.asarray(b)
            in_range = (b >= 0) & (b < 8 * a.dtype.itemsize)
            result = self.xp.left_shift(a, self.xp.where(in_range, b, 0).astype(a.dtype))
            return self.xp.where(in_range, result, self.xp.zeros_like(result))

        return self._binary(shifted, x, y, out)

    def right_shift(self, x: Array, y: Array | Scalar, out: Array | None = None) -> Array:
        """``x >> y``, arithmetic; only the sign is left where ``y`` is out of range."""

        def shifted(a: Array, b: Any) -> Any:
            most = 8 * a.dtype.itemsize - (1 if a.dtype.kind == "i" else 0)
            b = self.xp.asarray(b)
            b = self.xp.where((b >= 0) & (b < most), b, most)
            if a.dtype.kind == "u":
                kept = self.xp.where(b < most, b, 0).astype(a.dtype)
                result = self.xp.right_shift(a, kept)
                return self.xp.where(b < most, result, self.xp.zeros_like(result))
            return self.xp.right_shift(a, b.astype(a.dtype))

        return self._binary(shifted, x, y, out)

    # ------------------------------------------------------------------ what kind of number
    def isnan(self, x: Array) -> Array:
        return self.finish(self.xp.not_equal(x, x), bool, None, (x,))

    def signbit(self, x: Array) -> Array:
        """Below zero, or -0.0, or a NaN with its sign set."""
        if not self.is_floating(x.dtype):
            return self.finish(self.xp.less(x, 0), bool, None, (x,))
        return self.finish(self.xp.signbit(self.widen(x)), bool, None, (x,))

    def isinf(self, x: Array) -> Array:
        if not self.is_floating(x.dtype) and x.dtype.kind != "c":
            return self.xp.zeros(x.shape, dtype=bool)
        return self.finish(self.xp.isinf(self.widen(x)), bool, None, (x,))

    def isfinite(self, x: Array) -> Array:
        if not self.is_floating(x.dtype) and x.dtype.kind != "c":
            return self.xp.ones(x.shape, dtype=bool)
        return self.finish(self.xp.isfinite(self.widen(x)), bool, None, (x,))

    # ------------------------------------------------------------------ selection, conversion
    def where(self, condition: Array, x: Array, y: Array | Scalar) -> Array:
        """``x`` where ``condition``, else ``y``; all three broadcast; the result has x's dtype."""
        other = self.xp.asarray(y, dtype=x.dtype)
        chosen = self.xp.where(condition, x, other)
        return self.finish(chosen, x.dtype, None, (condition, x, other))

    def cast(self, x: Array, dtype: Any) -> Array:
        """A fresh copy of ``x`` as ``dtype``: fractions are cut off, integers wrap around.

        A fraction goes to a narrow integer by way of int64, so -1.0 becomes 255 in uint8; complex
        numbers lose their imaginary part; anything but zero, NaN included, is True.
        """
        dtype = self.xp.dtype(dtype)
        if x.dtype.kind == "c" and dtype.kind not in "cb":
            x = x.real
        with self.quiet():
            if dtype.kind == "b":
                return self.finish(self.widen(x) != 0, dtype, None, (x,))
            if self.is_floating(x.dtype) and dtype.kind in "iu":
                whole = self.widen(x).astype(self.xp.int64)
                return self.finish(whole.astype(dtype), dtype, None, (x,))
            if dtype.kind == "V" or x.dtype.kind == "V":
                x = self.widen(x)
            return self.finish(x.astype(dtype), dtype, None, (x,))
