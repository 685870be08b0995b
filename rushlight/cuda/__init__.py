"""CUDA devices: what `torch.cuda` answers on a machine where rushlight has none.

Questions are answered as PyTorch's CPU build answers them (`is_available()` is False, counts and
sizes are 0), seeds are remembered, and what needs a device raises PyTorch's AssertionError with
advice. A CUDA backend registers its array type with `rushlight.backends`; `_backend` is where it
will be asked from here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

from ..device import device as Device
from ..errors import AcceleratorError, OutOfMemoryError
from . import amp, memory, random
from .memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_snapshot,
    memory_stats,
    memory_summary,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)  # fmt: skip
from .random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)  # fmt: skip
from .streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)
from .unavailable import refuse

__all__ = [
    "AcceleratorError", "CUDAGraph", "CudaError", "Event", "ExternalStream", "OutOfMemoryError",
    "Stream", "StreamContext", "amp", "can_device_access_peer", "current_blas_handle",
    "current_device", "current_stream", "default_generators", "default_stream", "device",
    "device_count", "device_of", "empty_cache", "get_arch_list", "get_device_capability",
    "get_device_name", "get_device_properties", "get_gencode_flags", "get_rng_state",
    "get_rng_state_all", "get_sync_debug_mode", "has_half", "has_magma", "init", "initial_seed",
    "ipc_collect", "is_available", "is_bf16_supported", "is_current_stream_capturing",
    "is_initialized", "is_tf32_supported", "manual_seed", "manual_seed_all", "max_memory_allocated",
    "max_memory_cached", "max_memory_reserved", "mem_get_info", "memory", "memory_allocated",
    "memory_cached", "memory_reserved", "memory_snapshot", "memory_stats", "memory_summary",
    "random", "reset_accumulated_memory_stats", "reset_max_memory_allocated",
    "reset_max_memory_cached", "reset_peak_memory_stats", "seed", "seed_all", "set_device",
    "set_per_process_memory_fraction", "set_rng_state", "set_rng_state_all", "set_stream",
    "set_sync_debug_mode", "stream", "synchronize", "utilization",
]  # fmt: skip

has_half = True
has_magma = False
default_generators: tuple[Any, ...] = ()


class CudaError(RuntimeError):
    """Raised when a call of the CUDA runtime fails."""


def is_available() -> bool:
    """Whether tensors can be put on a CUDA device.

    >>> import rushlight as torch
    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """The number of CUDA devices."""
    return 0


def is_initialized() -> bool:
    """Whether CUDA was used in this process."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current device computes in bfloat16."""
    return False


def is_tf32_supported() -> bool:
    """Whether the current device has TF32 matrix units."""
    return False


def init() -> None:
    """Starts CUDA; AssertionError if there is none."""
    refuse("init")


def current_device() -> int:
    """The index of the current device; AssertionError if there is none."""
    refuse("current_device")


def get_device_name(device: Any = None) -> str:
    """The name of a device; AssertionError if there is none."""
    refuse("get_device_name")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a device; AssertionError if there is none."""
    refuse("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """The properties of a device; AssertionError if there is none."""
    refuse("get_device_properties")


def set_device(device: Any) -> None:
    """Makes a device the current one; a negative index changes nothing."""
    index = device if isinstance(device, int) else Device(device).index
    if index is None or index >= 0:
        refuse("set_device")


def synchronize(device: Any = None) -> None:
    """Waits for a device's work; AssertionError if there is none."""
    refuse("synchronize")


def ipc_collect() -> None:
    """Frees memory that other processes let go; AssertionError without CUDA."""
    refuse("ipc_collect")


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether one device can read another's memory; AssertionError without CUDA."""
    refuse("can_device_access_peer")


def current_blas_handle() -> int:
    """The handle of the linear algebra library; AssertionError without CUDA."""
    refuse("current_blas_handle")


def utilization(device: Any = None) -> int:
    """How busy a device was, in percent; AssertionError without CUDA."""
    refuse("utilization")


def get_sync_debug_mode() -> int:
    """How synchronising calls are reported; AssertionError without CUDA."""
    refuse("get_sync_debug_mode")


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Sets how synchronising calls are reported; AssertionError without CUDA."""
    refuse("set_sync_debug_mode")


def is_current_stream_capturing() -> bool:
    """Whether a graph is being captured: never without CUDA."""
    return False


def get_arch_list() -> list[str]:
    """The architectures this build has code for."""
    return []


def get_gencode_flags() -> str:
    """The compiler flags of those architectures."""
    return ""


class CUDAGraph:
    """A captured sequence of kernels; RuntimeError without CUDA."""

    def __init__(self, keep_graph: bool = False):
        raise RuntimeError("[CUDAGraph] graphs need a CUDA device, and rushlight has none here")


class device:
    """A context in which another device is the current one; without CUDA only -1 or None work."""

    def __init__(self, device: Any):
        self.idx = -1 if device is None else device if isinstance(device, int) else None

    def __enter__(self) -> None:
        if self.idx is None or self.idx >= 0:
            refuse("device")

    def __exit__(self, *exc_info: Any) -> None:
        """There was no device to go back to."""


@contextlib.contextmanager
def device_of(obj: Any) -> Iterator[None]:
    """A context in which a tensor's device is the current one; nothing for CPU tensors."""
    yield


def _require_device(d: Device) -> NoReturn:
    """Called where a tensor should go to a CUDA device; always the error, as there is none."""
    refuse(f"tensor.to('{d}')")
