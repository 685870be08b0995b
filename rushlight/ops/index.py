"""Indexing: `x[…]`, `x[…] = y`, and picking by index tensors and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.arrays import is_array
from ..types_ import Array, Number, Shape
from .common import (
    NUMBERS,
    TensorBase,
    as_element,
    cast,
    check_separate,
    dtype_of,
    in_place,
    wrap_dim,
    write_out,
    write_over,
)
from .parts import _select, _slice, cat
from .shape import _unsqueeze, broadcast_shapes, expand

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "gather", "scatter", "scatter_add", "index_select", "index_add", "index_copy", "index_fill",
    "index_put", "masked_fill", "masked_select", "masked_scatter", "take", "take_along_dim", "put",
    "nonzero", "argwhere", "IndexMethods",
]  # fmt: skip

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
    if len(places) == 1:
        return kernels(x).take(x, tensors[1], places[0])
    return kernels(x).index_get(x, _numpy_index(tensors[1:], places))


@primitive(name="Index")
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
            input.masked_fill_(index, value)
            return
    items = index if type(index) is tuple else (index,)
    view, tensors, places = _basic(input, items)
    if not tensors and type(value) in NUMBERS:
        view.fill_(value)
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
    view.copy_(value)


def _as_value(input: Tensor, value: Any) -> Any:
    if isinstance(value, TensorBase):
        return value
    if type(value) in NUMBERS:
        dtype = input._array.dtype
        return wrap(kernels(input._array).full((), as_element(value, dtype), dtype))
    return input.new_tensor(value)


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
    result = k.copy(x) if out is None else out
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


_index_put_copied_ = in_place(index_put)


# ---- along one dim -------------------------------------------------------------------------


def _check_index(op: str, index: Tensor) -> None:
    if index._array.dtype is _INT64 or not index._array.size:
        return
    if index._array.dtype.kind not in "iu" or index._array.dtype.itemsize < 4:
        raise RuntimeError(f"{op}(): Expected dtype int64 for index")


@primitive(name="Gather")
def _gather(x: Array, indices: Array, *, dim: int, checked: bool = False) -> Array:
    k = kernels(x)
    if not indices.size:
        return k.empty(indices.shape, x.dtype)
    if x.ndim == 0 or indices.ndim == 0:
        return k.take_along_axis(x.reshape(-1), indices.reshape(-1), 0).reshape(indices.shape)
    return k.take_along_axis(x, indices, dim, checked)


@_gather.derivative("x")
def _gather_dx(grad: Tensor, x_shape: Shape, indices: Tensor, dim: int) -> Tensor:
    return scatter_add(grad.new_zeros(x_shape), dim, indices, grad)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`out[i][j] = input[index[i][j]][j]` for dim 0, and likewise for others.

    >>> import rushlight as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    _check_index("gather", index)
    d = wrap_dim(dim, input._array.ndim)
    x, i = input._array, index._array
    _check_same_rank("gather", "index", x, i, d)
    _check_range("gather", i, x.shape[d] if x.ndim else 1, d)
    check_separate(out, input, index)
    index = _as_int64(index)
    result = _gather(input, index, dim=d, checked=True)
    return result if out is None else write_out(out, result, "gather", exact=True)


def _as_int64(index: Tensor) -> Tensor:
    return index if index._array.dtype is _INT64 else wrap(cast(index._array, dtypes.int64))


def _check_same_rank(op: str, what: str, x: Array, i: Array, dim: int) -> None:
    if x.shape == i.shape:
        return
    if max(x.ndim, 1) != max(i.ndim, 1) and i.size:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for d in range(min(x.ndim, i.ndim)):
        if d != dim and i.shape[d] > x.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected {what} {list(i.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {dim}"
            )


def _check_range(op: str, i: Array, size: int, dim: int) -> None:
    if not kernels(i).within(i, 0, size):
        low, high = int(i.min()), int(i.max())
        bad = low if low < 0 else high
        raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


@primitive(name="Scatter")
def _scatter(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    return _scatter_into(x, indices, source, dim, False, out)


def _scatter_into(x: Array, indices: Array, source: Any, dim: int, add: bool,
                  out: Array | None) -> Array:  # fmt: skip
    """Writes or adds `source` into a copy of `x`, or into `out`, which is `x` itself.

    The indices have been checked when they were first used.
    """
    k = kernels(x)
    result = k.copy(x) if out is None else out
    if indices.size == 0:
        return result
    if is_array(source) and source.shape != indices.shape:
        source = source[tuple([slice(n) for n in indices.shape])]
    target = result.reshape(-1) if x.ndim == 0 else result
    where = indices.reshape(-1) if indices.ndim == 0 else indices
    write = k.add_along_axis if add else k.put_along_axis
    write(target, where, source, dim, out is not None)
    return result


@_scatter.derivative("x")
def _scatter_dx(grad: Tensor, indices: Tensor, dim: int) -> Tensor:
    return _scatter_fill(grad, indices, dim=dim, value=0)


@_scatter.derivative("source")
def _scatter_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _fit(_gather(grad, indices, dim=dim), source_shape)


def _fit(grad: Tensor, shape: Shape) -> Tensor:
    """`grad` of the used corner of a larger source, zero elsewhere."""
    if grad._array.shape == tuple(shape):
        return grad
    full = grad.new_zeros(shape)
    full[tuple(slice(n) for n in grad._array.shape)] = grad
    return full


@primitive(name="Scatter", suffix="Backward1")
def _scatter_fill(x: Array, indices: Array, *, dim: int, value: Number,
                  out: Array = None) -> Array:  # fmt: skip
    return _scatter_into(x, indices, value, dim, False, out)


@_scatter_fill.derivative("x")
def _scatter_fill_dx(grad: Tensor, indices: Tensor, dim: int) -> Tensor:
    return _scatter_fill(grad, indices, dim=dim, value=0)


@primitive(name="ScatterAdd")
def _scatter_add(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    return _scatter_into(x, indices, source, dim, True, out)


@_scatter_add.derivative("x")
def _scatter_add_dx(grad: Tensor) -> Tensor:
    return grad


@_scatter_add.derivative("source")
def _scatter_add_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _fit(_gather(grad, indices, dim=dim), source_shape)


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
            reduce: str | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `src` (a tensor or number) at `index` along `dim`.

    >>> import rushlight as torch
    >>> torch.scatter(torch.zeros(3), 0, torch.tensor([2]), 1.)
    tensor([0., 0., 1.])
    """
    src = value if src is None else src
    d, index = _scatter_place("scatter", input, dim, index, src)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if not isinstance(src, TensorBase):
            src = expand(input.new_tensor(src), index._array.shape)
        if reduce == "add":
            result = _scatter_add(input, index, src, dim=d)
        else:
            from .scatter import scatter_reduce

            result = scatter_reduce(input, d, index, src, "prod")
        return result if out is None else write_out(out, result, "scatter")
    if isinstance(src, TensorBase):
        _check_same_dtype("scatter", input, src)
        result = _scatter(input, index, src, dim=d)
    else:
        result = _scatter_fill(input, index, dim=d, value=src)
    return result if out is None else write_out(out, result, "scatter")


