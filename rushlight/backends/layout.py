"""How arrays lie in memory: whether without gaps, and others laid out in the same order of axes."""

from __future__ import annotations

from .reference.base import Array
from .reference.windows import inverse, is_channels_last

__all__ = ["address", "copy_laid_out_as", "inverse", "is_channels_last", "is_dense"]


def address(array: Array) -> int:
    """Where the first element lies."""
    interface = getattr(array, "__array_interface__", None)
    if interface is None:
        interface = array.__cuda_array_interface__
    return int(interface["data"][0])


def is_dense(array: Array) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in some order of axes."""
    expected = array.itemsize
    for step, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size != 1:
            if step != expected:
                return False
            expected *= size
    return True


def copy_laid_out_as(values: Array, like: Array) -> Array:
    """A copy with the strides of `like` if that is dense, else a contiguous one."""
    if like.flags.c_contiguous or not is_dense(like):
        return values.copy("C")
    order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
    return values.transpose(order).copy("C").transpose(inverse(order))
