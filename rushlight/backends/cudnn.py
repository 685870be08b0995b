"""`torch.backends.cudnn`: switches that programs set; without CUDA they change nothing."""

from __future__ import annotations

import sys
from typing import Any

from ._flags import temporarily

__all__ = ["allow_tf32", "benchmark", "benchmark_limit", "deterministic", "enabled", "flags",
           "is_acceptable", "is_available", "version"]  # fmt: skip

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Whether cuDNN can be used: not without CUDA."""
    return False


def version() -> int | None:
    """cuDNN's version, None without it."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """Whether cuDNN would take the tensor: it is not on a CUDA device."""
    return False


def flags(
    enabled: bool = False, benchmark: bool = False, benchmark_limit: int | None = 10,
    deterministic: bool = False, allow_tf32: bool = True,
) -> Any:  # fmt: skip
    """A context in which the switches have the given values.

    >>> from rushlight.backends import cudnn
    >>> with cudnn.flags(deterministic=True):
    ...     cudnn.deterministic
    True
    """
    return temporarily(sys.modules[__name__], enabled=enabled, benchmark=benchmark,
                       benchmark_limit=benchmark_limit, deterministic=deterministic,
                       allow_tf32=allow_tf32)  # fmt: skip
