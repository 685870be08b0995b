"""The zip archives that checkpoints are: a small strict reader and writer.

Records are stored, never compressed, and start at multiples of 64 bytes, so that a file can be
mapped into memory. The reader takes one interpretation or none: what two zip programs could read
differently (names that occur twice, a local header that disagrees with the directory, records that
overlap) is refused. A checksum of zero is taken as "not computed", as PyTorch can be told to do.
The layout is that of PKWARE's APPNOTE; ZIP64 where something passes 4 GiB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..backends.checksum import crc32
from .checkpoint_errors import CheckpointError

__all__ = ["ALIGNMENT", "ZipReader", "write_zip"]

ALIGNMENT = 64
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_MAX32 = 0xFFFFFFFF
_MAX16 = 0xFFFF
_ZIP64_EXTRA = 1
_PADDING_EXTRA = int.from_bytes(b"FB", "little")
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x1, 0x8, 0x800
_DOS_DATE = (1 << 5) | 1  # 1980-01-01: the same object gives the same bytes on every day
_CHUNK = 1 << 18  # still in the cache when its checksum is taken


@dataclass(frozen=True)
class _Record:
    name: str
    start: int  # of the data in the file
    size: int
    crc: int


class ZipReader:
    """The records of a zip archive in a seekable file, by name.

    CheckpointError for an archive that is damaged, compressed, or ambiguous.
    """

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        self._size = size
        count, offset, length = self._find_directory()
        self._records: dict[str, _Record] = {}
        self._directory_start = offset
        self._read_directory(count, self._at(offset, length))
        self._check_overlap()
        self.prefix = self._common_prefix()

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self._records

    def names(self) -> list[str]:
        """The names of all records below the archive's one top folder."""
        return [name[len(self.prefix) :] for name in self._records]

    def size(self, name: str) -> int:
        """The size of a record in bytes."""
        return self._record(name).size

    def offset(self, name: str) -> int:
        """Where the record's data starts in the file."""
        return self._record(name).start

    def read(self, name: str) -> bytes:
        """The bytes of a record."""
        buffer = bytearray(self._record(name).size)
        self.read_into(name, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, name: str, target: memoryview) -> None:
        """Fills `target`, which has the record's size, and checks the checksum."""
        record = self._record(name)
        self._file.seek(record.start)
        done, crc = 0, 0
        while done < record.size:
            part = target[done : done + _CHUNK]
            count = self._fill(part)
            if not count:
                raise CheckpointError(
                    f"[load] record {name!r} ends after {done} of {record.size} bytes"
                )
            crc = crc32(part[:count], crc)
            done += count
        if record.crc not in (0, crc):
            raise CheckpointError(
                f"[load] record {name!r} is damaged: its checksum is {crc:08x}, the archive says "
                f"{record.crc:08x}"
            )

    def _fill(self, target: memoryview) -> int:
        """Reads into `target`; the number of bytes, 0 at the end of the file."""
        readinto = getattr(self._file, "readinto", None)
        if readinto is not None:
            return int(readinto(target) or 0)
        part = self._file.read(len(target))  # a file of the user's that has only `read`
        target[: len(part)] = part
        return len(part)

    def _record(self, name: str) -> _Record:
        try:
            return self._records[self.prefix + name]
        except KeyError:
            raise CheckpointError(f"[load] the archive has no record {name!r}") from None

    def _at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise CheckpointError(
                f"[load] the archive points to bytes {offset}…{offset + length} of a file of "
                f"{self._size}"
            )
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise CheckpointError("[load] the file became shorter while it was read")
        return data

    def _find_directory(self) -> tuple[int, int, int]:
        """Count of entries, offset and length of the central directory."""
        tail_start = max(0, self._size - _END.size - _MAX16)
        tail = self._at(tail_start, self._size - tail_start)
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or found + _END.size > len(tail):
            raise CheckpointError(
                "[load] no end-of-archive record (failed finding central directory)"
            )
        _, disk, first_disk, here, count, length, offset, comment = _END.unpack_from(tail, found)
        if found + _END.size + comment != len(tail) or disk or first_disk or here != count:
            raise CheckpointError(
                "[load] the archive's end record is not at the end, or spans disks"
            )
        end = tail_start + found
        narrow = count, length, offset
        wide_end = end >= _LOCATOR64.size and self._at(end - _LOCATOR64.size, 4) == b"PK\x06\x07"
        if wide_end or count == _MAX16 or length == _MAX32 or offset == _MAX32:
            count, length, offset, end = self._find_directory64(end)
            for short, full, limit in zip(
                narrow, (count, length, offset), (_MAX16, _MAX32, _MAX32), strict=True
            ):
                if short not in (full, limit):
                    raise CheckpointError("[load] the archive's two end records disagree")
        if offset + length != end:
            raise CheckpointError(
                "[load] the archive's directory does not end where its end record starts"
            )
        return count, offset, length

    def _find_directory64(self, end: int) -> tuple[int, int, int, int]:
        signature, _, offset64, disks = _LOCATOR64.unpack(
            self._at(end - _LOCATOR64.size, _LOCATOR64.size)
        )
        if signature != b"PK\x06\x07" or disks != 1:
            raise CheckpointError("[load] the ZIP64 locator is missing or damaged")
        fields = _END64.unpack(self._at(offset64, _END64.size))
        if fields[0] != b"PK\x06\x06" or offset64 + 12 + fields[1] != end - _LOCATOR64.size:
            raise CheckpointError("[load] the ZIP64 end record is damaged")
        return fields[7], fields[8], fields[9], offset64

    def _read_directory(self, count: int, data: bytes) -> None:
        if count * _CENTRAL.size > len(data):
            raise CheckpointError(
                f"[load] a directory of {len(data)} bytes cannot hold {count} entries"
            )
        position = 0
        for _ in range(count):
            if position + _CENTRAL.size > len(data):
                raise CheckpointError("[load] the archive's directory is cut short")
            entry = _CENTRAL.unpack_from(data, position)
            position += _CENTRAL.size
            name_end = position + entry[10]
            extra_end = name_end + entry[11]
            name = data[position:name_end]
            self._add(entry, name, data[name_end:extra_end])
            position = extra_end + entry[12]
        if position != len(data):
            raise CheckpointError("[load] the archive's directory has bytes beyond its last entry")

    def _add(self, entry: tuple[Any, ...], raw_name: bytes, extra: bytes) -> None:
        signature, _, _, flags, method, _, _, crc, packed, size = entry[:10]
        offset = entry[16]
        name = _checked_name(raw_name)
        if signature != b"PK\x01\x02":
            raise CheckpointError("[load] the archive's directory is damaged")
        if flags & _ENCRYPTED or method != 0:
            raise CheckpointError(
                f"[load] record {name!r} is compressed or encrypted; checkpoints are not"
            )
        size, packed, offset = _with_zip64(extra, size, packed, offset)
        if size != packed:
            raise CheckpointError(f"[load] record {name!r} has two sizes: {size} and {packed}")
        if name in self._records:
            raise CheckpointError(f"[load] the archive holds record {name!r} twice")
        start = self._check_local(name, raw_name, offset, flags, crc, size)
        self._records[name] = _Record(name, start, size, crc)

    def _check_local(
        self, name: str, raw_name: bytes, offset: int, flags: int, crc: int, size: int
    ) -> int:
        """Where the data starts, after the local header was found to agree with the directory."""
        local = _LOCAL.unpack(self._at(offset, _LOCAL.size))
        signature, _, local_flags, method, _, _, local_crc, packed, full, name_len, extra_len = (
            local
        )
        rest = self._at(offset + _LOCAL.size, name_len + extra_len)
        agrees = signature == b"PK\x03\x04" and method == 0 and rest[:name_len] == raw_name
        if agrees and not (local_flags & _SIZES_FOLLOW and local_crc == packed == full == 0):
            full, packed, _ = _with_zip64(rest[name_len:], full, packed, 0)
            agrees = full == packed == size and local_crc == crc
        if not agrees or (local_flags ^ flags) & (_ENCRYPTED | _SIZES_FOLLOW):
            raise CheckpointError(
                f"[load] record {name!r} has a header that contradicts the directory"
            )
        start = offset + _LOCAL.size + name_len + extra_len
        if start + size > self._directory_start:
            raise CheckpointError(f"[load] record {name!r} reaches into the archive's directory")
        return start

    def _check_overlap(self) -> None:
        end = 0
        for record in sorted(self._records.values(), key=lambda r: (r.start, r.size)):
            if record.start < end:
                raise CheckpointError(f"[load] record {record.name!r} overlaps the one before it")
            end = record.start + record.size

    def _common_prefix(self) -> str:
        """The one top folder of the archive, with its slash."""
        tops = {name.partition("/")[0] for name in self._records}
        if len(tops) != 1 or any("/" not in name for name in self._records):
            raise CheckpointError(
                f"[load] expected one folder in the archive, as checkpoints have; it has "
                f"{sorted(tops)[:5]}"
            )
        return tops.pop() + "/"


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("cp437")
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise CheckpointError(f"[load] the archive holds a record with the unsafe name {name!r}")
    return name


