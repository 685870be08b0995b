"""Pictures: data sets, transforms, models and drawing, with torchvision's names."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["datasets", "io", "models", "ops", "transforms", "utils"]

__version__ = "0.28.0+rushlight"  # the torchvision whose names and behaviour these are


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def get_image_backend() -> str:
    """The package that reads pictures: always "PIL"."""
    return "PIL"


def set_image_backend(backend: str) -> None:
    """Accepts "PIL", the one backend there is; ValueError for another."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. The only option is 'PIL'")
