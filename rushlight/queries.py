"""Small questions about tensors and dtypes at the top of the namespace."""

from __future__ import annotations

from typing import Any

from . import dtypes
from .autograd.variable import TensorBase
from .device import CPU, device
from .dtypes import dtype as DType
from .formats import parse_type
from .ops.common import common_dtype
from .storage import UntypedStorage

__all__ = ["is_tensor", "is_storage", "is_floating_point", "is_complex", "is_nonzero", "numel",
           "result_type", "set_default_tensor_type", "get_default_device"]  # fmt: skip


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, TensorBase)


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, UntypedStorage)


def is_floating_point(input: Any) -> bool:
    """Whether the tensor's dtype is a floating-point one."""
    return bool(input.is_floating_point())


def is_complex(input: Any) -> bool:
    """Whether the tensor's dtype is a complex one."""
    return bool(input.is_complex())


def is_nonzero(input: Any) -> bool:
    """Whether the one element of the tensor is nonzero."""
    return bool(input)


def numel(input: Any) -> int:
    """The number of elements."""
    return int(input._array.size)


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that an operation on the two (tensors or numbers) would give."""
    return common_dtype(*[x._array if isinstance(x, TensorBase) else x for x in (tensor1, tensor2)])


def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype by an old type name."""
    dtypes.set_default_dtype(parse_type(t))


def get_default_device() -> device:
    """The device of new tensors."""
    return CPU
