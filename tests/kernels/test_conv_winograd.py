"""3 x 3 convolution of stride one: many channels, where the native kernels use Winograd's way."""

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


def window(padding: Ints, groups: int = 1) -> tuple[Ints, Ints, Ints, int]:
    return ((1, 1), padding, (1, 1), groups)


def compare_all(
    x_shape: Ints,
    outputs: int,
    padding: Ints = (1, 1),
    bound: float = 3e-6,
    groups: int = 1,
) -> None:
    """Forward and all derivatives, native against the reference in float64."""
    weight_shape = (outputs, x_shape[1] // groups, 3, 3)
    x, weight, bias = (
        random_tensor(1, *x_shape),
        random_tensor(2, *weight_shape),
        random_tensor(3, outputs),
    )
    wide = [a.astype(numpy.float64) for a in (x, weight, bias)]
    expected = reference.conv(*wide, *window(padding, groups))
    assert error(cpu.conv(x, weight, bias, *window(padding, groups)), expected) < bound
    grad = random_tensor(4, *expected.shape)
    dx = cpu.conv_input_grad(grad, weight, x_shape, *window(padding, groups))
    wide_grad = grad.astype(numpy.float64)
    expected = reference.conv_input_grad(wide_grad, wide[1], x_shape, *window(padding, groups))
    assert error(dx, expected) < bound
    dweight = cpu.conv_weight_grad(grad, x, weight_shape, *window(padding, groups))
    expected = reference.conv_weight_grad(
        wide_grad, wide[0], weight_shape, *window(padding, groups)
    )
    assert error(dweight, expected) < bound


# ------------------------------------------------------------------ accuracy
@pytest.mark.parametrize(
    ("images", "channels", "size"), [(2, 64, 56), (2, 128, 28), (4, 256, 14), (8, 512, 7)]
)
def test_errors_are_those_of_plain_summation(images: int, channels: int, size: int) -> None:
    compare_all((images, channels, size, size), channels)


# ------------------------------------------------------------------ blocks and their edges
@pytest.mark.parametrize("height", [8, 9, 11, 12])
@pytest.mark.parametrize("width", [13, 15, 16, 17, 18])
def test_sizes(height: int, width: int) -> None:
    compare_all((2, 16, height, width), 16)


@pytest.mark.parametrize("channels", [16, 17, 31, 33, 63, 65, 127, 129])
@pytest.mark.parametrize("outputs", [16, 17, 32, 33, 48, 49])
def test_channels(channels: int, outputs: int) -> None:
    compare_all((2, channels, 8, 12), outputs)


@pytest.mark.parametrize("channels", [127, 128, 129, 257])
def test_one_block_of_many_channels(channels: int) -> None:
    compare_all((1, channels, 12, 12), 40)


@pytest.mark.parametrize("images", [1, 3, 13, 14, 15, 27, 28, 29, 30, 57])
def test_blocks_of_images(images: int) -> None:
    """Four tiles an image: blocks begin and end within and between images."""
    compare_all((images, 20, 8, 7), 24)


@pytest.mark.parametrize("padding", [(0, 0), (0, 2), (2, 1), (3, 3), (1, 5)])
def test_padding(padding: Ints) -> None:
    compare_all((2, 16, 13, 12), 18, padding)


@pytest.mark.parametrize(
    ("x", "outputs"),
    [
        ((1, 64, 56, 56), 64),
        ((4, 32, 24, 24), 48),
        ((1, 128, 14, 14), 128),
        ((16, 128, 7, 7), 64),
        ((1, 256, 7, 7), 256),
        ((1, 17, 100, 30), 16),
    ],
)
def test_large_enough_for_two_threads(x: Ints, outputs: int, threads: int) -> None:
    compare_all(x, outputs)


def test_every_run_gives_the_same_numbers(threads: int) -> None:
    x, weight = random_tensor(1, 4, 32, 28, 28), random_tensor(2, 32, 32, 3, 3)
    first = cpu.conv(x, weight, None, *window((1, 1)))
    numpy.testing.assert_array_equal(first, cpu.conv(x, weight, None, *window((1, 1))))
    numpy.testing.assert_array_equal(first[2:3], cpu.conv(x[2:3], weight, None, *window((1, 1))))


# ------------------------------------------------------------------ groups
@pytest.mark.parametrize("channels", [15, 16, 17, 32, 33, 130])
@pytest.mark.parametrize("outputs", [15, 16, 17, 32, 33])
@pytest.mark.parametrize("size", [(1, 8, 12), (3, 13, 30)])
def test_groups(channels: int, outputs: int, size: Ints) -> None:
    """A panel of outputs is that of one group; one block of tiles, and several."""
    compare_all((size[0], 3 * channels, *size[1:]), 3 * outputs, groups=3)


@pytest.mark.parametrize("images", [1, 6])
@pytest.mark.parametrize(("channels", "groups", "size"), [(16, 16, 14), (32, 8, 7), (40, 2, 20)])
def test_groups_on_threads(
    images: int, channels: int, groups: int, size: int, threads: int
) -> None:
    compare_all((images, channels * groups, size, size), channels * groups, groups=groups)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_a_number_that_is_not_finite_stays_in_its_group(value: float) -> None:
    x, weight = random_tensor(1, 2, 48, 9, 12), random_tensor(2, 48, 16, 3, 3)
    x[1, 20, 8, 3] = value
    for an_x in (x, channels_last(x)):
        result, expected = (
            k.conv(an_x, weight, None, *window((1, 1), 3)) for k in (cpu, reference)
        )
        same_special_numbers(result, expected)
        assert numpy.isfinite(numpy.delete(result, numpy.s_[16:32], 1)).all()
        result, expected = (
            k.conv_input_grad(an_x, weight, x.shape, *window((1, 1), 3)) for k in (cpu, reference)
        )
        same_special_numbers(result, expected)
        result, expected = (
            k.conv_weight_grad(x[::-1], an_x, weight.shape, *window((1, 1), 3))
            for k in (cpu, reference)
        )
        same_special_numbers(result, expected)
        assert numpy.isfinite(numpy.delete(result, numpy.s_[16:32], 0)).all()


# ------------------------------------------------------------------ numbers that are not finite
@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("place", [(0, 3, 0, 0), (1, 15, 7, 9), (1, 16, 15, 16)])
def test_nan_and_infinity_stay_in_the_windows_that_see_them(value: float, place: Ints) -> None:
    x, weight = random_tensor(1, 2, 17, 16, 17), random_tensor(2, 20, 17, 3, 3)
    grad = random_tensor(3, 2, 20, 16, 17)
    spoiled_x, spoiled_grad = x.copy(), grad.copy()
    spoiled_x[place] = spoiled_grad[place] = value
    for name, arrays in {
        "conv": (spoiled_x, weight, None),
        "conv_input_grad": (spoiled_grad, weight, x.shape),
        "conv_weight_grad": (grad, spoiled_x, weight.shape),
    }.items():
        result, expected = (getattr(k, name)(*arrays, *window((1, 1))) for k in (cpu, reference))
        same_special_numbers(result, expected)
    result = cpu.conv_weight_grad(spoiled_grad, x, weight.shape, *window((1, 1)))
    same_special_numbers(
        result, reference.conv_weight_grad(spoiled_grad, x, weight.shape, *window((1, 1)))
    )
    assert numpy.isfinite(numpy.delete(result, place[1], 0)).all()


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    x, weight = random_tensor(1, 1, 16, 12, 12), random_tensor(2, 33, 16, 3, 3)
    weight[32, 5, 0, 2] = value
    result, expected = (k.conv(x, weight, None, *window((1, 1))) for k in (cpu, reference))
    same_special_numbers(result, expected)
    assert numpy.isfinite(result[:, :32]).all()


def test_numbers_near_the_largest() -> None:
    """The transforms overflow where the result does not."""
    x = numpy.clip(random_tensor(1, 2, 16, 12, 12), -3, 3) * numpy.float32(1e38)
    weight = random_tensor(2, 16, 16, 3, 3) * numpy.float32(1e-3)
    expected = reference.conv(x, weight, None, *window((1, 1)))
    assert numpy.isfinite(expected).all()
    same_special_numbers(cpu.conv(x, weight, None, *window((1, 1))), expected)


def test_results_that_overflow() -> None:
    x = numpy.full((1, 16, 12, 12), 1e38, numpy.float32)
    weight = numpy.ones((16, 16, 3, 3), numpy.float32)
    result = cpu.conv(x, weight, None, *window((1, 1)))
    assert numpy.isposinf(result).all()
