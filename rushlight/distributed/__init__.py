"""`torch.distributed`: says that it is not available, and refuses the rest with a clear error."""

from __future__ import annotations

from typing import Any

__all__ = ["is_available", "is_gloo_available", "is_initialized", "is_mpi_available",
           "is_nccl_available", "is_torchelastic_launched"]  # fmt: skip


def is_available() -> bool:
    """Whether processes can train together.

    >>> import rushlight as torch
    >>> torch.distributed.is_available(), torch.distributed.is_initialized()
    (False, False)
    """
    return False


is_initialized = is_gloo_available = is_nccl_available = is_mpi_available = is_available
is_torchelastic_launched = is_available

_KNOWN = frozenset((
    "Backend", "FileStore", "GroupMember", "HashStore", "P2POp", "PrefixStore", "ProcessGroup",
    "ReduceOp", "Store", "TCPStore", "Work", "all_gather", "all_gather_into_tensor",
    "all_gather_object", "all_reduce", "all_to_all", "all_to_all_single", "barrier", "broadcast",
    "broadcast_object_list", "destroy_process_group", "gather", "gather_object", "get_backend",
    "get_rank", "get_world_size", "group", "init_process_group", "irecv", "isend",
    "monitored_barrier", "new_group", "recv", "reduce", "reduce_scatter", "reduce_scatter_tensor",
    "scatter", "scatter_object_list", "send", "batch_isend_irecv", "init_device_mesh",
))  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _KNOWN:
        raise AttributeError(
            f"[distributed.{name}] rushlight trains in one process; "
            "torch.distributed.is_available() "
            "is False. Start the program without a launcher, and guard such code by is_available()"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
