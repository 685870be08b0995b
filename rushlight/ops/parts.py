"""Parts of a tensor, and tensors made of parts: slicing, joining, splitting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.twin import native
from ..backends import kernels
from ..backends.layout import inverse, is_channels_last
from ..types_ import Array, Shape
from .common import TensorBase, cast, check_apart, common_dtype, wrap_dim, write_out
from .memory_format import channels_last_axes
from .shape import reshape, unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "narrow", "select", "slice_dim", "cat", "concat", "concatenate", "stack", "hstack",
    "vstack", "row_stack", "dstack", "column_stack", "split", "split_with_sizes", "chunk",
    "tensor_split", "unbind", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag",
    "PartsMethods",
]  # fmt: skip


# ---- parts ---------------------------------------------------------------------------------


@primitive(name="Slice", view=True, kernel="slice")
def _slice(x: Array, *, dim: int, start: int, stop: int, step: int = 1) -> Array:
    return kernels(x).slice(x, dim, start, stop, step)


@_slice.derivative("x")
def _slice_dx(grad: Tensor, x_shape: Shape, dim: int, start: int, stop: int, step: int) -> Tensor:
    return _slice_backward(grad, shape=x_shape, dim=dim, start=start, stop=stop, step=step)


@primitive(name="SliceBackward")
def _slice_backward(g: Array, *, shape: Shape, dim: int, start: int, stop: int,
                    step: int) -> Array:  # fmt: skip
    """Zeros of `shape` with `g` in the slice."""
    result = kernels(g).zeros(shape, g.dtype)
    result[(slice(None),) * dim + (slice(start, stop, step),)] = g
    return result


@_slice_backward.derivative("g")
def _slice_backward_dg(grad: Tensor, dim: int, start: int, stop: int, step: int) -> Tensor:
    return _slice(grad, dim=dim, start=start, stop=stop, step=step)


def slice_dim(input: Tensor, dim: int, start: int | None, stop: int | None, step: int) -> Tensor:
    """`input[..., start:stop:step, ...]` along `dim`; a view."""
    size = input._array.shape[dim]
    if step <= 0:
        raise ValueError("step must be greater than zero")
    first, last, _ = slice(start, stop, step).indices(size)
    return _slice(input, dim=dim, start=first, stop=max(last, first), step=step)


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements along `dim` from `start` on; a view.

    >>> import rushlight as torch
    >>> torch.narrow(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    array = input._array
    if array.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    d = wrap_dim(dim, array.ndim)
    if hasattr(start, "_array"):
        if start._array.ndim or start._array.dtype.kind not in "iu":
            raise RuntimeError("start must be an 0-dim integral Tensor.")
    size, begin = array.shape[d], int(start)
    if not -size <= begin <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {begin})"
        )
    begin += size if begin < 0 else 0
    if begin + length > size:
        raise RuntimeError(f"start ({begin}) + length ({length}) exceeds dimension size ({size}).")
    return _slice(input, dim=d, start=begin, stop=begin + length)


@primitive(name="Select", view=True, kernel="select")
def _select(x: Array, *, dim: int, index: int) -> Array:
    return kernels(x).select(x, dim, index)


@_select.derivative("x")
def _select_dx(grad: Tensor, x_shape: Shape, dim: int, index: int) -> Tensor:
    return _slice_backward(unsqueeze(grad, dim), shape=x_shape, dim=dim, start=index,
                           stop=index + 1, step=1)  # fmt: skip


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The part at `index` of `dim`, without that dim; a view.

    >>> import rushlight as torch
    >>> torch.select(torch.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([3, 4])
    """
    shape = input._array.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(shape))
    size, i = shape[d], int(index)
    if not -size <= i < size:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(shape)} at dimension {d}"
        )
    return _select(input, dim=d, index=i % size)


# ---- joining -------------------------------------------------------------------------------


