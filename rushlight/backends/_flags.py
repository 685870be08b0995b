"""What the small modules of PyTorch's switches share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

__all__ = ["temporarily"]


@contextlib.contextmanager
def temporarily(module: ModuleType, **values: Any) -> Iterator[None]:
    """Switches of a module set to other values inside a `with` block."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