def _with_zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset, with those that did not fit 32 bits taken from the extra fields."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        field = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if kind != _ZIP64_EXTRA:
            continue
        values = list(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
        wide = [value == _MAX32 for value in (size, packed, offset)]
        if len(values) < sum(wide):
            raise CheckpointError("[load] a ZIP64 field is cut short")
        size = values.pop(0) if wide[0] else size
        packed = values.pop(0) if wide[1] else packed
        offset = values.pop(0) if wide[2] else offset
    return size, packed, offset


def write_zip(file: Any, records: Iterable[tuple[str, Any]]) -> None:
    """Writes an archive of `(name, bytes)` records to a file that only needs `write`."""
    position, directory, count = 0, [], 0
    for name, data in records:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        crc = crc32(view)
        header = _local_header(name.encode(), position, crc, len(view))
        file.write(header)
        file.write(view)
        directory.append(_central_header(name.encode(), position, crc, len(view)))
        position += len(header) + len(view)
        count += 1
    entries = b"".join(directory)
    file.write(entries)
    file.write(_end_records(count, position, len(entries)))


def _local_header(name: bytes, position: int, crc: int, size: int) -> bytes:
    narrow = min(size, _MAX32)
    extra = struct.pack("<HHQQ", _ZIP64_EXTRA, 16, size, size) if size >= _MAX32 else b""
    data_start = position + _LOCAL.size + len(name) + len(extra) + 4
    padding = -data_start % ALIGNMENT
    extra += struct.pack("<HH", _PADDING_EXTRA, padding) + b"Z" * padding
    head = _LOCAL.pack(b"PK\x03\x04", 45 if size >= _MAX32 else 20, _UTF8, 0, 0, _DOS_DATE, crc,
                       narrow, narrow, len(name), len(extra))  # fmt: skip
    return head + name + extra


def _central_header(name: bytes, position: int, crc: int, size: int) -> bytes:
    wide = [value for value in (size, size, position) if value >= _MAX32]
    extra = struct.pack(f"<HH{len(wide)}Q", _ZIP64_EXTRA, 8 * len(wide), *wide) if wide else b""
    version = 45 if wide else 20
    narrow = min(size, _MAX32)
    head = _CENTRAL.pack(b"PK\x01\x02", version, version, _UTF8, 0, 0, _DOS_DATE, crc, narrow,
                         narrow, len(name), len(extra), 0, 0, 0, 0,
                         min(position, _MAX32))  # fmt: skip
    return head + name + extra


def _end_records(count: int, offset: int, length: int) -> bytes:
    end = _END.pack(b"PK\x05\x06", 0, 0, min(count, _MAX16), min(count, _MAX16),
                    min(length, _MAX32), min(offset, _MAX32), 0)  # fmt: skip
    if count < _MAX16 and offset < _MAX32 and length < _MAX32:
        return end
    end64 = _END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, count, count, length, offset)
    return end64 + _LOCATOR64.pack(b"PK\x06\x07", 0, offset + length, 1) + end
