"""The alias: while it is installed, `import torch` gives rushlight.

A finder at the front of `sys.meta_path` answers for `torch`, `torchvision`, `torchtext` and
`torchaudio` and their submodules with the *same module objects* that `import rushlight…` gives, so
that `torch.nn is rushlight.nn` and `isinstance` holds across both names. It also answers
`importlib.metadata.version("torch")`, and processes that `multiprocessing` starts (by fork, spawn
or forkserver) have the alias, too. Programs started in another way (`subprocess`, joblib's own
workers) do not; start these with `python -m rushlight`.

>>> from rushlight.interop import alias
>>> alias.install()
>>> import torch.nn, rushlight
>>> torch.nn is rushlight.nn
True
>>> alias.uninstall()
"""

from __future__ import annotations

import importlib
import importlib.machinery
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from .._version import TORCH_VERSION, VISION_VERSION
from . import _children

__all__ = ["install", "installed", "uninstall"]

_REAL_NAMES = {
    "torch": "rushlight",
    "torchvision": "rushlight.vision",
    "torchtext": "rushlight.text",
    "torchaudio": "rushlight.audio",
}
_VERSIONS = {"torch": TORCH_VERSION, "torchvision": VISION_VERSION}


def install() -> None:
    """Makes `import torch` give rushlight, here and in child processes; a second call does nothing.

    Raises RuntimeError if the real PyTorch (or torchvision …) is already imported: two libraries
    would then share one name.
    """
    if installed():
        return
    for name in _REAL_NAMES:
        module = sys.modules.get(name)
        if module is not None and not _is_ours(module):
            raise RuntimeError(
                f"[alias] expected a process without {name}; it is already imported from "
                f"{getattr(module, '__file__', 'somewhere')}. Install the alias before the first "
                f"`import {name}`, or start the program with `python -m rushlight`"
            )
    sys.meta_path.insert(0, _FINDER)
    _children.carry_alias()


def uninstall() -> None:
    """Takes the alias away again; modules that hold a reference to `torch` keep it."""
    if not installed():
        return
    sys.meta_path.remove(_FINDER)
    _children.drop_alias()
    for name in [n for n in sys.modules if n.partition(".")[0] in _REAL_NAMES]:
        if _is_ours(sys.modules[name]):
            del sys.modules[name]


def installed() -> bool:
    """Whether `import torch` gives rushlight in this process."""
    return _FINDER in sys.meta_path


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] == "rushlight"


class _SameModule(Loader):
    """Loads an alias by handing out the module that stands under its real name."""

    def __init__(self, alias: str, real_name: str, module: ModuleType):
        self._names = alias + ".", real_name + "."
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just put the alias's in its place
        # A submodule behind a function of its name (`nn.parallel.data_parallel`) must be found in
        # `sys.modules`: an import would put the module in the function's place.
        alias, real = self._names
        for name, loaded in list(sys.modules.items()):
            if name.startswith(real) and loaded is not None:
                sys.modules.setdefault(alias + name[len(real) :], loaded)


class _AliasFinder(MetaPathFinder):
    """Finds `torch.x.y` as `rushlight.x.y`, and the metadata of the packages that it stands for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, dot, rest = fullname.partition(".")
        if root not in _REAL_NAMES:
            return None
        real_name = _REAL_NAMES[root] + dot + rest
        module = _import_if_there(real_name)
        if module is None:
            # The caller of our caller: an import statement, or somebody who asks what is there?
            if sys._getframe(2).f_code.co_name != "find_spec":
                raise ModuleNotFoundError(
                    f"No module named {fullname!r}: rushlight stands in for {root!r} here and has "
                    f"no {real_name!r} yet",
                    name=fullname,
                )
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname,
            _SameModule(fullname, real_name, module),
            origin=getattr(module, "__file__", None),
        )
        spec.submodule_search_locations = getattr(module, "__path__", None)
        return spec

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        wanted = None if context is None else context.name
        for name, version in _VERSIONS.items():
            if wanted is None or re.sub(r"[-_.]+", "-", wanted).lower() == name:
                yield _StandIn(name, version)


def _import_if_there(name: str) -> ModuleType | None:
    """The module, or None if there is none of that name (errors inside it stay errors)."""
    parent_name, _, child = name.rpartition(".")
    parent = _import_if_there(parent_name) if parent_name else None
    if parent_name and parent is None:
        return None
    # `rushlight.tensor` is a function: an import of its file would put the module in its place.
    public = getattr(parent, child, None) if parent is not None else None
    if public is not None and not isinstance(public, ModuleType):
        return None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise


class _StandIn(Distribution):
    """What `importlib.metadata` shows of a package that rushlight stands in for."""

    def __init__(self, name: str, version: str):
        self._text = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            f"Summary: rushlight, under the name of {name}\n"
        )

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(__file__).parents[2] / path


_FINDER = _AliasFinder()