@primitive(name="Cat")
def _cat(*tensors: Array, dim: int) -> Array:
    return kernels(tensors[0]).concatenate(_in_one_dtype(tensors), dim)


def _in_one_dtype(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """The arrays, converted to their common dtype if they differ."""
    dtype = arrays[0].dtype
    for x in arrays:
        if x.dtype is not dtype and x.dtype != dtype:
            to = common_dtype(*arrays)
            return tuple(cast(x, to) for x in arrays)
    return arrays


@_cat.derivative("tensors")
def _cat_dtensors(grad: Tensor, tensors_shapes: list[Shape], tensors_dtypes: Any, needs: Any,
                  dim: int) -> list[Any]:  # fmt: skip
    parts: list[Any] = []
    start = 0
    for shape, dtype, needed in zip(tensors_shapes, tensors_dtypes, needs):
        size = shape[dim]
        part = None
        if needed:
            part = _slice(grad, dim=dim, start=start, stop=start + size)
            if part._array.dtype != dtype:
                part = part._to_array_dtype(dtype)
        parts.append(part)
        start += size
    return parts


def cat(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors joined along `dim`; all other sizes must agree.

    >>> import rushlight as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    d = plain_join(tensors, dim)
    if d is None:
        tensors, d = _checked_join(tensors, dim)
    if out is not None:
        check_apart(out, tensors, "cat")
    result = _cat(*tensors, dim=d)
    return result if out is None else write_out(out, result, "cat")


def plain_join(tensors: Any, dim: Any) -> int | None:
    """`dim` counted from the front, if these tensors can be joined along it; None if in doubt.

    Only `_checked_join` knows what is wrong, and what else fits.
    """
    if type(tensors) not in (list, tuple) or not tensors or type(dim) is not int:
        return None
    if not all(isinstance(x, TensorBase) for x in tensors):
        return None
    shapes = [x._array.shape for x in tensors]
    ndim = len(shapes[0])
    if not -ndim <= dim < ndim or (0,) in shapes:
        return None
    d = dim % ndim
    sizes = {(len(shape), shape[:d], shape[d + 1 :]) for shape in shapes}
    return d if len(sizes) == 1 else None


if native is not None:
    plain_join = native.plain_join


def _checked_join(tensors: Any, dim: int) -> tuple[list[Any], int]:
    """The tensors to join and the dim along which; an error if they do not fit."""
    if isinstance(tensors, TensorBase):
        raise TypeError(
            "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    if type(tensors) is not list:
        tensors = list(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    try:
        shapes = [x._array.shape for x in tensors]
    except AttributeError:
        i, other = next((i, x) for i, x in enumerate(tensors) if not hasattr(x, "_array"))
        raise TypeError(
            f"expected Tensor as element {i} in argument 0, but got {type(other).__name__}"
        ) from None
    if (0,) in shapes:  # an empty 1-dim tensor fits anywhere, for old programs' sake
        tensors = [x for x in tensors if x._array.shape != (0,)] or tensors[:1]
        shapes = [x._array.shape for x in tensors]
    return tensors, _joined_dim(tuple(shapes), dim)


@lru_cache(maxsize=1024)
def _joined_dim(shapes: tuple[Shape, ...], dim: int) -> int:
    """The dim along which tensors of these shapes are joined, if they fit."""
    if () in shapes:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {shapes.index(())}) cannot be concatenated"
        )
    shape = shapes[0]
    d = wrap_dim(dim, len(shape))
    for i, other in enumerate(shapes):
        if other == shape:
            continue
        if len(other) != len(shape):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(shape)} and {len(other)}"
            )
        if other[:d] + other[d + 1 :] != shape[:d] + shape[d + 1 :]:
            bad = next(j for j in range(len(shape)) if j != d and other[j] != shape[j])
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {d}. Expected size {shape[bad]} "
                f"but got size {other[bad]} for tensor number {i} in the list."
            )
    return d


concat = concatenate = cat


