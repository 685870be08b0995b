"""Weights and models from the net or a local folder, kept in PyTorch's cache folders."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import rushlight

from .utils._download import fetch_file

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

_HASH_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.")  # as in resnet18-f37072fd.pth
_hub_dir: str | None = None


def get_dir() -> str:
    """The cache folder: `set_dir`'s, else `$TORCH_HOME/hub`, else `~/.cache/torch/hub`."""
    if _hub_dir is not None:
        return _hub_dir
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the cache folder."""
    global _hub_dir
    _hub_dir = os.path.expanduser(os.fspath(d))


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Downloads a file; its sha256 must start with `hash_prefix` if that is given.

    Nothing stands at `dst` before the file is whole. Raises RuntimeError, which names the address
    and the place where to put the file by hand.
    """
    fetch_file(url, dst, digest=("sha256", hash_prefix) if hash_prefix else None, progress=progress)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """The object in a checkpoint at `url`, downloaded once into `model_dir`.

    `model_dir` is by default `checkpoints` in `get_dir()`. With `check_hash` the file name must end
    in `-<first 8 or more digits of the sha256>.ext`, and a download must have that digest. Nothing
    in a checkpoint is executed, whatever `weights_only` says. Raises RuntimeError if the file can
    not be had.
    """
    folder = Path(model_dir if model_dir is not None else os.path.join(get_dir(), "checkpoints"))
    name = file_name or os.path.basename(urlparse(url).path)
    path = folder / name
    if not path.exists():
        print(f'Downloading: "{url}" to {path}', file=sys.stderr)
        found = _HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, str(path), found.group(1) if found else None, progress)
    if _is_zip_of_one_file(path):
        path = _unzipped(path, folder)
    state: dict[str, Any] = rushlight.load(path, map_location=map_location, weights_only=True)
    return state


def _is_zip_of_one_file(path: Path) -> bool:
    """Whether a checkpoint was zipped once more, as some old ones are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    return len(members) == 1 and not members[0].endswith(("data.pkl", "/"))


def _unzipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.namelist()
        target = folder / Path(member).name
        target.write_bytes(archive.read(member))
    return target


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """Calls an entry point of a folder's `hubconf.py`; the folder's code is run.

    Only `source="local"` is there: fetching and running code from the net is refused
    (NotImplementedError). ValueError for another source, RuntimeError for an entry that is missing.
    """
    entry = _entry_point(_hubconf(repo_or_dir, source), model)
    return entry(*args, **kwargs)


def list(  # noqa: A001 (PyTorch's name)
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: Any = None,
    verbose: bool = True,
    source: str = "github",
) -> Any:
    """The names of the entry points of a folder's `hubconf.py` (`source="local"` only)."""
    module = _hubconf(github, source)
    return [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]


def help(  # noqa: A001 (PyTorch's name)
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: Any = None,
    source: str = "github",
) -> str | None:
    """The docstring of an entry point (`source="local"` only)."""
    return _entry_point(_hubconf(github, source), model).__doc__


def _hubconf(folder: str, source: str) -> ModuleType:
    if source == "github":
        raise NotImplementedError(
            f"[hub] {folder!r} would be fetched from GitHub and run. Clone it, look at it, and use "
            f"source='local' with the folder's path"
        )
    if source != "local":
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    path = Path(folder).expanduser() / "hubconf.py"
    if not path.is_file():
        raise FileNotFoundError(f"[hub] {path} is missing: {folder} is no hub folder")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # hubconf imports its neighbours by their plain names
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _entry_point(module: ModuleType, name: str) -> Callable[..., Any]:
    missing = [
        needed
        for needed in getattr(module, "dependencies", ())
        if importlib.util.find_spec(needed) is None
    ]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    entry = getattr(module, name, None)
    if not callable(entry):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    return entry
