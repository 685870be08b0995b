"""Streams and events, which only a CUDA device has."""

from __future__ import annotations

from typing import Any

from .unavailable import refuse

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext", "current_stream", "default_stream",
           "set_stream", "stream"]  # fmt: skip


class Stream:
    """A queue of work on a device; RuntimeError without one."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any):
        raise RuntimeError(
            "[Stream] torch.cuda.Stream requires CUDA support, and this rushlight has no CUDA "
            "backend; run without streams when torch.cuda.is_available() is False"
        )


class ExternalStream(Stream):
    """A stream that another library made; RuntimeError without CUDA."""


class Event:
    """A mark in a stream, for timing and waiting; RuntimeError without CUDA."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ):
        raise RuntimeError(
            "[Event] torch.cuda.Event requires CUDA support, and this rushlight has no CUDA "
            "backend; time CPU work with time.perf_counter()"
        )


class StreamContext:
    """A context whose work goes to a stream; with None it changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            refuse("stream")

    def __exit__(self, *exc_info: Any) -> None:
        """There was no stream to go back to."""


def stream(stream: Stream | None) -> StreamContext:
    """A context whose work goes to a stream; with None it changes nothing."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to; AssertionError if there is no device."""
    refuse("current_stream")


def default_stream(device: Any = None) -> Stream:
    """A device's first stream; AssertionError if there is no device."""
    refuse("default_stream")


def set_stream(stream: Stream | None) -> None:
    """Makes a stream the one that work goes to; None changes nothing."""
    if stream is not None:
        refuse("set_stream")
