"""Writes checkpoints as PyTorch does: the same records, and classes under PyTorch's names."""

from __future__ import annotations

import collections
import hashlib
import io
import os
import pickle
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

from ..autograd.variable import TensorBase
from ..backends import kernels
from ..device import device
from ..dtypes import dtype as DType
from ..formats import layout, memory_format
from ..random import Generator
from ..size import Size
from ..storage import UntypedStorage
from ..tensor import Tensor
from . import checkpoint_names, checkpoint_rebuild
from .checkpoint_names import UNTYPED, storage_type
from .checkpoint_read import MAGIC_NUMBER, PROTOCOL_VERSION, byteswapped
from .checkpoint_rebuild import StorageType
from .checkpoint_zip import ALIGNMENT, write_zip

__all__ = ["pickle_object", "write_atomically", "write_stream", "write_zip_checkpoint"]

_FORMAT_VERSION = b"1"
_ARCHIVE_VERSION = b"3\n"
_LARGE = 1 << 20  # a view that keeps less than this much unused memory is not worth a warning


class _SavedStorage:
    """A storage that is being saved: its memory, its type, and how much of it is used."""

    def __init__(self, key: str, storage: UntypedStorage, type: StorageType):
        self.key = key
        self.storage = storage  # kept, so that its address stays taken while we save
        self.type = type
        self.used = 0

    @property
    def count(self) -> int:
        return self.storage.nbytes() // self.type.itemsize


class _Storages:
    """The storages of the tensors saved so far, each once."""

    def __init__(self) -> None:
        self._by_memory: dict[tuple[int, int], _SavedStorage] = {}

    def __iter__(self) -> Any:
        return iter(self._by_memory.values())

    def add(self, storage: UntypedStorage, type: StorageType, used: int) -> _SavedStorage:
        """The entry of a storage; RuntimeError if it was saved as another type."""
        size = storage.nbytes()
        memory = (storage.data_ptr() if size else -1 - len(self._by_memory), size)
        entry = self._by_memory.get(memory)
        if entry is None:
            entry = _SavedStorage(str(len(self._by_memory)), storage, type)
            self._by_memory[memory] = entry
        elif entry.type is not type:
            raise RuntimeError(
                f"[save] Cannot save multiple tensors or storages that view the same data as "
                f"different types ({entry.type} and {type}); save a clone() of one of them"
            )
        entry.used += used
        return entry

    def warn_of_waste(self) -> None:
        """Says when a file becomes much larger than the tensors in it."""
        for entry in self:
            size = entry.storage.nbytes()
            if size > 2 * entry.used and size - entry.used > _LARGE:
                warnings.warn(
                    f"[save] the views saved here need {entry.used} bytes of a storage of {size}, "
                    "and the whole storage is written; save tensor.clone() to write only them",
                    UserWarning,
                    stacklevel=4,
                )


# Objects whose name in PyTorch is not that of their module here.
_NAMES: dict[Any, tuple[str, str]] = {
    Tensor: ("torch", "Tensor"),
    Size: ("torch", "Size"),
    device: ("torch", "device"),
    Generator: ("torch._C", "Generator"),
    checkpoint_names._layout: ("torch.serialization", "_get_layout"),
    checkpoint_rebuild._rebuild_from_type_v2: ("torch._tensor", "_rebuild_from_type_v2"),
    **{f: ("torch._utils", f.__name__) for f in checkpoint_rebuild.TENSOR_BUILDERS
       if f is not checkpoint_rebuild._rebuild_from_type_v2},
}  # fmt: skip


def _torch_name(obj: Any) -> tuple[str, str] | None:
    """Module and name that PyTorch has for a class or function of ours; None for others."""
    found = _NAMES.get(obj)
    module = getattr(obj, "__module__", None) or ""
    if found is not None or not module.startswith("rushlight."):
        return found
    name = obj.__qualname__
    if module.startswith("rushlight.vision."):
        return "torchvision" + module.removeprefix("rushlight.vision"), name
    if module.startswith("rushlight.nn.modules._"):
        return "torch.nn.modules", name  # our split into files differs from PyTorch's there
    if module.startswith("rushlight.ops."):
        from ..nn import functional

        return ("torch.nn.functional" if hasattr(functional, name) else "torch"), name
    return "torch" + module.removeprefix("rushlight"), name


