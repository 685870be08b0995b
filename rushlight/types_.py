"""Names for the types that the annotations of this package share."""

from __future__ import annotations

from typing import Any

__all__ = ["Array", "Number", "Shape"]

Array = Any  # numpy.ndarray or cupy.ndarray
Number = bool | int | float | complex
Shape = tuple[int, ...]
