"""Rotation, affine maps and perspective of PIL images and tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

import rushlight
from rushlight import Tensor, nn

from .._pillow import pillow
from ._common import (
    InterpolationMode,
    as_interpolation,
    check_pil,
    get_dimensions,
    pil_resampling,
    to_float_batch,
    undo_float_batch,
)
from ._geometry import fill_color

__all__ = ["affine", "perspective", "rotate"]

Matrix = list[float]  # a, b, c, d, e, f: output (x, y) shows input (ax + by + c, dx + ey + f)


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[int] | None = None,
    fill: Any = None,
) -> Any:
    """Rotates by `angle` degrees, counter-clockwise, about the centre or `center` (x, y).

    `expand` makes the result large enough for the whole rotated image; `fill` is the value outside.
    Tensors know nearest and bilinear interpolation (ValueError for others).
    """
    mode = as_interpolation(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    _check_center(center)
    if not isinstance(img, Tensor):
        check_pil(img)
        return img.rotate(
            angle, pil_resampling(mode), expand, center, fillcolor=fill_color(img, fill)
        )
    matrix = _inverse_matrix(_offset_center(img, center), -angle, (0, 0), 1.0, (0.0, 0.0))
    _, height, width = get_dimensions(img)
    size = _rotated_size(matrix, height, width) if expand else (height, width)
    return _warp(img, _affine_grid(img, matrix, size), mode, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[int] | None = None,
) -> Any:
    """Rotates (clockwise), scales, shears (degrees) and then moves an image by `translate` pixels.

    Raises TypeError and ValueError for arguments of other types and lengths.
    """
    mode = as_interpolation(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    _check_center(center)
    shears = _two_shears(shear)
    if not isinstance(img, Tensor):
        check_pil(img)
        width, height = img.size
        pivot = (width * 0.5, height * 0.5) if center is None else (center[0], center[1])
        matrix = _inverse_matrix(pivot, angle, translate, scale, shears)
        return img.transform(
            img.size,
            pillow().Transform.AFFINE,
            matrix,
            pil_resampling(mode),
            fillcolor=fill_color(img, fill),
        )
    matrix = _inverse_matrix(_offset_center(img, center), angle, translate, scale, shears)
    _, height, width = get_dimensions(img)
    return _warp(img, _affine_grid(img, matrix, (height, width)), mode, fill)


def _check_center(center: Any) -> None:
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")


def _two_shears(shear: Any) -> tuple[float, float]:
    if isinstance(shear, (int, float)):
        return float(shear), 0.0
    if not isinstance(shear, (list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if len(shear) == 1:
        return shear[0], shear[0]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    return shear[0], shear[1]


def _offset_center(img: Tensor, center: Sequence[int] | None) -> tuple[float, float]:
    """The pivot measured from the image's middle, as the tensors' grids are."""
    if center is None:
        return 0.0, 0.0
    _, height, width = get_dimensions(img)
    return center[0] - width * 0.5, center[1] - height * 0.5


def _inverse_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> Matrix:
    """From output to input coordinates, for M = T · C · R(angle) · S(scale) · SHy · SHx · C⁻¹.

    R·SHy·SHx has determinant 1, so its inverse needs no division.
    """
    rotation, shear_x, shear_y = (math.radians(degrees) for degrees in (angle, *shear))
    (cx, cy), (tx, ty) = center, translate
    a = math.cos(rotation - shear_y) / math.cos(shear_y)
    b = -a * math.tan(shear_x) - math.sin(rotation)
    c = math.sin(rotation - shear_y) / math.cos(shear_y)
    d = -c * math.tan(shear_x) + math.cos(rotation)
    inverse = [d / scale, -b / scale, -c / scale, a / scale]
    x, y = -cx - tx, -cy - ty
    return [
        inverse[0],
        inverse[1],
        inverse[0] * x + inverse[1] * y + cx,
        inverse[2],
        inverse[3],
        inverse[2] * x + inverse[3] * y + cy,
    ]


def _rotated_size(matrix: Matrix, height: int, width: int) -> tuple[int, int]:
    """Height and width that hold the whole rotated image, as Pillow's `expand` gives."""
    corners = numpy.array([[x, y, 1.0] for x in (-0.5, 0.5) for y in (-0.5, 0.5)], numpy.float32)
    corners[:, :2] *= (width, height)
    points = corners @ numpy.array(matrix, numpy.float32).reshape(2, 3).T
    middle = numpy.array([width * 0.5, height * 0.5], numpy.float32)
    # Cut to 1e-4, so that 10.0000001 does not become 11 pixels.
    low, high = (
        numpy.trunc((edge + middle) / 1e-4) * 1e-4 for edge in (points.min(0), points.max(0))
    )
    new_width, new_height = (int(size) for size in numpy.ceil(high) - numpy.floor(low))
    return new_height, new_width


