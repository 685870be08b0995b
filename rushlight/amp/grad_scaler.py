"""The module name under which PyTorch keeps `GradScaler`."""

from __future__ import annotations

from . import GradScaler

__all__ = ["GradScaler"]
