"""The top level as a program sees it that writes `from torch import *`."""

from __future__ import annotations

from types import ModuleType

import rushlight as torch


def test_star_import_brings_what_is_loaded_on_first_use_too() -> None:
    names: dict[str, object] = {}
    exec("from rushlight import *", names)
    for name in ("tensor", "float32", "relu", "conv2d", "embedding", "layer_norm", "lstm", "save"):
        assert names[name] is getattr(torch, name)
    assert not [n for n, value in names.items() if isinstance(value, ModuleType)]
    assert "Any" not in names and "TYPE_CHECKING" not in names


def test_every_listed_name_exists() -> None:
    assert [name for name in dir(torch) if not hasattr(torch, name)] == []
