"""The three formats of checkpoints, read with one restricted pickle reader.

zip     since PyTorch 1.6: `data.pkl`, and one record of raw bytes for each storage
stream  before: pickles of a magic number, a protocol, system facts, the object and the storage
        keys, then each storage's element count (int64, little-endian) and bytes
tar     before 0.1.10: files `storages`, `tensors` and `pickle`
"""

from __future__ import annotations

import io
import mmap as memory_map
import struct
import sys
import tarfile
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from ..dtypes import dtype as DType
from ..storage import UntypedStorage
from .checkpoint_errors import CheckpointError, shown
from .checkpoint_names import STORAGE_TYPES
from .checkpoint_opcodes import Globals, PickleReader
from .checkpoint_rebuild import FileStorage, StorageType, _rebuild_tensor
from .checkpoint_zip import ZipReader

__all__ = ["MAGIC_NUMBER", "PROTOCOL_VERSION", "Restore", "byteswapped", "read_stream", "read_tar",
           "read_zip", "scan_globals"]  # fmt: skip

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
Restore = Callable[[UntypedStorage, str], Any]


def byteswapped(data: Any, dtype: DType | None) -> Any:
    """The bytes of a storage in the other byte order."""
    width = 1 if dtype is None else dtype.itemsize // (2 if dtype.is_complex else 1)
    return data if width == 1 else data.reshape(-1, width)[:, ::-1].reshape(-1)


def _storage_id(saved: Any) -> tuple[StorageType, str, str, int, Any]:
    """The checked parts of a persistent id: type, key, location, element count, view."""
    if type(saved) is not tuple or len(saved) not in (5, 6) or _text(saved[0]) != "storage":
        raise CheckpointError(f"[load] the pickle refers to {shown(saved)}, which is no storage")
    kind, key, location, numel = saved[1:5]
    if not isinstance(kind, StorageType) or type(numel) is not int or numel < 0:
        raise CheckpointError(f"[load] a storage is described by {shown(saved)}")
    return kind, _text(key), _text(location), numel, saved[5] if len(saved) == 6 else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii")
    if type(value) is not str:
        raise CheckpointError(
            f"[load] expected text in a storage's description, got {shown(value)}"
        )
    return value


# ---- zip -----------------------------------------------------------------------------------------


class _ZipStorages:
    """The storages of an archive, each read when it is first named."""

    def __init__(self, archive: ZipReader, restore: Restore, file: BinaryIO, mapped: bool,
                 order: str):  # fmt: skip
        self._archive = archive
        self._restore = restore
        self._known: dict[str, FileStorage] = {}
        self._swap = order != sys.byteorder
        self._map = _map_file(file) if mapped else None

    def load(self, saved: Any) -> FileStorage:
        """The storage of a persistent id."""
        kind, key, location, numel, _ = _storage_id(saved)
        known = self._known.get(key)
        if known is not None:
            if known.type is not kind or known.numel != numel:
                raise CheckpointError(f"[load] storage {key!r} is described in two ways")
            return known
        size = self._archive.size(f"data/{key}")
        if size != numel * kind.itemsize:
            raise CheckpointError(
                f"[load] record data/{key} has {size} bytes; {numel} elements of {kind} take "
                f"{numel * kind.itemsize}"
            )
        data = self._bytes(f"data/{key}", size)
        if self._swap:
            data = np.ascontiguousarray(byteswapped(data, kind.dtype))
        storage = self._known[key] = FileStorage(data, kind, location)
        self._restore(storage, location)
        return storage

    def _bytes(self, name: str, size: int) -> Any:
        if self._map is not None and size:
            return np.frombuffer(self._map, np.uint8, size, self._archive.offset(name))
        data = np.empty(size, np.uint8)
        self._archive.read_into(name, data.data)
        return data


def _map_file(file: BinaryIO) -> memory_map.mmap:
    """The whole file in memory, so that writing to it changes the memory only."""
    return memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)


