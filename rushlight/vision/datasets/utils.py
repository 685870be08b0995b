"""Checksums, downloads and archives of data sets."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from rushlight.utils._download import fetch_file, file_digest

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "describe_file",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
]

PathLike = str | os.PathLike[str]


def calculate_md5(fpath: PathLike) -> str:
    return file_digest(fpath, "md5")


def check_md5(fpath: PathLike, md5: str) -> bool:
    return md5 == calculate_md5(fpath)


def check_integrity(fpath: PathLike, md5: str | None = None) -> bool:
    """Whether the file is there and, if a checksum is given, has it."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def describe_file(path: PathLike) -> str:
    """What a file that should have been something else looks like, with its size."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(512)
    looks = "nothing known"
    if not size:
        looks = "an empty file"
    elif not start.strip(b"\0"):
        looks = "zeros, as an interrupted copy leaves"
    elif start.startswith(b"version https://git-lfs"):
        looks = "a git-lfs pointer, not the file itself (run `git lfs pull`)"
    elif start.lstrip()[:1] == b"<":
        looks = "an HTML or XML page, such as an error page"
    elif start.startswith(b"\x1f\x8b"):
        looks = "a gzip file"
    elif start.startswith(b"PK"):
        looks = "a zip file"
    elif start.startswith(b"\x80"):
        looks = "a pickle"
    return f"{os.fspath(path)} has {size} bytes and looks like {looks}"


def download_url(
    url: str,
    root: PathLike,
    filename: PathLike | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Downloads a file into `root` unless it is there with the right checksum.

    Raises RuntimeError if it can not be had or has another checksum.
    """
    name = os.fspath(filename or os.path.basename(url))
    path = Path(root).expanduser() / name
    if check_integrity(path, md5):
        return
    print(f"Downloading {url} to {path}")
    fetch_file(url, path, digest=("md5", md5) if md5 else None)


def extract_archive(
    from_path: PathLike, to_path: PathLike | None = None, remove_finished: bool = False
) -> str:
    """Unpacks a .tar(.gz, .xz, .bz2), .zip or .gz file; members outside the folder are refused."""
    source = Path(from_path)
    target = Path(to_path) if to_path is not None else source.parent
    if tarfile.is_tarfile(source):
        _extract_tar(source, target)
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(target)
    elif source.suffix == ".gz":
        target.mkdir(parents=True, exist_ok=True)
        with gzip.open(source, "rb") as packed, open(target / source.stem, "wb") as plain:
            shutil.copyfileobj(packed, plain)
    else:
        raise RuntimeError(f"[extract_archive] unknown kind of archive: {describe_file(source)}")
    if remove_finished:
        source.unlink()
    return str(target)


def _extract_tar(source: Path, target: Path) -> None:
    inside = target.resolve()
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            destination = (target / member.name).resolve()
            if not (member.isfile() or member.isdir()) or not destination.is_relative_to(inside):
                raise RuntimeError(
                    f"[extract_archive] {source} holds {member.name!r}, which is a link, a device "
                    f"or lies outside {target}; it is not unpacked"
                )
        # Newer Pythons want to be told a filter; "data" checks once more what is checked above.
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        for member in archive.getmembers():
            archive.extract(member, target, set_attrs=False, **options)


def download_and_extract_archive(
    url: str,
    download_root: PathLike,
    extract_root: PathLike | None = None,
    filename: PathLike | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Downloads an archive into `download_root` and unpacks it there or in `extract_root`."""
    root = os.path.expanduser(download_root)
    name = os.fspath(filename or os.path.basename(url))
    download_url(url, root, name, md5)
    extract_archive(os.path.join(root, name), extract_root or root, remove_finished)
