"""`torch.backends.openmp`: says whether OpenMP is built in; rushlight has a thread pool of its own."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether OpenMP is built in: it is not."""
    return False
