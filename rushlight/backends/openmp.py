"""`torch.backends.openmp`: no OpenMP is built in, as rushlight has its own thread pool."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether OpenMP is built in: it is not."""
    return False
