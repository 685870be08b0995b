"""What is said of a file that cannot be loaded: its name, its size, and what it looks like."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

__all__ = ["CheckpointError", "EmptyFileError", "UnsupportedContentError",
           "describe", "looks_like", "name_of", "shown"]  # fmt: skip

_WHAT_TO_DO = "get the file again from where it came from"
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file that it points to; run "
                                 "`git lfs pull`, or download the file itself"),
    (b"\x1f\x8b", "gzip data; unpack it first (gunzip)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89HDF", "an HDF5 file (Keras?); convert it where it was written"),
    (b"\x93NUMPY", "a NumPy .npy file; read it with numpy.load and torch.from_numpy"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"BZh", "bzip2 data; unpack it first"),
    (b"\xfd7zXZ", "xz data; unpack it first"),
    (b"GGUF", "a GGUF file, which rushlight does not read"),
)  # fmt: skip


class CheckpointError(pickle.UnpicklingError, RuntimeError):
    """Raised for a file that is no sound checkpoint, or that holds what is not loaded."""


class UnsupportedContentError(CheckpointError):
    """Raised for a sound checkpoint with something in it that rushlight does not have."""


class EmptyFileError(CheckpointError, EOFError):
    """Raised for a checkpoint without a single byte."""


def looks_like(head: bytes, size: int) -> str:
    """What a file that starts with `head` seems to be, and what to do about it."""
    for signature, meaning in _SIGNATURES:
        if head.startswith(signature):
            return meaning
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "an HTML or XML page (a download that led to a web page?); " + _WHAT_TO_DO
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and length < size:
        return "a safetensors file; read it with rushlight.interop.safetensors.load_file"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive, cut short or damaged; " + _WHAT_TO_DO
    if head.startswith(b"\x80"):
        return "a pickle, cut short or damaged; " + _WHAT_TO_DO
    if not head.strip(b"\0"):
        return "zeros only (a download or a write that never finished?); " + _WHAT_TO_DO
    return f"starting with {head[:8]!r}; " + _WHAT_TO_DO


def describe(file: BinaryIO, name: str, size: int) -> str:
    """`name` with its size and its looks, for the end of an error message."""
    position = file.tell()
    file.seek(0)
    head = file.read(512)
    file.seek(position)
    return f"{name} ({size} bytes) is {looks_like(head, size)}"


def name_of(file: Any) -> str:
    """How an error names the file."""
    name = getattr(file, "name", None)
    return repr(name) if isinstance(name, str) else f"<{type(file).__name__}>"


def shown(value: Any) -> str:
    """A value of a file, short, without running its `__repr__` and without recursion."""
    if isinstance(value, tuple):
        return "(" + ", ".join(_shown_part(part) for part in value[:6]) + ")"
    return _shown_part(value)


def _shown_part(value: Any) -> str:
    if isinstance(value, (str, bytes)) and type(value) in (str, bytes):
        return repr(value[:60])
    if type(value) is int and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if type(value) in (int, float, bool, type(None)):
        return repr(value)
    return str(getattr(value, "__name__", f"a {type(value).__name__}"))
