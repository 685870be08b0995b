"""Which objects count as arrays, and how results that are not arrays become some.

NumPy hands out scalars where a 0-dim array is meant; `asarray` puts them back. A further array
library registers its type here when its backend is loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..types_ import Array

__all__ = ["asarray", "is_array", "register_array_type"]

_types: set[type[Any]] = {np.ndarray}
_namespaces: dict[type[Any], Any] = {np.ndarray: np}


def register_array_type(array_type: type[Any], namespace: Any) -> None:
    """Declares `array_type` an array whose library is `namespace`."""
    _types.add(array_type)
    _namespaces[array_type] = namespace


def is_array(value: Any) -> bool:
    """Whether `value` is an array of a known library (not a scalar, not a subclass)."""
    return type(value) in _types


def asarray(value: Any, like: list[Any]) -> Array:
    """`value`, a scalar of an array library, as an array of the library that `like` uses."""
    for array in like:
        namespace = _namespaces.get(type(array))
        if namespace is not None:
            return namespace.asarray(value)
    return np.asarray(value)
