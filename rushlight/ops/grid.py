"""Sampling images at arbitrary points: `grid_sample` and `affine_grid`."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

from .choose import where
from .create import linspace, ones, zeros
from .parts import stack

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

_ALIGN_WARNING = (
    "Default {op} behavior has changed to align_corners=False since 1.3.0. Please specify "
    "align_corners=True if the old behavior is desired. See the documentation of grid_sample for "
    "details."
)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The points at which an affine map reads, for `grid_sample`.

    `theta (N, 2, 3)` and `size (N, C, H, W)` give `(N, H, W, 2)`; `theta (N, 3, 4)` and
    `(N, C, D, H, W)` give `(N, D, H, W, 3)`. Coordinates run from -1 to 1.

    >>> import rushlight as torch
    >>> theta = torch.tensor([[[1., 0., 0.], [0., 1., 0.]]])
    >>> torch.nn.functional.affine_grid(theta, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    if align_corners is None:
        warnings.warn(_ALIGN_WARNING.format(op="affine_grid"), stacklevel=2)
        align_corners = False
    if theta._array.dtype.kind not in "fV":
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(f"affine_grid only supports 4D and 5D sizes, got {list(size)}")
    if theta._array.ndim != 3 or theta._array.shape[1:] != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for "
            f"size {list(size)}. Got {list(theta._array.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {list(size)}")
    spatial = [int(s) for s in size[2:]]
    axes = []
    for i, count in enumerate(spatial):
        if count > 1:
            line = linspace(-1, 1, count, dtype=theta.dtype)
            line = line if align_corners else line * ((count - 1) / count)
        else:
            line = zeros(1, dtype=theta.dtype)
        axes.append(line.reshape([-1 if j == i else 1 for j in range(n)]).expand(spatial))
    base = stack([*reversed(axes), ones(spatial, dtype=theta.dtype)], -1).reshape(1, -1, n + 1)
    points = base.expand(size[0], -1, -1) @ theta.transpose(1, 2)
    return points.reshape(size[0], *spatial, n)


def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Tensor:  # fmt: skip
    """`input (N, C, H, W)` read at the points `grid (N, H', W', 2)` (x, y from -1 to 1).

    Also `(N, C, D, H, W)` at `(N, D', H', W', 3)`. `mode`: `"bilinear"`, `"nearest"`, `"bicubic"`
    (4-D only). Outside the image `padding_mode` `"zeros"` reads 0, `"border"` the nearest border,
    `"reflection"` the mirrored image. -1 and 1 are the outer edges of the border elements, or
    their centers with `align_corners`.

    >>> import rushlight as torch
    >>> x = torch.tensor([[[[1., 2.]]]])
    >>> grid = torch.tensor([[[[0., 0.]]]])
    >>> torch.nn.functional.grid_sample(x, grid, align_corners=False)
    tensor([[[[1.5000]]]])
    """
    if align_corners is None:
        warnings.warn(_ALIGN_WARNING.format(op="grid_sample"), stacklevel=2)
        align_corners = False
    _check(input, grid, mode, padding_mode)
    sizes = input._array.shape[2:]
    # grid lists x (the last dim of the input) first
    raw = [_to_index(c, s, align_corners) for c, s in zip(reversed(grid.unbind(-1)), sizes)]
    if mode == "bicubic":
        return _bicubic(input, raw, padding_mode, align_corners)
    places = [_pad(c, s, padding_mode, align_corners) for c, s in zip(raw, sizes)]
    if mode == "nearest":
        values = _read(input, [p.detach().round() for p in places])
        # a step function of the grid: its gradient is there, and zero
        return values + (places[0] * 0).unsqueeze(1) if grid.requires_grad else values
    low = [p.detach().floor() for p in places]
    result: Any = 0
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight: Any = 1
        for place, first, step in zip(places, low, corner):
            weight = weight * (place - first if step else first + 1 - place)
        values = _read(input, [first + step for first, step in zip(low, corner)])
        result = result + values * weight.unsqueeze(1)
    return result


def _check(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' "
            f"or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', "
            f"'border', or 'reflection', but got: '{padding_mode}'"
        )
    x, g = input._array, grid._array
    if x.dtype != g.dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input "
            f"has {input.dtype} and grid has {grid.dtype}"
        )
    if x.ndim not in (4, 5) or x.ndim != g.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of "
            f"dimensions, but got input with sizes {list(x.shape)} and grid with "
            f"sizes {list(g.shape)}"
        )
    if x.shape[0] != g.shape[0] or g.shape[-1] != x.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid of batch size {x.shape[0]} with "
            f"{x.ndim - 2} coordinates in its last dimension, but got sizes "
            f"{list(g.shape)}"
        )
    if 0 in x.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, "
            f"but input has sizes {list(x.shape)}"
        )
    if mode == "bicubic" and x.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def _to_index(coordinate: Tensor, size: int, align_corners: bool) -> Tensor:
    """Coordinates from -1 to 1 as fractional positions of elements."""
    if align_corners:
        return (coordinate + 1) / 2 * (size - 1)
    return ((coordinate + 1) * size - 1) / 2


def _pad(place: Tensor, size: int, mode: str, align_corners: bool) -> Tensor:
    """Positions outside the image moved into it; there the slope is 0."""
    if mode == "zeros":
        return place
    if mode == "reflection":
        low, high = (0, 2 * (size - 1)) if align_corners else (-1, 2 * size - 1)
        place = _reflected(place, low / 2, (high - low) / 2)
    outside = (place <= 0) | (place >= size - 1)
    return where(outside, place.detach().clamp(0, size - 1), place)


def _reflected(place: Tensor, start: float, span: float) -> Tensor:
    """Positions mirrored back and forth between two ends, as often as it takes."""
    if span == 0:
        return place * 0
    distance = (place - start).abs()
    turns = (distance.detach() / span).floor()
    rest = distance - turns * span
    return where(turns % 2 == 0, rest, span - rest) + start


def _read(input: Tensor, places: list[Any]) -> Tensor:
    """The elements at whole positions, `(N, C, …)`; 0 outside the image."""
    sizes = input._array.shape[2:]
    inside: Any = True
    flat: Any = 0
    for place, size in zip(places, sizes):
        inside = (place >= 0) & (place <= size - 1) & inside
        flat = flat * size + place.clamp(0, size - 1).nan_to_num().long()
    n, channels = input._array.shape[:2]
    index = flat.reshape(n, 1, -1).expand(n, channels, -1)
    values = input.reshape(n, channels, -1).gather(2, index).reshape(n, channels, *flat.shape[1:])
    return values.masked_fill(~inside.unsqueeze(1), 0)


def _bicubic(input: Tensor, raw: list[Any], padding_mode: str, align_corners: bool) -> Tensor:
    """4 × 4 neighbours with Keys' weights (a = -0.75), each neighbour padded on its own."""
    sizes = input._array.shape[2:]
    low = [c.detach().floor() for c in raw]
    weights = [_cubic_weights(c - first) for c, first in zip(raw, low)]
    result: Any = 0
    for steps in itertools.product(range(4), repeat=2):
        places = [_pad(first + (s - 1), size, padding_mode, align_corners)
                  for first, s, size in zip(low, steps, sizes)]  # fmt: skip
        weight = weights[0][steps[0]] * weights[1][steps[1]]
        result = result + _read(input, [p.round() for p in places]) * weight.unsqueeze(1)
    return result


def _cubic_weights(t: Any) -> list[Any]:
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]
