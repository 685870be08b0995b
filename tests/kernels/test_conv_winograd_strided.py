"""3 x 3 convolution of stride two: many channels, where the native kernels use Winograd's way."""

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


def window(padding: Ints) -> tuple[Ints, Ints, Ints, int]:
    return ((2, 2), padding, (1, 1), 1)


def compare_all(
    x_shape: Ints, outputs: int, padding: Ints = (1, 1), last: str = "", bound: float = 3e-6
) -> None:
    """All three passes against the reference in float64; `last` names what lies channels last."""
    weight_shape = (outputs, x_shape[1], 3, 3)
    x, weight = random_tensor(1, *x_shape), random_tensor(2, *weight_shape)
    bias = random_tensor(3, outputs)
    y_shape = reference.conv(x, weight, None, *window(padding)).shape
    grad = random_tensor(4, *y_shape)
    arrays = {"x": x, "weight": weight, "grad": grad}
    x, weight, grad = (
        channels_last(a) if name in last.split() else a for name, a in arrays.items()
    )
    wide = {"x": x, "weight": weight, "grad": grad, "bias": bias}
    wide = {name: array.astype(numpy.float64) for name, array in wide.items()}
    expected = reference.conv(wide["x"], wide["weight"], wide["bias"], *window(padding), relu=True)
    assert error(cpu.conv(x, weight, bias, *window(padding), relu=True), expected) < bound
    expected = reference.conv_input_grad(wide["grad"], wide["weight"], x_shape, *window(padding))
    assert error(cpu.conv_input_grad(grad, weight, x_shape, *window(padding)), expected) < bound
    expected = reference.conv_weight_grad(wide["grad"], wide["x"], weight_shape, *window(padding))
    assert error(cpu.conv_weight_grad(grad, x, weight_shape, *window(padding)), expected) < bound


# ------------------------------------------------------------------ accuracy
@pytest.mark.parametrize(
    ("images", "channels", "size", "outputs"),
    [(2, 64, 56, 128), (2, 128, 28, 256), (8, 256, 14, 512), (1, 32, 128, 32)],
)
def test_errors_are_near_those_of_plain_summation(
    images: int, channels: int, size: int, outputs: int
) -> None:
    compare_all((images, channels, size, size), outputs)


# ------------------------------------------------------------------ blocks and their edges
@pytest.mark.parametrize("height", [31, 32, 33, 34])
@pytest.mark.parametrize("width", range(61, 70))
def test_sizes(height: int, width: int) -> None:
    compare_all((2, 16, height, width), 32)


@pytest.mark.parametrize("channels", [16, 31, 32, 33, 48, 63, 65, 127, 129])
@pytest.mark.parametrize("outputs", [16, 31, 33, 48, 49, 64, 65])
def test_channels(channels: int, outputs: int) -> None:
    compare_all((1, channels, 48, 48), outputs)


@pytest.mark.parametrize("channels", [31, 32, 33, 64, 95])
@pytest.mark.parametrize("outputs", [31, 32, 48, 65])
def test_one_block_of_tiles(channels: int, outputs: int) -> None:
    compare_all((1, channels, 31, 31), outputs)


@pytest.mark.parametrize("images", [2, 3, 4, 5, 15])
def test_blocks_of_images(images: int) -> None:
    """Nine or sixteen tiles an image: blocks begin and end within and between images."""
    compare_all((images, 32, 24, 24), 32)
    compare_all((images, 32, 31, 31), 32)


@pytest.mark.parametrize("padding", [(0, 0), (0, 2), (2, 1), (3, 0), (3, 4), (5, 6)])
def test_padding(padding: Ints) -> None:
    compare_all((2, 32, 33, 48), 32, padding)
    compare_all((2, 32, 40, 30), 32, padding)


@pytest.mark.parametrize("last", ["x", "weight grad", "x weight grad", "weight"])
def test_channels_last(last: str) -> None:
    compare_all((2, 33, 33, 48), 49, (1, 1), last)
    compare_all((2, 48, 40, 31), 32, (0, 2), last)


@pytest.mark.parametrize(
    ("x", "outputs"), [((1, 64, 56, 56), 64), ((4, 64, 28, 28), 128), ((16, 128, 14, 14), 300)]
)
def test_large_enough_for_two_threads(x: Ints, outputs: int, threads: int) -> None:
    compare_all(x, outputs)


def test_every_run_gives_the_same_numbers(threads: int) -> None:
    x, weight = random_tensor(1, 4, 64, 56, 56), random_tensor(2, 64, 64, 3, 3)
    first = cpu.conv(x, weight, None, *window((1, 1)))
    numpy.testing.assert_array_equal(first, cpu.conv(x, weight, None, *window((1, 1))))
    numpy.testing.assert_array_equal(first[2:3], cpu.conv(x[2:3], weight, None, *window((1, 1))))


# ------------------------------------------------------------------ numbers that are not finite
@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("place", [(0, 3, 0, 0), (1, 15, 7, 9), (1, 31, 15, 15)])
def test_nan_and_infinity_stay_in_the_windows_that_see_them(value: float, place: Ints) -> None:
    x, weight = random_tensor(1, 2, 32, 32, 48), random_tensor(2, 48, 32, 3, 3)
    grad = random_tensor(3, 2, 48, 16, 24)
    spoiled_x, spoiled_grad = x.copy(), grad.copy()
    spoiled_x[place] = spoiled_grad[place] = value
    for name, arrays in {
        "conv": (spoiled_x, weight, None),
        "conv_input_grad": (spoiled_grad, weight, x.shape),
        "conv_weight_grad": (grad, spoiled_x, weight.shape),
    }.items():
        result, expected = (getattr(k, name)(*arrays, *window((1, 1))) for k in (cpu, reference))
        same_special_numbers(result, expected)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    x, weight = random_tensor(1, 2, 32, 32, 32), random_tensor(2, 33, 32, 3, 3)
    weight[32, 5, 0, 2] = value
    result, expected = (k.conv(x, weight, None, *window((1, 1))) for k in (cpu, reference))
    same_special_numbers(result, expected)
    assert numpy.isfinite(result[:, :32]).all()
