"""Checks of the arguments that several transforms take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["angle_range", "is_sequence", "size_pair"]


def is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def size_pair(size: Any, message: str) -> Any:
    """(height, width) for an int, one number or two; ValueError with `message` otherwise."""
    if isinstance(size, (int, float)):
        return int(size), int(size)
    if is_sequence(size) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def angle_range(value: Any, name: str, lengths: Sequence[int] = (2,)) -> list[float]:
    """`[−value, value]` for a number (ValueError if negative), else a list of such a length."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [float(-value), float(value)]
    allowed = " or ".join(str(length) for length in lengths)
    if not is_sequence(value):
        raise TypeError(f"{name} should be a sequence of length {allowed}.")
    if len(value) not in lengths:
        raise ValueError(f"{name} should be a sequence of length {allowed}.")
    return [float(angle) for angle in value]
