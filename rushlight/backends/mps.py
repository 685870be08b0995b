"""`torch.backends.mps`: Apple's graphics processors are not used."""

from __future__ import annotations

__all__ = ["is_available", "is_built", "is_macos13_or_newer"]


def is_available() -> bool:
    """Whether tensors can be put on an MPS device: not yet."""
    return False


def is_built() -> bool:
    """Whether this build can use MPS devices: it can not."""
    return False


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Whether the system is a macOS that MPS needs; not asked here."""
    return False
