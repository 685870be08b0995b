"""Indexing: `x[…]`, `x[…] = y`, and picking by index tensors and masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.arrays import is_array
from ..backends.layout import inverse
from ..dtypes import finfo
from ..types_ import Array, Shape
from .common import (
    NUMBERS,
    TensorBase,
    as_element,
    cast,
    check_apart,
    dtype_of,
    in_place,
    write_over,
)
from .copy import fill_
from .expand import expand
from .memory_format import copied
from .parts import _select, _slice
from .shape import _unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["index_put", "take", "put", "IndexMethods"]

_INT64 = dtypes.int64.numpy


# ---- x[...] --------------------------------------------------------------------------------


def getitem(input: Tensor, index: Any) -> Tensor:
    """`input[index]`: ints, slices, None and `...` give views; index tensors and masks, copies."""
    kind = type(index)
    if kind is int and input._array.ndim:
        return _select_item(input, 0, index)
    if kind is slice:
        return _slice_item(input, 0, index)
    if index is None:
        return _unsqueeze(input, dim=0)
    if isinstance(index, TensorBase):
        if _is_numbers(input, index):
            return _index(input, *_index_tensors(input, 0, index), places=(0,))
        if _is_mask(input, index):
            return _index_mask(input, index)
    view, tensors, places = _basic(input, index if kind is tuple else (index,))
    if tensors:
        return _index(view, *tensors, places=places)
    return view if view is not input else _alias(input)


def _is_numbers(input: Tensor, index: Tensor) -> bool:
    """Whether an index tensor names places along the first dim: by far the most common one."""
    numbers = index._array
    return bool(numbers.dtype.kind == "i" and numbers.ndim and input._array.ndim)


def _is_mask(input: Tensor, index: Tensor) -> bool:
    """Whether an index tensor is a mask of the first dims."""
    x, mask = input._array, index._array
    ndim: int = mask.ndim
    return ndim > 0 and mask.dtype.kind == "b" and mask.shape == x.shape[:ndim]


@primitive(name="Alias", view=True)
def _alias(x: Array) -> Array:
    return x.view()


@_alias.derivative("x")
def _alias_dx(grad: Tensor) -> Tensor:
    return grad


def _basic(input: Tensor, items: tuple[Any, ...]) -> tuple[Any, list[Any], tuple[int, ...]]:
    """Applies the view part of an index: the view, the index tensors, the dims they stand for."""
    view: Any = input
    dim = 0
    picks: list[Any] = []
    places: list[int] = []
    for position, item in enumerate(items):
        kind = type(item)
        if kind is int:
            view = _select_item(view, dim, item)
        elif kind is slice:
            if not _is_everything(item) or dim >= view._array.ndim:
                view = _slice_item(view, dim, item)
            dim += 1
        elif item is None:
            view = _unsqueeze(view, dim=dim)
            dim += 1
        elif item is Ellipsis:
            dim = max(view._array.ndim - _consumed(items[position + 1 :]), dim)
        elif isinstance(item, TensorBase) and item._array.ndim:
            for numbers in _index_tensors(view, dim, item):
                picks.append(numbers)
                places.append(dim)
                dim += 1
        elif kind is bool or _is_number(item, "b"):
            view = _unsqueeze(view, dim=dim)
            picks.append(wrap(kernels(view._array).full((int(item),), 0, _INT64)))
            places.append(dim)
            dim += 1
        elif isinstance(item, int) or _is_number(item, "iu"):
            view = _select_item(view, dim, int(item))
        else:
            for numbers in _index_tensors(view, dim, item):
                picks.append(numbers)
                places.append(dim)
                dim += 1
    return view, picks, tuple(places)


def _is_number(item: Any, kinds: str) -> bool:
    """Whether an index item is a 0-dim tensor of one of the kinds."""
    return isinstance(item, TensorBase) and not item._array.ndim and item._array.dtype.kind in kinds


def _is_everything(item: slice) -> bool:
    return item.start is None and item.stop is None and item.step is None


def _select_item(view: Any, dim: int, index: int) -> Any:
    shape = view._array.shape
    if dim >= len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    size = shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    return _select(view, dim=dim, index=index % size)


def _slice_item(view: Any, dim: int, item: slice) -> Any:
    shape = view._array.shape
    if dim >= len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    if item.step is not None and item.step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = item.indices(shape[dim])
    return _slice(view, dim=dim, start=start, stop=stop if stop > start else start, step=step)


def _consumed(items: tuple[Any, ...]) -> int:
    """How many dims these items, which follow a `...`, take: a mask takes as many as it has."""
    count = 0
    for item in items:
        kind = type(item)
        if kind is int or kind is slice:
            count += 1
            continue
        if item is Ellipsis:
            raise IndexError("an index can only have a single ellipsis ('...')")
        if item is None or isinstance(item, bool):
            continue
        array = item._array if isinstance(item, TensorBase) else item
        count += int(array.ndim) if is_array(array) and array.dtype.kind == "b" else 1
    return count


def _index_tensors(view: Any, dim: int, item: Any) -> list[Any]:
    """An index list, array, tensor or mask as one int64 tensor per dim that it takes."""
    if not isinstance(item, TensorBase):
        if is_array(item):
            item = wrap(item)
        elif isinstance(item, (list, tuple, range)):
            item = wrap(kernels(view._array).xp.asarray(
                item, dtype=None if len(item) else _INT64))  # fmt: skip
        elif hasattr(item, "__index__"):
            item = wrap(kernels(view._array).full((), item.__index__(), dtypes.int64.numpy))
        else:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
                f"are valid indices (got {type(item).__name__})"
            )
    array = item._array
    shape = view._array.shape
    if array.dtype is _INT64 and dim < len(shape):
        if not kernels(array).within(array, -shape[dim], shape[dim]):
            _check_bounds(array, shape[dim], dim)  # raises
        return [item]
    kind, width = array.dtype.kind, array.dtype.itemsize
    if kind == "b" or (kind == "u" and width == 1):
        for j, n in enumerate(array.shape):
            if dim + j >= len(shape) or shape[dim + j] != n:
                raise IndexError(
                    f"The shape of the mask {list(array.shape)} at index {j} does not match the "
                    f"shape of the indexed tensor {list(shape)} at index {dim + j}"
                )
        found = kernels(array).nonzero(array)
        return [wrap(found[:, j]) for j in range(array.ndim)]
    if kind not in "iu":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if dim >= len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    _check_bounds(array, shape[dim], dim)
    return [item if kind == "i" and width == 8 else wrap(cast(array, dtypes.int64))]


def _check_bounds(indices: Array, size: int, dim: int) -> None:
    if not kernels(indices).within(indices, -size, size):
        low, high = int(indices.min()), int(indices.max())
        bad = low if low < -size else high
        raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def _numpy_index(indices: tuple[Any, ...], places: tuple[int, ...]) -> tuple[Any, ...]:
    if len(places) == places[-1] + 1:
        return indices
    index: list[Any] = [slice(None)] * (places[-1] + 1)
    for place, i in zip(places, indices):
        index[place] = i
    return tuple(index)


@primitive(name="Index", shown=1)
def _index(*tensors: Array, places: tuple[int, ...]) -> Array:
    """The first tensor indexed by the others, which stand for the dims in `places`."""
    x = tensors[0]
    if len(places) != 1:
        return kernels(x).index_get(x, _numpy_index(tensors[1:], places))
    if x.flags.c_contiguous:
        return kernels(x).take(x, tensors[1], places[0])
    return _taken_in_order(x, tensors[1], places[0])


def _taken_in_order(x: Array, indices: Array, axis: int) -> Array:
    """The elements at `indices` along `axis`; the result's axes have the order of those of `x`."""
    n, end = indices.ndim, axis + indices.ndim  # the axes from `axis` to `end` are the indices'
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    steps = (*x.strides[:axis], *[0] * n, *x.strides[axis + 1 :])
    index_steps = (*[0] * axis, *indices.strides, *[0] * (x.ndim - axis - 1))
    k = kernels(x)
    order = k.order_of_steps(shape, (steps, index_steps))
    at = order.index(axis) if n else 0
    if order[at : at + n] != list(range(axis, end)):
        return k.copy(k.take(x, indices, axis).transpose(order)).transpose(inverse(order))
    source = [i if i < axis else i - n + 1 for i in order if not axis <= i < end]
    source.insert(at, axis)
    return k.take(x.transpose(source), indices, at).transpose(inverse(order))


