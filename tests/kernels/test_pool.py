"""Pooling: known values, ties and edges, and the native kernels against the reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy
import pytest
from numpy.typing import NDArray

from rushlight.backends import Kernels, kernels

Tensor = NDArray[Any]
Ints = tuple[int, ...]
reference = Kernels(numpy)
cpu = kernels(numpy.zeros(1))
both = pytest.mark.parametrize("backend", [reference, cpu], ids=["reference", "cpu"])


def random_tensor(seed: int, *shape: int) -> Tensor:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def with_ties(seed: int, *shape: int) -> Tensor:
    """Few different values, and now and then NaN or an infinity."""
    x = numpy.round(random_tensor(seed, *shape))
    x.reshape(-1)[::23] = numpy.nan
    x.reshape(-1)[5::31] = -numpy.inf
    x.reshape(-1)[7::41] = numpy.inf
    return x


def layout(x: Tensor) -> list[float]:
    """Steps from element to element, along the axes where there are several."""
    return [step / x.itemsize for step, n in zip(x.strides, x.shape, strict=True) if n > 1]


def close(result: Tensor, expected: Tensor) -> None:
    assert result.dtype == expected.dtype
    assert layout(result) == layout(expected)
    numpy.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ maximum: known values
@both
def test_the_first_of_equal_maxima_is_taken(backend: Kernels) -> None:
    x = numpy.array([[[[1, 1, 2, 2], [1, 1, 2, 2]]]], numpy.float32)
    out, indices = backend.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert out.tolist() == [[[[1, 2]]]]
    assert indices.tolist() == [[[[0, 2]]]]
    assert indices.dtype == numpy.int64


@both
def test_the_last_nan_is_taken(backend: Kernels) -> None:
    nan = numpy.nan
    x = numpy.array([[[nan, 9, nan, 9, 1, 2]]], numpy.float32)
    out, indices = backend.max_pool(x, (4,), (2,), (0,), (1,), False)
    assert numpy.isnan(out).all()
    assert indices.tolist() == [[[2, 2]]]


@both
def test_a_window_of_minus_infinity_points_to_its_first_pixel(backend: Kernels) -> None:
    x = numpy.full((1, 1, 4, 4), -numpy.inf, numpy.float32)
    out, indices = backend.max_pool(x, (3, 3), (2, 2), (1, 1), (1, 1), False)
    assert numpy.isneginf(out).all()
    assert indices.tolist() == [[[[0, 1], [4, 5]]]]


@both
def test_gradients_of_overlapping_windows_add_up(backend: Kernels) -> None:
    x = numpy.array([[[0, 5, 0, 0]]], numpy.float32)
    _, indices = backend.max_pool(x, (2,), (1,), (0,), (1,), False)
    grad = numpy.array([[[1, 10, 100]]], numpy.float32)
    assert backend.max_pool_grad(grad, indices, x.shape).tolist() == [[[0, 11, 100, 0]]]


# ------------------------------------------------------------------ maximum: native = reference
@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 28, 29, 31, 32, 33, 66])
def test_two_by_two(size: int) -> None:
    compare_max(with_ties(size, 2, 3, size, size), (2, 2), (2, 2), (0, 0), (1, 1), False)
    compare_max(with_ties(size, 2, 3, size), (2,), (2,), (0,), (1,), False)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (4, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_windows(
    kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> None:
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        padding = (0, 0)
    for width in (9, 20, 37):
        x = with_ties(width, 2, 3, 11, width)
        compare_max(x, kernel, stride, padding, dilation, ceil_mode)


def compare_max(x: Tensor, *window: Any) -> None:
    expected, positions = reference.max_pool(x, *window)
    out, indices = cpu.max_pool(x, *window)
    numpy.testing.assert_array_equal(out, expected)
    numpy.testing.assert_array_equal(indices, positions)
    assert layout(out) == layout(indices) == layout(expected) == layout(positions)
    values = cpu.max_pool_values(x, *window)
    numpy.testing.assert_array_equal(values, expected)
    assert layout(values) == layout(expected)
    grad = random_tensor(9, *out.shape)
    close(
        cpu.max_pool_grad(grad, indices, x.shape), reference.max_pool_grad(grad, indices, x.shape)
    )


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 15])
@pytest.mark.parametrize("dilation", [1, 2])
def test_lines(kernel: int, dilation: int) -> None:
    for width in (1, 15, 16, 17, 33, 64, 66, 81, 250, 400):
        for padding in {0, kernel // 2}:
            if dilation * (kernel - 1) < width + 2 * padding:
                x = with_ties(width, 2, 3, width)
                compare_max(x, (kernel,), (1,), (padding,), (dilation,), False)


@pytest.mark.parametrize("step", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 6])
def test_steps_of_two_and_more(step: int, kernel: int) -> None:
    for width in (7, 16 * step - 1, 16 * step, 16 * step + kernel, 150):
        x = with_ties(width, 2, 2, 9, width)
        for padding, ceil_mode in product({0, kernel // 2}, (False, True)):
            window = (2, kernel), (2, step), (1, padding)
            compare_max(x, *window, (1, 1), ceil_mode)
            compare_average(random_tensor(1, *x.shape), *window, ceil_mode, False, None)
        compare_max(x[:, 0], (kernel,), (step,), (0,), (1,), False)
        if 2 * (kernel - 1) < width:
            compare_max(x, (3, kernel), (1, step), (0, 0), (2, 2), False)
    x = with_ties(3, 1, 2, 5, 6, 40)
    compare_max(x, (2, 3, kernel), (2, 1, step), (1, 0, 0), (1, 1, 1), False)
    x = random_tensor(3, 1, 2, 5, 6, 40)
    compare_average(x, (2, 3, kernel), (2, 1, step), (1, 0, 0), True, True, None)


def test_three_axes() -> None:
    for x in (with_ties(1, 2, 3, 5, 6, 7), channels_last(with_ties(1, 2, 3, 5, 6, 7))):
        compare_max(x, (2, 2, 2), (2, 1, 2), (0, 1, 0), (1, 1, 1), False)
        compare_max(x, (2, 1, 3), (1, 2, 1), (1, 0, 1), (2, 1, 2), True)
        compare_max(x, (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1), False)
        for include, divisor in product((False, True), (None, 5)):
            compare_average(x, (2, 3, 2), (2, 1, 2), (1, 1, 0), True, include, divisor)
        for output in ((1, 1, 1), (2, 3, 4), (5, 6, 7)):
            compare_adaptive(x, output)


@pytest.mark.parametrize("dtype", [numpy.int64, numpy.float64, numpy.float16, ml_dtypes.bfloat16])
def test_other_types(dtype: Any) -> None:
    x = numpy.arange(32).reshape(1, 2, 4, 4).astype(dtype)
    out, indices = cpu.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert out.dtype == dtype
    assert indices[0, 1].tolist() == [[5, 7], [13, 15]]
    assert out.astype(numpy.int64)[0, 1].tolist() == [[21, 23], [29, 31]]


def channels_last(x: Tensor) -> Tensor:
    return numpy.moveaxis(numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 17, 64, 70, 128, 256, 395])
def test_channels_last(channels: int) -> None:
    x = channels_last(with_ties(1, 2, channels, 9, 10))
    compare_max(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    compare_max(x, (3, 3), (2, 2), (1, 1), (2, 1), True)
    compare_average(x, (2, 2), (2, 2), (0, 0), False, True, None)
    compare_average(x, (3, 3), (2, 1), (1, 1), True, False, None)
    for output in ((1, 1), (3, 4)):
        compare_adaptive(x, output)


def test_channels_last_results_larger_than_the_cache() -> None:
    x = channels_last(random_tensor(1, 1, 64, 330, 330))  # 28 MB, as many of the results
    window = (2, 2), (1, 1), (0, 0)
    close(cpu.avg_pool(x, *window, False, True, None),
          reference.avg_pool(x, *window, False, True, None))  # fmt: skip
    expected = reference.max_pool_values(x, *window, (1, 1), False)
    numpy.testing.assert_array_equal(cpu.max_pool_values(x, *window, (1, 1), False), expected)


def test_other_layouts() -> None:
    x = random_tensor(1, 2, 3, 8, 18)[..., ::2]
    compare_max(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    compare_average(x, (2, 2), (2, 2), (0, 0), False, True, None)
    compare_adaptive(x[0], (3, 4))
    # Without a batch axis nothing is channels last.
    compare_max(channels_last(random_tensor(1, 4, 5, 6, 7)), (2,), (2,), (0,), (1,), False)


def test_gradients_in_another_layout_than_the_positions() -> None:
    x = channels_last(random_tensor(1, 2, 5, 8, 8))
    window = ((2, 2), (2, 2), (0, 0), (1, 1), False)
    out, indices = cpu.max_pool(x, *window)
    for grad in (random_tensor(2, *out.shape), numpy.broadcast_to(numpy.float32(1), out.shape)):
        close(
            cpu.max_pool_grad(grad, indices, x.shape),
            reference.max_pool_grad(grad, indices, x.shape),
        )
    grad, rows = channels_last(random_tensor(2, *out.shape)), numpy.ascontiguousarray(indices)
    close(cpu.max_pool_grad(grad, rows, x.shape), reference.max_pool_grad(grad, rows, x.shape))


@pytest.mark.parametrize("size", [(40, 34), (41, 35), (28, 28), (6, 29), (10, 10)])
def test_positions_that_no_two_by_two_window_has(size: Ints) -> None:
    # As they come from other windows, here of 3 x 3, or from the user.
    grad = random_tensor(1, 2, 3, size[0] // 2, size[1] // 2)
    indices = numpy.random.default_rng(2).integers(0, size[0] * size[1], grad.shape)
    close(
        cpu.max_pool_grad(grad, indices, (2, 3, *size)),
        reference.max_pool_grad(grad, indices, (2, 3, *size)),
    )


def test_a_gradient_of_minus_zero_is_added_to_zero() -> None:
    x = random_tensor(1, 1, 1, 4, 40)
    out, indices = cpu.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert not numpy.signbit(cpu.max_pool_grad(-0.0 * out, indices, x.shape)).any()


# ------------------------------------------------------------------ average
@both
def test_what_the_average_divides_by(backend: Kernels) -> None:
    x = numpy.ones((1, 1, 4), numpy.float32)
    window = ((3,), (2,), (1,))
    third = numpy.float32(2) / 3
    assert backend.avg_pool(x, *window, False, True, None).tolist() == [[[third, 1]]]
    assert backend.avg_pool(x, *window, False, False, None).tolist() == [[[1, 1]]]
    assert backend.avg_pool(x, *window, False, True, 2).tolist() == [[[1, 1.5]]]


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
def test_average_windows(kernel: Ints, stride: Ints, padding: Ints) -> None:
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        padding = (0, 0)
    for ceil_mode, include, divisor in product((False, True), (False, True), (None, 3)):
        x = random_tensor(1, 2, 3, 11, 19)
        compare_average(x, kernel, stride, padding, ceil_mode, include, divisor)
        row = random_tensor(2, 2, 3, 21)
        compare_average(row, kernel[:1], stride[:1], padding[:1], ceil_mode, include, divisor)


def compare_average(x: Tensor, *window: Any) -> None:
    expected = reference.avg_pool(x, *window)
    close(cpu.avg_pool(x, *window), expected)
    grad = random_tensor(9, *expected.shape)
    close(
        cpu.avg_pool_grad(grad, x.shape, *window), reference.avg_pool_grad(grad, x.shape, *window)
    )


# ------------------------------------------------------------------ adaptive
def compare_adaptive(x: Tensor, output: Ints) -> None:
    mean = reference.adaptive_avg_pool(x, output)
    close(cpu.adaptive_avg_pool(x, output), mean)
    expected = reference.adaptive_max_pool(x, output)
    for result, wanted in zip(cpu.adaptive_max_pool(x, output), expected, strict=True):
        numpy.testing.assert_array_equal(result, wanted)
        assert layout(result) == layout(wanted)
    if x.ndim == len(output) + 2:
        grad = reference.adaptive_avg_pool(random_tensor(2, *x.shape), output)
        close(
            cpu.adaptive_avg_pool_grad(grad, x.shape),
            reference.adaptive_avg_pool_grad(grad, x.shape),
        )


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (13, 17), (40, 40)])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (7, 7)])
def test_adaptive_maximum(size: Ints, output: Ints) -> None:
    x = with_ties(1, 3, 5, *size)
    compare_adaptive(x, output)
    x[:, :, size[0] // 2] = numpy.nan
    x[:, 0, 0] = -numpy.inf
    compare_adaptive_maximum(x, output)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (13, 17), (40, 40)])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (7, 7)])
def test_adaptive_average(size: Ints, output: Ints) -> None:
    x = random_tensor(1, 3, 19, *size)
    expected = reference.adaptive_avg_pool(x, output)
    close(cpu.adaptive_avg_pool(x, output), expected)
    grad = random_tensor(2, *expected.shape)
    close(
        cpu.adaptive_avg_pool_grad(grad, x.shape),
        reference.adaptive_avg_pool_grad(grad, x.shape),
    )
    row = random_tensor(3, 2, 3, size[1])
    close(cpu.adaptive_avg_pool(row, output[1:]), reference.adaptive_avg_pool(row, output[1:]))


@pytest.mark.parametrize("width", [3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 48, 49, 64, 65, 130, 300])
@pytest.mark.parametrize("cells", [1, 2, 5, 16, 17, 70])
def test_adaptive_widths(width: int, cells: int) -> None:
    x = with_ties(width, 2, 3, 5, width)
    numbers = random_tensor(1, *x.shape)
    for rows in (1, 3, 5, 9):
        compare_adaptive(numbers, (rows, cells))
        compare_adaptive_maximum(x, (rows, cells))
    compare_adaptive(numbers[:, 0], (cells,))
    compare_adaptive_maximum(x[:, 0], (cells,))


@pytest.mark.parametrize(
    "output", [(1, 1, 1), (2, 1, 1), (3, 2, 1), (2, 1, 3), (7, 5, 1), (1, 1, 9)]
)
def test_adaptive_depths(output: Ints) -> None:
    for size in ((5, 4, 6), (4, 3, 70), (1, 1, 20)):
        compare_adaptive(random_tensor(1, 2, 3, *size), output)
        compare_adaptive_maximum(with_ties(1, 2, 3, *size), output)


def compare_adaptive_maximum(x: Tensor, output: Ints) -> None:
    for result, wanted in zip(
        cpu.adaptive_max_pool(x, output), reference.adaptive_max_pool(x, output), strict=True
    ):
        numpy.testing.assert_array_equal(result, wanted)


@both
def test_adaptive_cells_may_overlap(backend: Kernels) -> None:
    x = numpy.array([[[1, 2, 3, 4, 5]]], numpy.float32)
    assert backend.adaptive_avg_pool(x, (3,)).tolist() == [[[1.5, 3, 4.5]]]
    out, indices = backend.adaptive_max_pool(x, (3,))
    assert out.tolist() == [[[2, 4, 5]]]
    assert indices.tolist() == [[[1, 3, 4]]]


@both
def test_adaptive_maximum_takes_the_first_maximum_and_the_last_nan(backend: Kernels) -> None:
    nan = numpy.nan
    x = numpy.array([[[3, 3, 1, nan, 2, nan]]], numpy.float32)
    _, indices = backend.adaptive_max_pool(x, (2,))
    assert indices.tolist() == [[[0, 5]]]


@both
def test_no_images(backend: Kernels) -> None:
    x = numpy.zeros((0, 3, 8, 8), numpy.float32)
    out, indices = backend.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert out.shape == indices.shape == (0, 3, 4, 4)
    assert backend.max_pool_grad(out, indices, x.shape).shape == x.shape
    assert backend.avg_pool(x, (2, 2), (2, 2), (0, 0), False, True, None).shape == (0, 3, 4, 4)
    assert backend.adaptive_avg_pool(x, (2, 2)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("output_size", [(2, 4), (1, 1), (6, 8), (4, 3), (7, 9)])
def test_adaptive_maximum_of_even_and_uneven_cells(
    native: Kernels, reference: Kernels, output_size: tuple[int, int]
) -> None:
    x = numpy.random.default_rng(0).integers(0, 5, (2, 3, 6, 8)).astype(numpy.float32)  # ties
    x[0, 1, 2, 3] = numpy.nan
    for result, expected in zip(
        native.adaptive_max_pool(x, output_size), reference.adaptive_max_pool(x, output_size)
    ):
        numpy.testing.assert_array_equal(result, expected)


@both
def test_windows_that_see_no_pixel(backend: Kernels) -> None:
    x = numpy.ones((1, 2, 1, 3), numpy.float32)
    for image in (x, channels_last(x)):
        out, indices = backend.max_pool(image, (2, 2), (1, 1), (1, 1), (2, 2), False)
        assert numpy.isneginf(out).all() and not indices.any()
        assert backend.max_pool_grad(out, indices, x.shape).shape == x.shape
    out, indices = backend.max_pool(x[:, :, 0, :1], (2,), (1,), (1,), (2,), False)
    assert numpy.isneginf(out).all() and not indices.any()
