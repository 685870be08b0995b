"""What the tests of convolutions by Winograd's transforms have in common."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

Tensor = NDArray[Any]

__all__ = ["channels_last", "error", "random_tensor", "same_special_numbers"]


def random_tensor(seed: int, *shape: int) -> Tensor:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def channels_last(a: Tensor) -> Tensor:
    return numpy.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def layout(a: Tensor) -> tuple[bool, bool]:
    """Whether the array is contiguous, channels first and channels last."""
    last = a.ndim == 4 and a.transpose(0, 2, 3, 1).flags.c_contiguous
    return a.flags.c_contiguous, last


def error(result: Tensor, expected: Tensor) -> float:
    """The largest error, relative to the largest number; dtype, shape and layout must agree."""
    assert result.dtype == numpy.float32
    assert result.shape == expected.shape
    assert layout(result) == layout(expected)
    return float(numpy.abs(result - expected).max() / numpy.abs(expected).max())


def same_special_numbers(result: Tensor, expected: Tensor) -> None:
    """NaN and infinities stand in the same places; the other numbers agree."""
    numpy.testing.assert_array_equal(numpy.isnan(result), numpy.isnan(expected))
    numpy.testing.assert_array_equal(numpy.isposinf(result), numpy.isposinf(expected))
    numpy.testing.assert_array_equal(numpy.isneginf(result), numpy.isneginf(expected))
    usual = numpy.isfinite(expected)
    scale = float(numpy.abs(expected[usual]).max())
    numpy.testing.assert_allclose(result[usual], expected[usual], rtol=1e-4, atol=2e-5 * scale)
