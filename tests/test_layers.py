"""Imports run downward only: each layer may name the ones below it, never the ones above."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rushlight

PACKAGE = Path(rushlight.__file__).parent

# From the ground up. A module may import at import time only from its own layer or from lower ones.
LAYERS = [
    ["types_", "errors", "dtypes", "device", "size", "_version"],
    ["backends"],
    ["autograd"],
    ["storage", "printing", "random", "return_types", "formats", "ops"],
    ["interchange", "tensor", "threads", "queries", "legacy", "settings"],
    ["nn", "optim", "utils", "vision", "hub", "interop", "cuda", "serialization", "amp"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
PUBLIC_ONLY = {"nn", "optim", "utils", "vision"}


def top_level_imports(path: Path) -> list[str]:
    """The rushlight modules that a file imports when it is itself imported."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = path.relative_to(PACKAGE).parts[: -node.level]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found += ["/".join((*base, name.replace(".", "/"))) for name in names]
            elif node.module and node.module.split(".")[0] == "rushlight":
                rest = node.module.split(".")[1:]
                found += ["/".join(rest)] if rest else []
        elif isinstance(node, ast.Import):
            found += [a.name.split(".", 1)[1].replace(".", "/") for a in node.names
                      if a.name.startswith("rushlight.")]  # fmt: skip
    return found


def files() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if p.name not in ("__init__.py", "__main__.py")
            or p.parent != PACKAGE]  # fmt: skip


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if layer not in RANK:
        return
    for name in top_level_imports(path):
        target = name.split("/")[0]
        if target in RANK:
            assert RANK[target] <= RANK[layer], f"{layer} imports {target}, which lies above it"


def test_operations_name_no_array_library() -> None:
    """Ops and autograd ask the array's kernels; only `create` turns Python data into arrays."""
    leaks = []
    for folder in ("ops", "autograd"):
        for path in (PACKAGE / folder).glob("*.py"):
            source = path.read_text()
            if "import numpy" in source and path.name != "from_data.py":
                leaks.append(path.name)
    assert leaks == []
