"""Names for the types that the annotations of this package share."""

from __future__ import annotations

from typing import Any, Union

__all__ = ["Array", "Number", "Shape"]

Array = Any  # numpy.ndarray or cupy.ndarray
Number = Union[bool, int, float, complex]
Shape = tuple[int, ...]
