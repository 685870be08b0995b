"""The checksum of zip archives: zlib's CRC-32, from the extension where that is faster."""

from __future__ import annotations

import zlib
from typing import Any

from . import native_available

__all__ = ["crc32"]


def crc32(data: Any, value: int = 0) -> int:
    """``zlib.crc32(data, value)``.

    >>> crc32(b"rushlight") == zlib.crc32(b"rushlight")
    True
    """
    if native_available():
        from . import _native

        found = _native.crc32(data, value)
        if found is not NotImplemented:
            return int(found)
    return zlib.crc32(data, value)
