"""Native indexing, order and scans, each with the reference behind it."""

from __future__ import annotations

from typing import Any

import numpy

from . import _native
from .cpu_method import native_or
from .reference import Kernels
from .reference.base import Array, Axes


class NativeIndex(Kernels):
    """Arrays of any layout by int64 numbers; sums of float32, float64 and int64."""

    within = native_or(Kernels.within, _native.within)
    take = native_or(Kernels.take, _native.take)
    take_along_axis = native_or(Kernels.take_along_axis, _native.take_along_axis)

    def put_along_axis(
        self, x: Array, indices: Array, values: Any, axis: int, checked: bool = False
    ) -> None:
        done = _native.put_along_axis(x, indices, _as_values(values, x), axis, checked)
        if done is NotImplemented:
            super().put_along_axis(x, indices, values, axis)

    def add_along_axis(
        self, x: Array, indices: Array, values: Any, axis: int, checked: bool = False
    ) -> None:
        done = _native.add_along_axis(x, indices, _as_values(values, x), axis, checked)
        if done is NotImplemented:
            super().add_along_axis(x, indices, values, axis)

    def index_get(self, x: Array, index: Any) -> Array:
        x_view, numbers, axis = _single_axis(x, index)
        if numbers is not None:
            result = _native.take(x_view, numbers, axis, False)
            if result is not NotImplemented:
                return result
        return super().index_get(x, index)

    def index_put(self, x: Array, index: Any, values: Any, checked: bool = False) -> None:
        x_view, numbers, axis = _single_axis(x, index)
        if numbers is not None:
            if _native.put_slices(x_view, numbers, _as_values(values, x), axis, checked) is None:
                return
        super().index_put(x, index, values)

    def index_add(self, x: Array, index: Any, values: Any, checked: bool = False) -> None:
        x_view, numbers, axis = _single_axis(x, index)
        if numbers is not None:
            if _native.add_slices(x_view, numbers, _as_values(values, x), axis, checked) is None:
                return
        super().index_add(x, index, values)

    def embedding_grad(
        self, grad: Array, indices: Array, num_weights: int, padding_idx: int
    ) -> Array:
        total = numpy.zeros((num_weights, *grad.shape[indices.ndim :]), grad.dtype)
        numbers = indices if indices.dtype == numpy.int64 else indices.astype(numpy.int64)
        if _native.add_slices(total, numbers, grad, 0, False) is NotImplemented:
            return super().embedding_grad(grad, indices, num_weights, padding_idx)
        if padding_idx >= 0:
            total[padding_idx] = 0
        return total

    def add_rows(
        self, table: Array, source: Array, target: Array, scale: Array | None, count: int
    ) -> Array:
        result = _native.add_rows(self.contiguous(table), source, target, scale, count)
        if result is NotImplemented:
            return super().add_rows(table, source, target, scale, count)
        return result


def _as_values(values: Any, x: Array) -> Any:
    """What is written into `x`, in its dtype."""
    if isinstance(values, numpy.ndarray):
        return values if values.dtype == x.dtype else values.astype(x.dtype)
    return numpy.asarray(values, x.dtype)


def _single_axis(x: Array, index: Any) -> tuple[Array, Array | None, int]:
    """`(view of x, int64 numbers, axis)` that mean the same as `index`; no numbers if none do.

    Number arrays for several neighbouring axes of a contiguous `x` become one array of positions
    in these axes taken together.
    """
    items = index if type(index) is tuple else (index,)
    if len(items) == 1 and type(items[0]) is numpy.ndarray and items[0].dtype == numpy.int64:
        return x, items[0], 0
    places = [i for i, item in enumerate(items) if isinstance(item, numpy.ndarray)]
    if not places or any(items[i].dtype != numpy.int64 for i in places):
        return x, None, 0
    first, last = places[0], places[-1]
    others = [item for i, item in enumerate(items) if i not in places]
    if last - first + 1 != len(places) or any(item != slice(None) for item in others):
        return x, None, 0
    if first == last:
        return x, items[first], first
    if not x.flags.c_contiguous:
        return x, None, 0
    stop = last + 1
    numbers = _native.join_numbers(x.shape[first:stop], tuple(items[first:stop]))
    if numbers is NotImplemented or not x.size:
        return x, None, 0
    return x.reshape((*x.shape[:first], -1, *x.shape[stop:])), numbers, first


class NativeOrder(Kernels):
    """float32, float64 and int64; axes that are not the last are brought there and back."""

    def sort(self, x: Array, axis: int, descending: bool) -> tuple[Array, Array]:
        pair = _native.sort(self._axis_last(x, axis), descending)
        if pair is NotImplemented:
            return super().sort(x, axis, descending)
        return self._axis_back(pair, axis)

    def topk(self, x: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
        pair = _native.topk(self._axis_last(x, axis), k, largest)
        if pair is NotImplemented:
            return super().topk(x, k, axis, largest)
        return self._axis_back(pair, axis)

    def _axis_last(self, x: Array, axis: int) -> Array:
        if axis != x.ndim - 1:
            x = x.swapaxes(axis, -1)
        return self.contiguous(x)

    def _axis_back(self, pair: tuple[Array, Array], axis: int) -> tuple[Array, Array]:
        if axis == pair[0].ndim - 1:
            return pair
        return self.copy(pair[0].swapaxes(axis, -1)), self.copy(pair[1].swapaxes(axis, -1))


class NativeScan(Kernels):
    """Running sums and products of float32, float64 and int64; log-sum-exp of the floats."""

    def cumsum(self, x: Array, axis: int) -> Array:
        result = _native.cumsum(self.contiguous(x), axis)
        return super().cumsum(x, axis) if result is NotImplemented else result

    def cumprod(self, x: Array, axis: int) -> Array:
        result = _native.cumprod(self.contiguous(x), axis)
        return super().cumprod(x, axis) if result is NotImplemented else result

    def logsumexp(self, x: Array, axes: Axes = None, keepdims: bool = False) -> Array:
        reduced = self.all_axes(x, axes)
        kept = [i for i in range(x.ndim) if i not in reduced]
        rows = x if kept == list(range(len(kept))) else x.transpose((*kept, *reduced))
        result = _native.logsumexp(self.contiguous(rows), len(reduced))
        if result is NotImplemented:
            return super().logsumexp(x, axes, keepdims)
        if keepdims:
            return result.reshape([1 if i in reduced else n for i, n in enumerate(x.shape)])
        return result
