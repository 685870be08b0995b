"""Resizing, cropping, padding, flipping and affine maps of PIL images and tensors `(…, H, W)`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy

import rushlight
from rushlight import Tensor, nn

from .._pillow import pil_from_array, pillow
from ._common import (
    InterpolationMode,
    as_interpolation,
    check_pil,
    get_dimensions,
    pil_resampling,
    to_float_batch,
    undo_float_batch,
)

__all__ = [
    "center_crop",
    "crop",
    "five_crop",
    "hflip",
    "pad",
    "resize",
    "resized_crop",
    "ten_crop",
    "vflip",
]


def hflip(img: Any) -> Any:
    """Mirrors an image left to right."""
    if isinstance(img, Tensor):
        return img.flip(-1)
    check_pil(img)
    return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Mirrors an image top to bottom."""
    if isinstance(img, Tensor):
        return img.flip(-2)
    check_pil(img)
    return img.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)


def resize(
    img: Any,
    size: Any,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resizes to `(height, width)`, or so that the shorter side is `size`.

    `max_size` limits the longer side. Tensors know nearest, nearest-exact, bilinear and bicubic;
    `antialias` averages over source pixels when shrinking with the last two (Pillow always does).
    Raises ValueError for a size of another length and TypeError for an unknown interpolation.
    """
    mode = as_interpolation(interpolation)
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element "
            "tuple/list"
        )
    if max_size is not None and len(sizes) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge"
        )
    _, height, width = get_dimensions(img)
    target = sizes if len(sizes) == 2 else _scaled_size(height, width, sizes[0], max_size)
    if [height, width] == target:
        return img
    if isinstance(img, Tensor):
        return _resize_tensor(img, target, mode, bool(antialias))
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is "
            "ignored.",
            stacklevel=2,
        )
    return img.resize((target[1], target[0]), pil_resampling(mode))


def _scaled_size(height: int, width: int, shorter: int, max_size: int | None) -> list[int]:
    """Height and width whose shorter one is given, the longer one at most `max_size`."""
    short, long = sorted((height, width))
    new_short, new_long = shorter, int(shorter * long / short)
    if max_size is not None:
        if max_size <= shorter:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {shorter}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def _resize_tensor(
    img: Tensor, size: list[int], mode: InterpolationMode, antialias: bool
) -> Tensor:
    smooth = mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    options: dict[str, Any] = {"align_corners": False, "antialias": antialias} if smooth else {}
    batch = to_float_batch(img)
    result = nn.functional.interpolate(batch, size=size, mode=mode.value, **options)
    if mode is InterpolationMode.BICUBIC and img.dtype == rushlight.uint8:
        result = result.clamp(min=0, max=255)  # the cubic's overshoots
    return undo_float_batch(result, img)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The rectangle at `(top, left)`; what lies outside the image is 0."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    bottom, right = top + height, left + width
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inside
    margins = [
        max(min(right, 0) - left, 0),
        max(right - max(w, left), 0),
        max(min(bottom, 0) - top, 0),
        max(bottom - max(h, top), 0),
    ]
    return nn.functional.pad(inside, margins)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of an image, `(height, width)` or a square; a smaller image is padded with 0."""
    crop_height, crop_width = pair_of(output_size)
    _, height, width = get_dimensions(img)
    if crop_width > width or crop_height > height:
        missing_x, missing_y = max(crop_width - width, 0), max(crop_height - height, 0)
        img = pad(
            img,
            [missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2],
            fill=0,
        )
        _, height, width = get_dimensions(img)
        if (crop_width, crop_height) == (width, height):
            return img
    top = int(round((height - crop_height) / 2.0))
    left = int(round((width - crop_width) / 2.0))
    return crop(img, top, left, crop_height, crop_width)


def pair_of(size: Any) -> tuple[int, int]:
    """Height and width for an int, one number or two."""
    if isinstance(size, int):
        return size, size
    if len(size) == 1:
        return size[0], size[0]
    height, width = size
    return height, width


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners and the centre, `(height, width)` each.

    Raises ValueError if the image is smaller.
    """
    if not isinstance(size, int) and len(size) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    crop_height, crop_width = pair_of(size)
    _, height, width = get_dimensions(img)
    if crop_width > width or crop_height > height:
        raise ValueError(
            f"Requested crop size {(crop_height, crop_width)} is bigger than input size "
            f"{(height, width)}"
        )
    right, bottom = width - crop_width, height - crop_height
    corners = [
        crop(img, top, left, crop_height, crop_width)
        for top, left in ((0, 0), (0, right), (bottom, 0), (bottom, right))
    ]
    return (*corners, center_crop(img, [crop_height, crop_width]))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of an image and of its mirror image."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def pad(
    img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
) -> Any:
    """Adds a border: one width, `(left and right, top and bottom)` or `(left, top, right, bottom)`.

    Modes: "constant" (`fill`), "edge", "reflect" (without the edge), "symmetric" (with it).
    Negative widths crop. Raises TypeError and ValueError for other arguments.
    """
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    left, top, right, bottom = _four_widths(padding)
    if isinstance(img, Tensor):
        return _pad_tensor(img, [left, right, top, bottom], fill, padding_mode)
    check_pil(img)
    if padding_mode == "constant":
        return _pad_with_color(img, (left, top, right, bottom), fill)
    return _pad_from_inside(img, (left, top, right, bottom), padding_mode)


def _four_widths(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom."""
    widths = [padding] if isinstance(padding, int) else list(padding)
    if len(widths) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(widths)} element "
            "tuple"
        )
    left, top, right, bottom = widths * (4 // len(widths))
    return left, top, right, bottom


def _pad_tensor(img: Tensor, widths: list[int], fill: Any, padding_mode: str) -> Tensor:
    if not isinstance(fill, (int, float)) and fill is not None:
        raise TypeError("Got inappropriate fill arg: a number is expected for a tensor")
    if padding_mode == "symmetric":
        return _pad_symmetric(img, widths)
    if padding_mode == "constant":
        return nn.functional.pad(img, widths, value=fill or 0)
    mode = "replicate" if padding_mode == "edge" else padding_mode
    return undo_float_batch(nn.functional.pad(to_float_batch(img), widths, mode=mode), img)


def _pad_symmetric(img: Tensor, widths: list[int]) -> Tensor:
    for dim, before, after in ((-1, *widths[:2]), (-2, *widths[2:])):
        size = int(img.shape[dim])
        order = numpy.pad(numpy.arange(size), (max(before, 0), max(after, 0)), mode="symmetric")
        order = order[max(-before, 0) : len(order) - max(-after, 0)]
        img = img.index_select(dim, rushlight.from_numpy(order))
    return img


def _pad_with_color(img: Any, border: tuple[int, int, int, int], fill: Any) -> Any:
    color = fill_color(img, fill)
    result = pillow("ImageOps").expand(img, border=border, fill=color)
    if img.mode == "P":
        result.putpalette(img.getpalette())
    return result


def _pad_from_inside(img: Any, border: tuple[int, int, int, int], mode: Any) -> Any:
    left, top, right, bottom = border
    if min(border) < 0:
        img = img.crop(
            (max(-left, 0), max(-top, 0), img.width - max(-right, 0), img.height - max(-bottom, 0))
        )
    pixels = numpy.asarray(img)
    widths = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))]
    widths += [(0, 0)] * (pixels.ndim - 2)
    result = pil_from_array(numpy.pad(pixels, widths, mode=mode))
    if img.mode == "P":
        result.putpalette(img.getpalette())
    return result


def fill_color(img: Any, fill: Any) -> Any:
    """A fill value as Pillow wants it for that image: a number, or one per channel.

    Raises ValueError if the number of values is neither 1 nor that of the channels.
    """
    channels = len(img.getbands())
    values = list(fill) if isinstance(fill, (list, tuple)) else [fill or 0]
    if len(values) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(values)} != {channels})"
        )
    if img.mode != "F":
        values = [int(value) for value in values]
    if channels == 1:
        return values[0]
    return tuple(values * channels if len(values) == 1 else values)