def _scatter_(self: Any, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
              reduce: str | None = None) -> Any:  # fmt: skip
    """In-place version of :func:`scatter`."""
    if reduce is not None:
        return _scatter_and_reduce_(self, dim, index, src, value=value, reduce=reduce)
    src = value if src is None else src
    d, index = _scatter_place("scatter", self, dim, index, src)
    if not isinstance(src, TensorBase):
        return write_over(_scatter_fill, "scatter_", self, index, dim=d, value=src)
    _check_same_dtype("scatter", self, src)
    return write_over(_scatter, "scatter_", self, index, src, dim=d)


_scatter_and_reduce_ = in_place(scatter)


def _scatter_place(op: str, input: Tensor, dim: int, index: Tensor,
                   src: Any) -> tuple[int, Tensor]:  # fmt: skip
    """Checks the arguments of a scatter; the dim and the int64 indices."""
    _check_index(op, index)
    ndim = input._array.ndim
    d = wrap_dim(dim, ndim)
    _check_ranks(input, index, src)
    index = _as_int64(index)
    _check_range(op, index._array, input._array.shape[d] if ndim else 1, d)
    return d, index


def _check_same_dtype(op: str, input: Tensor, src: Tensor) -> None:
    if src._array.dtype != input._array.dtype:
        raise RuntimeError(f"{op}(): Expected self.dtype to be equal to src.dtype")


