"""Kernels 7 wide, stride two, few channels: natively by Winograd's transforms along rows."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from conv_checks import channels_last, error, random_tensor, same_special_numbers
from numpy.typing import NDArray

from rushlight.backends import Kernels, kernels

Tensor = NDArray[Any]
Ints = tuple[int, ...]
reference = Kernels(numpy)
cpu = kernels(numpy.zeros(1))


def compare(
    x_shape: Ints,
    outputs: int,
    padding: Ints = (3, 3),
    height: int = 7,
    stride: int = 2,
    last: str = "",
) -> None:
    """Forward and weight gradient against the reference in float64."""
    window = ((stride, 2), padding, (1, 1), 1)
    x = random_tensor(1, *x_shape)
    weight = random_tensor(2, outputs, x_shape[1], height, 7)
    bias = random_tensor(3, outputs)
    if "x" in last:
        x = channels_last(x)
    if "weight" in last:
        weight = channels_last(weight)
    wide_x, wide_weight, wide_bias = (a.astype(numpy.float64) for a in (x, weight, bias))
    expected = reference.conv(wide_x, wide_weight, wide_bias, *window, relu=True)
    grad = random_tensor(4, *expected.shape)
    if "grad" in last:
        grad = channels_last(grad)
    wide_grad = grad.astype(numpy.float64)
    assert error(cpu.conv(x, weight, bias, *window, relu=True), expected) < 2e-6
    expected = reference.conv_weight_grad(wide_grad, wide_x, weight.shape, *window)
    assert error(cpu.conv_weight_grad(grad, x, weight.shape, *window), expected) < 2e-6


@pytest.mark.parametrize(("images", "size"), [(1, 224), (2, 112), (5, 64)])
def test_stems_of_networks(images: int, size: int, threads: int) -> None:
    compare((images, 3, size, size), 64)


@pytest.mark.parametrize("width", [27, 28, 29, 59, 60, 61, 62, 63, 64, 65, 67, 126, 128, 129, 131])
def test_widths(width: int) -> None:
    compare((2, 3, 20, width), 64)


@pytest.mark.parametrize("height", [1, 2, 6, 7, 8, 15, 16, 17, 18, 31, 33, 34])
def test_heights(height: int) -> None:
    compare((2, 3, height, 50), 64)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 8, 9])
@pytest.mark.parametrize("outputs", [31, 32, 33, 48, 63, 64, 65, 80])
def test_channels(channels: int, outputs: int) -> None:
    compare((2, channels, 30, 66), outputs)


@pytest.mark.parametrize("padding", [(0, 0), (0, 2), (2, 1), (3, 6), (9, 8)])
def test_padding(padding: Ints) -> None:
    compare((2, 3, 33, 58), 64, padding)
    compare((2, 3, 32, 55), 64, padding)


@pytest.mark.parametrize("height", [5, 6, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3, 9])
def test_other_heights_of_the_kernel(height: int, stride: int) -> None:
    compare((2, 3, 37, 50), 64, (2, 3), height, stride)


@pytest.mark.parametrize("last", ["x", "weight", "grad", "x weight grad"])
def test_channels_last(last: str) -> None:
    compare((2, 3, 40, 51), 65, last=last)
    compare((2, 4, 33, 64), 64, last=last)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 2, 17, 39), (1, 1, 9, 20)])
def test_numbers_that_are_not_finite(value: float, place: Ints) -> None:
    window = ((2, 2), (3, 3), (1, 1), 1)
    x, weight = random_tensor(1, 2, 3, 18, 50), random_tensor(2, 64, 3, 7, 7)
    grad = random_tensor(3, 2, 64, 9, 25)
    x[place] = value
    for name, arrays in {
        "conv": (x, weight, None),
        "conv_weight_grad": (grad, x, weight.shape),
    }.items():
        result, expected = (getattr(k, name)(*arrays, *window) for k in (cpu, reference))
        same_special_numbers(result, expected)
