"""Native indexing, order and scans, each with the reference behind it."""

from __future__ import annotations

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

    put_along_axis = native_or(Kernels.put_along_axis, _native.put_along_axis)
    add_along_axis = native_or(Kernels.add_along_axis, _native.add_along_axis)
    index_get = native_or(Kernels.index_get, _native.index_get)
    index_put = native_or(Kernels.index_put, _native.index_put)
    index_add = native_or(Kernels.index_add, _native.index_add)
    masked_select = native_or(Kernels.masked_select, _native.masked_select)
    nonzero = native_or(Kernels.nonzero, _native.nonzero)
    any = native_or(Kernels.any, _native.any)
    all = native_or(Kernels.all, _native.all)

    def embedding_grad(
        self, grad: Array, indices: Array, num_weights: int, padding_idx: int
    ) -> Array:
        total = numpy.zeros((num_weights, *grad.shape[indices.ndim :]), grad.dtype)
        numbers = indices if indices.dtype == numpy.int64 else indices.astype(numpy.int64)
        if _native.index_add(total, numbers, grad, False) is NotImplemented:
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
