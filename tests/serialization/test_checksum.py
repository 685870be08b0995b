"""The checksum of archives equals zlib's at every length, alignment and start."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from rushlight.backends.checksum import crc32


@pytest.mark.parametrize("start", [0, 1, 0xFFFFFFFF, 0x12345678])
def test_equals_zlib(start: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, 700, dtype=np.uint8).data
    for offset in (0, 1, 7):
        for length in [*range(200), 255, 256, 257, 511, 512, 513, 640]:
            part = data[offset : offset + length]
            assert crc32(part, start) == zlib.crc32(part, start), (offset, length)


def test_continues_over_parts() -> None:
    data = bytes(range(256)) * 40
    whole = crc32(data)
    assert whole == zlib.crc32(data)
    assert crc32(data[1000:], crc32(data[:1000])) == whole


def test_takes_bytes_only() -> None:
    with pytest.raises(TypeError):
        crc32("text")
