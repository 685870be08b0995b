"""Views and rearrangements: reshaping, transposing, joining, splitting, expanding."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd.grad_mode import state
from ..autograd.inplace import bump_version, check_in_place
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..dtypes import int64
from ..size import Size
from ..types_ import Array, Shape
from .common import cast, check_separate, check_tensor, common_dtype, wrap_dim, write_out

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "reshape", "view", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "transpose", "t",
    "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "expand", "broadcast_to",
    "broadcast_tensors", "broadcast_shapes", "as_strided", "narrow", "select", "slice_dim", "cat",
    "concat", "concatenate", "stack", "hstack", "vstack", "row_stack", "dstack", "column_stack", "split",
    "split_with_sizes", "chunk", "tensor_split", "unbind", "flip", "fliplr", "flipud", "roll",
    "rot90", "tile", "repeat_interleave", "tril", "triu", "diagonal", "diag", "diag_embed",
    "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod",
    "ShapeMethods",
]  # fmt: skip


# ---- reshaping -----------------------------------------------------------------------------


@primitive(name="View", view=True)
def _view(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


@primitive(name="UnsafeView")
def _reshape_copy(x: Array, *, shape: Shape) -> Array:
    return kernels(x).copy(x).reshape(shape)


@_view.derivative("x")
@_reshape_copy.derivative("x")
def _view_dx(grad: Tensor, x_shape: Shape) -> Tensor:
    return reshape(grad, x_shape)


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as several ints or as one sequence of them."""
    if len(shape) == 1 and not isinstance(shape[0], int):
        first = shape[0]
        if isinstance(first, (tuple, list)):
            return tuple(map(int, first))
        return (int(first),)
    for size in shape:
        if type(size) is not int:
            return tuple(map(int, shape))
    return shape


def _named_sizes(op: str, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The ints of a variadic argument that may also come by its name, as `dims=(0, 1)`."""
    if not named:
        return given
    if given or set(named) != {name}:
        raise TypeError(f"{op}() got an unexpected keyword argument '{next(iter(named))}'")
    return (named[name],)


def _infer(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """`shape` with its -1 replaced by what makes `size` elements."""
    if math.prod(shape) == size and (not shape or min(shape) >= 0):
        return shape
    if -1 in shape:
        if shape.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        rest = -math.prod(shape)
        if rest == 0 and size:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
        if rest == 0:
            raise RuntimeError(
                f"cannot reshape tensor of {size} elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if size % rest == 0:
            i = shape.index(-1)
            return (*shape[:i], size // rest, *shape[i + 1 :])
    if any(s < -1 for s in shape):
        bad = next(s for s in shape if s < -1)
        raise RuntimeError(f"invalid shape dimension {bad}")
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")


def _viewable(array: Array, shape: tuple[int, ...]) -> bool:
    """Whether `array` can take `shape` without moving elements: no new dim may cross a gap."""
    if array.flags.c_contiguous or not array.size:
        return True
    sizes = [size for size in reversed(shape) if size != 1]
    for stretch in _even_stretches(array):
        covered = 1
        while covered < stretch and sizes:
            covered *= sizes.pop()
        if covered != stretch:
            return False
    return True


def _even_stretches(array: Array) -> list[int]:
    """How many elements each group of neighbouring dims holds that one stride runs through."""
    stretches: list[int] = []
    expected = None  # the stride that would continue the last stretch, from the innermost dim on
    for size, stride in zip(reversed(array.shape), reversed(array.strides)):
        if size == 1:
            continue
        if stride == expected:
            stretches[-1] *= size
        else:
            stretches.append(size)
        expected = size * stride
    return stretches[::-1]


def view(input: Tensor, *shape: Any) -> Tensor:
    """The same memory under another shape (or, given a dtype, as another type).

    RuntimeError if the strides do not allow it; `reshape` copies then.

    >>> import rushlight as torch
    >>> torch.arange(6).view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if len(shape) == 1 and hasattr(shape[0], "itemsize"):
        return _view_dtype(input, dtype=shape[0])
    array = input._array
    target = _infer(_sizes(shape), array.size)
    if not _viewable(array, target):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return _view(input, shape=target)


@primitive(name="ViewAsDtype", view=True)
def _view_dtype(x: Array, *, dtype: Any) -> Array:
    old, new = x.dtype.itemsize, dtype.numpy.itemsize
    if old != new:
        if x.ndim == 0:
            raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different "
                               "element sizes)")
        if x.strides[-1] != old:
            raise RuntimeError("self.stride(-1) must be 1 to view a tensor as a dtype of another "
                               "element size")
        if (x.shape[-1] * old) % new:
            raise RuntimeError(f"self.size(-1) must be divisible by {new // old} to view as {dtype}")
    return x.view(dtype.numpy)


def reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """`input` under another shape, a view if the strides allow it, else a copy.

    >>> import rushlight as torch
    >>> torch.reshape(torch.arange(4), (2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    if named:
        shape = _named_sizes("reshape", "shape", shape, named)
    if len(shape) == 0:
        raise TypeError("reshape() missing 1 required positional arguments: \"shape\"")
    array = input._array
    target = _infer(_sizes(shape), array.size)
    if _viewable(array, target):
        return _view(input, shape=target)
    return _reshape_copy(input, shape=target)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dims `start_dim … end_dim` joined into one.

    >>> import rushlight as torch
    >>> torch.flatten(torch.zeros(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    array = input._array
    shape = array.shape
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return _view(input, shape=(1,))
    if start == end:
        return input
    joined = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    if array.flags.c_contiguous:
        return _view(input, shape=joined)
    return reshape(input, joined)


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """Dim `dim` split into several of the given sizes.

    >>> import rushlight as torch
    >>> torch.unflatten(torch.zeros(2, 12), 1, (3, 4)).shape
    torch.Size([2, 3, 4])
    """
    shape = input._array.shape
    d = wrap_dim(dim, len(shape))
    if len(sizes) == 0:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        inner = _infer(_sizes((tuple(sizes),)), shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({shape[d]}) in the input tensor"
        ) from None
    return view(input, (*shape[:d], *inner, *shape[d + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """`input` as one dim."""
    return reshape(input, -1)


@primitive(name="Squeeze", view=True)
def _squeeze_all(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.reshape([s for i, s in enumerate(x.shape) if i not in dims])


@primitive(name="Squeeze", suffix="Backward1", view=True)
def _squeeze(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.reshape([s for i, s in enumerate(x.shape) if i not in dims])


@_squeeze_all.derivative("x")
@_squeeze.derivative("x")
def _squeeze_dx(grad: Tensor, x_shape: Shape) -> Tensor:
    return reshape(grad, x_shape)


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the dims of size 1 (or without those of `dim` that have size 1); a view.

    >>> import rushlight as torch
    >>> torch.squeeze(torch.zeros(2, 1, 3)).shape
    torch.Size([2, 3])
    """
    shape = input._array.shape
    if dim is None:
        wanted: Sequence[int] = range(len(shape))
    else:
        wanted = [dim] if isinstance(dim, int) else dim
        wanted = [wrap_dim(d, len(shape)) for d in wanted]
    dims = tuple(d for d in wanted if shape and shape[d] == 1)
    return _squeeze_all(input, dims=dims) if dim is None else _squeeze(input, dims=dims)


@primitive(name="Unsqueeze", view=True)
def _unsqueeze(x: Array, *, dim: int) -> Array:
    return x[(slice(None),) * dim + (None, ...)]