def _check_ranks(input: Tensor, index: Tensor, src: Any) -> None:
    """Input, index and source of a scatter have the same number of dims, 0 counting as 1."""
    i = index._array
    if not i.size:
        return
    if isinstance(src, TensorBase) and i.ndim == input._array.ndim and i.shape == src._array.shape:
        return
    for name, x in (("self", input), ("src", src)):
        if isinstance(x, TensorBase):
            if max(x._array.ndim, 1) != max(i.ndim, 1):
                raise RuntimeError(
                    f"Index tensor must have the same number of dimensions as {name} tensor"
                )
            if name == "src" and any(m > n for m, n in zip(i.shape, x._array.shape)):
                raise RuntimeError(
                    f"Expected index {list(i.shape)} to be no larger than src "
                    f"{list(x._array.shape)}; cut the index or enlarge the source"
                )


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor, *,
                out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `src` added at `index` along `dim`; repeated indices add up.

    >>> import rushlight as torch
    >>> torch.scatter_add(torch.zeros(2), 0, torch.tensor([1, 1]), torch.tensor([2., 3.]))
    tensor([0., 5.])
    """
    _check_same_dtype("scatter_add", input, src)
    d, index = _scatter_place("scatter_add", input, dim, index, src)
    result = _scatter_add(input, index, src, dim=d)
    return result if out is None else write_out(out, result, "scatter_add")


def _scatter_add_(self: Any, dim: int, index: Tensor, src: Tensor) -> Any:
    """In-place version of :func:`scatter_add`."""
    _check_same_dtype("scatter_add", self, src)
    d, index = _scatter_place("scatter_add", self, dim, index, src)
    return write_over(_scatter_add, "scatter_add_", self, index, src, dim=d)


@primitive(name="IndexSelect")
def _index_select(x: Array, indices: Array, *, dim: int) -> Array:
    if x.ndim == 0:
        return x.copy()
    return kernels(x).take(x, indices.reshape(-1), dim)


@_index_select.derivative("x")
def _index_select_dx(grad: Tensor, x_shape: Shape, indices: Tensor, dim: int) -> Tensor:
    return index_add(grad.new_zeros(x_shape), dim, indices, grad)


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The parts of `input` at the given indices of `dim`, copied.

    >>> import rushlight as torch
    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1]))
    tensor([[2],
            [4]])
    """
    if index._array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._array.dtype.kind != "i" or index._array.dtype.itemsize < 4:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    i = index._array
    if not kernels(i).within(i, 0, size):
        raise IndexError("index out of range in self")
    result = _index_select(input, index, dim=d)
    return result if out is None else write_out(out, result, "index_select")


@primitive(name="IndexAdd")
def _index_add(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    k = kernels(x)
    result = k.copy(x) if out is None else out
    if x.ndim == 0:
        k.index_add(result.reshape(1), indices.reshape(-1), source.reshape(-1))
    else:
        place = (slice(None),) * dim + (indices.reshape(-1),)
        k.index_add(result, place, source, out is not None)
    return result


@_index_add.derivative("x")
def _index_add_dx(grad: Tensor) -> Tensor:
    return grad


@_index_add.derivative("source")
def _index_add_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _index_select(grad, indices, dim=dim).reshape(source_shape)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `alpha · source` added at the indices of `dim`; repeats add up.

    >>> import rushlight as torch
    >>> torch.index_add(torch.zeros(2), 0, torch.tensor([1, 1]), torch.tensor([2., 3.]))
    tensor([0., 5.])
    """
    d = _index_add_dim(input, dim, index, source)
    result = _index_add(input, index, source * alpha if alpha != 1 else source, dim=d)
    return result if out is None else write_out(out, result, "index_add")


def _index_add_(self: Any, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Any:
    """In-place version of :func:`index_add`."""
    d = _index_add_dim(self, dim, index, source)
    source = source * alpha if alpha != 1 else source
    return write_over(_index_add, "index_add_", self, _as_int64(index), source, dim=d)


def _index_add_dim(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """Checks the arguments of `index_add`; the dim as a non-negative number."""
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    _check_range("index_add", index._array, size, d)
    _check_parts("index_add", input, index, source, d)
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"index_add_(): self ({input.dtype}) and source ({source.dtype}) must "
            "have the same scalar type"
        )
    return d


def _check_parts(op: str, input: Tensor, index: Tensor, source: Tensor, dim: int) -> None:
    """The source holds one part for each index and fits the input in all other dims."""
    x, s = input._array.shape, source._array.shape
    if index._array.ndim > 1:
        raise IndexError(
            f"{op}_(): Index is supposed to be a vector, but got dim: {index._array.ndim}"
        )
    if x and (x[:dim] + x[dim + 1 :] != s[:dim] + s[dim + 1 :] or len(x) != len(s)):
        if not (len(x) == 1 and not s):
            raise RuntimeError(
                "source tensor shape must match self tensor shape, excluding the specified "
                f"dimension. Got self.shape = {list(x)} source.shape = {list(s)}"
            )
    if index._array.size != (s[dim] if s else 1):
        raise RuntimeError(
            f"{op}_(): Number of indices ({index._array.size}) should be equal to "
            f"source.size(dim): ({s[dim] if s else 1}), for dim: {dim}"
        )


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with the parts at the indices of `dim` replaced by `source`."""
    d = wrap_dim(dim, input._array.ndim)
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but "
            f"got (self) {input.dtype} and (source) {source.dtype}"
        )
    if input._array.ndim == 0:
        return source.reshape(()) + input * 0 if input.requires_grad else source.reshape(()).clone()
    _check_bounds(index._array, input._array.shape[d], d)
    return _index_put(input, source, _vector(index), places=(d,), accumulate=False)


