"""Where Python data, NumPy arrays and buffers become tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from ..autograd.variable import wrap
from ..backends import kernels
from ..device import CPU
from ..device import device as Device
from ..dtypes import dtype as DType
from ..dtypes import from_numpy_dtype, number_dtype, promote_types
from .common import TensorBase

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "scalar_tensor",
    "resolve_device", "FromDataMethods",
]  # fmt: skip

# Host memory is NumPy's whatever the device: this file is where Python data becomes arrays.
_host = kernels(np.empty(0))


def resolve_device(device: Any) -> Device:
    """The device that an argument names; an error of PyTorch's class if it is not there."""
    if device is None:
        return CPU
    d = Device(device)
    if d.type == "cpu":
        return d
    if d.type == "cuda":
        from ..cuda import _require_device

        _require_device(d)
    raise NotImplementedError(
        f"[device] tensors on device type '{d.type}' are not in rushlight yet; use 'cpu'"
    )


def _finish(array: Any, requires_grad: bool, device: Any = None) -> Any:
    if device is not None:
        resolve_device(device)
    result = wrap(array)
    if requires_grad:
        result.requires_grad_(True)
    return result


# ---- from data -----------------------------------------------------------------------------


def tensor(data: Any, *, dtype: DType | None = None, device: Any = None,
           requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A new tensor with a copy of `data`: a number, nested sequences, an array.

    Ints become int64, floats the default dtype, bools bool, unless `dtype` says otherwise.

    >>> import rushlight as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(data, TensorBase):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor).", stacklevel=2,
        )  # fmt: skip
    return _finish(to_array(data, dtype, copy=True), requires_grad, device)


def to_array(data: Any, dtype: DType | None = None, copy: bool = True) -> Any:
    """Python data as a NumPy array of the dtype that PyTorch would give it."""
    kind = type(data)
    if kind is float or kind is int or kind is bool or kind is complex:
        to = number_dtype(data) if dtype is None else dtype
        return _number_array(data, to)
    if isinstance(data, TensorBase):
        array = data._array
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        from_numpy_dtype(array.dtype)
    elif hasattr(data, "__array_interface__") or hasattr(data, "__array__"):
        array = np.asarray(data)
    else:
        return _sequence_array(data, dtype)
    if dtype is not None and array.dtype != dtype.numpy:
        return _host.cast(array, dtype.numpy)
    return array.copy("C") if copy else array


def _number_array(value: Any, to: DType) -> Any:
    if to.category is dtypes.Category.INTEGER and isinstance(value, int):
        limits = np.iinfo(to.numpy)
        if not limits.min <= value <= limits.max:
            raise RuntimeError(
                f"value cannot be converted to type {to.name} without overflow"
                if to is not dtypes.int64 else "Overflow when unpacking long long"
            )  # fmt: skip
    if isinstance(value, complex) and not to.is_complex:
        raise RuntimeError(f"value cannot be converted to type {to.name} without overflow")
    if isinstance(value, float) and to.category is dtypes.Category.INTEGER:
        value = int(value)
    with np.errstate(all="ignore"):
        return np.array(value, to.numpy)


def _array_of_fractions(data: Any) -> Any:
    """Nested lists of Python numbers, one of them a float, as NumPy reads them; else None.

    What is not a plain number (a tensor, a NumPy scalar, a string) has rules of its own.
    """
    if not _are_plain_numbers(data):
        return None
    try:
        array = np.array(data)
    except ValueError:  # ragged: the slow way names the place
        return None
    return array if array.dtype == np.float64 else None


_PLAIN_NUMBERS = {float, int, bool}


def _are_plain_numbers(data: Any) -> bool:
    kinds = set(map(type, data))
    return kinds <= _PLAIN_NUMBERS or (kinds == {list} and all(map(_are_plain_numbers, data)))


def _sequence_array(data: Any, dtype: DType | None) -> Any:
    """Nested sequences of numbers, strings refused, ragged ones named."""
    fractions = _array_of_fractions(data)
    if fractions is not None and (dtype is None or dtype.is_floating_point):
        return _host.cast(fractions, (dtype or dtypes.get_default_dtype()).numpy)
    flat: list[Any] = []
    shape = _flatten_into(data, flat, ())
    if flat and (isinstance(flat[0], TensorBase) or any(isinstance(v, TensorBase) for v in flat)):
        flat = [v.item() if isinstance(v, TensorBase) else v for v in flat]
    to = dtype
    if to is None:
        to = _dtype_of_numbers(flat)
    if to.category is dtypes.Category.INTEGER and any(isinstance(v, float) for v in flat):
        flat = [int(v) for v in flat]
    try:
        with np.errstate(all="ignore"):
            return np.array(flat, to.numpy).reshape(shape)
    except OverflowError:
        raise RuntimeError(
            "Overflow when unpacking long long"
            if to is dtypes.int64
            else f"value cannot be converted to type {to.name} without overflow"
        ) from None


