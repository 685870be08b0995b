"""`torch.backends.mkl`: says whether the Intel MKL library is built in."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether the Intel MKL library is built in: it is not."""
    return False
