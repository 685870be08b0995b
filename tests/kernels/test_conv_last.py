"""Channels-last convolution: every way of computing it, each array in either layout."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray

from rushlight.backends import Kernels, kernels

Tensor = NDArray[Any]
Ints = tuple[int, ...]
Window = tuple[Ints, Ints, Ints, int]
reference = Kernels(numpy)
cpu = kernels(numpy.zeros(1))


def random_tensor(seed: int, *shape: int) -> Tensor:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def channels_last(x: Tensor) -> Tensor:
    return numpy.moveaxis(numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1)), -1, 1)


def both_layouts(one: Tensor, other: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The pairs in which one of the two is channels last, or both are."""
    last, other_last = channels_last(one), channels_last(other)
    return [(last, other_last), (last, other), (one, other_last)]


def steps(x: Tensor) -> list[float]:
    """Steps from element to element, along the axes where there are several."""
    return [step / x.itemsize for step, n in zip(x.strides, x.shape, strict=True) if n > 1]


def close(result: Tensor, expected: Tensor) -> None:
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    assert steps(result) == steps(expected)
    usual = numpy.isfinite(expected)
    for special in (numpy.isnan, numpy.isposinf, numpy.isneginf):
        numpy.testing.assert_array_equal(special(result), special(expected))
    scale = float(numpy.abs(expected[usual]).max()) if usual.any() else 0.0
    numpy.testing.assert_allclose(result[usual], expected[usual], rtol=1e-4, atol=2e-5 * scale)


def compare_all(x_shape: Ints, weight_shape: Ints, window: Window) -> None:
    """Forward and all derivatives, native against reference, strides of the results included."""
    x, weight = random_tensor(1, *x_shape), random_tensor(2, *weight_shape)
    bias = random_tensor(3, weight_shape[0])
    grad = random_tensor(4, *reference.conv(x, weight, None, *window).shape)
    for an_x, a_weight in both_layouts(x, weight):
        for more in ((bias, *window), (None, *window), (bias, *window, True)):
            close(cpu.conv(an_x, a_weight, *more), reference.conv(an_x, a_weight, *more))
    for a_grad, a_weight in both_layouts(grad, weight):
        close(
            cpu.conv_input_grad(a_grad, a_weight, x_shape, *window),
            reference.conv_input_grad(a_grad, a_weight, x_shape, *window),
        )
    for a_grad, an_x in both_layouts(grad, x):
        close(
            cpu.conv_weight_grad(a_grad, an_x, weight_shape, *window),
            reference.conv_weight_grad(a_grad, an_x, weight_shape, *window),
        )
    close(cpu.conv_bias_grad(channels_last(grad)), reference.conv_bias_grad(channels_last(grad)))


def square(stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1) -> Window:
    return ((stride,) * 2, (padding,) * 2, (dilation,) * 2, groups)


# ------------------------------------------------------------------ 3 x 3, stride one: Winograd
@pytest.mark.parametrize("channels", [16, 17, 31, 33, 129])
@pytest.mark.parametrize("outputs", [16, 17, 33, 49])
def test_many_channels_of_three_by_three(channels: int, outputs: int) -> None:
    compare_all((2, channels, 9, 13), (outputs, channels, 3, 3), square(1, 1))


@pytest.mark.parametrize("height", [8, 9, 11, 12])
@pytest.mark.parametrize("width", [13, 16, 17, 18])
@pytest.mark.parametrize("padding", [(1, 1), (0, 0), (2, 3)])
def test_sizes_of_three_by_three(height: int, width: int, padding: Ints) -> None:
    compare_all((3, 18, height, width), (20, 18, 3, 3), ((1, 1), padding, (1, 1), 1))


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("place", [(0, 3, 0, 0), (1, 15, 7, 9), (1, 16, 15, 16)])
@pytest.mark.parametrize("stride", [1, 2])
def test_nan_and_infinity_stay_in_the_windows_that_see_them(
    value: float, place: Ints, stride: int
) -> None:
    window = square(stride, 1)
    x, weight = random_tensor(1, 2, 17, 16, 17), random_tensor(2, 20, 17, 3, 3)
    grad = random_tensor(3, *reference.conv(x, weight, None, *window).shape)
    spoiled = x.copy()
    spoiled[place] = value
    for an_x, a_weight in both_layouts(spoiled, weight):
        result = cpu.conv(an_x, a_weight, None, *window)
        close(result, reference.conv(an_x, a_weight, None, *window))
        assert numpy.isfinite(result).sum() >= result.size - 9 * 20
    for a_grad, an_x in both_layouts(grad, spoiled):
        close(
            cpu.conv_weight_grad(a_grad, an_x, weight.shape, *window),
            reference.conv_weight_grad(a_grad, an_x, weight.shape, *window),
        )
    grad[0, 3, 5, 6] = value
    for a_grad, a_weight in both_layouts(grad, weight):
        close(
            cpu.conv_input_grad(a_grad, a_weight, x.shape, *window),
            reference.conv_input_grad(a_grad, a_weight, x.shape, *window),
        )


