"""Resizing images and signals: nearest, linear, cubic and area interpolation."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..types_ import Array, Shape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]


@primitive(name="Upsample", kernel="resample")
def _resample(x: Array, index: Array, weights: Array, *, dim: int) -> Array:
    """Each result along `dim` mixes `x[index]` with `weights`; see the kernel."""
    return kernels(x).resample(x, index, weights, dim)


@_resample.derivative("x")
def _resample_dx(grad: Tensor, x_shape: Shape, index: Tensor, weights: Tensor, dim: int) -> Tensor:
    return _resample_backward(grad, index, weights, dim=dim, size=x_shape[dim])


@primitive(name="UpsampleBackward", kernel="resample_grad")
def _resample_backward(g: Array, index: Array, weights: Array, *, dim: int, size: int) -> Array:
    return kernels(g).resample_grad(g, index, weights, dim, size)


@_resample_backward.derivative("g")
def _resample_backward_dg(grad: Tensor, index: Tensor, weights: Tensor, dim: int) -> Tensor:
    return _resample(grad, index, weights, dim=dim)


# For each mode: the number of spatial dims it takes, and what is done along each of them.
_MODES = {
    "linear": (1, "linear"),
    "bilinear": (2, "linear"),
    "bicubic": (2, "cubic"),
    "trilinear": (3, "linear"),
}


def interpolate(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:  # fmt: skip
    """`input (N, C, …)` resized to `size`, or by `scale_factor`, over its 1 to 3 spatial dims.

    `mode` is `"nearest"`, `"nearest-exact"`, `"linear"` (3-D input), `"bilinear"`, `"bicubic"`
    (4-D), `"trilinear"` (5-D) or `"area"`. `align_corners` places the outermost results on the
    outermost elements instead of aligning the borders. `antialias` (bilinear, bicubic) widens the
    filter when shrinking, as Pillow does.

    >>> import rushlight as torch
    >>> x = torch.tensor([[[1., 2.]]])
    >>> torch.nn.functional.interpolate(x, scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> torch.nn.functional.interpolate(x, size=4, mode="linear")
    tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    _check_mode(input, mode, align_corners, antialias)
    spatial = input._array.shape[2:]
    sizes, factors = _target(spatial, size, scale_factor, recompute_scale_factor)
    if any(s <= 0 for s in (*spatial, *sizes)):
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({list(spatial)}) and "
            f"output ({list(sizes)})"
        )
    if mode == "area":
        from .pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[len(spatial) - 1]
        return pool(input, sizes)
    along = mode if mode.startswith("nearest") else _MODES[mode][1]
    along += "-antialias" if antialias else ""
    if input._array.dtype == "uint8" and not mode.startswith("nearest"):
        mixed = _resized(input.float(), sizes, factors, along, bool(align_corners))
        return mixed.round().clamp(0, 255).to(input.dtype)
    return _resized(input, sizes, factors, along, bool(align_corners))


def _check_mode(input: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    ndim = input._array.ndim
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif mode not in _MODES:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {ndim}D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got "
            f"{mode})"
        )
    if antialias and not (mode in ("bilinear", "bicubic") and ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and "
            "requires a 4-D tensor as input"
        )
    if mode in _MODES and _MODES[mode][0] != ndim - 2 or not 3 <= ndim <= 5:
        wanted = f"{_MODES[mode][0] + 2}D" if mode in _MODES else "3D, 4D or 5D"
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {wanted} input")
    if input._array.dtype.kind not in "fV" and input._array.dtype != "uint8":
        raise NotImplementedError(
            f"[interpolate] not implemented for {input.dtype}; convert it with .float()"
        )


def _target(spatial: Shape, size: Any, scale_factor: Any,
            recompute: bool | None) -> tuple[Shape, list[float | None]]:  # fmt: skip
    """The output sizes, and the scale factors that place the results (None: from the sizes)."""
    n = len(spatial)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        sizes = tuple(int(s) for s in size) if isinstance(size, (tuple, list)) else (int(size),) * n
        if len(sizes) != n:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(spatial)} and output size of {size}. Please "
                "provide input tensor in (N, C, d1, d2, ...,dK) format and output size in "
                "(o1, o2, ...,oK) format."
            )
        return sizes, [None] * n
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    several = isinstance(scale_factor, (tuple, list))
    factors = [float(f) for f in scale_factor] if several else [float(scale_factor)] * n
    if len(factors) != n:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got "
            "input "
            f"with spatial dimensions of {list(spatial)} and scale_factor of shape {scale_factor}."
        )
    sizes = tuple(math.floor(s * f) for s, f in zip(spatial, factors))
    return sizes, [None] * n if recompute else list(factors)


def _resized(x: Tensor, sizes: Shape, factors: list[float | None], mode: str,
             align_corners: bool) -> Tensor:  # fmt: skip
    """Resizes dim by dim, the last one first; never the input itself."""
    result = x
    for dim in range(x._array.ndim - 1, 1, -1):
        size, count, factor = result._array.shape[dim], sizes[dim - 2], factors[dim - 2]
        if size == count and (factor is None or factor == 1 or align_corners):
            continue
        if align_corners:
            scale = (size - 1) / (count - 1) if count > 1 else 0.0
        else:
            scale = 1.0 / factor if factor else size / count
        k = kernels(x._array)
        plan = k.resample_plan(mode, size, count, scale, align_corners, x._array.dtype)
        result = _resample(result, wrap(plan[0]), wrap(plan[1]), dim=dim)
    return result.clone() if result is x else result


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:  # fmt: skip
    """The older name of `interpolate`; warns."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` "
                  "instead.",
                  stacklevel=2)  # fmt: skip
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode `"nearest"`; deprecated."""
    warnings.warn("`nn.functional.upsample_nearest` is deprecated. Use "
                  "`nn.functional.interpolate` instead.", stacklevel=2)  # fmt: skip
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode `"bilinear"` and aligned corners; deprecated."""
    warnings.warn("`nn.functional.upsample_bilinear` is deprecated. Use "
                  "`nn.functional.interpolate` instead.", stacklevel=2)  # fmt: skip
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
