"""Reading the pickled batches of CIFAR without executing anything in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy

from .utils import describe_file

__all__ = ["load_batch"]


class _StoredType:
    """The pickle of a numpy.dtype: its code, such as "u1"; nothing of NumPy is called for it."""

    def __init__(self, code: str, *flags: Any) -> None:
        self.code = str(code)

    def __setstate__(self, state: Any) -> None:
        byte_order = str(state[1])
        self.code = (byte_order if byte_order in "<>" else "") + self.code


class _StoredArray:
    """The pickle of an array, turned into one by `numpy.frombuffer`, which runs no code of it."""

    array: numpy.ndarray[Any, Any]

    def __init__(self, *construction: Any) -> None:
        pass  # subtype, shape (0,) and type code of an empty array: the state says it all anew

    def __setstate__(self, state: Any) -> None:
        _, shape, stored_type, is_fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        flat = numpy.frombuffer(data, numpy.dtype(stored_type.code))
        self.array = flat.reshape(shape, order="F" if is_fortran else "C")


_NDARRAY = object()  # only ever an argument; as it can not be called, a pickle can not call it

# The three names that the official files hold, whatever NumPy version wrote them.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _StoredArray,
    ("numpy._core.multiarray", "_reconstruct"): _StoredArray,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StoredType,
}


class _BatchUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is never loaded")
        return _ALLOWED[module, name]


def load_batch(path: Path) -> dict[str, Any]:
    """The dict in an official batch file; RuntimeError for anything else.

    Only plain values and NumPy arrays are built, so a file from a stranger can at worst be refused.
    """
    try:
        with open(path, "rb") as file:
            entry = _BatchUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise
    except Exception as error:  # a hostile pickle can raise nearly anything
        raise RuntimeError(
            f"[dataset] not a readable batch: {describe_file(path)} "
            f"({type(error).__name__}: {error}). Fetch the file again"
        ) from error
    arrays_are_whole = isinstance(entry, dict) and all(
        hasattr(value, "array") for value in entry.values() if isinstance(value, _StoredArray)
    )
    if not arrays_are_whole:
        raise RuntimeError(
            f"[dataset] expected a dict of whole arrays and lists, got a {type(entry).__name__}: "
            f"{describe_file(path)}"
        )
    return {
        key: value.array if isinstance(value, _StoredArray) else value
        for key, value in entry.items()
    }
