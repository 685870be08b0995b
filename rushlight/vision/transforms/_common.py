"""What geometric and colour transforms share: interpolation, sizes, checks."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import rushlight
from rushlight import Tensor

from .._pillow import is_pil_image

__all__ = [
    "InterpolationMode",
    "as_interpolation",
    "check_channels",
    "check_pil",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "pil_resampling",
    "to_float_batch",
    "undo_float_batch",
]


class InterpolationMode(Enum):
    """How values between pixels are found; the last three exist for PIL images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's own numbers for its resampling filters.
_PIL_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def as_interpolation(interpolation: Any) -> InterpolationMode:
    """The mode for a mode or for Pillow's number of it; TypeError for anything else."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode, number in _PIL_NUMBERS.items():
        if isinstance(interpolation, int) and number == interpolation:
            return mode
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
        f"constant; got {interpolation!r}"
    )


def pil_resampling(interpolation: InterpolationMode) -> int:
    return _PIL_NUMBERS.get(interpolation, 0)  # Pillow's nearest is the exact one


def check_pil(img: Any) -> None:
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width of a PIL image or a tensor `(…, C, H, W)`.

    >>> import rushlight as torch
    >>> torch.vision.transforms.functional.get_dimensions(torch.zeros(3, 4, 5))
    [3, 4, 5]
    """
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise TypeError("Tensor is not a torch image.")
        channels = 1 if img.ndim == 2 else int(img.shape[-3])
        return [channels, int(img.shape[-2]), int(img.shape[-1])]
    check_pil(img)
    width, height = img.size
    return [len(img.getbands()), height, width]


def get_image_size(img: Any) -> list[int]:
    """Width and height of an image."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """Number of channels of an image."""
    return get_dimensions(img)[0]


def check_channels(img: Tensor, permitted: Sequence[int]) -> None:
    channels = get_dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, "
            f"but found {channels}"
        )


def to_float_batch(img: Tensor, dtype: Any = None) -> Tensor:
    """`(N, C, H, W)` in a float type, for operations that want that."""
    img = img.unsqueeze(0) if img.ndim < 4 else img
    if dtype is not None:
        return img.to(dtype)
    return img if img.dtype in (rushlight.float32, rushlight.float64) else img.float()


def undo_float_batch(result: Tensor, original: Tensor) -> Tensor:
    """The result in the original's rank and dtype, rounded for integers."""
    result = result.squeeze(0) if original.ndim < 4 else result
    if result.dtype == original.dtype:
        return result
    is_integer = not original.is_floating_point() and original.dtype != rushlight.bool
    return (rushlight.round(result) if is_integer else result).to(original.dtype)