def _vector(index: Tensor) -> Tensor:
    return index.reshape(-1) if index._array.ndim != 1 else index


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of `input` with `value` at the indices of `dim`.

    >>> import rushlight as torch
    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([1]), 5)
    tensor([0., 5., 0.])
    """
    d = wrap_dim(dim, input._array.ndim)
    value = _as_value(input, value)
    if value._array.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got "
            f"tensor with {value._array.ndim} dimension(s)."
        )
    if input._array.ndim == 0:
        return input * 0 + value
    _check_bounds(index._array, input._array.shape[d], d)
    return _index_put(input, value, _vector(index), places=(d,), accumulate=False)


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


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *,
                   out: Tensor | None = None) -> Tensor:  # fmt: skip
    """As `gather`, with broadcasting; without `dim`, of the flattened input."""
    if dim is None:
        flat = input.reshape(-1)
        indices = _wrapped_indices(indices.reshape(-1), flat._array.shape[0])
        return gather(flat, 0, indices, out=out)
    if input._array.ndim != indices._array.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input._array.ndim} dimensions for input, and {indices._array.ndim} "
            "dimensions for indices"
        )
    d = wrap_dim(dim, input._array.ndim)
    indices = _wrapped_indices(indices, input._array.shape[d])

    def others(shape: Shape) -> list[int]:
        return [1 if i == d else s for i, s in enumerate(shape)]

    shape = broadcast_shapes(others(input._array.shape), others(indices._array.shape))
    x_shape, i_shape = list(shape), list(shape)
    x_shape[d], i_shape[d] = input._array.shape[d], indices._array.shape[d]
    return gather(expand(input, x_shape), d, expand(indices, i_shape), out=out)


def _wrapped_indices(indices: Tensor, size: int) -> Tensor:
    """Negative indices counted from the end."""
    i = indices._array
    if i.size and i.dtype.kind == "i" and int(i.min()) < 0:
        return wrap(kernels(i).xp.where(i < 0, i + size, i))
    return indices


# ---- masks ---------------------------------------------------------------------------------


@primitive(name="MaskedFill", broadcast=True)
def _masked_fill(x: Array, mask: Array, *, value: Number, out: Array = None) -> Array:
    return kernels(x).masked_fill(x, mask, value, out)


@_masked_fill.derivative("x")
def _masked_fill_dx(grad: Tensor, mask: Tensor) -> Tensor:
    return _masked_fill(grad, mask, value=0)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where `mask` holds, else `input`.

    >>> import rushlight as torch
    >>> torch.masked_fill(torch.tensor([1., 2.]), torch.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    value = _fill_value(input, mask, value)
    if isinstance(value, TensorBase):
        from .compare import where

        return where(mask, value.to(input.dtype), input)
    return _masked_fill(input, mask, value=value)


def _masked_fill_(self: Any, mask: Tensor, value: Any) -> Any:
    """In-place version of :func:`masked_fill`."""
    value = _fill_value(self, mask, value)
    if isinstance(value, TensorBase) or mask._array.shape != self._array.shape:
        return _masked_fill_copied_(self, mask, value)
    return write_over(_masked_fill, "masked_fill_", self, mask, value=value)


_masked_fill_copied_ = in_place(masked_fill)


def _fill_value(input: Tensor, mask: Tensor, value: Any) -> Any:
    """Checks the arguments of `masked_fill`; the value as a number unless it wants a gradient."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise RuntimeError(
                f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        if value.requires_grad:
            return value
        value = value.item()
    return as_element(value, input._array.dtype)


