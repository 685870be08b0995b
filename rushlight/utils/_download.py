"""Fetching a file from the net: into a temporary file, checked, then renamed into place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["DownloadError", "fetch_file", "file_digest"]

_BLOCK = 1 << 17
_TIMEOUT_SECONDS = 60


class DownloadError(RuntimeError):
    """A file could not be fetched, or what came is not the file that was asked for."""


def file_digest(path: str | os.PathLike[str], algorithm: str) -> str:
    """The hexadecimal digest of a file's contents."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch_file(
    url: str,
    destination: str | os.PathLike[str],
    *,
    digest: tuple[str, str] | None = None,
    progress: bool = True,
) -> None:
    """Downloads `url` to `destination`; nothing stands there before it is whole and checked.

    `digest` is an algorithm and the hexadecimal digits that the result must start with. Raises
    DownloadError, which says the address and where to put the file by hand.
    """
    path = Path(destination)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            _copy_from_net(url, file.write, progress)
        _check(temporary, url, digest)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise DownloadError(
            f"[download] could not fetch {url} ({getattr(error, 'reason', error)}). Without a "
            f"connection, bring the file from elsewhere and put it at {path.absolute()}"
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _copy_from_net(url: str, write: Callable[[bytes], Any], progress: bool) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "rushlight"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        total = int(response.headers.get("Content-Length") or 0)
        received = 0
        with _progress_bar(total, progress) as advance:
            while block := response.read(_BLOCK):
                write(block)
                received += len(block)
                advance(len(block))
    if total and received != total:
        raise DownloadError(f"[download] {url} ended after {received} of {total} bytes; try again")


def _check(path: str, url: str, digest: tuple[str, str] | None) -> None:
    if digest is None:
        return
    algorithm, expected = digest
    found = file_digest(path, algorithm)
    if not found.startswith(expected):
        raise DownloadError(
            f'invalid hash value (expected "{expected}", got "{found}") for {url}: '
            f"{os.path.getsize(path)} bytes came that are not the published file"
        )


@contextlib.contextmanager
def _progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], Any]]:
    """A function to call with each number of bytes: tqdm's bar, or one line where it is missing."""
    if not wanted:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        size = f"{total / 1e6:.1f} MB" if total else "a file of unknown size"
        print(f"  {size} …", file=sys.stderr)
        yield lambda count: None
        return
    with tqdm(total=total or None, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield bar.update


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