def _dtype_of_numbers(values: list[Any]) -> DType:
    kinds = {type(v) for v in values}
    if not kinds:
        return dtypes.get_default_dtype()
    result: DType | None = None
    for kind in kinds:
        if kind in (bool, int, float, complex):
            d = number_dtype(kind())
        else:
            sample = next(v for v in values if type(v) is kind)
            if isinstance(sample, np.generic):
                d = from_numpy_dtype(sample.dtype)
            else:
                d = number_dtype(sample)
        result = d if result is None else promote_types(result, d)
    assert result is not None
    return result


def _flatten_into(data: Any, flat: list[Any], path: tuple[int, ...]) -> tuple[int, ...]:
    """Appends the numbers in `data` to `flat` and returns the shape."""
    if isinstance(data, TensorBase):
        if data._array.ndim == 0:
            flat.append(data.item())
            return ()
        data = data.tolist()
    elif isinstance(data, np.ndarray):
        if data.ndim == 0:
            flat.append(data[()])
            return ()
        flat.extend(data.reshape(-1))
        return tuple(data.shape)
    elif isinstance(data, (bool, int, float, complex, np.generic)):
        flat.append(data)
        return ()
    elif isinstance(data, (str, bytes)):
        raise (
            ValueError(f"too many dimensions '{type(data).__name__}'")
            if path
            else TypeError(f"new(): invalid data type '{type(data).__name__}'")
        )
    listed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not isinstance(data, Sequence) and not listed:
        if hasattr(data, "__float__") or hasattr(data, "__index__"):
            flat.append(float(data) if hasattr(data, "__float__") else data.__index__())
            return ()
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if not len(data):
        return (0,)
    first = data[0]
    if isinstance(first, (int, float)) and all(type(v) is type(first) for v in data):
        flat.extend(data)  # the common case, a row of plain numbers
        return (len(data),)
    shapes = [_flatten_into(item, flat, (*path, i)) for i, item in enumerate(data)]
    for shape in shapes:
        if shape != shapes[0]:
            want = shapes[0][0] if shapes[0] else "a number"
            got = shape[0] if shape else "a number"
            raise ValueError(
                f"expected sequence of length {want} at dim {len(path) + 1} (got {got})"
            )
    return (len(data), *shapes[0])


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """A tensor of `data`, sharing its memory if it is an array or tensor of that dtype already.

    >>> import rushlight as torch
    >>> torch.as_tensor([1., 2.])
    tensor([1., 2.])
    """
    if isinstance(data, TensorBase):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == dtype.numpy):
        return from_numpy(data)
    return _finish(to_array(data, dtype, copy=False), False, device)


def asarray(obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A tensor of an array, buffer, tensor or sequence; shares memory unless `copy` is True."""
    if copy:
        result = _finish(to_array(obj, dtype, copy=True), False, device)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        result = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
    else:
        result = as_tensor(obj, dtype, device)
        if copy is False and dtype is not None and isinstance(obj, (TensorBase, np.ndarray)):
            if obj.dtype not in (dtype, dtype.numpy):
                raise ValueError("can't alias memory: the dtype differs and copy=False")
    if requires_grad:
        result = result.detach().requires_grad_(True)
    return result


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor that shares memory with a NumPy array: a change of one changes the other.

    TypeError for what is no array or has a type that tensors do not have; ValueError for negative
    strides.

    >>> import numpy as np, rushlight as torch
    >>> a = np.zeros(2); t = torch.from_numpy(a); a[0] = 1; t
    tensor([1., 0.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    from_numpy_dtype(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and tensors that share its memory refuse to be "
            "changed in place; pass array.copy() to get a writable tensor", stacklevel=2,
        )  # fmt: skip
    return wrap(np.asarray(ndarray))


def frombuffer(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0,
               requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A 1-dim tensor over the memory of a Python buffer (bytes, bytearray, mmap …)."""
    length = memoryview(buffer).nbytes
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer "
            f"length ({length} bytes) minus 1"
        )
    rest = length - offset
    if count < 0 and rest % dtype.itemsize:
        raise ValueError(
            f"buffer length ({rest} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({dtype.itemsize})"
        )
    if count > 0 and count * dtype.itemsize > rest:
        raise ValueError(
            f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset "
            f"({offset} bytes) must not be greater than actual buffer length "
            f"({length} bytes)"
        )
    return _finish(np.frombuffer(buffer, dtype.numpy, count, offset), requires_grad)


def scalar_tensor(s: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """A 0-dim tensor of the default dtype."""
    return tensor(s, dtype=dtype or dtypes.get_default_dtype(), device=device)


class FromDataMethods:
    """Tensors of data as methods of `Tensor`."""

    def new_tensor(self: Any, data: Any, *, dtype: Any = "same", device: Any = None,
                   requires_grad: bool = False) -> Any:  # fmt: skip
        """A tensor of `data` with this tensor's dtype unless given (None: inferred)."""
        to = self.dtype if isinstance(dtype, str) else dtype
        return _finish(to_array(data, to), requires_grad, device)
