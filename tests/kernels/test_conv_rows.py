"""Convolution of few channels, 3 or 5 taps wide, where the native kernels transform along rows."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from conv_checks import error, random_tensor, same_special_numbers
from numpy.typing import NDArray

from rushlight.backends import Kernels

Tensor = NDArray[Any]
Ints = tuple[int, ...]


def window(padding: Ints) -> tuple[Ints, Ints, Ints, int]:
    ones = (1,) * len(padding)
    return (ones, padding, ones, 1)


def compare(native: Kernels, reference: Kernels, x_shape: Ints, weight_shape: Ints,
            padding: Ints = (0, 0), bound: float = 4e-6) -> None:  # fmt: skip
    """Forward and all derivatives, native against the reference in float64."""
    x, weight, bias = (
        random_tensor(1, *x_shape),
        random_tensor(2, *weight_shape),
        random_tensor(3, weight_shape[0]),
    )
    wide = [a.astype(numpy.float64) for a in (x, weight, bias)]
    expected = reference.conv(*wide, *window(padding))
    assert error(native.conv(x, weight, bias, *window(padding)), expected) < bound
    rectified = numpy.maximum(expected, 0)
    assert error(native.conv(x, weight, bias, *window(padding), True), rectified) < bound
    grad = random_tensor(4, *expected.shape)
    dx = native.conv_input_grad(grad, weight, x_shape, *window(padding))
    wide_grad = grad.astype(numpy.float64)
    expected = reference.conv_input_grad(wide_grad, wide[1], x_shape, *window(padding))
    assert error(dx, expected) < bound
    dweight = native.conv_weight_grad(grad, x, weight_shape, *window(padding))
    expected = reference.conv_weight_grad(wide_grad, wide[0], weight_shape, *window(padding))
    assert error(dweight, expected) < bound


# ------------------------------------------------------------------ accuracy
@pytest.mark.parametrize("images", [4, 32])
@pytest.mark.parametrize(("channels", "size", "outputs"), [(3, 32, 6), (6, 14, 16)])
def test_errors_are_a_few_times_those_of_plain_summation(
    native: Kernels, reference: Kernels, images: int, channels: int, size: int, outputs: int
) -> None:
    shape = (images, channels, size, size)
    compare(native, reference, shape, (outputs, channels, 5, 5), bound=2.5e-6)


# ------------------------------------------------------------------ blocks and their edges
@pytest.mark.parametrize("width", [5, 6, 7, 8, 9, 11, 12, 13, 32])
@pytest.mark.parametrize("kernel", [(5, 5), (3, 3), (5, 3), (2, 5), (7, 3)])
def test_widths(native: Kernels, reference: Kernels, kernel: Ints, width: int) -> None:
    compare(native, reference, (16, 6, 10, width), (10, 6, *kernel))


@pytest.mark.parametrize("height", [5, 6, 7, 9, 12, 13, 16, 20, 21, 37])
@pytest.mark.parametrize("images", [1, 2, 4, 5])
def test_bands_of_rows(native: Kernels, reference: Kernels, images: int, height: int) -> None:
    compare(native, reference, (images, 6, height, 16), (12, 6, 5, 5))


@pytest.mark.parametrize("images", [1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 67])
@pytest.mark.parametrize("kernel", [(5, 5), (3, 3)])
def test_blocks_of_images(native: Kernels, reference: Kernels, kernel: Ints, images: int) -> None:
    compare(native, reference, (images, 8, 12, 12), (8, 8, *kernel))


@pytest.mark.parametrize("outputs", [1, 2, 3, 7, 8, 9, 15, 16, 17, 20])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 9, 15, 20])
def test_channels(native: Kernels, reference: Kernels, channels: int, outputs: int) -> None:
    compare(native, reference, (32, channels, 9, 12), (outputs, channels, 5, 5), padding=(2, 2))


@pytest.mark.parametrize("padding", [(0, 2), (1, 0), (2, 1), (2, 2), (4, 4), (5, 6), (7, 3)])
@pytest.mark.parametrize("kernel", [(5, 5), (3, 3), (1, 5), (4, 3)])
@pytest.mark.parametrize("images", [4, 16])
def test_padding(
    native: Kernels, reference: Kernels, images: int, kernel: Ints, padding: Ints
) -> None:
    compare(native, reference, (images, 8, 11, 13), (9, 8, *kernel), padding)


@pytest.mark.parametrize("width", [3, 5])
def test_one_axis(native: Kernels, reference: Kernels, width: int) -> None:
    compare(native, reference, (32, 12, 100), (15, 12, width), padding=(2,))


# ------------------------------------------------------------------ threads
@pytest.mark.parametrize("images", [16, 32, 48])
def test_two_threads_give_the_numbers_of_one(native: Kernels, images: int) -> None:
    import rushlight as torch

    x, weight = random_tensor(1, images, 3, 32, 32), random_tensor(2, 6, 3, 5, 5)
    grad, middle = random_tensor(3, images, 16, 10, 10), random_tensor(4, images, 6, 14, 14)
    wide = random_tensor(5, 16, 6, 5, 5)
    before = torch.get_num_threads()
    try:
        results = []
        for count in (2, 1):
            torch.set_num_threads(count)
            results.append(
                (
                    native.conv(x, weight, None, *window((0, 0))),
                    native.conv_input_grad(grad, wide, middle.shape, *window((0, 0))),
                    native.conv_weight_grad(grad, middle, wide.shape, *window((0, 0))),
                )
            )
    finally:
        torch.set_num_threads(before)
    for two, one in zip(*results, strict=True):
        numpy.testing.assert_array_equal(two, one)


# ------------------------------------------------------------------ numbers that are not finite
@pytest.mark.parametrize("images", [4, 32])
@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
def test_nan_and_infinity_stay_in_the_windows_that_see_them(
    native: Kernels, reference: Kernels, images: int, value: float
) -> None:
    x, weight = random_tensor(1, images, 6, 14, 14), random_tensor(2, 16, 6, 5, 5)
    grad = random_tensor(3, images, 16, 10, 10)
    spoiled_x, spoiled_grad = x.copy(), grad.copy()
    spoiled_x[1, 5, 13, 13] = spoiled_x[3, 0, 0, 0] = spoiled_grad[2, 7, 9, 4] = value
    for name, arrays in {
        "conv": (spoiled_x, weight, None),
        "conv_input_grad": (spoiled_grad, weight, x.shape),
        "conv_weight_grad": (grad, spoiled_x, weight.shape),
    }.items():
        result, expected = (getattr(k, name)(*arrays, *window((0, 0))) for k in (native, reference))
        same_special_numbers(result, expected)
        assert numpy.isfinite(result).any()


def test_numbers_near_the_largest(native: Kernels, reference: Kernels) -> None:
    """The transforms overflow where the result does not."""
    x = numpy.clip(random_tensor(1, 16, 6, 14, 14), -3, 3) * numpy.float32(1e38)
    weight = random_tensor(2, 16, 6, 5, 5) * numpy.float32(1e-3)
    expected = reference.conv(x, weight, None, *window((0, 0)))
    assert numpy.isfinite(expected).all()
    same_special_numbers(native.conv(x, weight, None, *window((0, 0))), expected)


# ------------------------------------------------------------------ many outputs or channels
@pytest.mark.parametrize("width", [9, 11, 12, 13, 28, 31])
@pytest.mark.parametrize("kernel", [(5, 5), (1, 5), (2, 3), (4, 5)])
def test_outputs_in_lanes(
    native: Kernels, reference: Kernels, width: int, kernel: Ints, threads: int
) -> None:
    compare(native, reference, (1, 20, 11, width), (33, 20, *kernel), padding=(0, 2))
    compare(native, reference, (3, 35, 13, width), (48, 35, *kernel), padding=(2, 1))


@pytest.mark.parametrize("width", [447, 448, 449, 451, 897])
@pytest.mark.parametrize("taps", [3, 5])
def test_long_rows_with_outputs_in_lanes(
    native: Kernels, reference: Kernels, width: int, taps: int
) -> None:
    compare(native, reference, (2, 33, 1, width), (49, 33, 1, taps), padding=(0, taps // 2))


@pytest.mark.parametrize("channels", [31, 32, 33, 63, 64, 65, 100])
def test_sums_of_many_channels(native: Kernels, reference: Kernels, channels: int) -> None:
    compare(native, reference, (1, channels, 16, 16), (35, channels, 5, 5), padding=(2, 2))


@pytest.mark.parametrize(("channels", "outputs"), [(64, 64), (17, 12), (9, 100)])
def test_large_images_with_outputs_in_lanes(
    native: Kernels, reference: Kernels, channels: int, outputs: int
) -> None:
    compare(native, reference, (2, channels, 40, 52), (outputs, channels, 5, 5), padding=(2, 2))


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_numbers_that_are_not_finite_with_outputs_in_lanes(
    native: Kernels, reference: Kernels, value: float
) -> None:
    x, weight = random_tensor(1, 2, 32, 14, 14), random_tensor(2, 40, 32, 5, 5)
    grad = random_tensor(3, 2, 40, 14, 14)
    x[1, 20, 3, 5] = grad[1, 20, 3, 5] = value
    for name, arrays in {
        "conv": (x, weight, None),
        "conv_input_grad": (grad, weight, x.shape),
        "conv_weight_grad": (grad[:1], x[1:], weight.shape),
    }.items():
        result, expected = (getattr(k, name)(*arrays, *window((2, 2))) for k in (native, reference))
        usual = numpy.isfinite(expected)
        numpy.testing.assert_array_equal(numpy.isfinite(result), usual)
        numpy.testing.assert_allclose(result[usual], expected[usual], rtol=1e-4, atol=1e-3)
