"""Device memory: nothing is allocated where there is no device."""

from __future__ import annotations

import collections
from typing import Any

from .unavailable import refuse

__all__ = [
    "empty_cache", "max_memory_allocated", "max_memory_cached", "max_memory_reserved",
    "mem_get_info", "memory_allocated", "memory_cached", "memory_reserved", "memory_snapshot",
    "memory_stats", "memory_summary", "reset_accumulated_memory_stats",
    "reset_max_memory_allocated", "reset_max_memory_cached", "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
]  # fmt: skip


def empty_cache() -> None:
    """Gives unused cached memory back to the device; there is none."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors take on a device."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated
memory_cached = max_memory_cached = memory_allocated


def memory_stats(device: Any = None) -> collections.OrderedDict[str, Any]:
    """Counters of the device's allocator."""
    return collections.OrderedDict()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A table of `memory_stats`."""
    return "no CUDA device: 0 bytes allocated, 0 bytes reserved\n"


def memory_snapshot(mempool_id: Any = None) -> list[Any]:
    """The blocks of the device's allocator."""
    return []


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of a device; AssertionError if there is none."""
    refuse("mem_get_info")


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts the peak counters anew; they are 0."""


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limits this process's share of a device's memory; AssertionError if there is none."""
    refuse("set_per_process_memory_fraction")
