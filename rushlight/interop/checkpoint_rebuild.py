"""Tensors from the parts that a checkpoint holds, with every extent checked against the memory.

The functions carry the names under which PyTorch's pickles call them (in `torch._utils`); what they
get is untrusted.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..autograd.variable import Storage, TensorBase, wrap
from ..device import device
from ..dtypes import dtype as DType
from ..dtypes import from_numpy_dtype
from ..size import Size
from ..storage import UntypedStorage
from .checkpoint_errors import CheckpointError, shown

__all__ = ["FileStorage", "StorageType", "set_attributes"]

_MAX_DIMS = 64
_MAX_BYTES = 1 << 62


class StorageType:
    """The type of a storage in a checkpoint, such as `FloatStorage`; dtype None means bytes."""

    def __init__(self, name: str, dtype: DType | None):
        self.name = name
        self.dtype = dtype
        self.itemsize = dtype.itemsize if dtype else 1

    def __repr__(self) -> str:
        return f"torch.{self.name}"


class FileStorage(UntypedStorage):
    """The memory of one record of a checkpoint, and the type that it was saved with."""

    def __init__(self, data: Any, type: StorageType, location: str):
        super().__init__(data)
        self.data = data  # uint8, one-dimensional
        self.type = type
        self.location = location
        self.record = Storage()  # the tensors on this memory share their version, too

    @property
    def numel(self) -> int:
        """How many elements of its type the storage has."""
        return int(self.data.size) // self.type.itemsize

    def part(self, offset: int, count: int) -> FileStorage:
        """A storage on `count` elements from `offset` of this one's memory."""
        start, end = offset * self.type.itemsize, (offset + count) * self.type.itemsize
        if not 0 <= start <= end <= self.data.size:
            raise CheckpointError(
                f"[load] a storage view of elements {offset}…{offset + count} reaches beyond the "
                f"{self.numel} elements of its storage"
            )
        result = FileStorage(self.data[start:end], self.type, self.location)
        result.record = self.record
        return result


def _whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > _MAX_DIMS:
        raise CheckpointError(
            f"[load] a tensor's {what} is {shown(values)}, no short tuple of integers"
        )
    for v in values:
        if type(v) is not int or v < 0:
            _whole_number(v, what)  # raises
    return tuple(values)


def _whole_number(value: Any, what: str) -> int:
    if type(value) is not int or value < 0:
        raise CheckpointError(
            f"[load] a tensor's {what} holds {shown(value)}, no integer from 0 up"
        )
    return value


def _view(storage: Any, dtype: DType, offset: Any, size: Any, stride: Any) -> Any:
    """The tensor on `storage`, after its last element was found to lie inside."""
    if not isinstance(storage, FileStorage):
        raise CheckpointError(f"[load] a tensor is built on a {type(storage).__name__}, no storage")
    offset = _whole_number(offset, "offset")
    shape, strides = _whole_numbers(size, "size"), _whole_numbers(stride, "stride")
    if len(shape) != len(strides):
        raise CheckpointError(f"[load] a tensor has {len(shape)} dims and {len(strides)} strides")
    available, item = storage.data.size // dtype.itemsize, dtype.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides))
    empty = 0 in shape
    numel = 1
    for n in shape:
        numel *= n
    if (not empty and last >= available) or offset > max(available, 0) or numel * item > _MAX_BYTES:
        raise CheckpointError(
            f"[load] a tensor of size {shape}, stride {strides} and offset {offset} reaches beyond "
            f"the {available} elements of its storage"
        )
    if empty:
        return _wrapped(np.empty(shape, dtype.numpy), storage)
    data, start = storage.data, offset * item
    if (data.__array_interface__["data"][0] + start) % item:
        data = data.copy()  # a record in an odd place of a mapped file
    byte_strides = tuple(s * item for s in strides)
    return _wrapped(np.ndarray(shape, dtype.numpy, data, start, byte_strides), storage)


def _wrapped(array: Any, storage: FileStorage) -> Any:
    tensor = wrap(array)
    tensor._storage = storage.record
    return tensor


def _typed(storage: Any) -> DType:
    dtype = getattr(getattr(storage, "type", None), "dtype", None)
    if not isinstance(dtype, DType):
        raise CheckpointError("[load] a tensor is built on a storage without an element type")
    return dtype


def _with_grad(tensor: Any, requires_grad: Any) -> Any:
    if type(requires_grad) is not bool:
        raise CheckpointError(f"[load] a tensor's requires_grad is {shown(requires_grad)}, no bool")
    if requires_grad:
        if tensor._array.dtype.kind not in "fcV":
            raise CheckpointError(f"[load] a tensor of {tensor.dtype} is marked requires_grad")
        tensor.requires_grad_(True)
    return tensor


