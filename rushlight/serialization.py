"""`save` and `load`: objects with tensors in files, in PyTorch's formats.

Files go both ways between rushlight and PyTorch. Loading never runs anything that a file names: a
reader of our own rebuilds tensors, plain containers, numbers and text, and refuses the rest.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, BinaryIO

from .device import device
from .interop.checkpoint_errors import (
    CheckpointError,
    EmptyFileError,
    UnsupportedContentError,
    describe,
    name_of,
)  # fmt: skip
from .interop.checkpoint_names import ListingGlobals, LoadGlobals, UnknownGlobal, names_of
from .interop.checkpoint_read import Restore, read_stream, read_tar, read_zip, scan_globals
from .interop.checkpoint_write import (
    pickle_object,
    write_atomically,
    write_stream,
    write_zip_checkpoint,
)  # fmt: skip
from .interop.checkpoint_zip import ZipReader
from .storage import UntypedStorage

__all__ = [
    "CheckpointError", "LoadEndianness", "add_safe_globals", "clear_safe_globals",
    "default_restore_location", "get_default_load_endianness", "get_safe_globals",
    "get_unsafe_globals_in_checkpoint", "load", "location_tag", "safe_globals", "save",
    "set_default_load_endianness",
]  # fmt: skip

DEFAULT_PROTOCOL = 2
_MapLocation = Any  # None, text, device, dict of texts, or callable(storage, location)
_ZIP_MAGIC = b"PK\x03\x04"


class LoadEndianness(Enum):
    """The byte order assumed of a zip checkpoint that does not name its own."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


_default_endianness: LoadEndianness | None = None


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed of files that do not say it; None, as at first, is little."""
    return _default_endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Sets the byte order assumed of files that do not say it; TypeError for another type."""
    global _default_endianness
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _default_endianness = endianness


def _default_order() -> str:
    import sys

    if _default_endianness is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if _default_endianness is LoadEndianness.BIG else "little"


# ---- saving --------------------------------------------------------------------------------------


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Writes an object to a path or a binary file, as PyTorch's `save` does.

    Tensors that share memory share it again when loaded; a view brings its whole storage with it
    (a UserWarning says when that is much more than the view). A path is replaced in one step after
    the whole file reached the disk, so that an interruption leaves the old file. RuntimeError if
    the folder does not exist; AttributeError if `f` is neither a path nor has `write`.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> torch.load(io.BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.])}
    """
    if pickle_module not in (None, pickle):
        raise ValueError(
            f"[save] expected pickle_module=pickle; got {pickle_module!r}: rushlight writes "
            "pickles itself"
        )
    is_path = isinstance(f, (str, os.PathLike))
    if not is_path and not hasattr(f, "write"):
        raise AttributeError(
            f"[save] expected 'f' to be string, path, or a file-like object with a 'write' "
            f"attribute; got {type(f).__name__}"
        )
    as_zip = _use_new_zipfile_serialization
    pickled, storages = pickle_object(obj, pickle_protocol, stream=not as_zip)

    def write(file: Any) -> None:
        if as_zip:
            write_zip_checkpoint(
                file, pickled, storages, _archive_name(f), not _disable_byteorder_record
            )
        else:
            write_stream(file, pickled, storages, pickle_protocol)

    if is_path:
        write_atomically(os.fspath(f), write)
    else:
        write(f)


def _archive_name(f: Any) -> str:
    """The top folder of an archive: the file's name without its last ending, or `archive`."""
    if not isinstance(f, (str, os.PathLike)):
        return "archive"
    stem = os.path.splitext(os.path.basename(os.fspath(f)))[0]
    return (
        stem
        if stem and stem.isascii() and stem not in (".", "..") and "\\" not in stem
        else "archive"
    )


# ---- names that the user trusts ------------------------------------------------------------------