def read_zip(
    archive: ZipReader, file: BinaryIO, globals: Globals, restore: Restore, encoding: str,
    mapped: bool, default_order: str,
) -> Any:  # fmt: skip
    """The object of a zip archive."""
    order = archive.read("byteorder").decode("ascii", "replace") if "byteorder" in archive else ""
    if order not in ("", "little", "big"):
        raise CheckpointError(
            f"[load] the file's byte order is {shown(order)}, not 'little' or 'big'"
        )
    storages = _ZipStorages(archive, restore, file, mapped, order or default_order)
    pickle = archive.read("data.pkl")
    reader = PickleReader(io.BytesIO(pickle), len(pickle), globals, storages.load, encoding)
    return reader.load()


# ---- stream --------------------------------------------------------------------------------------


class _StreamStorages:
    """The storages of a stream: memory now, contents when the stream reaches them."""

    def __init__(self, restore: Restore, available: int):
        self._restore = restore
        self._available = available
        self.known: dict[str, FileStorage] = {}
        self._views: dict[str, FileStorage] = {}

    def load(self, saved: Any) -> Any:
        """The storage (or, in old files, the module) of a persistent id."""
        if type(saved) is tuple and saved and saved[0] in ("module", b"module") and len(saved) > 1:
            return saved[1]  # its source text follows, which nobody needs
        kind, key, location, numel, view = _storage_id(saved)
        root = self.known.get(key)
        if root is None:
            root = self._new(kind, key, location, numel)
        elif root.type is not kind:
            raise CheckpointError(f"[load] storage {key!r} is described in two ways")
        if view is None:
            return root
        if type(view) is not tuple or len(view) != 3:
            raise CheckpointError(f"[load] a storage view is described by {shown(view)}")
        view_key, offset, count = view
        name = _text(view_key)
        if type(offset) is not int or type(count) is not int:
            raise CheckpointError(f"[load] a storage view is described by {shown(view)}")
        if name not in self._views:
            self._views[name] = root.part(offset, count)
        return self._views[name]

    def _new(self, kind: StorageType, key: str, location: str, numel: int) -> FileStorage:
        size = numel * kind.itemsize
        self._available -= size
        if self._available < 0:
            raise CheckpointError(f"[load] storage {key!r} of {size} bytes is larger than the file")
        storage = self.known[key] = FileStorage(np.zeros(size, np.uint8), kind, location)
        self._restore(storage, location)
        return storage


def read_stream(
    file: BinaryIO, size: int, globals: Globals, restore: Restore, encoding: str
) -> Any:
    """The object of a stream; afterwards the file stands behind it."""
    storages = _StreamStorages(restore, size - file.tell())
    plain = PickleReader(file, size - file.tell(), globals, None, encoding)
    _check_preamble(plain)
    result = PickleReader(file, size - file.tell(), globals, storages.load, encoding).load()
    keys = plain.load()
    if type(keys) is not list or {_text(k) for k in keys} != set(storages.known):
        raise CheckpointError(
            "[load] the list of storages does not match the storages that are used"
        )
    for key in keys:
        _fill(file, storages.known[_text(key)])
    return result


def _check_preamble(reader: PickleReader) -> None:
    magic = reader.load()
    if type(magic) is not int or magic != MAGIC_NUMBER:
        raise CheckpointError(
            "[load] Invalid magic number; corrupt file? (it is a pickle, but not one that "
            "torch.save wrote)"
        )
    protocol = reader.load()
    if protocol != PROTOCOL_VERSION:
        raise CheckpointError(f"[load] Invalid protocol version: {shown(protocol)}")
    reader.load()  # facts of the system that wrote; the data is little-endian whatever they say


def _fill(file: BinaryIO, storage: FileStorage) -> None:
    count = file.read(8)
    if len(count) != 8 or int.from_bytes(count, "little", signed=True) != storage.numel:
        raise CheckpointError(
            "[load] a storage has another size than the pickle says, or is cut off"
        )
    data = file.read(storage.data.size)
    if len(data) != storage.data.size:
        raise CheckpointError(
            f"[load] the file ends {storage.data.size - len(data)} bytes before the end of a "
            "storage"
        )
    filled = np.frombuffer(data, np.uint8)
    swap = sys.byteorder == "big"
    storage.data[...] = byteswapped(filled, storage.type.dtype) if swap else filled


