"""Convolution: the reference against loops, the native kernels against the reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy
import pytest
from numpy.typing import NDArray

import rushlight as torch
from rushlight.backends import Kernels, kernels

Tensor = NDArray[Any]
Ints = tuple[int, ...]
reference = Kernels(numpy)
cpu = kernels(numpy.zeros(1))


def random_tensor(seed: int, *shape: int) -> Tensor:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def layout(x: Tensor) -> list[float]:
    """Steps from element to element, along the axes where there are several."""
    return [step / x.itemsize for step, n in zip(x.strides, x.shape, strict=True) if n > 1]


def close(result: Tensor, expected: Tensor) -> None:
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    assert layout(result) == layout(expected)
    scale = float(numpy.abs(expected).max()) if expected.size else 0.0
    numpy.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-5 * scale)


def compare_all(
    x_shape: Ints, weight_shape: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int = 1
) -> None:
    """Forward and all derivatives, native against reference."""
    x, weight = random_tensor(1, *x_shape), random_tensor(2, *weight_shape)
    bias = random_tensor(3, weight_shape[0])
    window = (stride, padding, dilation, groups)
    expected = reference.conv(x, weight, bias, *window)
    close(cpu.conv(x, weight, bias, *window), expected)
    close(cpu.conv(x, weight, None, *window), reference.conv(x, weight, None, *window))
    grad = random_tensor(4, *expected.shape)
    close(
        cpu.conv_input_grad(grad, weight, x_shape, *window),
        reference.conv_input_grad(grad, weight, x_shape, *window),
    )
    close(
        cpu.conv_weight_grad(grad, x, weight_shape, *window),
        reference.conv_weight_grad(grad, x, weight_shape, *window),
    )
    close(cpu.conv_bias_grad(grad), reference.conv_bias_grad(grad))


# ------------------------------------------------------------------ the reference
def conv_by_loops(
    x: Tensor, weight: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    """The definition, one number at a time."""
    kernel, channels = weight.shape[2:], weight.shape[1]
    size = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    result = numpy.zeros((x.shape[0], weight.shape[0], *size), x.dtype)
    for place in product(*map(range, result.shape)):
        group = place[1] // (weight.shape[0] // groups)
        for c, *tap in product(range(channels), *map(range, kernel)):
            at = tuple(
                o * s + k * d - p
                for o, k, s, p, d in zip(place[2:], tap, stride, padding, dilation, strict=True)
            )
            if all(0 <= i < n for i, n in zip(at, x.shape[2:], strict=True)):
                value = x[(place[0], group * channels + c, *at)]
                result[place] += value * weight[(place[1], c, *tap)]
    return result


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 1)]
)
def test_reference_is_the_definition(
    axes: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    rng = numpy.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 4, *(6, 5, 7)[:axes])).astype(numpy.float64)
    weight = rng.integers(-3, 4, (6, 4 // groups, *(3, 2, 3)[:axes])).astype(numpy.float64)
    window = ((stride,) * axes, (padding,) * axes, (dilation,) * axes, groups)
    expected = conv_by_loops(x, weight, *window)
    numpy.testing.assert_array_equal(reference.conv(x, weight, None, *window), expected)

    # The derivatives are the adjoints: <grad, conv(x)> = <input_grad, x> = <weight_grad, weight>.
    grad = rng.integers(-3, 4, expected.shape).astype(numpy.float64)
    total = (grad * expected).sum()
    assert (reference.conv_input_grad(grad, weight, x.shape, *window) * x).sum() == total
    assert (reference.conv_weight_grad(grad, x, weight.shape, *window) * weight).sum() == total


def test_reference_computes_half_precision_in_float32() -> None:
    x = numpy.ones((1, 1, 2100), numpy.float16)
    result = reference.conv(x, numpy.ones((1, 1, 2050), numpy.float16), None, (1,), (0,), (1,), 1)
    assert result.dtype == numpy.float16
    assert (result == 2050).all()


# ------------------------------------------------------------------ tiles and their edges
@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 16, 17, 28, 29, 33])
@pytest.mark.parametrize("outputs", [1, 5, 6, 7, 11, 12, 13, 16, 17, 32, 33])
def test_widths_and_outputs(width: int, outputs: int) -> None:
    compare_all((2, 3, 5, width), (outputs, 3, 3, 3), (1, 1), (1, 1), (1, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 15, 16, 17, 33])
@pytest.mark.parametrize("outputs", [4, 20])
def test_channels(channels: int, outputs: int) -> None:
    compare_all((3, channels, 9, 10), (outputs, channels, 5, 5), (1, 1), (0, 0), (1, 1))


@pytest.mark.parametrize("kernel", [(5, 5), (3, 4), (1, 1), (2, 7)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 40), (3, 16), (6, 16), (11, 9)])
def test_many_products_with_padding(
    channels: int, outputs: int, stride: Ints, kernel: Ints
) -> None:
    # Few channels and a plane not much larger than the kernel.
    weight = (outputs, channels, *kernel)
    for size, padding, dilation in [((14, 14), 0, 1), ((9, 17), 1, 1), ((15, 13), 0, 2)]:
        compare_all((2, channels, *size), weight, stride, (padding,) * 2, (dilation,) * 2)
    compare_all((2, 3 * channels, 12, 9), (3 * outputs, *weight[1:]), stride, (0, 1), (1, 1), 3)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7])
def test_small_planes_with_many_outputs(size: int) -> None:
    compare_all((7, 20, size, size), (40, 20, 3, 3), (1, 1), (1, 1), (1, 1))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 2)])
def test_few_pixels(size: int, kernel: int, stride: int) -> None:
    inputs = (1, 20, (size - 1) * stride + 1, size * stride)
    padding = (kernel // 2,) * 2
    compare_all(inputs, (40, 20, kernel, kernel), (stride,) * 2, padding, (1, 1))


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (4, 0)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4)])
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(3, 5, 1), (4, 32, 2), (14, 14, 14)])
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
    compare_all((2, channels, 11, 13), weight, stride, padding, dilation, groups)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 14, 33])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "multiplier"), [(3, 1), (3, 2), (5, 1), (1, 1)])
def test_one_channel_per_group(size: int, stride: int, kernel: int, multiplier: int) -> None:
    weight = (19 * multiplier, 1, kernel, kernel)
    window = ((stride,) * 2, (kernel // 2,) * 2, (1, 1), 19)
    compare_all((2, 19, size, size + 3), weight, *window)
    compare_all((1, 19, size + 9, size + 8), weight, (stride, 1), (0, 0), (2, 1), 19)


@pytest.mark.parametrize("channels", [7, 8, 15, 16, 31, 32, 33, 50])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 4), (9, 4), (4, 5), (16, 8), (17, 8), (8, 9)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (5, 1, 3)])
def test_one_channel_per_group_of_small_planes(
    channels: int, size: Ints, kernel: int, stride: int, padding: int
) -> None:
    """Both sides of what is turned to channels last: half a vector wide, two of channels."""
    weight = (channels, 1, kernel, kernel)
    window = ((stride,) * 2, (padding,) * 2, (1, 1), channels)
    compare_all((3, channels, *size), weight, *window)


@pytest.mark.parametrize("stride", [1, 2])
def test_infinity_beside_the_window_leaves_a_channels_weight_gradient_finite(stride: int) -> None:
    # With kernel 3 and no padding, tap (0, 0) never reads the last two rows and columns.
    x = random_tensor(1, 2, 3, 9, 9)
    x[:, :, -1], x[:, :, :, -1] = numpy.inf, numpy.nan
    size = 7 if stride == 1 else 4
    grad = random_tensor(2, 2, 3, size, size)
    window = ((stride, stride), (0, 0), (1, 1), 3)
    result = cpu.conv_weight_grad(grad, x, (3, 1, 3, 3), *window)
    expected = reference.conv_weight_grad(grad, x, (3, 1, 3, 3), *window)
    numpy.testing.assert_array_equal(numpy.isfinite(result), numpy.isfinite(expected))
    assert numpy.isfinite(result[:, :, 0, 0]).all()


@pytest.mark.parametrize("length", [4, 16, 50])
def test_one_axis(length: int) -> None:
    compare_all((2, 3, length), (5, 3, 3), (1,), (1,), (1,))
    compare_all((2, 3, length), (18, 3, 4), (2,), (3,), (2,))


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 1), (3, 1, 2)])
@pytest.mark.parametrize("dilation", [(1, 1, 1), (2, 1, 1)])
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(3, 4, 1), (8, 32, 2), (6, 6, 6)])
def test_three_axes(stride: Ints, dilation: Ints, channels: int, outputs: int, groups: int) -> None:
    weight = (outputs, channels // groups, 3, 2, 3)
    for size, padding in [((5, 6, 7), (1, 0, 1)), ((6, 7, 7), (3, 1, 0))]:
        compare_all((2, channels, *size), weight, stride, padding, dilation, groups)


def test_three_axes_in_several_blocks() -> None:
    compare_all((3, 40, 20, 16, 16), (20, 40, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1))


def channels_last(x: Tensor) -> Tensor:
    return numpy.moveaxis(numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("channels", [1, 3, 16, 33])
@pytest.mark.parametrize("size", [(1, 5), (7, 9), (16, 16), (3, 4, 5)])
def test_channels_last(channels: int, size: Ints) -> None:
    axes = len(size)
    window = ((1,) * axes, (1,) * axes, (1,) * axes, 1)
    x = random_tensor(1, 2, channels, *size)
    weight, bias = random_tensor(2, 5, channels, *(3,) * axes), random_tensor(3, 5)
    grad = random_tensor(4, *reference.conv(x, weight, bias, *window).shape)
    last_x, last_weight, last_grad = map(channels_last, (x, weight, grad))
    for one, other in [(last_x, weight), (x, last_weight), (last_x, last_weight)]:
        close(cpu.conv(one, other, bias, *window), reference.conv(one, other, bias, *window))
    for one, other in [(last_grad, weight), (grad, last_weight), (last_grad, last_weight)]:
        close(
            cpu.conv_input_grad(one, other, x.shape, *window),
            reference.conv_input_grad(one, other, x.shape, *window),
        )
    close(
        cpu.conv_weight_grad(last_grad, last_x, weight.shape, *window),
        reference.conv_weight_grad(last_grad, last_x, weight.shape, *window),
    )
    close(cpu.conv_bias_grad(last_grad), reference.conv_bias_grad(last_grad))


@pytest.mark.parametrize(
    ("x", "weight", "stride", "padding"),
    [
        ((1, 16, 56, 56), (64, 16, 3, 3), 1, 1),
        ((1, 64, 14, 14), (128, 64, 3, 3), 1, 1),
        ((3, 32, 20, 20), (64, 32, 3, 3), 2, 1),
        ((16, 3, 32, 32), (6, 3, 5, 5), 1, 0),
        ((1, 64, 20, 20), (80, 64, 1, 1), 2, 0),
        ((5, 64, 20, 20), (80, 64, 1, 1), 1, 0),
        ((9, 64, 4, 4), (96, 64, 3, 3), 1, 1),
        ((40, 1, 28, 28), (32, 1, 3, 3), 1, 0),
        ((1, 6, 30, 30), (32, 6, 7, 7), 1, 0),
        ((2, 70, 60, 60), (70, 1, 3, 3), 1, 1),
        ((30, 512, 7, 7), (512, 1, 3, 3), 1, 1),
        ((4, 512, 14, 14), (512, 1, 3, 3), 2, 1),
    ],
)
def test_large_enough_for_two_threads(
    x: Ints, weight: Ints, stride: int, padding: int, threads: int
) -> None:
    groups = x[1] // weight[1]
    compare_all(x, weight, (stride,) * 2, (padding,) * 2, (1, 1), groups)


# ------------------------------------------------------------------ inputs of all kinds
def test_layouts_other_than_contiguous() -> None:
    window = ((1, 1), (1, 1), (1, 1), 1)
    x, weight = random_tensor(1, 2, 3, 8, 9), random_tensor(2, 6, 3, 3, 3)
    bias, grad = random_tensor(3, 6), random_tensor(4, 2, 6, 8, 9)
    expected = reference.conv(x, weight, bias, *window)
    last = numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    raw = numpy.zeros(x.nbytes + 1, numpy.uint8)[1:].view(numpy.float32).reshape(x.shape)
    raw[...] = x
    for view in (last, raw, x.astype(">f4")):
        result = cpu.conv(view, weight.transpose(3, 2, 1, 0).copy().T, bias, *window)
        numpy.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    strided = numpy.repeat(grad, 2, 3)[..., ::2]
    one = numpy.broadcast_to(numpy.float32(1), grad.shape)
    for view in (strided, one):
        close(
            cpu.conv_input_grad(view, weight, x.shape, *window),
            reference.conv_input_grad(view, weight, x.shape, *window),
        )
        close(
            cpu.conv_weight_grad(view, last, weight.shape, *window),
            reference.conv_weight_grad(view, x, weight.shape, *window),
        )


def test_no_images() -> None:
    compare_all((0, 3, 8, 8), (6, 3, 3, 3), (1, 1), (0, 0), (1, 1))


@pytest.mark.parametrize("dtype", [numpy.float64, numpy.float16, ml_dtypes.bfloat16])
def test_other_types_go_to_the_reference(dtype: Any) -> None:
    x, weight = (
        random_tensor(1, 2, 3, 6, 6).astype(dtype),
        random_tensor(2, 4, 3, 3, 3).astype(dtype),
    )
    window = ((1, 1), (0, 0), (1, 1), 1)
    result = cpu.conv(x, weight, None, *window)
    assert result.dtype == dtype
    expected = reference.conv(x, weight, None, *window).astype(numpy.float64)
    numpy.testing.assert_allclose(result.astype(numpy.float64), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("outputs", [4, 40])
def test_nan_and_infinity_stay_in_the_windows_that_see_them(outputs: int) -> None:
    x, weight = random_tensor(1, 1, 2, 9, 20), random_tensor(2, outputs, 2, 3, 3)
    x[0, 1, 4, 10] = numpy.nan
    x[0, 0, 0, 0] = numpy.inf
    window = ((1, 1), (1, 1), (1, 1), 1)
    result, expected = (k.conv(x, weight, None, *window) for k in (cpu, reference))
    numpy.testing.assert_array_equal(numpy.isnan(result), numpy.isnan(expected))
    numpy.testing.assert_array_equal(numpy.isinf(result), numpy.isinf(expected))
    assert numpy.isnan(result[0, :, 3:6, 9:12]).all()
    assert numpy.isfinite(result[0, :, 7:, :]).all()


@pytest.mark.parametrize(
    ("channels", "size", "outputs", "kernel", "stride", "groups"),
    [(16, 30, 32, 7, 3, 1), (16, 30, 32, 7, 3, 2), (3, 64, 64, 7, 2, 1), (6, 30, 16, 5, 1, 1)],
)
def test_weight_gradients_do_not_depend_on_the_number_of_threads(
    channels: int, size: int, outputs: int, kernel: int, stride: int, groups: int
) -> None:
    """Outer products and transforms along rows, of several images."""
    before = torch.get_num_threads()
    x = torch.randn(9, channels, size, size)
    weight = torch.randn(outputs, channels // groups, kernel, kernel, requires_grad=True)
    gradients = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = torch.nn.functional.conv2d(x, weight, None, stride, kernel // 2, 1, groups)
            gradients += torch.autograd.grad((y * y).sum(), weight)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])
