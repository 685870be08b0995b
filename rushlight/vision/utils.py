"""Pictures out of tensors: grids, files, boxes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import rushlight
from rushlight import Tensor

from ._pillow import pil_from_array, pillow

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]

Color = str | tuple[int, int, int]


def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Lays a batch `(B, C, H, W)` out as one image with `nrow` pictures a row.

    Pictures are `padding` pixels of `pad_value` apart; one channel becomes three. A list of images
    `(C, H, W)` is stacked first, a single image comes back as it is. `normalize` shifts values from
    `value_range` (default: minimum and maximum of the batch, or with `scale_each` of each image)
    to [0, 1]. Raises TypeError for anything else than tensors.

    >>> import rushlight as torch
    >>> torch.vision.utils.make_grid(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([3, 36, 138])
    """
    images = _as_batch(tensor)
    if normalize:
        images = _to_unit_range(images, value_range, scale_each)
    count = images.size(0)
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = images.size(2) + padding, images.size(3) + padding
    grid = images.new_full(
        (images.size(1), height * rows + padding, width * columns + padding), pad_value
    )
    for k in range(count):
        top = k // columns * height + padding
        left = k % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = images[k]
    return grid


def _as_batch(tensor: Any) -> Tensor:
    """The images as `(B, C, H, W)`, gray ones with three channels."""
    if isinstance(tensor, list):
        for item in tensor:
            if not isinstance(item, Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(item)}"
                )
        tensor = rushlight.stack(tensor, 0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = rushlight.cat((tensor, tensor, tensor), 1)
    return tensor


def _to_unit_range(
    images: Tensor, value_range: tuple[float, float] | None, scale_each: bool
) -> Tensor:
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    images = images.clone()
    for part in images if scale_each else [images]:
        low, high = value_range or (float(part.min()), float(part.max()))
        part.clamp_(min=low, max=high)
        part.sub_(low).div_(max(high - low, 1e-5))
    return images


def save_image(
    tensor: Tensor | list[Tensor],
    fp: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Writes images with values in [0, 1] to a file, several as a grid (`make_grid`'s arguments).

    The file's name says the format, unless `format` does.
    """
    grid = make_grid(tensor, **kwargs).detach()
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to(rushlight.uint8)
    pil_from_array(pixels.cpu().contiguous().numpy()).save(fp, format=format)


def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: list[str] | None = None,
    colors: Sequence[Color] | Color | None = None,
    fill: bool = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Tensor:
    """Draws boxes `(N, 4)` given as (x1, y1, x2, y2) on an image `(3, H, W)` or `(1, H, W)`.

    uint8 images and float ones in [0, 1]; a new tensor of the same dtype comes back. `colors` is
    one colour or one per box. Raises TypeError for other objects and dtypes, ValueError for other
    shapes, upside-down boxes or a wrong number of labels or colours.
    """
    _check_boxes(image, boxes, labels)
    if boxes.size(0) == 0:
        return image
    is_float = image.is_floating_point()
    pixels = (image.mul(255).round() if is_float else image).to(rushlight.uint8)
    if pixels.size(0) == 1:
        pixels = pixels.repeat(3, 1, 1)
    picture = pil_from_array(pixels.permute(1, 2, 0).contiguous().numpy())
    pen = pillow("ImageDraw").Draw(picture, "RGBA" if fill else None)
    type_face = _font(font, font_size)
    for i, (box, color) in enumerate(
        zip(boxes.to(rushlight.int64).tolist(), _colors(colors, boxes.size(0)), strict=True)
    ):
        inside = (*_rgb(color), 100) if fill else None
        pen.rectangle(box, width=width, outline=color, fill=inside)
        if labels is not None and labels[i] is not None:
            pen.text((box[0] + width + 1, box[1] + width + 1), labels[i], color, font=type_face)
    drawn = rushlight.vision.transforms.functional.pil_to_tensor(picture).contiguous()
    return drawn.to(image.dtype).div(255) if is_float else drawn


def _check_boxes(image: Any, boxes: Tensor, labels: list[str] | None) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if image.dtype != rushlight.uint8 and not image.is_floating_point():
        raise TypeError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError(f"Pass individual images, not batches; got shape {tuple(image.shape)}")
    if image.size(0) not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    if boxes.numel() and (boxes.dim() != 2 or boxes.size(1) != 4):
        raise ValueError(f"boxes must have shape (N, 4); got {tuple(boxes.shape)}")
    if boxes.numel() and bool(((boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. "
            "Use ops.box_convert to convert them"
        )
    if labels is not None and len(labels) != boxes.size(0):
        raise ValueError(
            f"The number of boxes ({boxes.size(0)}) and labels ({len(labels)}) mismatch. "
            "Please specify labels for each box."
        )


def _colors(colors: Sequence[Color] | Color | None, count: int) -> list[Color]:
    if colors is None:
        hues = [(i * 0.618) % 1.0 for i in range(count)]  # golden-ratio steps: neighbours differ
        return [f"hsl({int(360 * hue)}, 85%, 50%)" for hue in hues]
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, "
                f"but got {len(colors)} < {count}."
            )
        return colors[:count]
    return [colors] * count  # type: ignore[list-item]


def _rgb(color: Color) -> tuple[int, int, int]:
    if isinstance(color, str):
        rgb: tuple[int, int, int] = pillow("ImageColor").getrgb(color)[:3]
        return rgb
    return color


def _font(font: str | None, size: int | None) -> Any:
    faces = pillow("ImageFont")
    if font is None:
        return faces.load_default(size) if size else faces.load_default()
    return faces.truetype(font=font, size=size or 10)