_safe_globals: list[Any] = []
_safe_lock = threading.Lock()


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Lets `load` make objects of these classes (or call these functions).

    Each is a class or function, or a pair of one and the name under which files mention it. You
    vouch for what their constructor and `__setstate__` do with data from a file.
    """
    for entry in safe_globals:
        _names(entry)
    with _safe_lock:
        _safe_globals.extend(entry for entry in safe_globals if entry not in _safe_globals)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` added."""
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Forgets what `add_safe_globals` added."""
    with _safe_lock:
        _safe_globals.clear()


class safe_globals(contextlib.ContextDecorator):
    """`add_safe_globals` for the time of a `with` block."""

    def __init__(self, safe_globals: list[Any]):
        self._entries = safe_globals

    def __enter__(self) -> None:
        self._before = get_safe_globals()
        add_safe_globals(self._entries)

    def __exit__(self, *exc_info: Any) -> None:
        with _safe_lock:
            _safe_globals[:] = self._before


def _names(entry: Any) -> dict[str, Any]:
    if isinstance(entry, tuple):
        if len(entry) != 2 or not callable(entry[0]) or not isinstance(entry[1], str):
            raise ValueError(
                f"[add_safe_globals] expected a class, a function, or (class, name); got {entry!r}"
            )
        return {entry[1]: entry[0]}
    if not callable(entry):
        raise TypeError(f"[add_safe_globals] expected a class or a function; got {entry!r}")
    return dict.fromkeys(names_of(entry), entry)


def _safe_table() -> dict[str, Any]:
    return {name: obj for entry in _safe_globals for name, obj in _names(entry).items()}


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a checkpoint that `load(f, weights_only=True)` would refuse, as they stand.

    >>> import io, pickle, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save([torch.ones(1), torch.nn.ReLU], file)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file)
    ['torch.nn.modules.activation.ReLU']
    """
    with _opened(f) as (file, _):
        return _refused_names(file, _size_of(file), weights_only=True)


def _refused_names(file: BinaryIO, size: int, weights_only: bool) -> list[str]:
    listing = ListingGlobals(LoadGlobals(weights_only, _safe_table()))
    scan_globals(file, size, listing)
    return sorted(listing.refused)


# ---- loading -------------------------------------------------------------------------------------


