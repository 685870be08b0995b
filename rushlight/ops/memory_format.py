"""Where the elements of a new tensor lie in memory, given one that it is to lie like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..backends import kernels
from ..backends.layout import inverse, is_channels_last
from ..types_ import Array

__all__ = ["channels_last_axes", "copied", "laid_out_as_image", "memory_axes", "new_in_order",
           "shared_axes", "wants_channels_last"]  # fmt: skip

_RANKS = {"channels_last": 4, "channels_last_3d": 5}


def wants_channels_last(memory_format: Any) -> bool:
    """Whether an argument names one of the two channels-last formats."""
    return getattr(memory_format, "name", None) in _RANKS


def channels_last_axes(ndim: int, memory_format: Any = None) -> list[int]:
    """The axes of `(N, C, *S)` as channels-last memory has them, the outermost first.

    RuntimeError if a format is given and for another number of dims.
    """
    if memory_format is not None and ndim != _RANKS[memory_format.name]:
        rank = _RANKS[memory_format.name]
        raise RuntimeError(f"required rank {rank} tensor to use {memory_format.name} format")
    return [0, *range(2, ndim), 1]


def memory_axes(array: Array, memory_format: Any = None) -> list[int] | None:
    """The axes of a tensor like `array` from the outermost in memory; None for their own order.

    None and `preserve_format` keep the order of the strides, without gaps.
    """
    if memory_format is None:
        return None if array.flags.c_contiguous else shared_axes(array)
    if wants_channels_last(memory_format):
        return channels_last_axes(array.ndim, memory_format)
    name = getattr(memory_format, "name", "preserve_format")
    return shared_axes(array) if name == "preserve_format" else None


def shared_axes(*arrays: Array) -> list[int] | None:
    """The axes of an elementwise result of arrays of one shape, as `memory_axes` gives them."""
    order = kernels(arrays[0]).memory_order(arrays[0].shape, arrays)
    return None if order == sorted(order) else order


def new_in_order(make: Callable[[Sequence[int]], Array], shape: Sequence[int],
                 axes: list[int] | None) -> Array:  # fmt: skip
    """What `make` gives for `shape`, with the axes in this order in memory."""
    if axes is None:
        return make(shape)
    return make([shape[axis] for axis in axes]).transpose(inverse(axes))


def copied(x: Array, memory_format: Any = None) -> Array:
    """A copy without gaps; unless told otherwise, its axes have the order of those of `x`."""
    axes = memory_axes(x, memory_format)
    return kernels(x).copy(x) if axes is None else _copied_in_order(x, axes)


def laid_out_as_image(x: Array, image: Array) -> Array:
    """`x (N, C, *S)`, copied to channels-last memory if `image` has that."""
    return _copied_in_order(x, channels_last_axes(x.ndim)) if is_channels_last(image) else x


def _copied_in_order(x: Array, axes: list[int]) -> Array:
    return kernels(x).copy(x.transpose(axes)).transpose(inverse(axes))
