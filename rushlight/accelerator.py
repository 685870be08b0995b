"""`torch.accelerator`: the one kind of accelerator of this machine, of which there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from .device import device

__all__ = ["current_accelerator", "current_device_idx", "current_device_index", "current_stream",
           "device_count", "empty_cache", "is_available", "set_device_idx", "set_device_index",
           "set_stream", "synchronize"]  # fmt: skip


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"[accelerator.{name}] Cannot access accelerator device when none is available; ask "
        "torch.accelerator.is_available() first"
    )


def is_available() -> bool:
    """Whether there is an accelerator."""
    return False


def device_count() -> int:
    """The number of accelerators."""
    return 0


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of accelerator, None if there is none.

    >>> import rushlight as torch
    >>> torch.accelerator.current_accelerator() is None
    True
    """
    return None


def current_device_index() -> int:
    """The index of the current accelerator; RuntimeError if there is none."""
    _refuse("current_device_index")


def set_device_index(device: Any, /) -> None:
    """Makes an accelerator the current one; RuntimeError if there is none."""
    _refuse("set_device_index")


def current_stream(device: Any = None, /) -> Any:
    """The stream that work goes to; RuntimeError if there is no accelerator."""
    _refuse("current_stream")


def set_stream(stream: Any) -> None:
    """Makes a stream the one that work goes to; RuntimeError if there is no accelerator."""
    _refuse("set_stream")


def synchronize(device: Any = None, /) -> None:
    """Waits for an accelerator's work; RuntimeError if there is none."""
    _refuse("synchronize")


def empty_cache() -> None:
    """Gives unused cached memory back; RuntimeError if there is no accelerator."""
    _refuse("empty_cache")


current_device_idx, set_device_idx = current_device_index, set_device_index
