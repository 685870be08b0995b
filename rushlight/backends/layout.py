"""How arrays lie in memory: whether without gaps, and others laid out in the same order of axes."""

from __future__ import annotations

from .reference.base import Array

__all__ = ["address", "copy_laid_out_as", "is_dense", "with_axes_ordered_as"]


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


def with_axes_ordered_as(result: Array, like: Array) -> Array:
    """A contiguous `result`, all of whose elements are the same, ordered in memory as `like`."""
    order, back = _axes_by_stride(like)
    return result.reshape([like.shape[axis] for axis in order]).transpose(back)


def copy_laid_out_as(values: Array, like: Array) -> Array:
    """A copy with the strides of `like` if that is dense, else a contiguous one."""
    if like.flags.c_contiguous or not is_dense(like):
        return values.copy("C")
    order, back = _axes_by_stride(like)
    return values.transpose(order).copy("C").transpose(back)


def _axes_by_stride(array: Array) -> tuple[list[int], list[int]]:
    """The axes, widest steps first, and the permutation that undoes this order."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return order, sorted(range(array.ndim), key=order.__getitem__)