def load(
    f: Any,
    map_location: _MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """Reads the object in a checkpoint (zip, the older stream, or the oldest tar).

    Nothing that a file names is imported or run. Tensors, parameters, containers, numbers, text,
    bytes, sizes, dtypes, devices, generators and NumPy arrays are rebuilt; classes registered with
    `serialization.add_safe_globals` are, too. `weights_only=False` adds plain data classes
    (`argparse.Namespace`, `defaultdict`, `pathlib` paths, dates …) and modules whose class is
    imported already, whose fields are filled without calling their code; other pickles stay
    refused.

    `map_location` says where tensors go that were saved on other devices: `"cpu"`, a device, a dict
    from old to new, or a function of the storage and its old location. `mmap=True` maps a zip
    checkpoint into memory, so that pages are read when used. `encoding` is that of Python 2
    strings.

    Raises CheckpointError (a `pickle.UnpicklingError` and a `RuntimeError`) for a damaged file or
    refused content, with the file, its size and what to do; FileNotFoundError; and RuntimeError for
    CUDA tensors without `map_location` on a machine without a GPU.
    """
    if pickle_module is not None and pickle_module is not pickle:
        raise ValueError("[load] rushlight reads pickles itself; leave pickle_module out")
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    checked = LoadGlobals(weights_only is not False, _safe_table())
    restore = _restore_rule(map_location)
    with _opened(f) as (file, name):
        size = _size_of(file)
        try:
            return _read(file, size, checked, restore, encoding, bool(mmap))
        except UnknownGlobal as error:
            raise _refusal(error, file, size, name, weights_only is not False) from None
        except (UnsupportedContentError, EmptyFileError):
            raise
        except CheckpointError as error:
            raise CheckpointError(f"{error}. {describe(file, name, size)}") from error.__cause__


def _read(
    file: BinaryIO, size: int, globals: LoadGlobals, restore: Restore, encoding: str, mapped: bool
) -> Any:
    start = file.tell()
    head = file.read(512)
    file.seek(start)
    if not head:
        raise EmptyFileError(
            "[load] Ran out of input: the file is empty (0 bytes); a download or a save that "
            "failed leaves such files"
        )
    if head.startswith(_ZIP_MAGIC):
        archive = ZipReader(file, size)
        if "constants.pkl" in archive:
            raise UnsupportedContentError(
                "[load] the file is a TorchScript archive (torch.jit.save), which holds a program; "
                "save the module's state_dict() with torch.save instead"
            )
        order = _default_order()
        return read_zip(archive, file, globals, restore, encoding, mapped, order)
    if mapped:
        raise CheckpointError("[load] mmap can only be used with files of the zip format; load it "
                              "without mmap and save it again")  # fmt: skip
    if head[257:262] == b"ustar" or head[:8].rstrip(b"\0") in (b"sys_info", b"pickle", b"storages"):
        return read_tar(file, globals, restore, encoding)
    _refuse_two_formats(file, size)
    return read_stream(file, size, globals, restore, encoding)


def _refuse_two_formats(file: BinaryIO, size: int) -> None:
    """A stream with a zip archive behind it would be read differently by other programs."""
    start = file.tell()
    tail_size = min(size, 22 + 0xFFFF)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    file.seek(start)
    found = tail.rfind(b"PK\x05\x06")
    if 0 <= found <= tail_size - 22:
        comment = int.from_bytes(tail[found + 20 : found + 22], "little")
        if found + 22 + comment == tail_size:
            raise CheckpointError("[load] the file is a pickle and a zip archive in one")


def _refusal(
    error: UnknownGlobal, file: BinaryIO, size: int, name: str, weights_only: bool
) -> CheckpointError:
    """The error for names that are not loaded: all of them, and what can be done."""
    try:
        names = _refused_names(file, size, weights_only)
    except CheckpointError:
        names = [error.global_name]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    modules = any(n.startswith(("torch.nn.modules.", "torchvision.models.")) for n in names)
    advice = ["register classes you trust with torch.serialization.add_safe_globals([...])"]
    if modules:
        advice.insert(0, "save module.state_dict() instead of the module")
    if weights_only:
        advice.append("weights_only=False adds plain data classes and imported nn.Module classes")
    return CheckpointError(
        f"[load] Weights only load failed: Unsupported global: GLOBAL {error.global_name} was not "
        f"an allowed global. {name} ({size} bytes) names {shown}; nothing of it was run. You can: "
        + "; ".join(advice)
    )


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[tuple[BinaryIO, str]]:
    """The file to read and its name; a path is closed afterwards."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file, repr(os.fspath(f))
        return
    if not hasattr(f, "read"):
        raise AttributeError(
            f"[load] expected a path or a file-like object with 'read' and 'seek'; got "
            f"{type(f).__name__}"
        )
    try:
        f.seek(f.tell())
    except (AttributeError, io.UnsupportedOperation) as error:
        raise type(error)(
            f"[load] you can only load from a file that is seekable ({error}). Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead"
        ) from None
    if isinstance(f, io.TextIOBase):
        raise TypeError("[load] expected a file opened in binary mode ('rb'), got a text file")
    yield f, name_of(f)


def _size_of(file: BinaryIO) -> int:
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


# ---- where tensors go ----------------------------------------------------------------------------


def location_tag(storage: UntypedStorage) -> str:
    """The text by which a file remembers where a storage was."""
    return str(storage.device)


def default_restore_location(storage: UntypedStorage, location: str) -> UntypedStorage:
    """The storage at the location that a file names.

    RuntimeError for a location that is not on this machine.
    """
    where = location.decode() if isinstance(location, bytes) else str(location)
    kind = where.partition(":")[0]
    if kind == "cpu":
        return storage
    if kind == "cuda":
        from . import cuda

        if not cuda.is_available():
            raise RuntimeError(
                f"[load] Attempting to deserialize object on a CUDA device ({where}) but "
                "torch.cuda.is_available() is False. If you are running on a CPU-only machine, "
                "please use torch.load with map_location=torch.device('cpu') to map your storages "
                "to the CPU."
            )
        device(where)
    raise RuntimeError(
        f"[load] don't know how to restore data location of UntypedStorage (tagged with {where}); "
        "load with map_location='cpu'"
    )


def _restore_rule(map_location: _MapLocation) -> Restore:
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, where: default_restore_location(
            storage, map_location.get(where, where)
        )
    if isinstance(map_location, (str, bytes, device)):
        target = map_location.decode() if isinstance(map_location, bytes) else str(map_location)
        return lambda storage, where: default_restore_location(storage, target)
    if not callable(map_location):
        raise TypeError(
            f"[load] map_location is a {type(map_location).__name__}; expected None, text, a "
            "device, a dict, or a function"
        )
    return _restore_by_function(map_location)


def _restore_by_function(function: Callable[[UntypedStorage, str], Any]) -> Restore:
    def restore(storage: UntypedStorage, where: str) -> Any:
        result = function(storage, where)
        if result is None:
            return default_restore_location(storage, where)
        if not isinstance(result, UntypedStorage):
            raise TypeError(
                f"[load] map_location returned a {type(result).__name__}, not a storage"
            )
        return result

    return restore
