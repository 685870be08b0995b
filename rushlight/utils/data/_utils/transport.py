"""How batches travel between processes: a pipe for small things, shared memory for large ones.

Both ends of a `Channel` count the tasks that went through it, and task `n` with its answer owns
region `n % window` of one shared file. At most `window` tasks are on their way, so a region is
free again when it is next written, and no lock is needed. The receiver copies what it reads: a
batch never keeps shared memory alive, and a channel holds one file descriptor besides its pipes.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import sys
import tempfile
import weakref
from collections.abc import Callable
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

import numpy

import rushlight
from rushlight import Tensor

__all__ = ["Channel", "SharedFile", "close_in_forks"]

_INLINE_BYTES = 4096  # above this a message's contents go through shared memory
_ALIGNMENT = 64
_REGION_STRIDE = 1 << 36  # regions lie 64 GiB apart in a sparse file: each may grow on its own
_HEAD = struct.Struct("<?I")  # contents in shared memory?, number of parts


class SharedFile:
    """An unnamed file in memory that two processes map; nothing of it stays on disk.

    Linux gives it by `memfd_create`, whose size `/dev/shm` does not limit; other POSIX systems get
    an unlinked temporary file. `open` returns None on Windows, where the pipe has to do.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._maps: dict[int, mmap.mmap] = {}

    @classmethod
    def open(cls) -> SharedFile | None:
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("rushlight-batches"))
        if sys.platform == "win32":
            return None
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def reserve(self, region: int, size: int) -> memoryview:
        """A writable view of `size` bytes of a region; OSError if the system has no memory left."""
        mapped = self._maps.get(region)
        if mapped is None or len(mapped) < size:
            size_in_pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
            # Claiming the pages now turns a shortage into an error here instead of a SIGBUS later.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.descriptor, region * _REGION_STRIDE, size_in_pages)
            else:
                end = region * _REGION_STRIDE + size_in_pages
                os.ftruncate(self.descriptor, max(end, os.fstat(self.descriptor).st_size))
        return self.view(region, size)

    def view(self, region: int, size: int) -> memoryview:
        mapped = self._maps.get(region)
        if mapped is None or len(mapped) < size:
            size_in_pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
            mapped = mmap.mmap(self.descriptor, size_in_pages, offset=region * _REGION_STRIDE)
            self._maps[region] = mapped
        return memoryview(mapped)

    def close(self) -> None:
        self._maps.clear()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return _shared_file_from, (DupFd(self.descriptor),)


def _shared_file_from(duplicate: Any) -> SharedFile:
    return SharedFile(duplicate.detach())


class Channel:
    """One end of the way between the main process and a worker.

    `reader` and `writer` are this end's pipe connections; `shared` may be None. Messages are
    pickled with protocol 5; the bytes of tensors and arrays are kept out of the pickle.
    """

    def __init__(
        self, reader: Connection, writer: Connection, shared: SharedFile | None, window: int
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.shared = shared
        self.window = window if shared is not None else 1

    def send(self, value: Any, turn: int) -> None:
        """Sends a value as part of task number `turn`; raises what pickling it raises."""
        parts = _pickled_parts(value)
        sizes = [part.nbytes for part in parts]
        head = _HEAD.pack(False, len(parts)) + struct.pack(f"<{len(parts)}Q", *sizes)
        if sum(sizes) <= _INLINE_BYTES or not self._share(parts, turn):
            self.writer.send_bytes(b"".join([head, *parts]))
            return
        self.writer.send_bytes(b"\1" + head[1:])

    def _share(self, parts: list[memoryview], turn: int) -> bool:
        if self.shared is None:
            return False
        try:
            memory = self.shared.reserve(turn % self.window, _aligned_end(parts))
        except OSError as error:
            print(
                f"[DataLoader] no shared memory for a batch ({error}); batches now go through a "
                "pipe, which is slower",
                file=sys.stderr,
                flush=True,
            )
            self.shared = None
            return False
        start = 0
        for part in parts:
            memory[start : start + part.nbytes] = part
            start += _aligned(part.nbytes)
        return True

    def receive(self, turn: int) -> Any:
        """What the other end sent as part of task number `turn`; EOFError if it is gone."""
        message = self.reader.recv_bytes()
        is_shared, count = _HEAD.unpack_from(message)
        sizes = struct.unpack_from(f"<{count}Q", message, _HEAD.size)
        if is_shared:
            assert self.shared is not None
            extent = sum(_aligned(size) for size in sizes)
            contents = self.shared.view(turn % self.window, extent)
            step: Callable[[int], int] = _aligned
        else:
            contents = memoryview(message)[_HEAD.size + 8 * count :]
            step = int
        parts, start = [], 0
        for size in sizes:
            parts.append(contents[start : start + size])
            start += step(size)
        buffers = [numpy.frombuffer(part, numpy.uint8).copy() for part in parts[1:]]
        return pickle.loads(parts[0], buffers=buffers)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
        if self.shared is not None:
            self.shared.close()


_channels_of_this_process: weakref.WeakSet[Channel] = weakref.WeakSet()


def close_in_forks(channel: Channel) -> None:
    """Has processes forked from this one close their copies of the channel's pipes.

    A pipe tells that the process at its other end is gone only when nobody else holds that end.
    """
    _channels_of_this_process.add(channel)


def _close_inherited_pipes() -> None:
    for channel in list(_channels_of_this_process):
        channel.reader.close()
        channel.writer.close()
    _channels_of_this_process.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_pipes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _aligned_end(parts: list[memoryview]) -> int:
    return sum(_aligned(part.nbytes) for part in parts)


def _pickled_parts(value: Any) -> list[memoryview]:
    """The pickle of a value, then the raw bytes of the tensors and arrays in it."""
    buffers: list[pickle.PickleBuffer] = []
    file = BytesIO()
    _BatchPickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    # Not getbuffer(): a view would outlive its file when an error leaves both to the collector.
    return [memoryview(file.getvalue()), *(buffer.raw() for buffer in buffers)]


class _BatchPickler(pickle.Pickler):
    """Writes a tensor as its dtype and shape, its bytes beside the pickle."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        if value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "[DataLoader] a worker can not send a tensor that has a grad_fn "
                f"({value.grad_fn}): the graph stays in the worker; call .detach() in the dataset "
                "or collate_fn"
            )
        name = str(value.dtype).rpartition(".")[2]
        raw = pickle.PickleBuffer(_bytes_of(value.detach(), name).data)
        return _rebuild_tensor, (raw, name, tuple(value.shape), value.requires_grad)


def _has_numpy_type(dtype: str) -> bool:
    """False for bfloat16 and the 8-bit floats, which NumPy itself does not have."""
    return dtype != "bfloat16" and not dtype.startswith("float8")


def _bytes_of(tensor: Tensor, dtype: str) -> numpy.ndarray[Any, Any]:
    if _has_numpy_type(dtype):
        array = numpy.ascontiguousarray(tensor.numpy())
        return array.reshape(-1).view(numpy.uint8)
    return tensor.contiguous().reshape(-1).view(rushlight.uint8).numpy()


def _rebuild_tensor(
    raw: numpy.ndarray[Any, Any], dtype: str, shape: tuple[int, ...], requires_grad: bool
) -> Tensor:
    if _has_numpy_type(dtype):
        tensor = rushlight.from_numpy(raw.view(dtype).reshape(shape))
    else:
        tensor = rushlight.from_numpy(raw).view(getattr(rushlight, dtype)).reshape(shape)
    return tensor.requires_grad_() if requires_grad else tensor