@primitive(name="Index", kernel="masked_select")
def _index_mask(x: Array, mask: Array) -> Array:
    """The elements (or slices) of `x` where `mask`, of the shape of its first dims, holds."""
    return kernels(x).masked_select(x, mask)


@_index_mask.derivative("x")
def _index_mask_dx(grad: Tensor, x_shape: Shape, mask: Tensor) -> Tensor:
    found = kernels(mask._array).nonzero(mask._array)
    ndim = found.shape[1]
    numbers = [wrap(found[:, d]) for d in range(ndim)]
    return _index_backward(grad, *numbers, shape=x_shape, places=tuple(range(ndim)))


@_index.derivative("tensors")
def _index_dtensors(grad: Tensor, tensors: Any, tensors_shapes: Any, places: Any) -> list[Any]:
    x_grad = _index_backward(grad, *tensors[1:], shape=tensors_shapes[0], places=places)
    return [x_grad, *[None] * (len(tensors) - 1)]


@primitive(name="IndexBackward")
def _index_backward(*tensors: Array, shape: Shape, places: tuple[int, ...]) -> Array:
    grad = tensors[0]
    result = kernels(grad).zeros(shape, grad.dtype)
    kernels(grad).index_add(result, _numpy_index(tensors[1:], places), grad)
    return result


