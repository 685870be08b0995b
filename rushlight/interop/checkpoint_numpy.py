"""NumPy's arrays, scalars and dtypes in checkpoints: numbers and text only, never objects."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .checkpoint_errors import CheckpointError, shown

__all__ = ["MAKERS", "VALUES", "set_state"]

_PLAIN_KINDS = "biufcSUMm"
_MAX_DIMS = 64


def _dtype(description: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    if type(description) is not str or len(description) > 16:
        raise CheckpointError(f"[load] the NumPy type {shown(description)} is not a plain one")
    result = np.dtype(description, copy=True)
    if result.kind not in _PLAIN_KINDS:
        raise CheckpointError(f"[load] the NumPy type {description!r} can hold objects")
    return result


def _scalar(dtype: Any, data: Any = None) -> Any:
    _check_dtype(dtype)
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise CheckpointError("[load] a NumPy scalar has the wrong number of bytes")
    return np.frombuffer(data, dtype)[0]


def _reconstruct(cls: Any, shape: Any, code: Any) -> np.ndarray[Any, Any]:
    if cls is not np.ndarray or shape != (0,):
        raise CheckpointError("[load] a NumPy array is built in an unknown way")
    return np.empty((0,), np.uint8)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    array = np.empty((0,), np.uint8)
    _set_array_state(array, (1, shape, dtype, order == "F", bytes(data)))
    return array


def _check_dtype(dtype: Any) -> None:
    if not isinstance(dtype, np.dtype) or dtype.kind not in _PLAIN_KINDS or dtype.names:
        raise CheckpointError(f"[load] the NumPy type {shown(dtype)} is not a plain one")


def set_state(instance: Any, state: Any) -> None:
    """Gives an array or a dtype that was just made its state."""
    if isinstance(instance, np.ndarray):
        _set_array_state(instance, state)
    else:
        _set_dtype_state(instance, state)


def _set_array_state(array: np.ndarray[Any, Any], state: Any) -> None:
    if not isinstance(state, tuple) or len(state) != 5 or array.size:
        raise CheckpointError("[load] the state of a NumPy array is malformed")
    version, shape, dtype, is_fortran, data = state
    _check_dtype(dtype)
    if isinstance(data, str):
        data = data.encode("latin-1")
    sound = isinstance(shape, tuple) and len(shape) <= _MAX_DIMS and isinstance(data, bytes)
    if not sound or any(type(n) is not int or n < 0 for n in shape):
        raise CheckpointError("[load] the state of a NumPy array is malformed")
    if prod(shape) * dtype.itemsize != len(data):
        raise CheckpointError(
            f"[load] a NumPy array of shape {shape} and {dtype} has {len(data)} bytes"
        )
    state = (1, shape, dtype, bool(is_fortran), data)
    array.__setstate__(state)


def _set_dtype_state(dtype: np.dtype[Any], state: Any) -> None:
    if not isinstance(state, tuple) or not 8 <= len(state) <= 9:
        raise CheckpointError("[load] the state of a NumPy type is malformed")
    version, order, subtype, names, fields, itemsize, alignment, flags = state[:8]
    known_flags = (0, 8) if dtype.kind == "U" else (0,)
    plain = subtype is None and names is None and fields is None and flags in known_flags
    if not plain or order not in ("<", ">", "=", "|") or dtype.kind not in "biufcSU":
        raise CheckpointError("[load] the NumPy type is not a plain one")
    wanted = dtype.itemsize if dtype.kind in "SU" else -1
    if itemsize not in (-1, wanted):
        raise CheckpointError("[load] the NumPy type has an impossible size")
    restored: Any = dtype
    restored.__setstate__((3, order, None, None, None, itemsize, alignment, flags))


MAKERS: dict[str, Callable[..., Any]] = {"numpy.dtype": _dtype}
for _module in ("numpy.core", "numpy._core"):
    MAKERS[f"{_module}.multiarray.scalar"] = _scalar
    MAKERS[f"{_module}.multiarray._reconstruct"] = _reconstruct
    MAKERS[f"{_module}.numeric._frombuffer"] = _frombuffer
VALUES: dict[str, Any] = {"numpy.ndarray": np.ndarray}
