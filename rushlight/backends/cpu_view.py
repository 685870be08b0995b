"""Native ways to views and filled arrays, each with the reference behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _native
from .reference import Kernels
from .reference.base import Array


class NativeViews(Kernels):
    """No arithmetic: NumPy's own functions spend microseconds of Python on each of these."""

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        result = _native.broadcast_to(x, shape)
        return super().broadcast_to(x, shape) if result is NotImplemented else result

    def as_strided(self, x: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
        result = _native.as_strided(x, shape, strides)
        return super().as_strided(x, shape, strides) if result is NotImplemented else result

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        result = _native.concatenate(arrays, axis)
        return super().concatenate(arrays, axis) if result is NotImplemented else result

    def full(self, shape: Sequence[int], value: Any, dtype: Any) -> Array:
        result = _native.full(shape, value, dtype)
        return super().full(shape, value, dtype) if result is NotImplemented else result
