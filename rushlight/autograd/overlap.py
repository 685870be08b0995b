"""Writing into memory that is read at the same time, or that shows one element several times.

PyTorch's rules. A tensor in which elements share a place (an expanded one) may not be changed, and
neither may one that shares some, but not all, of its elements with an operand: the result would
depend on the order in which elements are written. It is refused where it is cheap to tell, which is
between tensors that fill their memory without gaps. Other operands may share memory: the result is
then computed before it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..backends import kernels
from ..backends.layout import address, is_dense
from ..types_ import Array
from .variable import TensorBase

__all__ = ["check_apart", "check_overlap", "check_partial_overlap", "check_repeats", "lies_as",
           "may_overlap", "repeats"]  # fmt: skip


def may_overlap(a: Array, b: Array) -> bool:
    """Whether the memory from first to last element of `a` meets that of `b`."""
    return bool(kernels(a).xp.may_share_memory(a, b))


def lies_as(a: Array, b: Array) -> bool:
    """Whether both arrays show the same elements at the same indices."""
    if address(a) != address(b) or a.shape != b.shape:
        return False
    return all(s == t or n == 1 for s, t, n in zip(a.strides, b.strides, a.shape, strict=True))


def repeats(array: Array) -> bool:
    """Whether several elements share a place in memory, as those of an expanded array do."""
    if 0 not in array.strides or not array.size:
        return False
    return any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True))


def check_repeats(tensor: Any, operation: str) -> None:
    """RuntimeError if elements of the tensor to be changed share a place in memory."""
    if repeats(tensor._array):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            f"single memory location. Please clone() the tensor before performing {operation}."
        )


def check_overlap(tensor: Any, inputs: Iterable[Any], operation: str) -> None:
    """RuntimeError if an elementwise operation on `inputs` may not be written into `tensor`."""
    check_repeats(tensor, operation)
    check_partial_overlap(tensor, inputs, operation)


def check_partial_overlap(tensor: Any, inputs: Iterable[Any], operation: str) -> None:
    """RuntimeError if an input shares some elements with `tensor`, but does not lie as it does."""
    for x in inputs:
        if x is not tensor and _is_shared(tensor, x) and not lies_as(tensor._array, x._array):
            raise _overlaps(operation)


def check_apart(tensor: Any, inputs: Iterable[Any], operation: str) -> None:
    """RuntimeError if `tensor` shares memory with one of the inputs, be it all of it."""
    for x in inputs:
        if _is_shared(tensor, x):
            raise _overlaps(operation)


def _is_shared(tensor: Any, other: Any) -> bool:
    """Whether two dense tensors with one storage have elements in common."""
    if not isinstance(other, TensorBase) or tensor._storage is not other._storage:
        return False
    if tensor._storage is None and tensor is not other:
        return False
    a, b = tensor._array, other._array
    return may_overlap(a, b) and is_dense(a) and is_dense(b)


def _overlaps(operation: str) -> RuntimeError:
    return RuntimeError(
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        f"to a single memory location. Please clone() the tensor before performing {operation}."
    )
