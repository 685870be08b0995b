"""`UntypedStorage`: the piece of memory that a tensor and its views share, as bytes."""

from __future__ import annotations

from typing import Any

from .backends.layout import address
from .device import CPU, device
from .types_ import Array

__all__ = ["UntypedStorage", "root_array", "storage_offset"]


def root_array(array: Array) -> Array:
    """The array that owns the memory which `array` shows."""
    while True:
        base = array.base
        if type(base) is not type(array):
            base = getattr(base, "base", None)  # the holder that NumPy's as_strided puts between
            if type(base) is not type(array):
                return array
        array = base


def _extent(root: Array) -> int:
    """Bytes from the first to one past the last byte of an array."""
    if root.size == 0:
        return 0
    return int(root.itemsize + sum((n - 1) * abs(s) for n, s in zip(root.shape, root.strides)))


def storage_offset(array: Array) -> int:
    """Elements from the start of the memory to the first element of `array`."""
    root = root_array(array)
    return (address(array) - address(root)) // array.itemsize if root is not array else 0


class UntypedStorage:
    """A tensor's memory: its address, its size, and its bytes.

    Two tensors share memory if their storages are equal.

    >>> import rushlight as torch
    >>> x = torch.zeros(4)
    >>> x[1:].untyped_storage().nbytes(), x[1:].untyped_storage() == x.untyped_storage()
    (16, True)
    """

    def __init__(self, array: Array):
        self._root = root_array(array)

    @property
    def device(self) -> device:
        return CPU

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return address(self._root)

    def nbytes(self) -> int:
        """The size in bytes."""
        return _extent(self._root)

    size = nbytes
    __len__ = nbytes

    def cpu(self) -> UntypedStorage:
        """This storage, which is in host memory."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        """A copy on a CUDA device; AssertionError without one."""
        from .cuda.unavailable import refuse

        refuse("storage.cuda()")

    def tolist(self) -> list[int]:
        """The bytes as integers."""
        return list(self.tobytes())

    def tobytes(self) -> bytes:
        """A copy of all bytes."""
        return bytes(memoryview(self._flat_bytes()))

    def _flat_bytes(self) -> Any:
        """All bytes as a uint8 array that shares the memory."""
        root = self._root
        if root.flags.c_contiguous:
            return (
                root.reshape(-1).view("uint8") if root.size else root.reshape(-1)[:0].view("uint8")
            )
        from .backends import kernels

        flat = kernels(root).as_strided(root, (_extent(root) // root.itemsize,), (root.itemsize,))
        return flat.view("uint8")

    def __getitem__(self, index: Any) -> Any:
        found = self._flat_bytes()[index]
        return found.tolist()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UntypedStorage):
            return NotImplemented
        return self.data_ptr() == other.data_ptr() and self.nbytes() == other.nbytes()

    def __hash__(self) -> int:
        return hash(self.data_ptr())

    def __repr__(self) -> str:
        return f"[rushlight.UntypedStorage(device=cpu) of size {self.nbytes()}]"
