"""Convolution of many small images, one image per lane: native against reference."""

from __future__ import annotations

import numpy
import pytest

from rushlight.backends import Kernels

Ints = tuple[int, ...]


def random_array(seed: int, shape: Ints) -> numpy.ndarray:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def close(result: numpy.ndarray, expected: numpy.ndarray) -> None:
    assert result.shape == expected.shape
    scale = float(numpy.abs(expected).max())
    numpy.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-5 * scale)


def compare(native: Kernels, reference: Kernels, x_shape: Ints, weight_shape: Ints,
            stride: Ints = (1, 1), padding: Ints = (0, 0)) -> None:  # fmt: skip
    x, weight = random_array(1, x_shape), random_array(2, weight_shape)
    bias, window = random_array(3, weight_shape[:1]), (stride, padding, (1, 1), 1)
    expected = reference.conv(x, weight, bias, *window)
    grad = random_array(4, expected.shape)
    close(native.conv(x, weight, bias, *window), expected)
    close(native.conv(x, weight, None, *window), reference.conv(x, weight, None, *window))
    close(
        native.conv_input_grad(grad, weight, x_shape, *window),
        reference.conv_input_grad(grad, weight, x_shape, *window),
    )
    close(
        native.conv_weight_grad(grad, x, weight_shape, *window),
        reference.conv_weight_grad(grad, x, weight_shape, *window),
    )


@pytest.mark.parametrize("images", [7, 8, 15, 16, 17, 32, 49, 67])
def test_blocks_of_images(native: Kernels, reference: Kernels, images: int) -> None:
    compare(native, reference, (images, 3, 9, 11), (6, 3, 5, 5))


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_channels(native: Kernels, reference: Kernels, channels: int, outputs: int) -> None:
    compare(native, reference, (32, channels, 8, 9), (outputs, channels, 5, 5), padding=(2, 1))


@pytest.mark.parametrize("kernel", [(1, 5), (5, 1), (3, 3), (2, 4), (4, 6), (7, 7), (1, 11)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (6, 6)])
def test_windows(
    native: Kernels, reference: Kernels, kernel: Ints, stride: Ints, padding: Ints
) -> None:
    compare(native, reference, (16, 7, 12, 13), (5, 7, *kernel), stride, padding)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_do_not_depend_on_the_threads(native: Kernels, threads: int) -> None:
    import rushlight as torch

    x, grad = random_array(1, (64, 1, 14, 14)), random_array(2, (64, 6, 10, 10))
    window = ((1, 1), (0, 0), (1, 1), 1)
    before = torch.get_num_threads()
    try:
        results = []
        for count in (threads, 1):
            torch.set_num_threads(count)
            results.append(native.conv_weight_grad(grad, x, (6, 1, 5, 5), *window))
    finally:
        torch.set_num_threads(before)
    numpy.testing.assert_array_equal(*results)


def test_nan_and_infinity_stay_in_their_image_and_windows(
    native: Kernels, reference: Kernels
) -> None:
    x, weight = random_array(1, (32, 3, 10, 10)), random_array(2, (6, 3, 5, 5))
    x[5, 1, 4, 9], x[20, 0, 0, 0] = numpy.nan, numpy.inf
    window = ((1, 1), (2, 2), (1, 1), 1)
    grad = random_array(3, (32, 6, 10, 10))
    pairs = [
        (native.conv(x, weight, None, *window), reference.conv(x, weight, None, *window)),
        (
            native.conv_weight_grad(grad, x, weight.shape, *window),
            reference.conv_weight_grad(grad, x, weight.shape, *window),
        ),
    ]
    grad[3, 2, 0, 0] = numpy.inf
    pairs += [
        (
            native.conv_input_grad(grad, weight, x.shape, *window),
            reference.conv_input_grad(grad, weight, x.shape, *window),
        )
    ]
    for result, expected in pairs:
        numpy.testing.assert_array_equal(numpy.isfinite(result), numpy.isfinite(expected))
        assert not numpy.isfinite(result).all()