@_index_backward.derivative("tensors")
def _index_backward_dtensors(grad: Tensor, tensors: Any, places: Any) -> list[Any]:
    return [_index(grad, *tensors[1:], places=places), *[None] * (len(tensors) - 1)]


# ---- x[...] = y ----------------------------------------------------------------------------


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """`input[index] = value`, with gradients to both."""
    if isinstance(index, TensorBase) and _is_numbers(input, index):
        numbers = _index_tensors(input, 0, index)
        _index_put_(input, numbers, (0,), _as_value(input, value), accumulate=False)
        return
    if isinstance(index, TensorBase) and index._array.dtype.kind == "b":
        is_recorded = state.enabled and input.requires_grad
        if type(value) in NUMBERS and index._array.shape == input._array.shape and not is_recorded:
            input.masked_fill_(index, _element(input, value))
            return
    items = index if type(index) is tuple else (index,)
    view, tensors, places = _basic(input, items)
    if not tensors and type(value) in NUMBERS:
        fill_(view, _element(input, value), False)
        return
    value = _as_value(input, value)
    if tensors:
        _index_put_(view, tensors, places, value, accumulate=False)
        return
    target = view._array.shape
    if value._array.shape != target:  # extra leading dims of size 1 are dropped
        extra = value._array.ndim - len(target)
        if extra > 0 and all(s == 1 for s in value._array.shape[:extra]):
            value = value.reshape(value._array.shape[extra:])
        value = expand(value, target)
    view.copy_(value)


def _as_value(input: Tensor, value: Any) -> Any:
    if isinstance(value, TensorBase):
        return value
    if type(value) in NUMBERS:
        array = input._array
        return wrap(kernels(array).full((), _element(input, value), array.dtype))
    return input.new_tensor(value)


def _element(input: Tensor, value: Any) -> Any:
    """A number as an element of `input`; as in PyTorch, one too large for 16 bits is infinite."""
    dtype = input._array.dtype
    if dtype.kind in "fV" and dtype.itemsize < 4 and not isinstance(value, complex):
        if math.isfinite(value) and abs(value) > float(finfo(input.dtype).max):
            return math.copysign(math.inf, value)
    return as_element(value, dtype)


def _index_put_(view: Any, indices: list[Any], places: tuple[int, ...], value: Any,
                accumulate: bool) -> None:  # fmt: skip
    write_over(_index_put, "index_put_", view, value, *indices, places=places,
               accumulate=accumulate)  # fmt: skip


@primitive(name="IndexPut", shown=2)
def _index_put(*tensors: Array, places: tuple[int, ...], accumulate: bool,
               out: Array = None) -> Array:  # fmt: skip
    x, value = tensors[:2]
    k = kernels(x)
    index = _numpy_index(tensors[2:], places)
    result = copied(x) if out is None else out
    if value.dtype is not x.dtype:
        value = cast(value, dtype_of(x))
    try:
        (k.index_add if accumulate else k.index_put)(result, index, value)
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
            f"indexing result of shape {list(x[index].shape)}"
        ) from None
    return result


@_index_put.derivative("tensors")
def _index_put_dtensors(grad: Tensor, tensors: Any, tensors_shapes: Any, needs: Any, places: Any,
                        accumulate: bool) -> list[Any]:  # fmt: skip
    indices = tensors[2:]
    dx = dv = None
    if needs[0]:
        if accumulate:
            dx = grad
        else:
            zero = grad.new_zeros(())
            dx = _index_put(grad, zero, *indices, places=places, accumulate=False)
    if needs[1]:
        dv = _index(grad, *indices, places=places).sum_to_size(tensors_shapes[1])
    return [dx, dv, *[None] * len(indices)]


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` at `indices` (added if `accumulate`)."""
    view, tensors, places = _basic(input, tuple(indices))
    return _index_put(view, values, *tensors, places=places, accumulate=accumulate)


def _index_put_method_(self: Any, indices: Any, values: Tensor, accumulate: bool = False) -> Any:
    """In-place version of :func:`index_put`."""
    view, tensors, places = _basic(self, tuple(indices))
    if view is not self or not places:
        return _index_put_copied_(self, indices, values, accumulate)
    _index_put_(self, tensors, places, values, accumulate)
    return self


_index_put_copied_ = in_place(index_put, check=check_apart)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions of the flattened input, in the shape of `index`."""
    flat = input.reshape(-1)
    return getitem(flat, index)


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `source` at positions of the flattened input."""
    flat = input.reshape(-1)
    _check_bounds(index._array, flat._array.shape[0], 0)
    result = _index_put(flat, source.reshape(-1), index.reshape(-1), places=(0,),
                        accumulate=accumulate)  # fmt: skip
    return result.reshape(input._array.shape)


class IndexMethods:
    """Indexing as methods of `Tensor`."""

    index_put = index_put
    take = take
    put = put
    index_put_ = _index_put_method_
    put_ = in_place(put, check=check_apart)
    __getitem__ = getitem
    __setitem__ = setitem
