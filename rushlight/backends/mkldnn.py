"""`torch.backends.mkldnn`: rushlight's own kernels compute, so that there is nothing to switch."""

from __future__ import annotations

import sys
from typing import Any

from ._flags import temporarily

__all__ = ["allow_tf32", "deterministic", "enabled", "flags", "is_available"]

enabled = True
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Whether oneDNN is built in: it is not."""
    return False


def flags(enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True) -> Any:
    """A context in which the switches have the given values."""
    return temporarily(sys.modules[__name__], enabled=enabled, deterministic=deterministic,
                       allow_tf32=allow_tf32)  # fmt: skip