def _rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Any:
    return _view(storage, _typed(storage), storage_offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any, storage_offset: Any, size: Any, stride: Any, requires_grad: Any,
    backward_hooks: Any, metadata: Any = None,
) -> Any:  # fmt: skip
    tensor = _view(storage, _typed(storage), storage_offset, size, stride)
    return _with_grad(tensor, requires_grad)


def _rebuild_tensor_v3(
    storage: Any, storage_offset: Any, size: Any, stride: Any, requires_grad: Any,
    backward_hooks: Any, dtype: Any, metadata: Any = None,
) -> Any:  # fmt: skip
    if not isinstance(dtype, DType):
        raise CheckpointError(f"[load] a tensor's dtype is {shown(dtype)}, no dtype")
    return _with_grad(_view(storage, dtype, storage_offset, size, stride), requires_grad)


def _tensor(value: Any) -> Any:
    if not isinstance(value, TensorBase):
        raise CheckpointError(f"[load] expected a tensor; the file has a {type(value).__name__}")
    return value


def _rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    from ..nn.parameter import Parameter

    parameter = Parameter(_tensor(data), False)
    return _with_grad(parameter, requires_grad)


def _rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Any:
    parameter = _rebuild_parameter(data, requires_grad, backward_hooks)
    set_attributes(parameter, state)
    return parameter


def _rebuild_from_type_v2(function: Any, new_type: Any, args: Any, state: Any) -> Any:
    if function not in TENSOR_BUILDERS or type(args) is not tuple:
        raise CheckpointError("[load] a tensor subclass is built in an unknown way")
    if not isinstance(new_type, type) or not issubclass(new_type, TensorBase):
        raise CheckpointError(f"[load] {shown(new_type)} is no tensor class")
    tensor = function(*args)
    if isinstance(state, dict) and state.get("_is_buffer") is True:
        from ..nn.parameter import Buffer

        return Buffer(tensor, persistent=state.get("persistent") is not False)
    if type(tensor) is not new_type:
        kind: Any = new_type
        tensor = kind._make_subclass(kind, tensor, tensor.requires_grad)
    set_attributes(tensor, state)
    return tensor


def set_attributes(instance: Any, state: Any) -> None:
    """Sets plain attributes; names that the class or rushlight itself uses are refused."""
    if isinstance(state, tuple) and len(state) == 2 and not state[1]:
        state = state[0]
    if not isinstance(state, dict):
        raise CheckpointError(f"[load] the state of a {type(instance).__name__} is no dict")
    for name, value in state.items():
        if type(name) is not str or name.startswith("_") or hasattr(type(instance), name):
            raise CheckpointError(
                f"[load] the file sets attribute {shown(name)} of a {type(instance).__name__}"
            )
        instance.__dict__[name] = value


def _rebuild_device_tensor_from_numpy(
    data: Any, dtype: Any, device: Any, requires_grad: Any
) -> Any:
    if not isinstance(data, np.ndarray) or not isinstance(dtype, DType):
        raise CheckpointError("[load] a tensor is built from something that is no array")
    from_numpy_dtype(data.dtype)
    return _with_grad(wrap(data.astype(dtype.numpy)), requires_grad)


def _rebuild_device_tensor_from_cpu_tensor(
    data: Any, dtype: Any, device: Any, requires_grad: Any
) -> Any:
    if not isinstance(dtype, DType):
        raise CheckpointError(f"[load] a tensor's dtype is {shown(dtype)}, no dtype")
    return _with_grad(_tensor(data).detach().to(dtype), requires_grad)


TENSOR_BUILDERS: tuple[Any, ...] = (
    _rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter,
    _rebuild_parameter_with_state, _rebuild_from_type_v2, _rebuild_device_tensor_from_numpy,
    _rebuild_device_tensor_from_cpu_tensor,
)  # fmt: skip


def build_size(values: Any = ()) -> Size:
    """A `Size` of checked integers."""
    return Size(_whole_numbers(values, "size"))


def build_device(type: Any, index: Any = None) -> device:
    """A `device` of checked parts."""
    if isinstance(type, bytes):
        type = type.decode("ascii")
    if not isinstance(type, str) or not (index is None or operator.index(index) >= 0):
        raise CheckpointError(f"[load] the file names the device {shown(type)}, {shown(index)}")
    return device(type) if index is None else device(type, index)
