"""Reading and writing picture files as uint8 tensors, through Pillow."""

from __future__ import annotations

import io as _io
import os
from enum import Enum
from pathlib import Path
from typing import Any

import numpy

import rushlight
from rushlight import Tensor

from ._pillow import pil_from_array, pillow

__all__ = [
    "ImageReadMode",
    "decode_image",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]

PathLike = str | os.PathLike[str]


class ImageReadMode(Enum):
    """The channels that a picture is read as."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_PIL_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def read_file(path: PathLike) -> Tensor:
    """The bytes of a file, uint8 `(N,)`."""
    return rushlight.from_numpy(numpy.fromfile(path, numpy.uint8))


def write_file(filename: PathLike, data: Tensor) -> None:
    """Writes a uint8 tensor `(N,)` to a file."""
    Path(filename).write_bytes(data.numpy().tobytes())


def decode_image(
    input: Tensor | PathLike,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """A picture, given as its bytes or a path, as uint8 `(C, H, W)`.

    `mode` converts to other channels (an entry or its name); `apply_exif_orientation` turns the
    picture upright. Raises RuntimeError for what is no picture.
    """
    if isinstance(input, Tensor):
        contents = input.numpy().tobytes()
    else:
        contents = Path(input).read_bytes()
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    opener = pillow()
    try:
        picture = opener.open(_io.BytesIO(contents))
        picture.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise RuntimeError(f"[decode_image] no readable picture: {error}") from error
    if apply_exif_orientation:
        picture = pillow("ImageOps").exif_transpose(picture)
    if wanted is ImageReadMode.UNCHANGED and picture.mode in ("P", "1"):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif wanted is not ImageReadMode.UNCHANGED:
        picture = picture.convert(_PIL_MODES[wanted])
    pixels = numpy.array(picture)
    pixels = pixels.reshape(picture.size[1], picture.size[0], -1).transpose(2, 0, 1)
    return rushlight.from_numpy(numpy.ascontiguousarray(pixels))


def read_image(
    path: PathLike,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """`decode_image` of a file."""
    return decode_image(path, mode, apply_exif_orientation)


def _encoded(input: Tensor, **options: Any) -> Tensor:
    if input.dtype != rushlight.uint8 or input.ndim != 3 or input.size(0) not in (1, 3):
        raise RuntimeError(
            "[encode] expected uint8 (1, H, W) or (3, H, W); got "
            f"{input.dtype} {tuple(input.shape)}"
        )
    pixels = input.permute(1, 2, 0).contiguous().numpy()
    file = _io.BytesIO()
    pil_from_array(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, **options)
    return rushlight.from_numpy(numpy.frombuffer(file.getvalue(), numpy.uint8).copy())


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file of a uint8 image `(1, H, W)` or `(3, H, W)`."""
    return _encoded(input, format="PNG", compress_level=compression_level)


def encode_jpeg(input: Tensor, quality: int = 75) -> Tensor:
    """The bytes of a JPEG file of a uint8 image `(1, H, W)` or `(3, H, W)`."""
    return _encoded(input, format="JPEG", quality=quality)


def write_png(input: Tensor, filename: PathLike, compression_level: int = 6) -> None:
    """Writes a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: PathLike, quality: int = 75) -> None:
    """Writes a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