@_unsqueeze.derivative("x")
def _unsqueeze_dx(grad: Tensor, dim: int) -> Tensor:
    return squeeze(grad, dim)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dim of size 1 at `dim`; a view.

    >>> import rushlight as torch
    >>> torch.unsqueeze(torch.zeros(3), 0).shape
    torch.Size([1, 3])
    """
    return _unsqueeze(input, dim=wrap_dim(dim, input._array.ndim + 1))


# ---- transposing ---------------------------------------------------------------------------


@primitive(name="Transpose", view=True)
def _transpose(x: Array, *, dim0: int, dim1: int) -> Array:
    return x.swapaxes(dim0, dim1)


@_transpose.derivative("x")
def _transpose_dx(grad: Tensor, dim0: int, dim1: int) -> Tensor:
    return _transpose(grad, dim0=dim0, dim1=dim1)


@primitive(name="T", view=True)
def _t(x: Array) -> Array:
    return x.T


@_t.derivative("x")
def _t_dx(grad: Tensor) -> Tensor:
    return _t(grad)


@primitive(name="Permute", view=True)
def _permute(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


@_permute.derivative("x")
def _permute_dx(grad: Tensor, dims: tuple[int, ...]) -> Tensor:
    back = sorted(range(len(dims)), key=dims.__getitem__)
    return _permute(grad, dims=tuple(back))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dims exchanged; a view.

    >>> import rushlight as torch
    >>> torch.transpose(torch.zeros(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    ndim = input._array.ndim
    d0, d1 = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    return _transpose(input, dim0=d0, dim1=d1) if ndim else _view(input, shape=())


swapaxes = swapdims = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a tensor of fewer dims is itself; RuntimeError for more than 2.

    >>> import rushlight as torch
    >>> torch.t(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    if input._array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is "
                           f"{input._array.ndim}D")
    return _t(input)


def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dims in another order; a view.

    >>> import rushlight as torch
    >>> torch.permute(torch.zeros(2, 3, 5), (2, 0, 1)).shape
    torch.Size([5, 2, 3])
    """
    ndim = input._array.ndim
    dims = _named_sizes("permute", "dims", dims, named)
    order = tuple(wrap_dim(d, ndim) for d in _sizes(dims))
    if len(order) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal "
            f"to len(dims) = {len(order)}"
        )
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permute(input, dims=order)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dims moved to new places, the others in their order.

    >>> import rushlight as torch
    >>> torch.movedim(torch.zeros(2, 3, 5), 0, -1).shape
    torch.Size([3, 5, 2])
    """
    ndim = input._array.ndim
    src = [wrap_dim(d, ndim) for d in ([source] if isinstance(source, int) else source)]
    dst = [wrap_dim(d, ndim) for d in ([destination] if isinstance(destination, int) else destination)]
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({src} dims) should contain the "
            f"same number of dims as destination ({dst} dims)"
        )
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    rest = iter([d for d in range(ndim) if d not in src])
    place = dict(zip(dst, src))
    return _permute(input, dims=tuple(place[i] if i in place else next(rest) for i in range(ndim)))


moveaxis = movedim


# ---- expanding -----------------------------------------------------------------------------


@primitive(name="Expand", view=True)
def _expand(x: Array, *, shape: Shape) -> Array:
    return kernels(x).broadcast_to(x, shape)


@_expand.derivative("x")
def _expand_dx(grad: Tensor, x_shape: Shape) -> Tensor:
    return sum_to_size(grad, x_shape)


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Dims of size 1 repeated to a larger size without copying (stride 0); -1 keeps a size.

    >>> import rushlight as torch
    >>> torch.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    old, new = input._array.shape, _sizes(sizes)
    lead = len(new) - len(old)
    if lead < 0:
        raise RuntimeError(
            f"expand({input.type()}{{{list(old)}}}, size={list(new)}): the number of sizes "
            f"provided ({len(new)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({len(old)})"
        )
    shape = list(new)
    for i, (n, size) in enumerate(zip(old, new[lead:]), lead):
        if size == -1:
            shape[i] = n
        elif n != size and n != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) must match the existing size ({n}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(new)}.  Tensor sizes: "
                f"{list(old)}"
            )
    if any(s == -1 for s in shape[:lead]):
        raise RuntimeError(f"The expanded size of the tensor (-1) isn't allowed in a leading, "
                           f"non-existing dimension {shape.index(-1)}")
    return _expand(input, shape=tuple(shape))


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """`input.expand(size)`."""
    return expand(input, size)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` expanded to the shape of `other`."""
    return expand(input, other._array.shape)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes broadcast to; RuntimeError if there is none.

    >>> import rushlight as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    result: list[int] = []
    for shape in shapes:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        result = [1] * (len(sizes) - len(result)) + result
        for i, s in enumerate(reversed(sizes), 1):
            if result[-i] == 1:
                result[-i] = s
            elif s not in (1, result[-i]):
                raise RuntimeError(
                    f"Shape mismatch: objects cannot be broadcast to a single shape; got "
                    f"{[tuple(x) if not isinstance(x, int) else x for x in shapes]}"
                )
    return Size(result)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[x._array.shape for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """`input` summed over the dims in which `size` is 1 or missing: the reverse of expanding."""
    old, new = input._array.shape, _sizes(size)
    lead = len(old) - len(new)
    if lead < 0 or any(n != m and m != 1 for n, m in zip(old[lead:], new)):
        raise RuntimeError(f"size {{{list(new)}}} is not expandable to size {{{list(old)}}}.")
    dims = [i for i in range(len(old)) if i < lead or (new[i - lead] == 1 and old[i] != 1)]
    if not dims:
        return input
    if dims == list(range(lead)):  # the gradient of a bias
        return input.sum(dims)
    result = input.sum(dims, keepdim=True)
    return reshape(result, new) if lead else result


@primitive(name="AsStrided", view=True)
def _as_strided(x: Array, *, size: Shape, stride: Shape, shift: int, strides: Shape) -> Array:
    """`shift` counts elements from the first of `x`, whose strides are `strides`, to the first of
    the result."""
    k, item = kernels(x), x.itemsize
    steps = k.as_strided(x, (abs(shift) + 1,), (item if shift >= 0 else -item,))
    return k.as_strided(steps[abs(shift) :], size, [s * item for s in stride])


@_as_strided.derivative("x")
def _as_strided_dx(grad: Tensor, x_shape: Shape, size: Shape, stride: Shape, shift: int,
                   strides: Shape) -> Tensor:  # fmt: skip
    """Adds up where elements were read, in a buffer laid out as the input's memory."""
    first = min(0, shift)
    read = _positions(grad, size, stride, shift - first)
    own = _positions(grad, x_shape, strides, -first)
    length = 1 + max(int(p._array.max()) if p._array.size else 0 for p in (read, own))
    memory = grad.new_zeros(length).index_add(0, read, grad.reshape(-1))
    return memory.index_select(0, own).reshape(x_shape)


def _positions(like: Tensor, size: Shape, stride: Any, start: int) -> Tensor:
    """The memory position of each element of a strided tensor, flattened, int64."""
    k = kernels(like._array)
    total = k.full((1,) * len(size), start, int64.numpy)
    for i, (n, s) in enumerate(zip(size, stride)):
        steps = k.arange(0, s, n, int64.numpy)
        total = total + steps.reshape([n if j == i else 1 for j in range(len(size))])
    return wrap(total.reshape(-1))


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the tensor's memory with the given shape, strides and offset (in elements).

    RuntimeError if it would reach beyond the memory.

    >>> import rushlight as torch
    >>> torch.as_strided(torch.arange(5), (2, 2), (1, 2))
    tensor([[0, 2],
            [1, 3]])
    """
    size, stride = _sizes((tuple(size),)), _sizes((tuple(stride),))
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    own = input.storage_offset()
    offset = own if storage_offset is None else storage_offset
    extent = offset + sum((n - 1) * s for n, s in zip(size, stride)) + 1 if math.prod(size) else 0
    item = input._array.itemsize
    available = input.untyped_storage().nbytes()
    if extent * item > available or offset < 0 or any(s < 0 for s in stride):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and "
            f"itemsize {item} requiring a storage size of {extent * item} are out of bounds for "
            f"storage of size {available}"
        )
    return _as_strided(input, size=size, stride=stride, shift=offset - own, strides=input.stride())


# ---- parts ---------------------------------------------------------------------------------


@primitive(name="Slice", view=True)
def _slice(x: Array, *, dim: int, start: int, stop: int, step: int = 1) -> Array:
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


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
        raise IndexError(f"start out of range (expected to be in range of [-{size}, {size}], but "
                         f"got {begin})")
    begin += size if begin < 0 else 0
    if begin + length > size:
        raise RuntimeError(f"start ({begin}) + length ({length}) exceeds dimension size ({size}).")
    return _slice(input, dim=d, start=begin, stop=begin + length)


@primitive(name="Select", view=True)
def _select(x: Array, *, dim: int, index: int) -> Array:
    return x[(slice(None),) * dim + (index, ...)]


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
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(shape)} at "
                         f"dimension {d}")
    return _select(input, dim=d, index=i % size)


# ---- joining -------------------------------------------------------------------------------


@primitive(name="Cat")
def _cat(*tensors: Array, dim: int) -> Array:
    dtype = tensors[0].dtype
    for x in tensors:
        if x.dtype is not dtype and x.dtype != dtype:
            to = common_dtype(*tensors)
            tensors = tuple(cast(x, to) for x in tensors)
            break
    return kernels(tensors[0]).concatenate(tensors, dim)


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
    if hasattr(tensors, "_array"):
        raise TypeError("cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    tensors = list(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    try:
        shapes = [x._array.shape for x in tensors]
    except AttributeError:
        i, other = next((i, x) for i, x in enumerate(tensors) if not hasattr(x, "_array"))
        raise TypeError(f"expected Tensor as element {i} in argument 0, but got "
                        f"{type(other).__name__}") from None
    if () in shapes:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {shapes.index(())}) cannot be concatenated"
        )
    solid = tensors
    if (0,) in shapes:  # an empty 1-dim tensor fits anywhere, for old programs' sake
        solid = [x for x in tensors if x._array.shape != (0,)] or tensors[:1]
        shapes = [x._array.shape for x in solid]
    shape = shapes[0]
    d = wrap_dim(dim, len(shape))
    for i, other in enumerate(shapes):
        if other == shape:
            continue
        if len(other) != len(shape):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(shape)} and "
                               f"{len(other)}")
        if other[:d] + other[d + 1 :] != shape[:d] + shape[d + 1 :]:
            bad = next(j for j in range(len(shape)) if j != d and other[j] != shape[j])
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {d}. Expected size {shape[bad]} "
                f"but got size {other[bad]} for tensor number {i} in the list."
            )
    if out is not None:
        check_separate(out, *solid)
    result = _cat(*solid, dim=d)
    return result if out is None else write_out(out, result, "cat")


concat = concatenate = cat


@primitive(name="Stack")
def _stack(*tensors: Array, dim: int) -> Array:
    first = tensors[0]
    if any(x.dtype != first.dtype for x in tensors):
        to = common_dtype(*tensors)
        tensors = tuple(cast(x, to) for x in tensors)
    if dim == 0:
        return kernels(first).stack(tensors)
    k = kernels(first)
    return k.concatenate([x[(slice(None),) * dim + (None, ...)] for x in tensors], dim)


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
    size = split_size_or_sections
    if tensor._array.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    d = wrap_dim(dim, tensor._array.ndim)
    total = tensor._array.shape[d]
    if size == 0:
        if total:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {total}"
            )
        return _split(tensor, dim=d, bounds=((0, 0),))
    starts = range(0, max(total, 1), size)
    return _split(tensor, dim=d, bounds=tuple((s, min(s + size, total)) for s in starts))


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
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a "
                           "tensor with 0 dims")
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


# ---- rearranging with a copy ---------------------------------------------------------------


@primitive(name="Flip")
def _flip(x: Array, *, dims: tuple[int, ...]) -> Array:
    return kernels(x).flip(x, dims)


@_flip.derivative("x")
def _flip_dx(grad: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _flip(grad, dims=dims)


def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The order reversed along `dims`; a copy.

    >>> import rushlight as torch
    >>> torch.flip(torch.arange(3), (0,))
    tensor([2, 1, 0])
    """
    dims = _named_sizes("flip", "dims", dims, named)
    wrapped = tuple(wrap_dim(d, input._array.ndim) for d in _sizes(dims))
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError("dim appears multiple times in the list of dims")
    return _flip(input, dims=wrapped if input._array.ndim else ())


def fliplr(input: Tensor) -> Tensor:
    """Reversed along dim 1."""
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Reversed along dim 0."""
    if input._array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@primitive(name="Roll")
def _roll(x: Array, *, shifts: Any, dims: Any) -> Array:
    return kernels(x).roll(x, shifts, dims)


@_roll.derivative("x")
def _roll_dx(grad: Tensor, shifts: Any, dims: Any) -> Tensor:
    return _roll(grad, shifts=tuple(-s for s in shifts) if dims else -shifts, dims=dims)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along `dims`, those that fall off coming back on the other side.

    >>> import rushlight as torch
    >>> torch.roll(torch.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return _roll(input, shifts=shifts[0], dims=None)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(dims) != len(shifts):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, "
                           f"dims:{len(dims)}")
    return _roll(input, shifts=shifts, dims=tuple(wrap_dim(d, input._array.ndim) for d in dims))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Rotated by `k` quarter turns from the first of `dims` towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    a, b = (wrap_dim(d, input._array.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {a} and "
                           f"dim1 = {b}")
    turns = k % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return flip(input, a, b)
    if turns == 1:
        return transpose(flip(input, b), a, b).contiguous()
    return flip(transpose(input, a, b), b)


def repeat(input: Tensor, *repeats: Any, **named: Any) -> Tensor:
    """Copies laid side by side, `repeats[i]` of them along dim i.

    >>> import rushlight as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = _sizes(_named_sizes("repeat", "repeats", repeats, named))
    if len(counts) < input._array.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    return _repeat(input, repeats=counts)


@primitive(name="Repeat")
def _repeat(x: Array, *, repeats: tuple[int, ...]) -> Array:
    return kernels(x).tile(x, repeats)


@_repeat.derivative("x")
def _repeat_dx(grad: Tensor, x_shape: Shape, repeats: tuple[int, ...]) -> Tensor:
    lead = len(repeats) - len(x_shape)
    shape: list[int] = []
    for n, size in zip(repeats, (1,) * lead + tuple(x_shape)):
        shape += [n, size]
    folded = reshape(grad, shape).sum(list(range(0, len(shape), 2))) if shape else grad
    return reshape(folded, x_shape)


def tile(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """As `repeat`, but missing counts are 1."""
    dims = _named_sizes("tile", "dims", dims, named)
    counts = _sizes(dims)
    missing = input._array.ndim - len(counts)
    return repeat(input, (1,) * max(missing, 0) + counts)


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:  # fmt: skip
    """Each element repeated in place: `[1, 2]` twice is `[1, 1, 2, 2]`.

    >>> import rushlight as torch
    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:  # of counts alone: the indices that they repeat
        input, repeats, positions = None, input, None  # type: ignore[assignment]
        k = kernels(repeats._array)
        positions = k.arange(0, 1, repeats._array.size, repeats._array.dtype)
        return wrap(k.repeat(positions, repeats._array, 0))
    if dim is None:
        input, dim = reshape(input, -1), 0
    d = wrap_dim(dim, input._array.ndim)
    k = kernels(input._array)
    size = input._array.shape[d]
    counts = repeats if isinstance(repeats, int) else repeats._array
    indices = wrap(k.repeat(k.arange(0, 1, size, int64.numpy), counts, 0))
    return input.index_select(d, indices)


@primitive(name="Tril")
def _tril(x: Array, *, diagonal: int) -> Array:
    k = kernels(x)
    mask = k.tri_mask(x.shape[-2], x.shape[-1], diagonal)
    return k.where(mask, x, k.full((), 0, x.dtype))


@primitive(name="Triu")
def _triu(x: Array, *, diagonal: int) -> Array:
    k = kernels(x)
    mask = k.tri_mask(x.shape[-2], x.shape[-1], diagonal - 1)
    return k.where(mask, k.full((), 0, x.dtype), x)


@_tril.derivative("x")
def _tril_dx(grad: Tensor, diagonal: int) -> Tensor:
    return _tril(grad, diagonal=diagonal)


@_triu.derivative("x")
def _triu_dx(grad: Tensor, diagonal: int) -> Tensor:
    return _triu(grad, diagonal=diagonal)


def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The elements on and below a diagonal, 0 above it.

    >>> import rushlight as torch
    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    _check_matrix("tril", input)
    result = _tril(input, diagonal=diagonal)
    return result if out is None else write_out(out, result, "tril")


def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The elements on and above a diagonal, 0 below it."""
    _check_matrix("triu", input)
    result = _triu(input, diagonal=diagonal)
    return result if out is None else write_out(out, result, "triu")


def _check_matrix(op: str, input: Tensor) -> None:
    check_tensor(input, op)
    if input._array.ndim < 2:
        raise RuntimeError(f"{op}: input tensor must have at least 2 dimensions")


# ---- diagonals -----------------------------------------------------------------------------


@primitive(name="Diagonal", view=True)
def _diagonal(x: Array, *, offset: int, dim1: int, dim2: int) -> Array:
    strides, shape = list(x.strides), list(x.shape)
    rows, columns = shape[dim1], shape[dim2]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    lead = [slice(None)] * x.ndim
    lead[dim1 if offset < 0 else dim2] = slice(min(abs(offset), shape[dim1 if offset < 0 else dim2]), None)
    step = strides[dim1] + strides[dim2]
    for d in sorted((dim1, dim2), reverse=True):
        del strides[d], shape[d]
    return kernels(x).as_strided(x[tuple(lead)], (*shape, length), (*strides, step))


@_diagonal.derivative("x")
def _diagonal_dx(grad: Tensor, x_shape: Shape, offset: int, dim1: int, dim2: int) -> Tensor:
    return _diagonal_backward(grad, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2)


@primitive(name="DiagonalBackward")
def _diagonal_backward(g: Array, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of `shape` with `g` on the diagonal."""
    result = kernels(g).zeros(shape, g.dtype)
    _diagonal.forward(result, offset=offset, dim1=dim1, dim2=dim2)[...] = g
    return result


@_diagonal_backward.derivative("g")
def _diagonal_backward_dg(grad: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
    return _diagonal(grad, offset=offset, dim1=dim1, dim2=dim2)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dims as the last dim; a view.

    >>> import rushlight as torch
    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    ndim = input._array.ndim
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal(input, offset=offset, dim1=d1, dim2=d2)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dim of `input` on their diagonal."""
    ndim = input._array.ndim + 1
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input._array.shape[-1] + abs(offset)
    shape = list(input._array.shape[:-1])
    for d in sorted((d1, d2)):
        shape.insert(d, size)
    return _diagonal_backward(input, shape=tuple(shape), offset=offset, dim1=d1, dim2=d2)


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Of a vector the matrix with it on the diagonal; of a matrix its diagonal, copied.

    >>> import rushlight as torch
    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input._array.ndim == 1:
        result = diag_embed(input, diagonal)
    elif input._array.ndim == 2:
        result = _diagonal(input, offset=diagonal, dim1=0, dim2=1).clone()
    else:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    return result if out is None else write_out(out, result, "diag")


# ---- grids ---------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates from vectors; `indexing="xy"` exchanges the first two dims.

    >>> import rushlight as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")[0]
    tensor([[1, 1],
            [2, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: '
                           f"{indexing}")
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    for x in tensors:
        if x._array.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but "
                               f"got: {x}")
    vectors = [atleast_1d(x) for x in tensors]
    shape = [v._array.shape[0] for v in vectors]
    grids = []
    for i, v in enumerate(vectors):
        flat = [1] * len(shape)
        flat[i] = shape[i]
        grids.append(expand(reshape(v, flat), shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of several vectors, one a row."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, -1) for g in meshgrid(*tensors, indexing="ij")], 1)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.view(other.shape)`."""
    return view(input, other._array.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.reshape(other.shape)`."""
    return reshape(input, other._array.shape)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along a dim, `step` apart, as a new last dim; a view."""
    array = input._array
    d = wrap_dim(dimension, array.ndim)
    total = array.shape[d] if array.ndim else 1
    if size > total:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {total} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return _unfold(input, dim=d, size=size, step=step)


@primitive(name="Unfold", view=True)
def _unfold(x: Array, *, dim: int, size: int, step: int) -> Array:
    if x.ndim == 0:
        return x.reshape(1)[:size]
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return kernels(x).as_strided(x, shape, strides)


@_unfold.derivative("x")
def _unfold_dx(grad: Tensor, x_shape: Shape, dim: int, size: int, step: int) -> Tensor:
    if not x_shape:
        return reshape(grad, ()) if size else grad.new_zeros(())
    result = grad.new_zeros(x_shape)
    count = (x_shape[dim] - size) // step + 1
    for i in range(size):
        part = select(grad, -1, i)
        placed = _slice_backward(part, shape=x_shape, dim=dim, start=i,
                                 stop=i + (count - 1) * step + 1, step=step)  # fmt: skip
        result = result + placed
    return result


def _view_in_place(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """The form of a view function that changes the tensor itself: it becomes its own view.

    The tensor takes over the array and the history of the view; its memory stays as it is.
    """
    name = function.__name__ + "_"

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_in_place(self)
        storage = self.storage_record
        before = self.__copy__()
        result = function(before, *args, **kwargs)
        self._array = result._array
        if result._requires_grad and state.enabled:
            self._requires_grad, self._grad_fn = True, result._grad_fn
            self._output_nr = result._output_nr
        self._storage = storage
        bump_version(self, name)
        self._view_version = self._version
        return self

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method


class ShapeMethods:
    """Views and rearrangements as methods of `Tensor`."""

    squeeze_ = _view_in_place(squeeze)
    unsqueeze_ = _view_in_place(unsqueeze)
    transpose_ = swapaxes_ = swapdims_ = _view_in_place(transpose)
    t_ = _view_in_place(t)

    view = view
    view_as = view_as
    reshape = reshape
    reshape_as = reshape_as
    flatten = flatten
    unflatten = unflatten
    ravel = ravel
    squeeze = squeeze
    unsqueeze = unsqueeze
    transpose = swapaxes = swapdims = transpose
    t = t
    permute = permute
    movedim = moveaxis = movedim
    expand = expand
    expand_as = expand_as
    broadcast_to = broadcast_to
    sum_to_size = sum_to_size
    as_strided = as_strided
    narrow = narrow
    select = select
    split = split
    split_with_sizes = split_with_sizes
    chunk = chunk
    tensor_split = tensor_split
    unbind = unbind
    flip = flip
    fliplr = fliplr
    flipud = flipud
    roll = roll
    rot90 = rot90
    repeat = repeat
    tile = tile
    repeat_interleave = repeat_interleave
    tril = tril
    triu = triu
    diagonal = diagonal
    diag = diag
    diag_embed = diag_embed
    unfold = unfold

    @property
    def T(self: Any) -> Any:
        """All dims reversed; for matrices the transpose."""
        if self._array.ndim == 2:
            return _permute(self, dims=(1, 0))
        return _permute(self, dims=tuple(reversed(range(self._array.ndim))))

    @property
    def mT(self: Any) -> Any:
        """The last two dims exchanged."""
        if self._array.ndim < 2:
            raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. "
                               f"Got {self._array.ndim}D tensor.")
        return transpose(self, -2, -1)

    @property
    def H(self: Any) -> Any:
        """The conjugate transpose of a matrix."""
        if self._array.ndim not in (0, 2):
            raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got "
                               f"{self._array.ndim}-D tensor.")
        return t(self).conj()

    @property
    def mH(self: Any) -> Any:
        """The last two dims exchanged and conjugated."""
        return self.mT.conj()
