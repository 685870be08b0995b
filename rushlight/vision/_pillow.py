"""Pillow, imported when a picture is first needed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy

__all__ = ["is_pil_image", "pil_from_array", "pillow"]


def pillow(module: str = "Image") -> Any:
    """The Pillow module of that name; ImportError that says how to get it."""
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError as error:
        raise ImportError(
            '[vision] reading and drawing pictures needs Pillow: pip install "rushlight[vision]"'
        ) from error


def is_pil_image(value: Any) -> bool:
    image = sys.modules.get("PIL.Image")  # not imported: then there can be no such image yet
    return image is not None and isinstance(value, image.Image)


def pil_from_array(pixels: numpy.ndarray[Any, Any], mode: str | None = None) -> Any:
    """An image of `(H, W)` or `(H, W, C)` pixels; `mode` where Pillow can not tell it from them."""
    image = sys.modules.get("PIL.Image") or pillow()
    if mode is None:
        return image.fromarray(pixels)
    height, width = pixels.shape[:2]
    return image.frombytes(mode, (width, height), numpy.ascontiguousarray(pixels).tobytes())
