"""The module name under which PyTorch keeps `autocast`."""

from __future__ import annotations

from . import autocast, custom_bwd, custom_fwd, is_autocast_available

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
