"""DLPack: tensors and other libraries' arrays on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.variable import TensorBase, wrap
from ..dtypes import from_numpy_dtype

__all__ = ["from_dlpack", "to_dlpack"]


class _Capsule:
    """A DLPack capsule of the CPU, with the two methods by which NumPy takes it."""

    def __init__(self, capsule: Any):
        self._capsule = capsule

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor on the memory of an object with `__dlpack__`, or of a capsule.

    `copy=True` makes a copy, `copy=False` raises if one is needed. BufferError for memory that is
    not on the CPU or not writable, TypeError for an object without DLPack, RuntimeError for a
    capsule that was used before.

    >>> import numpy, rushlight as torch
    >>> a = numpy.zeros(2)
    >>> t = torch.from_dlpack(a)
    >>> _ = t.add_(1)
    >>> a
    array([1., 1.])
    """
    if device is not None:
        from ..ops.from_data import resolve_device

        resolve_device(device)
    if isinstance(ext_tensor, TensorBase):
        result = ext_tensor.detach()
        return result.clone() if copy else result
    source = _Capsule(ext_tensor) if type(ext_tensor).__name__ == "PyCapsule" else ext_tensor
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(
            f"[from_dlpack] expected an object with __dlpack__ or a DLPack capsule; got "
            f"{type(ext_tensor).__name__}"
        )
    try:
        array = np.from_dlpack(source)
    except ValueError as error:
        raise RuntimeError(
            f"[from_dlpack] from_dlpack received an invalid capsule ({error}); a capsule can be "
            "taken once only"
        ) from error
    from_numpy_dtype(array.dtype)
    if copy or not array.flags.writeable:
        if copy is False:
            raise BufferError("[from_dlpack] the memory is read-only; use copy=True")
        array = array.copy()
    return wrap(array)


def to_dlpack(tensor: Any) -> Any:
    """A capsule on the tensor's memory; BufferError for a tensor that requires a gradient."""
    return tensor.__dlpack__()