# ---- tar -----------------------------------------------------------------------------------------


def read_tar(file: BinaryIO, globals: Globals, restore: Restore, encoding: str) -> Any:
    """The object of a tar file, as PyTorch wrote them before 0.1.10."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            storages, tensors, pickle = (
                _member(archive, n) for n in ("storages", "tensors", "pickle")
            )
    except tarfile.TarError as error:
        raise CheckpointError(f"[load] the tar file is damaged: {error}") from error
    objects: dict[int, Any] = {}
    _read_tar_storages(storages, objects, globals, restore, encoding)
    _read_tar_tensors(tensors, objects, globals, encoding)

    def find(saved: Any) -> Any:
        if type(saved) is tuple and saved:
            return saved[0]
        return objects[int(saved)]

    return PickleReader(io.BytesIO(pickle), len(pickle), globals, find, encoding).load()


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    members = [m for m in archive.getmembers() if m.name.removeprefix("./") == name]
    if len(members) != 1 or not members[0].isfile():
        raise CheckpointError(f"[load] the tar file has {len(members)} files {name!r}, not one")
    data = archive.extractfile(members[0])
    assert data is not None
    return data.read()


def _read_tar_storages(
    data: bytes, objects: dict[int, Any], globals: Globals, restore: Restore, encoding: str
) -> None:
    file = io.BytesIO(data)
    reader = PickleReader(file, len(data), globals, None, encoding)
    for _ in range(_count(reader.load(), data)):
        key, location, kind = reader.load()
        if not isinstance(kind, StorageType):
            kind = _of_tensor_type(kind)
        (numel,) = struct.unpack("<q", file.read(8))
        size = numel * kind.itemsize
        content = file.read(size) if 0 <= size <= len(data) else b""
        if len(content) != size:
            raise CheckpointError(f"[load] a storage of {size} bytes is cut off")
        storage = FileStorage(np.frombuffer(bytearray(content), np.uint8), kind, _text(location))
        restore(storage, storage.location)
        objects[int(key)] = storage
    for target, root, offset, numel in reader.load():
        objects[int(target)] = objects[int(root)].part(int(offset), int(numel))


def _of_tensor_type(kind: Any) -> StorageType:
    found = STORAGE_TYPES.get(getattr(kind, "__name__", "").replace("Tensor", "Storage"))
    if found is None:
        raise CheckpointError(f"[load] {shown(kind)} is no storage type")
    return found


def _read_tar_tensors(
    data: bytes, objects: dict[int, Any], globals: Globals, encoding: str
) -> None:
    file = io.BytesIO(data)
    reader = PickleReader(file, len(data), globals, None, encoding)
    for _ in range(_count(reader.load(), data)):
        key, storage, _ = reader.load()
        (ndim, _) = struct.unpack("<ii", file.read(8))
        if not 0 <= ndim <= 64:
            raise CheckpointError(f"[load] a tensor has {ndim} dims")
        shape = struct.unpack(f"<{ndim}q", file.read(8 * ndim))
        stride = struct.unpack(f"<{ndim}q", file.read(8 * ndim))
        (offset,) = struct.unpack("<q", file.read(8))
        objects[int(key)] = _rebuild_tensor(objects[int(storage)], offset, shape, stride)


def _count(value: Any, data: bytes) -> int:
    if type(value) is not int or not 0 <= value <= len(data):
        raise CheckpointError(f"[load] the tar file claims {shown(value)} entries")
    return value


# ---- the names only ------------------------------------------------------------------------------


def scan_globals(file: BinaryIO, size: int, globals: Globals) -> None:
    """Lets `globals` see every name of a zip or stream checkpoint, without making anything."""

    def ignore(saved: Any) -> None:
        return None

    file.seek(0)
    if file.read(4) == b"PK\x03\x04":
        pickle = ZipReader(file, size).read("data.pkl")
        PickleReader(io.BytesIO(pickle), len(pickle), globals, ignore).load()
        return
    file.seek(0)
    reader = PickleReader(file, size, globals, ignore, "latin1")
    _check_preamble(reader)
    reader.load()
