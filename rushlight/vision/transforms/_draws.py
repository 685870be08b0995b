"""Random parameters from the global stream, draw by draw as torchvision takes them."""

from __future__ import annotations

from collections.abc import Sequence

import rushlight

__all__ = ["chance", "log_uniform", "uniform", "whole_number"]


def chance(p: float) -> bool:
    """True with probability `p`; the comparison is in float32, as the drawn number is."""
    return bool(rushlight.rand(1) < p)


def uniform(low: float, high: float) -> float:
    return float(rushlight.empty(1).uniform_(low, high).item())


def log_uniform(bounds: Sequence[float]) -> float:
    """A number whose logarithm is uniform between the logarithms of the two bounds."""
    low, high = rushlight.log(rushlight.tensor(bounds)).tolist()
    return float(rushlight.exp(rushlight.empty(1).uniform_(low, high)).item())


def whole_number(low: int, high: int) -> int:
    """An integer from `low` to `high` − 1."""
    return int(rushlight.randint(low, high, size=(1,)).item())