@primitive(name="Stack")
def _stack(*tensors: Array, dim: int) -> Array:
    first = tensors[0]
    tensors = _in_one_dtype(tensors)
    if dim < first.ndim and all(is_channels_last(x) for x in tensors):
        order = channels_last_axes(first.ndim)
        at = order.index(dim)  # the new dim lies in memory just outside of the one that it precedes
        order = [axis + (axis >= dim) for axis in order]
        result = _stacked([x.transpose(channels_last_axes(x.ndim)) for x in tensors], at)
        return result.transpose(inverse([*order[:at], dim, *order[at:]]))
    return _stacked(tensors, dim)


def _stacked(arrays: Sequence[Array], dim: int) -> Array:
    k = kernels(arrays[0])
    if dim == 0:
        return k.stack(arrays)
    return k.concatenate([x[(slice(None),) * dim + (None, ...)] for x in arrays], dim)


@_stack.derivative("tensors")
def _stack_dtensors(grad: Tensor, tensors_dtypes: Any, needs: Any, dim: int) -> list[Any]:
    parts: list[Any] = []
    for i, (dtype, needed) in enumerate(zip(tensors_dtypes, needs)):
        part = _select(grad, dim=dim, index=i) if needed else None
        if part is not None and part._array.dtype != dtype:
            part = part._to_array_dtype(dtype)
        parts.append(part)
    return parts


def stack(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape joined along a new dim.

    >>> import rushlight as torch
    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0]._array.shape
    for i, x in enumerate(tensors):
        if x._array.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x._array.shape)} at entry {i}"
            )
    if out is not None:
        check_apart(out, tensors, "stack")
    result = _stack(*tensors, dim=wrap_dim(dim, len(shape) + 1))
    return result if out is None else write_out(out, result, "stack")


def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least 1 dim."""
    return _atleast(tensors, lambda x: reshape(x, 1) if x._array.ndim == 0 else x)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least 2 dims."""
    return _atleast(tensors, lambda x: unsqueeze(atleast_1d(x), 0) if x._array.ndim < 2 else x)


def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least 3 dims."""
    return _atleast(tensors, lambda x: unsqueeze(atleast_2d(x), -1) if x._array.ndim < 3 else x)


def _atleast(tensors: tuple[Any, ...], lift: Any) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
        return lift(tensors[0])
    several = tensors[0] if len(tensors) == 1 else tensors
    return tuple(lift(x) for x in several)


def hstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 1 (1-dim tensors along dim 0)."""
    parts = atleast_1d(_nonempty("hstack", tensors))
    return cat(parts, 0 if parts[0]._array.ndim == 1 else 1, out=out)


def vstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 0, each at least 2-dim."""
    return cat(atleast_2d(_nonempty("vstack", tensors)), 0, out=out)


row_stack = vstack


def dstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 2, each at least 3-dim."""
    return cat(atleast_3d(_nonempty("dstack", tensors)), 2, out=out)


def _nonempty(op: str, tensors: Any) -> list[Any]:
    parts = list(tensors)
    if not parts:
        raise RuntimeError(f"{op} expects a non-empty TensorList")
    return parts


def column_stack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """1-dim tensors as columns, joined along dim 1."""
    columns = [x if x._array.ndim > 1 else reshape(x, -1, 1) for x in tensors]
    return cat(columns, 1, out=out)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one that is 0 elsewhere."""
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(b._array.shape[1] for b in blocks)
    rows, start = [], 0
    for b in blocks:
        n, m = b._array.shape
        parts = [b.new_zeros(n, start), b, b.new_zeros(n, width - start - m)]
        rows.append(cat(parts, 1))
        start += m
    return cat(rows, 0)


# ---- splitting -----------------------------------------------------------------------------


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the given sizes along `dim`; views. The sizes must add up."""
    d = wrap_dim(dim, input._array.ndim)
    total = input._array.shape[d]
    if sum(split_sizes) != total:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {total} (input tensor's size "
            f"at dimension {dim}), but got split_sizes={list(split_sizes)}"
        )
    starts = [sum(split_sizes[:i]) for i in range(len(split_sizes))]
    return _split(input, dim=d, bounds=tuple((s, s + n) for s, n in zip(starts, split_sizes)))


