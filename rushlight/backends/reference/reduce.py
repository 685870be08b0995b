"""Reductions and running sums: the reference kernels.

Sums of float32 and of the half types are accumulated in float64 and rounded once. ``axes`` is a
tuple of non-negative ints, None for all axes, ``()`` for none.
"""

from __future__ import annotations

import math
from typing import Any

from .base import Array, Axes, KernelBase


class ReduceKernels(KernelBase):
    """Sums, extremes, truth, statistics and scans along axes."""

    def _accumulator(self, dtype: Any) -> Any:
        """The type that sums of ``dtype`` are formed in."""
        return self.xp.float64 if self.is_floating(dtype) else dtype

    def _count(self, x: Array, axes: tuple[int, ...]) -> int:
        return math.prod(x.shape[axis] for axis in axes)

    def _sum_wide(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        """The sum in the accumulator type."""
        wide = self._accumulator(x.dtype)
        total: Array = self.xp.sum(self.widen(x), axis=axes, keepdims=keepdims, dtype=wide)
        return total

    # ------------------------------------------------------------------ sums
    def sum(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        with self.quiet():
            return self.finish(self._sum_wide(x, self.all_axes(x, axes), keepdims), x.dtype)

    def mean(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        """The sum divided by the count; NaN of no elements."""
        axes = self.all_axes(x, axes)
        with self.quiet():
            total = self.xp.asarray(self._sum_wide(x, axes, keepdims))
            return self.finish(total / total.dtype.type(self._count(x, axes)), x.dtype)

    def prod(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        with self.quiet():
            wide = self.widen(x)
            result = self.xp.prod(
                wide, axis=self.all_axes(x, axes), keepdims=keepdims, dtype=wide.dtype
            )
            return self.finish(result, x.dtype)

    def var(
        self, x: Array, axes: Axes = None, correction: float = 1, keepdims: bool = False
    ) -> Array:
        """Sum of squared distances from the mean, divided by ``max(0, count - correction)``."""
        axes = self.all_axes(x, axes)
        with self.quiet():
            count = self._count(x, axes)
            wide = x if x.dtype.kind == "c" else self.widen(x).astype(self.xp.float64)
            distance = wide - self.xp.sum(wide, axis=axes, keepdims=True) / self.xp.float64(count)
            squares = (distance * distance.conj()).real
            total = self.xp.asarray(self.xp.sum(squares, axis=axes, keepdims=keepdims))
            dtype = x.real.dtype if x.dtype.kind == "c" else x.dtype
            return self.finish(total / self.xp.float64(max(0, count - correction)), dtype)

    def norm(self, x: Array, p: float = 2, axes: Axes = None, keepdims: bool = False) -> Array:
        """The p-norm of the magnitudes; p = 0 counts nonzero elements, p = inf is the largest."""
        axes = self.all_axes(x, axes)
        dtype = x.real.dtype if x.dtype.kind == "c" else x.dtype
        with self.quiet():
            size = self.xp.abs(self.widen(x)).astype(self.xp.float64)
            if p == math.inf:
                result = self.xp.max(size, axis=axes, keepdims=keepdims)
            elif p == -math.inf:
                result = self.xp.min(size, axis=axes, keepdims=keepdims)
            elif p == 0:
                result = self.xp.sum(size != 0, axis=axes, keepdims=keepdims)
            elif p == 1:
                result = self.xp.sum(size, axis=axes, keepdims=keepdims)
            elif p == 2:
                result = self.xp.sqrt(self.xp.sum(size * size, axis=axes, keepdims=keepdims))
            else:
                result = self.xp.sum(size**p, axis=axes, keepdims=keepdims) ** (1 / p)
            return self.finish(result, dtype)

    def logsumexp(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        """``log(sum(exp(x)))``, shifted by the largest element so that nothing overflows."""
        axes = self.all_axes(x, axes)
        with self.quiet():
            wide = self.widen(x).astype(self.xp.float64)
            peak = self.xp.max(wide, axis=axes, keepdims=True, initial=-math.inf)
            peak = self.xp.where(self.xp.isfinite(peak), peak, 0.0)
            total = self.xp.sum(self.xp.exp(wide - peak), axis=axes, keepdims=keepdims)
            shift = peak if keepdims else peak.reshape(self.xp.shape(total))
            return self.finish(self.xp.log(total) + shift, x.dtype)

    # ------------------------------------------------------------------ extremes
    def amax(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        """The largest element; NaN if there is one."""
        result = self.xp.max(self.widen(x), axis=self.all_axes(x, axes), keepdims=keepdims)
        return self.finish(result, x.dtype)

    def amin(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        """The smallest element; NaN if there is one."""
        result = self.xp.min(self.widen(x), axis=self.all_axes(x, axes), keepdims=keepdims)
        return self.finish(result, x.dtype)

    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """int64 index of the first largest element (the first NaN if there is one)."""
        return self._index_of_extreme(self.xp.argmax, x, axis, keepdims)

    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """int64 index of the first smallest element (the first NaN if there is one)."""
        return self._index_of_extreme(self.xp.argmin, x, axis, keepdims)

    def _index_of_extreme(self, search: Any, x: Array, axis: int | None, keepdims: bool) -> Array:
        flat = axis is None or x.ndim == 0
        wide = self.widen(x)
        result = self.xp.asarray(search(wide.reshape(-1) if flat else wide, 0 if flat else axis))
        if keepdims:
            one = tuple(1 if flat or i == axis else n for i, n in enumerate(x.shape))
            result = result.reshape(one)
        return self.finish(result, self.xp.int64)

    # ------------------------------------------------------------------ truth
    def any(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        truth = self.widen(x) != 0
        return self.finish(self.xp.any(truth, axis=self.all_axes(x, axes), keepdims=keepdims), bool)

    def all(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        truth = self.widen(x) != 0
        return self.finish(self.xp.all(truth, axis=self.all_axes(x, axes), keepdims=keepdims), bool)

    # ------------------------------------------------------------------ scans
    def cumsum(self, x: Array, axis: int) -> Array:
        """Sums of all elements up to and including each."""
        if x.ndim == 0:
            return x.copy()
        with self.quiet():
            wide = self._accumulator(x.dtype)
            return self.finish(self.xp.cumsum(self.widen(x), axis=axis, dtype=wide), x.dtype)

    def cumprod(self, x: Array, axis: int) -> Array:
        """Products of all elements up to and including each."""
        if x.ndim == 0:
            return x.copy()
        with self.quiet():
            wide = self.widen(x)
            return self.finish(self.xp.cumprod(wide, axis=axis, dtype=wide.dtype), x.dtype)
