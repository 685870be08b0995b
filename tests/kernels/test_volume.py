"""Convolution over three axes: native kernels of planes against the reference."""

from __future__ import annotations

import numpy
import pytest

from rushlight.backends import Kernels

Ints = tuple[int, ...]


def random_array(seed: int, shape: Ints) -> numpy.ndarray:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


@pytest.mark.parametrize(
    ("x", "weight", "stride", "padding", "dilation", "groups"),
    [
        ((2, 3, 5, 6, 7), (4, 3, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
        ((2, 3, 5, 6, 7), (4, 3, 2, 3, 1), (2, 1, 3), (0, 2, 0), (2, 1, 1), 1),
        ((1, 4, 7, 5, 5), (6, 2, 3, 2, 2), (3, 2, 1), (2, 0, 1), (2, 2, 1), 2),
        ((2, 16, 4, 9, 9), (16, 16, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
        ((2, 3, 1, 4, 4), (5, 3, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
        ((1, 2, 2, 4, 4), (3, 2, 1, 3, 3), (4, 1, 1), (5, 1, 1), (1, 1, 1), 1),
    ],
)
def test_all_three(
    native: Kernels,
    reference: Kernels,
    x: Ints,
    weight: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> None:
    window = (stride, padding, dilation, groups)
    a, w, b = random_array(0, x), random_array(1, weight), random_array(2, weight[:1])
    expected = reference.conv(a, w, b, *window)
    grad = random_array(3, expected.shape)
    close = {"rtol": 1e-4, "atol": 1e-4}
    numpy.testing.assert_allclose(native.conv(a, w, b, *window), expected, **close)
    numpy.testing.assert_allclose(
        native.conv(a, w, None, *window), reference.conv(a, w, None, *window), **close
    )
    numpy.testing.assert_allclose(
        native.conv_input_grad(grad, w, x, *window),
        reference.conv_input_grad(grad, w, x, *window),
        **close,
    )
    numpy.testing.assert_allclose(
        native.conv_weight_grad(grad, a, weight, *window),
        reference.conv_weight_grad(grad, a, weight, *window),
        **close,
    )


def test_layouts_and_other_dtypes(native: Kernels, reference: Kernels) -> None:
    window = ((1, 1, 1), (1, 0, 1), (1, 1, 1), 1)
    x = random_array(0, (2, 6, 5, 4, 3)).transpose(0, 4, 3, 2, 1)[:, :, ::-1]
    w = random_array(1, (4, 3, 2, 2, 2))
    expected = reference.conv(x, w, None, *window)
    numpy.testing.assert_allclose(native.conv(x, w, None, *window), expected, rtol=1e-4, atol=1e-4)
    doubled = native.conv(x.astype(float), w.astype(float), None, *window)
    assert doubled.dtype == numpy.float64
    numpy.testing.assert_allclose(doubled, expected, rtol=1e-4, atol=1e-4)
    empty = native.conv(x[:0], w, None, *window)
    assert empty.shape == (0, *expected.shape[1:])


def test_infinity_reaches_the_windows_that_see_it(native: Kernels, reference: Kernels) -> None:
    window = ((1, 1, 1), (1, 1, 1), (1, 1, 1), 1)
    x, w = random_array(0, (1, 16, 5, 9, 9)), random_array(1, (16, 16, 3, 3, 3))
    x[0, 3, 2, 4, 4] = numpy.inf
    result, expected = native.conv(x, w, None, *window), reference.conv(x, w, None, *window)
    numpy.testing.assert_array_equal(numpy.isfinite(result), numpy.isfinite(expected))
