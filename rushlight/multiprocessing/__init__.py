"""Python's `multiprocessing`, under PyTorch's name and with its `spawn`.

Tensors cross between processes as copies; a tensor after `share_memory_()` is seen by forked
children as the same memory.
"""

from __future__ import annotations

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403 (this module is that one, with additions)
from typing import Any

from .spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    *(n for n in dir(_multiprocessing) if not n.startswith("_") and n not in ("sys", "context")),
    "ProcessContext", "ProcessException", "ProcessExitedException", "ProcessRaisedException",
    "SpawnContext", "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy",
    "spawn", "start_processes",
]  # fmt: skip

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = "file_descriptor"


def __getattr__(name: str) -> Any:
    return getattr(_multiprocessing, name)


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The name that `set_sharing_strategy` got; tensors cross by copying in any case."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Remembers how tensors should cross; AssertionError for an unknown name."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise AssertionError(f"[multiprocessing] expected one of {sorted(_STRATEGIES)}; got "
                             f"{new_strategy!r}")  # fmt: skip
    _strategy = new_strategy
