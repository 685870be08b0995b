"""Dims repeated without copying: `expand`, broadcasting, `as_strided`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape
from ..dtypes import int64
from ..size import Size
from ..types_ import Array, Shape
from .shape import reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "expand", "broadcast_to", "broadcast_tensors", "broadcast_shapes", "as_strided",
    "ExpandMethods",
]  # fmt: skip


@primitive(name="Expand", view=True, kernel="broadcast_to")
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


class ExpandMethods:
    """Expanding as methods of `Tensor`."""

    expand = expand
    expand_as = expand_as
    broadcast_to = broadcast_to
    sum_to_size = sum_to_size
    as_strided = as_strided
