"""`make_tensor`: a random tensor for a test."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import rushlight
from rushlight import Tensor

__all__ = ["make_tensor"]

_INTEGRAL = (rushlight.bool, rushlight.uint8, rushlight.int8, rushlight.int16, rushlight.int32,
             rushlight.int64, rushlight.uint16, rushlight.uint32, rushlight.uint64)  # fmt: skip
_DEFAULT_LOW, _DEFAULT_HIGH = -9, 9


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of the shape with uniform values of `[low, high)`.

    By default the bounds are -9 and 9 (integers: -9 to 9 inclusive), cut to what the dtype holds;
    bools are 0 or 1. `noncontiguous` gives every second column of a wider tensor, `exclude_zero`
    puts the smallest positive normal number (integers: 1) in the place of zeros. ValueError for
    bounds that are empty or NaN, for integers that should require a gradient, and for
    `noncontiguous` with a `memory_format`.

    >>> import rushlight as torch
    >>> torch.testing.make_tensor((2, 3), dtype=torch.float32, low=0, high=1).shape
    torch.Size([2, 3])
    """
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"{noncontiguous=} and {memory_format=}"
        )
    if requires_grad and dtype in _INTEGRAL:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"{dtype=}"
        )
    spread = noncontiguous and math.prod(shape) > 1
    full_shape = (*shape[:-1], 2 * shape[-1]) if spread else shape
    lowest, beyond = _range(dtype)
    start, end = _bounds(dtype, low, high, lowest, beyond)
    if dtype in _INTEGRAL:
        result = rushlight.randint(
            math.ceil(start), math.ceil(end), full_shape, dtype=dtype, device=device
        )
    else:
        result = _uniform(full_shape, dtype, device, start, end)
    if spread:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = 1 if dtype in _INTEGRAL else rushlight.finfo(dtype).tiny
    return result.requires_grad_(requires_grad) if requires_grad else result


def _range(dtype: Any) -> tuple[float, float]:
    """The lowest value of a dtype, and the first that is too large for `high`."""
    if dtype is rushlight.bool:
        return 0, 2
    if dtype in _INTEGRAL:
        limits = rushlight.iinfo(dtype)
        return limits.min, limits.max + (dtype is not rushlight.int64)
    real = rushlight.finfo(dtype)
    return real.min, real.max


def _bounds(
    dtype: Any, low: float | None, high: float | None, lowest: float, beyond: float
) -> tuple[float, float]:
    integral = dtype in _INTEGRAL
    default_low, default_high = (
        (0, 2) if dtype is rushlight.bool else (_DEFAULT_LOW, _DEFAULT_HIGH + integral)
    )
    low = default_low if low is None else low
    high = default_high if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low == high and not integral:
        warnings.warn(
            "Passing `low==high` to make_tensor is deprecated for floating or complex types; use "
            "torch.full instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < lowest or low >= beyond:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} "
            f"only supports [{lowest}, {beyond})"
        )
    return min(max(low, lowest), beyond), min(max(high, lowest), beyond)


def _uniform(shape: tuple[int, ...], dtype: Any, device: Any, low: float, high: float) -> Tensor:
    if dtype.is_complex:
        real = dtype.to_real()
        parts = [_uniform(shape, real, device, low, high) for _ in range(2)]
        return rushlight.complex(*parts)
    narrow = dtype.itemsize == 1
    result = rushlight.empty(shape, dtype=rushlight.float32 if narrow else dtype, device=device)
    result.uniform_(low, high)
    return result.to(dtype)
