"""The same elements under another shape: `view`, `reshape`, `squeeze`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..backends.shapes import as_shape, view_shape
from ..types_ import Array, Shape
from .common import wrap_dim

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "reshape", "view", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "ShapeMethods",
]  # fmt: skip


@primitive(name="View", view=True, kernel="view")
def _view(x: Array, *, shape: Shape) -> Array:
    return kernels(x).view(x, shape)


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


class ShapeMethods:
    """Other shapes as methods of `Tensor`."""

    view = view
    reshape = reshape
    flatten = flatten
    unflatten = unflatten
    ravel = ravel
    squeeze = squeeze
    unsqueeze = unsqueeze
