"""Layouts, memory formats, PyTorch's old type names, and how tensors cross process borders."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes
from .autograd.grad_mode import state
from .dtypes import dtype as DType

__all__ = ["layout", "memory_format", "strided", "sparse_coo", "contiguous_format",
           "channels_last", "channels_last_3d", "preserve_format", "legacy_type_name", "parse_type",
           "rebuild_tensor"]  # fmt: skip


class layout:
    """How a tensor's elements are stored."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format:
    """The order of dims in memory."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


strided, sparse_coo = layout("strided"), layout("sparse_coo")
contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")

_LEGACY = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16",
    "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
    "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def legacy_type_name(d: DType) -> str:
    """PyTorch's old name of a tensor type, as `torch.FloatTensor`."""
    return f"torch.{_LEGACY.get(d.name, d.name)}Tensor"


def parse_type(value: Any) -> DType:
    """The dtype of an old type name, an old type class, or a dtype."""
    if isinstance(value, DType):
        return value
    name = value if isinstance(value, str) else getattr(value, "__name__", "")
    short = name.removeprefix("torch.").removesuffix("Tensor")
    for d in dtypes.ALL_DTYPES:
        if _LEGACY.get(d.name) == short:
            return d
    raise ValueError(f"invalid type: '{value}'")


def rebuild_tensor(cls: Any, array: Any, requires_grad: bool, extra: dict[str, Any]) -> Any:
    """A tensor from its pickled parts."""
    tensor = object.__new__(cls)
    tensor._array = array
    tensor._requires_grad = requires_grad
    tensor._is_inference = tensor._is_unversioned = state.inference
    tensor.__dict__.update(extra)
    return tensor


def move_to_shared_memory(tensor: Any) -> None:
    """Replaces the tensor's memory by anonymous memory that forked children share."""
    import mmap

    if is_in_shared_memory(tensor):
        return
    old = tensor._array
    memory = mmap.mmap(-1, max(old.nbytes, 1))
    new = np.frombuffer(memory, old.dtype, old.size).reshape(old.shape)
    new[...] = old
    tensor._array = new


def is_in_shared_memory(tensor: Any) -> bool:
    """Whether the tensor's memory is an anonymous shared map."""
    import mmap

    base = tensor._array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return isinstance(base, mmap.mmap)