# Python's own pickler in Python: the one in C writes names only of what it can import.
_PythonPickler: Any = pickle._Pickler


class _Pickler(_PythonPickler):  # type: ignore[misc] # its type stubs lack its methods
    """Writes an object with tensors: their memory apart, classes under PyTorch's names."""

    dispatch = dict(_PythonPickler.dispatch)

    def __init__(self, file: Any, protocol: int, storages: _Storages, stream: bool):
        super().__init__(file, protocol)
        self._storages = storages
        self._stream = stream

    def persistent_id(self, obj: Any) -> Any:
        """The description of a storage, whose bytes are kept outside the pickle."""
        if isinstance(obj, UntypedStorage):
            obj = self._storages.add(obj, UNTYPED, obj.nbytes())
        if not isinstance(obj, _SavedStorage):
            return None
        parts = ("storage", obj.type, obj.key, "cpu", obj.count)
        return (*parts, None) if self._stream else parts

    def reducer_override(self, obj: Any) -> Any:
        """How tensors and generators are written; all else goes the usual way."""
        if isinstance(obj, TensorBase):
            return self._tensor(obj)
        if type(obj) is Generator:
            return Generator, (obj.device,), (obj.initial_seed(), None, obj.get_state())
        if type(obj) is layout:
            return checkpoint_names._layout, (repr(obj),)
        return NotImplemented

    def _tensor(self, obj: Any) -> Any:
        from ..nn.parameter import Buffer, Parameter, is_lazy

        if is_lazy(obj):
            return NotImplemented
        state = {k: v for k, v in obj.__dict__.items() if not k.startswith("_")}
        hooks: Any = collections.OrderedDict()
        if isinstance(obj, Parameter):
            data = self._plain(obj, requires_grad=False)
            parts = (_Built(data), obj.requires_grad, hooks)
            if state:
                return checkpoint_rebuild._rebuild_parameter_with_state, (*parts, state)
            return checkpoint_rebuild._rebuild_parameter, parts
        function, args = self._plain(obj, obj.requires_grad)
        if type(obj) is Tensor and not state:
            return function, args
        kind = type(obj)
        if isinstance(obj, Buffer):
            kind, state = Tensor, {**state, "_is_buffer": True}
        return checkpoint_rebuild._rebuild_from_type_v2, (function, kind, args, state)

    def _plain(self, obj: Any, requires_grad: bool) -> tuple[Any, tuple[Any, ...]]:
        array = obj._array
        if any(s < 0 for s in array.strides):  # PyTorch has no negative strides
            array = kernels(array).contiguous(array)
            obj = obj._alias()
            obj._array = array
        kind = storage_type(obj.dtype)
        if kind is UNTYPED and self._stream:
            raise RuntimeError(
                f"[save] the older stream format has no storages of {obj.dtype}; save in the zip "
                "format (_use_new_zipfile_serialization=True)"
            )
        storage = self._storages.add(obj.untyped_storage(), kind, array.nbytes)
        place = (storage, obj.storage_offset(), tuple(obj.shape), obj.stride())
        hooks: Any = collections.OrderedDict()
        if kind is UNTYPED:
            return checkpoint_rebuild._rebuild_tensor_v3, (*place, requires_grad, hooks, obj.dtype)
        return checkpoint_rebuild._rebuild_tensor_v2, (*place, requires_grad, hooks)

    def save_global(self, obj: Any, name: Any = None) -> None:
        """Writes the name of a class or function, PyTorch's where it is one of ours."""
        target = _torch_name(obj)
        if target is None:
            super().save_global(obj, name)
        else:
            self._write_name(obj, *target)

    def _write_name(self, obj: Any, module: str, name: str) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    def _save_value(self, obj: Any) -> None:
        """Writes a dtype, a storage type or a memory format, which are values with a name."""
        module = "torch.storage" if obj is UNTYPED else "torch"
        self._write_name(obj, module, obj.name)

    def _save_built(self, obj: Any) -> None:
        self.save_reduce(*obj.parts)

    dispatch[FunctionType] = save_global
    dispatch[DType] = dispatch[StorageType] = dispatch[memory_format] = _save_value


