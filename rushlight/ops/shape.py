"""The same elements under another shape: reshaping, transposing, expanding."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape, view_shape
from ..dtypes import int64
from ..size import Size
from ..types_ import Array, Shape
from .common import wrap_dim

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "reshape", "view", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "transpose",
    "t", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "expand", "broadcast_to",
    "broadcast_tensors", "broadcast_shapes", "as_strided", "ShapeMethods",
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
    if grad._array.flags.c_contiguous:
        return _view(grad, shape=x_shape)
    return reshape(grad, x_shape)


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
    target = view_shape(array, shape)
    if target is not None:
        return _view(input, shape=target)
    target = _infer(as_shape(shape), array.size)
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
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)"
            )
        if x.strides[-1] != old:
            raise RuntimeError(
                "self.stride(-1) must be 1 to view a tensor as a dtype of another element size"
            )
        if (x.shape[-1] * old) % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view as {dtype}"
            )
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
    array = input._array
    target = view_shape(array, shape)
    if target is not None:
        return _view(input, shape=target)
    if len(shape) == 0:
        raise TypeError('reshape() missing 1 required positional arguments: "shape"')
    target = _infer(as_shape(shape), array.size)
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
    joined = _flattened(shape, start_dim, end_dim)
    if joined == shape:
        return input
    if array.flags.c_contiguous:
        return _view(input, shape=joined)
    return reshape(input, joined)


@lru_cache(maxsize=1024)
def _flattened(shape: Shape, start_dim: int, end_dim: int) -> Shape:
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return (1,)
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


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
        inner = _infer(as_shape((tuple(sizes),)), shape[d])
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
def _squeeze_all(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


@primitive(name="Squeeze", suffix="Backward1", view=True)
def _squeeze(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


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
    old = input._array.shape
    if dim is None:
        return _squeeze_all(input, shape=tuple([size for size in old if size != 1]))
    return _squeeze(input, shape=_without(old, dim if isinstance(dim, int) else tuple(dim)))


@lru_cache(maxsize=1024)
def _without(shape: Shape, dim: int | tuple[int, ...]) -> Shape:
    """`shape` without those of the given dims that have size 1."""
    dims = [wrap_dim(d, len(shape)) for d in ((dim,) if isinstance(dim, int) else dim)]
    return tuple([size for d, size in enumerate(shape) if size != 1 or d not in dims])


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
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D"
        )
    return _t(input)


def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dims in another order; a view.

    >>> import rushlight as torch
    >>> torch.permute(torch.zeros(2, 3, 5), (2, 0, 1)).shape
    torch.Size([5, 2, 3])
    """
    if named:
        dims = _named_sizes("permute", "dims", dims, named)
    return _permute(input, dims=_order(as_shape(dims), input._array.ndim))


@lru_cache(maxsize=1024)
def _order(dims: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A permutation as non-negative numbers."""
    order = tuple(wrap_dim(d, ndim) for d in dims)
    if len(order) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal "
            f"to len(dims) = {len(order)}"
        )
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return order


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dims moved to new places, the others in their order.

    >>> import rushlight as torch
    >>> torch.movedim(torch.zeros(2, 3, 5), 0, -1).shape
    torch.Size([3, 5, 2])
    """
    ndim = input._array.ndim
    src = [wrap_dim(d, ndim) for d in ([source] if isinstance(source, int) else source)]
    dst = [
        wrap_dim(d, ndim) for d in ([destination] if isinstance(destination, int) else destination)
    ]
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
    old, new = input._array.shape, as_shape(sizes)
    if len(new) < len(old):
        raise RuntimeError(
            f"expand({input.type()}{{{list(old)}}}, size={list(new)}): the number of sizes "
            f"provided ({len(new)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({len(old)})"
        )
    return _expand(input, shape=_expanded(old, new))


@lru_cache(maxsize=1024)
def _expanded(old: Shape, new: Shape) -> Shape:
    """`new` with the sizes of `old` in the place of -1."""
    lead = len(new) - len(old)
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
        raise RuntimeError(
            f"The expanded size of the tensor (-1) isn't allowed in a leading, "
            f"non-existing dimension {shape.index(-1)}"
        )
    return tuple(shape)


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
    old, new = input._array.shape, as_shape(size)
    dims = _expanded_dims(old, new)
    if not dims:
        return input
    lead = len(old) - len(new)
    if len(dims) == lead:  # only dims that `size` does not have
        return input.sum(dims)
    result = input.sum(dims, keepdim=True)
    return reshape(result, new) if lead else result


@lru_cache(maxsize=1024)
def _expanded_dims(old: Shape, new: Shape) -> tuple[int, ...]:
    """The dims of `old` that expanding `new` to it has made."""
    lead = len(old) - len(new)
    if lead < 0 or any(n != m and m != 1 for n, m in zip(old[lead:], new)):
        raise RuntimeError(f"size {{{list(new)}}} is not expandable to size {{{list(old)}}}.")
    return tuple(
        i for i in range(len(old)) if i < lead or (new[i - lead] == 1 and old[i] != 1)
    )  # fmt: skip


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
    size, stride = as_shape((tuple(size),)), as_shape((tuple(stride),))
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


class ShapeMethods:
    """Views and rearrangements as methods of `Tensor`."""

    view = view
    reshape = reshape
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
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. "
                f"Got {self._array.ndim}D tensor."
            )
        return transpose(self, -2, -1)

    @property
    def H(self: Any) -> Any:
        """The conjugate transpose of a matrix."""
        if self._array.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got "
                f"{self._array.ndim}-D tensor."
            )
        return t(self).conj()

    @property
    def mH(self: Any) -> Any:
        """The last two dims exchanged and conjugated."""
        return self.mT.conj()