@primitive(name="MaskedSelect")
def _masked_select(x: Array, mask: Array) -> Array:
    k = kernels(x)
    if x.shape != mask.shape:
        shape = k.xp.broadcast_shapes(x.shape, mask.shape)
        x, mask = k.broadcast_to(x, shape), k.broadcast_to(mask, shape)
    return k.masked_select(x, mask)


@_masked_select.derivative("x")
def _masked_select_dx(grad: Tensor, x_shape: Shape, mask: Tensor) -> Tensor:
    shape = broadcast_shapes(x_shape, mask._array.shape)
    result = masked_scatter(grad.new_zeros(shape), expand(mask, shape), grad)
    return result.sum_to_size(x_shape)


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where `mask` holds, as one dim.

    >>> import rushlight as torch
    >>> torch.masked_select(torch.tensor([1, 2, 3]), torch.tensor([True, False, True]))
    tensor([1, 3])
    """
    if mask._array.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if out is not None and out._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"masked_select(): self and result must have the same scalar type; got "
            f"{input.dtype} and {out.dtype}"
        )
    check_separate(out, input, mask)
    result = _masked_select(input, mask)
    return result if out is None else write_out(out, result, "masked_select")


@primitive(name="MaskedScatter")
def _masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    k = kernels(x)
    shape = k.xp.broadcast_shapes(x.shape, mask.shape)
    result = k.copy(k.broadcast_to(x, shape))
    where = k.broadcast_to(mask, shape)
    count = int(where.sum())
    if source.size < count:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes and the "
            f"source to have at least {count} elements, but it has {source.size}"
        )
    result[where] = source.reshape(-1)[:count]
    return result


@_masked_scatter.derivative("x")
def _masked_scatter_dx(grad: Tensor, mask: Tensor, x_shape: Shape) -> Tensor:
    return masked_fill(grad, mask, 0).sum_to_size(x_shape)


@_masked_scatter.derivative("source")
def _masked_scatter_dsource(grad: Tensor, mask: Tensor, source_shape: Shape) -> Tensor:
    picked = masked_select(grad, mask)
    total = 1
    for s in source_shape:
        total *= s
    missing = total - picked._array.size
    if missing:
        picked = cat([picked, grad.new_zeros(missing)])
    return picked.reshape(source_shape)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of `source`, in order, where `mask` holds."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got "
            f"{input.dtype} and {source.dtype}"
        )
    return _masked_scatter(input, mask, source)


# ---- positions -----------------------------------------------------------------------------


@primitive(name="Nonzero")
def _nonzero(x: Array) -> Array:
    return kernels(x).nonzero(x)


def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """The indices of the nonzero elements, one row each; with `as_tuple`, one tensor per dim.

    >>> import rushlight as torch
    >>> torch.nonzero(torch.tensor([0, 3, 0, 5]))
    tensor([[1],
            [3]])
    """
    if as_tuple:
        x = input.reshape(1) if input._array.ndim == 0 else input
        return _nonzero(x).unbind(1)
    result = _nonzero(input)
    return result if out is None else write_out(out, result, "nonzero")


def argwhere(input: Tensor) -> Tensor:
    """The indices of the nonzero elements, one row each."""
    return _nonzero(input)


class IndexMethods:
    """Indexing as methods of `Tensor`."""

    gather = gather
    scatter = scatter
    scatter_add = scatter_add
    index_select = index_select
    index_add = index_add
    index_copy = index_copy
    index_fill = index_fill
    index_put = index_put
    take = take
    put = put
    take_along_dim = take_along_dim
    masked_fill = masked_fill
    masked_select = masked_select
    masked_scatter = masked_scatter
    nonzero = nonzero
    argwhere = argwhere
    scatter_ = _scatter_
    scatter_add_ = _scatter_add_
    index_add_ = _index_add_
    index_copy_ = in_place(index_copy)
    index_fill_ = in_place(index_fill)
    index_put_ = _index_put_method_
    put_ = in_place(put)
    masked_fill_ = _masked_fill_
    masked_scatter_ = in_place(masked_scatter)
    __getitem__ = getitem
    __setitem__ = setitem