class _Built:
    """A part of a tensor that is written as a call of its own."""

    def __init__(self, parts: tuple[Any, ...]):
        self.parts = parts


_Pickler.dispatch[_Built] = _Pickler._save_built


def pickle_object(
    obj: Any, protocol: int, stream: bool = False
) -> tuple[bytes, list[_SavedStorage]]:
    """The pickle of an object, and the storages that it refers to."""
    storages = _Storages()
    buffer = io.BytesIO()
    _Pickler(buffer, protocol, storages, stream).dump(obj)
    storages.warn_of_waste()
    return buffer.getvalue(), list(storages)


def _bytes(entry: _SavedStorage) -> Any:
    return memoryview(entry.storage._flat_bytes())


def write_zip_checkpoint(
    file: Any, pickled: bytes, storages: list[_SavedStorage], name: str, byteorder: bool = True
) -> None:
    """Writes the archive; `name` is its one top folder."""
    order = [("byteorder", sys.byteorder.encode())] if byteorder else []
    digest = hashlib.blake2b(pickled, digest_size=16).digest()
    identity = f"{int.from_bytes(digest, 'little'):040d}"[-40:].encode()
    records: list[tuple[str, Any]] = [
        ("data.pkl", pickled),
        (".format_version", _FORMAT_VERSION),
        (".storage_alignment", str(ALIGNMENT).encode()),
        *order,
        *((f"data/{entry.key}", _bytes(entry)) for entry in storages),
        ("version", _ARCHIVE_VERSION),
        (".data/serialization_id", identity),
    ]
    write_zip(file, ((f"{name}/{record}", data) for record, data in records))


def write_stream(file: Any, pickled: bytes, storages: list[_SavedStorage], protocol: int) -> None:
    """Writes the stream of pickles that PyTorch wrote before 1.6."""
    facts = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, facts):
        file.write(pickle.dumps(head, protocol))
    file.write(pickled)
    ordered = sorted(storages, key=lambda entry: entry.key)
    file.write(pickle.dumps([entry.key for entry in ordered], protocol))
    for entry in ordered:
        file.write(entry.count.to_bytes(8, "little"))
        data = entry.storage._flat_bytes()
        if sys.byteorder == "big":
            data = byteswapped(data, entry.type.dtype)
        file.write(memoryview(data) if data.flags.c_contiguous else data.tobytes())


def write_atomically(path: str, write: Callable[[Any], None]) -> None:
    """Calls `write(file)` so that `path` holds either its old content or the whole new one.

    A temporary file in the same folder takes the content, reaches the disk, and then the name;
    links are followed and the mode is kept. Devices and pipes are written directly.
    """
    target = os.path.realpath(path)
    try:
        old = os.stat(target)
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(target, "wb") as file:
            write(file)
        return
    folder = os.path.dirname(target) or "."
    if not os.path.isdir(folder):
        raise RuntimeError(f"[save] Parent directory {folder} does not exist.")
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"[save] {target} is not writable")
    number, temporary = tempfile.mkstemp(dir=folder, prefix="." + os.path.basename(target)[:64])
    try:
        with os.fdopen(number, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, stat.S_IMODE(old.st_mode) if old is not None else _new_file_mode())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


def _new_file_mode() -> int:
    """The mode that `open` would give a new file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: str) -> None:
    if os.name != "posix":
        return  # Windows cannot open folders, and its replace is durable by itself
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