def _affine_grid(img: Tensor, matrix: Matrix, size: tuple[int, int]) -> Tensor:
    """For each output pixel the input position in [−1, 1]; `(1, H', W', 2)`."""
    _, height, width = get_dimensions(img)
    dtype = img.dtype if img.is_floating_point() else rushlight.float32
    base = _pixel_centers(size, -0.5 * size[1], -0.5 * size[0], dtype)
    theta = rushlight.tensor(matrix, dtype=dtype).reshape(2, 3).t()
    half_size = rushlight.tensor([0.5 * width, 0.5 * height], dtype=dtype)
    return (base @ (theta / half_size)).view(1, *size, 2)


def _pixel_centers(size: tuple[int, int], left: float, top: float, dtype: Any) -> Tensor:
    """Rows (x, y, 1) of all pixel centres, the image's corner being at (left, top)."""
    height, width = size
    x = rushlight.linspace(left + 0.5, left + width - 0.5, width, dtype=dtype)
    y = rushlight.linspace(top + 0.5, top + height - 0.5, height, dtype=dtype)
    columns = [x.repeat(height), y.repeat_interleave(width)]
    columns.append(rushlight.ones(height * width, dtype=dtype))
    return rushlight.stack(columns, 1)


def _warp(img: Tensor, grid: Tensor, mode: InterpolationMode, fill: Any) -> Tensor:
    """Samples an image at a grid; outside it is `fill` (0 by default)."""
    if mode not in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")
    channels = get_dimensions(img)[0]
    values = None if fill is None else list(fill) if isinstance(fill, (list, tuple)) else [fill]
    if values is not None and len(values) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(values)} != {channels})"
        )
    batch = to_float_batch(img, grid.dtype)
    grid = grid.expand(batch.shape[0], *grid.shape[1:])
    if values is not None:  # a further channel of ones tells how much of a pixel is inside
        batch = rushlight.cat((batch, rushlight.ones_like(batch[:, :1])), 1)
    result = nn.functional.grid_sample(
        batch, grid, mode=mode.value, padding_mode="zeros", align_corners=False
    )
    if values is not None:
        color = rushlight.tensor(values, dtype=result.dtype).view(1, -1, 1, 1)
        result, inside = result[:, :-1], result[:, -1:]
        if mode is InterpolationMode.NEAREST:
            result = rushlight.where(inside < 0.5, color, result)
        else:
            result = result * inside + (1.0 - inside) * color
    return undo_float_batch(result, img)


def perspective(
    img: Any,
    startpoints: list[list[int]],
    endpoints: list[list[int]],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Maps four points of an image (corners, clockwise from top left) to four others."""
    mode = as_interpolation(interpolation)
    coefficients = _perspective_coefficients(startpoints, endpoints)
    if not isinstance(img, Tensor):
        check_pil(img)
        return img.transform(
            img.size,
            pillow().Transform.PERSPECTIVE,
            coefficients,
            pil_resampling(mode),
            fillcolor=fill_color(img, fill),
        )
    _, height, width = get_dimensions(img)
    dtype = img.dtype if img.is_floating_point() else rushlight.float32
    base = _pixel_centers((height, width), 0.0, 0.0, dtype)
    a, b, c, d, e, f, g, h = coefficients
    numerator = rushlight.tensor([[a, d], [b, e], [c, f]], dtype=dtype)
    denominator = rushlight.tensor([[g], [h], [1.0]], dtype=dtype)
    half_size = rushlight.tensor([0.5 * width, 0.5 * height], dtype=dtype)
    grid = (base @ (numerator / half_size)) / (base @ denominator) - 1.0
    return _warp(img, grid.view(1, height, width, 2), mode, fill)


def _perspective_coefficients(
    startpoints: list[list[int]], endpoints: list[list[int]]
) -> list[float]:
    """The eight numbers of the projective map from output to input, solved from four points."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            "Please provide exactly four corners, got "
            f"{len(startpoints)} startpoints and {len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    target = numpy.array(startpoints, numpy.float64).reshape(8)
    solution = numpy.linalg.lstsq(numpy.array(rows, numpy.float64), target, rcond=None)[0]
    return [float(value) for value in solution.astype(numpy.float32)]
