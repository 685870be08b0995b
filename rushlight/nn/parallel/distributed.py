"""DistributedDataParallel, which needs a process group and refuses without one."""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Not available yet: raises ValueError, as PyTorch does without a process group."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        raise ValueError(
            "[DistributedDataParallel] expected an initialised process group; rushlight has none "
            "yet; train in one process, or use DataParallel, which works on the CPU"
        )