@primitive(name="Split", view=True)
def _split(x: Array, *, dim: int, bounds: tuple[tuple[int, int], ...]) -> tuple[Array, ...]:
    lead = (slice(None),) * dim
    places = [(*lead, slice(a, b)) for a, b in bounds]
    return tuple([x[place] for place in places])


@_split.derivative("x")
def _split_dx(grads: list[Any], x_shape: Shape, x_dtype: Any, dim: int, bounds: Any) -> Tensor:
    """The gradients of the parts joined again, zeros for parts that have none."""
    example = next(g for g in grads if g is not None)
    parts = []
    for g, (a, b) in zip(grads, bounds):
        shape = (*x_shape[:dim], b - a, *x_shape[dim + 1 :])
        parts.append(example.new_zeros(shape) if g is None else g)
    return cat(parts, dim)


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of size `split_size` along `dim` (the last may be smaller), or of the listed sizes.

    >>> import rushlight as torch
    >>> torch.split(torch.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, list(split_size_or_sections), dim)
    d, bounds = _split_bounds(tensor._array.shape, split_size_or_sections, dim)
    return _split(tensor, dim=d, bounds=bounds)


@lru_cache(maxsize=1024)
def _split_bounds(shape: Shape, size: int, dim: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The dim, and where along it each part begins and ends."""
    if len(shape) == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    d = wrap_dim(dim, len(shape))
    total = shape[d]
    if size == 0:
        if total:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension size of "
                f"{total}"
            )
        return d, ((0, 0),)
    starts = range(0, max(total, 1), size)
    return d, tuple((s, min(s + size, total)) for s in starts)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along `dim` (the last may be smaller); views.

    >>> import rushlight as torch
    >>> torch.chunk(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if input._array.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    total = input._array.shape[wrap_dim(dim, input._array.ndim)]
    size = -(-total // chunks)
    if size == 0:
        return split_with_sizes(input, [0] * chunks, dim)
    return split(input, size, dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Exactly that many parts, sizes differing by at most 1, or parts between the given indices."""
    if input._array.ndim == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    d = wrap_dim(dim, input._array.ndim)
    total = input._array.shape[d]
    if hasattr(indices_or_sections, "tolist"):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {n}")
        sizes = [total // n + (i < total % n) for i in range(n)]
        edges = [sum(sizes[:i]) for i in range(1, n)]
    else:
        edges = [slice(i, None).indices(total)[0] for i in indices_or_sections]
    starts, stops = [0, *edges], [*edges, total]
    bounds = tuple((a, max(a, b)) for a, b in zip(starts, stops))
    return _split(input, dim=d, bounds=bounds)


@primitive(name="Unbind", view=True)
def _unbind(x: Array, *, dim: int) -> tuple[Array, ...]:
    lead = (slice(None),) * dim
    places = [(*lead, i, ...) for i in range(x.shape[dim])]
    return tuple([x[place] for place in places])


@_unbind.derivative("x")
def _unbind_dx(grads: list[Any], dim: int) -> Tensor:
    example = next(g for g in grads if g is not None)
    zero = None
    if any(g is None for g in grads):
        zero = example.new_zeros(example._array.shape)
    return stack([zero if g is None else g for g in grads], dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All parts along `dim`, without that dim; views.

    >>> import rushlight as torch
    >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    if input._array.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return _unbind(input, dim=wrap_dim(dim, input._array.ndim))


class PartsMethods:
    """Parts of a tensor, and tensors made of parts: slicing, joining, splitting; methods."""

    narrow = narrow
    select = select
    split = split
    split_with_sizes = split_with_sizes
    chunk = chunk
    tensor_split = tensor_split
    unbind = unbind
