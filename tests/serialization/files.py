"""Checkpoints made by hand, sound and hostile."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any

from rushlight.interop.checkpoint_zip import write_zip

PROTOCOL = b"\x80\x02"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module: str, attribute: str) -> bytes:
    return b"c" + f"{module}\n{attribute}\n".encode()


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(
    kind: str = "FloatStorage", key: str = "0", count: int = 6, where: str = "cpu"
) -> bytes:
    return (
        group(text("storage"), name("torch", kind), text(key), text(where), integer(count)) + b"Q"
    )


def tensor(
    memory: bytes | None = None, offset: int = 0, size: tuple[int, ...] = (2, 3),
    stride: tuple[int, ...] = (3, 1), requires_grad: bytes = b"\x89",
) -> bytes:  # fmt: skip
    """The opcodes that build one tensor."""
    parts = group(
        storage() if memory is None else memory,
        integer(offset),
        group(*map(integer, size)),
        group(*map(integer, stride)),
        requires_grad,
        name("collections", "OrderedDict") + b")R",
    )
    return name("torch._utils", "_rebuild_tensor_v2") + parts + b"R"


def archive(code: bytes | None = None, records: dict[str, bytes] | None = None) -> bytes:
    """A zip checkpoint of the opcodes, with six floats as storage 0."""
    if code is None:
        code = tensor()
    content = {
        "data.pkl": PROTOCOL + code + b".",
        "byteorder": b"little",
        "data/0": struct.pack("<6f", *range(6)),
        "version": b"3\n",
        **(records or {}),
    }
    file = io.BytesIO()
    write_zip(file, [(f"archive/{n}", data) for n, data in content.items()])
    return file.getvalue()


def stream(code: bytes, keys: list[str] | None = None, tail: bytes | None = None) -> bytes:
    """A stream checkpoint of the opcodes, with six floats as storage 0."""
    head = b"".join(
        pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    )
    if tail is None:
        tail = struct.pack("<q6f", 6, *range(6))
    return (
        head + PROTOCOL + code + b"." + pickle.dumps(keys if keys is not None else ["0"], 2) + tail
    )


def zipped_by_python(records: list[tuple[str, bytes]], **options: Any) -> bytes:
    """An archive as Python's own writer makes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as out:
        for record, data in records:
            out.writestr(record, data)
    return file.getvalue()
