"""Native random numbers: the same stream as the reference's, made in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from . import _native
from .reference import Kernels
from .reference.base import Array
from .reference.random import RandomState


class NativeRandom(Kernels):
    """float32 and float64; narrower types are rounded from float32."""

    def random_uint32(self, state: RandomState, n: int) -> Array:
        result, state.position = _native.random_draws(state.key, state.position, (n,))
        return result

    def random_uniform(self, state: RandomState, shape: Sequence[int], dtype: Any) -> Array:
        dtype = numpy.dtype(dtype)
        result, state.position = _native.random_uniform(
            state.key, state.position, tuple(shape), dtype.itemsize == 8
        )
        return result if result.dtype is dtype else result.astype(dtype, copy=False)

    def random_bernoulli(
        self, state: RandomState, shape: Sequence[int], p: float, dtype: Any
    ) -> Array:
        dtype = numpy.dtype(dtype)
        result, state.position = _native.random_bernoulli(
            state.key, state.position, tuple(shape), float(p), dtype.kind == "b"
        )
        return result if result.dtype is dtype else result.astype(dtype, copy=False)

    def random_integers(
        self, state: RandomState, shape: Sequence[int], low: int, high: int
    ) -> Array:
        found = _native.random_integers(state.key, state.position, tuple(shape), low, high - low)
        if found is NotImplemented:
            return super().random_integers(state, shape, low, high)
        result, state.position = found
        return result

    def random_permutation(self, state: RandomState, n: int) -> Array:
        result, state.position = _native.random_permutation(state.key, state.position, (n,))
        return result

    def random_normal(
        self,
        state: RandomState,
        shape: Sequence[int],
        dtype: Any,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> Array:
        dtype = numpy.dtype(dtype)
        result, state.position, state.next_normal = _native.random_normal(
            state.key, state.position, tuple(shape), dtype.itemsize == 8, float(mean), float(std),
            state.next_normal,
        )  # fmt: skip
        return result if result.dtype is dtype else result.astype(dtype, copy=False)

    def random_normal_pairs(
        self, state: RandomState, n: int, mean: float = 0.0, std: float = 1.0
    ) -> Array:
        result, state.position, state.next_normal = _native.random_normal_pairs(
            state.key, state.position, (n,), float(mean), float(std), state.next_normal
        )
        return result

    def _draws(self, state: RandomState, n: int) -> Any:
        return self.random_uint32(state, n)