# ------------------------------------------------------------------ windows of pixels
@pytest.mark.parametrize("channels", [1, 2, 15, 16, 17, 33])
@pytest.mark.parametrize("outputs", [1, 11, 12, 16, 17, 33])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_by_one(channels: int, outputs: int, stride: int) -> None:
    compare_all((2, channels, 7, 9), (outputs, channels, 1, 1), square(stride))
    compare_all((2, channels, 1, 1), (outputs, channels, 1, 1), square(stride))


@pytest.mark.parametrize("channels", [1, 3, 7, 15, 16, 17, 33])
@pytest.mark.parametrize("outputs", [1, 11, 12, 17, 33])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (7, 2), (2, 3), (5, 1)])
def test_channels(channels: int, outputs: int, kernel: int, stride: int) -> None:
    window = square(stride, kernel // 2)
    compare_all((2, channels, 11, 10), (outputs, channels, kernel, kernel), window)


@pytest.mark.parametrize("stride", [(1, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (4, 0)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4)])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups"), [(3, 20, 1), (20, 5, 1), (16, 32, 1), (4, 32, 2), (6, 12, 6)]
)
def test_windows(
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    kernel: Ints,
    channels: int,
    outputs: int,
    groups: int,
) -> None:
    weight = (outputs, channels // groups, *kernel)
    compare_all((2, channels, 11, 13), weight, (stride, padding, dilation, groups))


@pytest.mark.parametrize("images", [1, 2, 3, 5])
def test_several_blocks_of_windows(images: int) -> None:
    compare_all((images, 40, 23, 21), (24, 40, 3, 3), square(2, 1))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_images_smaller_than_the_kernel(size: int) -> None:
    compare_all((3, 20, size, size), (24, 20, 5, 5), square(2, 2))
    compare_all((3, 20, size, size), (20, 1, 5, 5), square(1, 2, groups=20))


def test_small_images_of_few_channels() -> None:
    compare_all((16, 6, 14, 14), (16, 6, 5, 5), square())
    compare_all((64, 1, 12, 12), (32, 1, 3, 3), square())


# ------------------------------------------------------------------ one channel per group
@pytest.mark.parametrize("channels", [2, 15, 16, 17, 33])
@pytest.mark.parametrize("width", [1, 3, 4, 6, 7, 10, 14, 19])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_one_channel_per_group(channels: int, width: int, stride: int, kernel: int) -> None:
    window = square(stride, kernel // 2, groups=channels)
    compare_all((2, channels, width + 1, width), (channels, 1, kernel, kernel), window)


@pytest.mark.parametrize("size", [(5, 1), (5, 2), (4, 3), (4, 5)])
@pytest.mark.parametrize("kernel", [(3, 3), (3, 1), (3, 2), (4, 3)])
@pytest.mark.parametrize("padding", [1, 2, 3])
def test_one_channel_per_group_whose_window_is_mostly_outside(
    size: Ints, kernel: Ints, padding: int
) -> None:
    compare_all((2, 17, *size), (17, 1, *kernel), square(1, padding, groups=17))


@pytest.mark.parametrize("kernel", [(2, 3), (3, 4), (1, 7)])
@pytest.mark.parametrize(("padding", "dilation"), [((0, 2), (2, 2)), ((5, 4), (1, 3))])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_one_channel_per_group_of_any_window(
    kernel: Ints, padding: Ints, dilation: Ints, multiplier: int
) -> None:
    weight = (19 * multiplier, 1, *kernel)
    compare_all((2, 19, 12, 14), weight, ((1, 2), padding, dilation, 19))
    compare_all((1, 19, 9, 13), weight, ((2, 1), padding, dilation, 19))


def test_many_pixels_whose_lines_lie_a_power_of_two_apart() -> None:
    for width in (3, 4, 9):
        compare_all((1, 512, 5, width), (512, 1, 3, 3), square(1, 1, groups=512))


# ------------------------------------------------------------------ groups of several channels
@pytest.mark.parametrize(("channels", "outputs"), [(12, 16), (16, 12), (20, 4), (3, 17), (33, 33)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_groups_of_many_channels(channels: int, outputs: int, kernel: int, stride: int) -> None:
    weight = (3 * outputs, channels, kernel, kernel)
    compare_all((2, 3 * channels, 9, 10), weight, square(stride, kernel // 2, groups=3))


@pytest.mark.parametrize("channels", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_groups_of_as_many_outputs_as_channels(
    channels: int, groups: int, kernel: int, stride: int
) -> None:
    weight = (groups * channels, channels, kernel, kernel)
    window = square(stride, kernel // 2, groups=groups)
    compare_all((2, groups * channels, 8, 15), weight, window)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_few_outputs_of_many_channels(outputs: int, padding: int) -> None:
    compare_all((2, 18, 9, 20), (outputs, 18, 3, 3), square(1, padding))


@pytest.mark.parametrize("outputs", [1, 3, 11, 12])
@pytest.mark.parametrize(("channels", "images"), [(21, 1), (22, 1), (24, 7), (65, 7)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("kernel", "padding"), [((3, 3), (1, 1)), ((2, 5), (0, 7))])
def test_weight_gradients_of_few_outputs(
    outputs: int, channels: int, images: int, dilation: int, kernel: Ints, padding: Ints
) -> None:
    """Windows of grad, some wholly in the padding; 391 pixels an image, one and two parts."""
    window: Window = ((1, 1), padding, (dilation, dilation), 1)
    compare_all((images, channels, 17, 23), (outputs, channels, *kernel), window)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
@pytest.mark.parametrize("place", [(0, 2, 0, 0), (1, 17, 5, 8)])
def test_weight_gradients_of_few_outputs_that_are_not_finite(value: float, place: Ints) -> None:
    """A pixel at the border has no part in the taps that would read it from outside."""
    x, grad = random_tensor(1, 2, 20, 6, 9), random_tensor(2, 2, 3, 6, 9)
    spoiled = x.copy()
    spoiled[place] = value
    arguments = ((3, 20, 3, 3), *square(1, 1))
    for a_grad, an_x in both_layouts(grad, spoiled):
        expected = reference.conv_weight_grad(a_grad, an_x, *arguments)
        assert 0 < numpy.isfinite(expected).sum() < expected.size
        close(cpu.conv_weight_grad(a_grad, an_x, *arguments), expected)
    grad[0, 1, 0, 8] = value
    for a_grad, an_x in both_layouts(grad, x):
        expected = reference.conv_weight_grad(a_grad, an_x, *arguments)
        close(cpu.conv_weight_grad(a_grad, an_x, *arguments), expected)


# ------------------------------------------------------------------ threads
def test_sums_do_not_depend_on_the_number_of_threads(extension: ModuleType) -> None:
    """Weight gradients of groups, of few outputs and of many windows."""
    before, results = extension.num_threads(), []
    for count in (1, 2, 3):
        extension.set_num_threads(count)
        for images, channels, outputs, groups, stride in [
            (3, 128, 128, 8, 1), (3, 64, 3, 1, 1), (2, 24, 80, 1, 3)
        ]:  # fmt: skip
            window = square(stride, 1, groups=groups)
            x = channels_last(random_tensor(1, images, channels, 34, 34))
            weight = (outputs, channels // groups, 3, 3)
            size = (34 + 2 - 3) // stride + 1
            grad = channels_last(random_tensor(2, images, outputs, size, size))
            results.append(cpu.conv_weight_grad(grad, x, weight, *window))
    extension.set_num_threads(before)
    for i in range(3, 9):
        numpy.testing.assert_array_equal(results[i], results[i % 3])


@pytest.mark.parametrize(
    ("x", "weight", "stride"),
    [
        ((1, 64, 28, 28), (64, 64, 3, 3), 1),
        ((4, 32, 24, 24), (48, 32, 3, 3), 1),
        ((1, 64, 28, 28), (96, 64, 3, 3), 2),
        ((3, 32, 40, 40), (64, 32, 3, 3), 2),
        ((2, 3, 64, 64), (32, 3, 7, 7), 2),
        ((1, 64, 40, 40), (80, 64, 1, 1), 2),
        ((5, 64, 20, 20), (80, 64, 1, 1), 1),
        ((2, 70, 60, 60), (70, 1, 3, 3), 1),
        ((2, 70, 60, 60), (70, 1, 3, 3), 2),
        ((4, 64, 20, 20), (64, 8, 3, 3), 1),
        ((1, 256, 14, 14), (256, 16, 3, 3), 1),
        ((5, 256, 7, 7), (256, 32, 3, 3), 1),
        ((3, 64, 34, 34), (3, 64, 3, 3), 1),
        ((1, 64, 128, 128), (1, 64, 1, 1), 1),
    ],
)
def test_large_enough_for_two_threads(x: Ints, weight: Ints, stride: int, threads: int) -> None:
    compare_all(x, weight, square(stride, weight[2] // 2, groups=x[1] // weight[1]))


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 64, 9, 9), (3, 70, 40, 41), (40, 5, 30, 30)])
def test_bias_gradients(shape: Ints, threads: int) -> None:
    grad = channels_last(random_tensor(1, *shape))
    close(cpu.conv_bias_grad(grad), reference.conv_bias_grad(grad))
