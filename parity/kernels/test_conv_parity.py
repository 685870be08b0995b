"""Matrix products, convolution and pooling kernels against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rushlight.backends import Kernels, kernels

Tensor = NDArray[Any]
BACKENDS = {"reference": Kernels(numpy), "cpu": kernels(numpy.zeros(1))}
backends = pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_AVERAGES = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}
ADAPTIVE_MAXIMA = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}

# PyTorch allows padding up to half the kernel.
POOL_WINDOWS = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]


def random_array(seed: int, *shape: int) -> Tensor:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def close(result: Tensor, expected: torch.Tensor) -> None:
    wanted = expected.detach().numpy()
    assert result.shape == wanted.shape
    numpy.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


@backends
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(
    backend: Kernels,
    axes: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> None:
    for channels, outputs in [(4, 6), (6, 26)]:
        x = random_array(1, 2, channels, *(9, 8, 7)[:axes])
        weight = random_array(2, outputs, channels // groups, *(kernel,) * axes)
        bias = random_array(3, outputs)
        window = ((stride,) * axes, (padding,) * axes, (dilation,) * axes, groups)
        leaves = [torch.tensor(v, requires_grad=True) for v in (x, weight, bias)]
        out = CONVOLUTIONS[axes](*leaves, *window)
        close(backend.conv(x, weight, bias, *window), out)
        grad = random_array(4, *out.shape)
        out.backward(torch.from_numpy(grad))
        close(backend.conv_input_grad(grad, weight, x.shape, *window), leaves[0].grad)
        close(backend.conv_weight_grad(grad, x, weight.shape, *window), leaves[1].grad)
        close(backend.conv_bias_grad(grad), leaves[2].grad)


@backends
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "padding"), POOL_WINDOWS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool(
    backend: Kernels,
    axes: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil_mode: bool,
) -> None:
    x = numpy.round(random_array(1, 2, 3, *(9, 8, 7)[:axes]))
    x.reshape(-1)[::17] = numpy.nan
    x.reshape(-1)[5::31] = -numpy.inf
    window = ((kernel,) * axes, (stride,) * axes, (padding,) * axes, (dilation,) * axes)
    leaf = torch.tensor(x, requires_grad=True)
    expected, positions = MAXIMA[axes](leaf, *window, ceil_mode, return_indices=True)
    out, indices = backend.max_pool(x, *window, ceil_mode)
    numpy.testing.assert_array_equal(out, expected.detach().numpy())
    numpy.testing.assert_array_equal(indices, positions.numpy())
    grad = random_array(2, *out.shape)
    expected.backward(torch.from_numpy(grad))
    close(backend.max_pool_grad(grad, indices, x.shape), leaf.grad)


@backends
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "padding"), POOL_WINDOWS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("divisor", [None, 3])
def test_avg_pool(
    backend: Kernels,
    axes: int,
    kernel: int,
    stride: int,
    padding: int,
    ceil_mode: bool,
    include: bool,
    divisor: int | None,
) -> None:
    if axes == 1 and divisor is not None:
        pytest.skip("avg_pool1d has no divisor_override; two axes cover it")
    x = random_array(1, 2, 3, *(9, 8, 7)[:axes])
    window = ((kernel,) * axes, (stride,) * axes, (padding,) * axes, ceil_mode, include)
    leaf = torch.tensor(x, requires_grad=True)
    extra = () if axes == 1 else (divisor,)
    expected = AVERAGES[axes](leaf, *window, *extra)
    close(backend.avg_pool(x, *window, divisor), expected)
    grad = random_array(2, *expected.shape)
    expected.backward(torch.from_numpy(grad))
    close(backend.avg_pool_grad(grad, x.shape, *window, divisor), leaf.grad)


@backends
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("output", [1, 2, 3, 5, 7, 11])
def test_adaptive_pools(backend: Kernels, axes: int, output: int) -> None:
    x = numpy.round(random_array(1, 2, 3, *(9, 8, 7)[:axes]))
    size = (output,) * axes
    leaf = torch.tensor(x, requires_grad=True)
    expected = ADAPTIVE_AVERAGES[axes](leaf, size)
    close(backend.adaptive_avg_pool(x, size), expected)
    grad = random_array(2, *expected.shape)
    expected.backward(torch.from_numpy(grad))
    close(backend.adaptive_avg_pool_grad(grad, x.shape), leaf.grad)

    x.reshape(-1)[::17] = numpy.nan
    leaf = torch.tensor(x, requires_grad=True)
    expected, positions = ADAPTIVE_MAXIMA[axes](leaf, size, return_indices=True)
    out, indices = backend.adaptive_max_pool(x, size)
    numpy.testing.assert_array_equal(out, expected.detach().numpy())
    numpy.testing.assert_array_equal(indices, positions.numpy())


@backends
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.int8])
@pytest.mark.parametrize("shape", [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((4,), (2, 4, 5))])
def test_matmul(
    backend: Kernels, dtype: torch.dtype, shape: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    a, b = ((torch.randn(s) * 3).to(dtype) for s in shape)
    close(backend.matmul(a.numpy(), b.numpy()), torch.matmul(a, b))


@backends
@pytest.mark.parametrize(("beta", "alpha"), [(1, 1), (0.5, 2), (0, 1), (1, -1)])
def test_addmm(backend: Kernels, beta: float, alpha: float) -> None:
    bias, a, b = torch.randn(5), torch.randn(3, 4), torch.randn(4, 5)
    expected = torch.addmm(bias, a, b, beta=beta, alpha=alpha)
    close(backend.addmm(bias.numpy(), a.numpy(), b.numpy(), beta, alpha), expected)


def layout(strides: Any, shape: Any, itemsize: int) -> list[int]:
    """Steps in elements along the axes where there are several."""
    return [step // itemsize for step, n in zip(strides, shape, strict=True) if n > 1]


@backends
@pytest.mark.parametrize("last", ["x", "weight", "both"])
def test_results_are_channels_last_where_an_input_is(backend: Kernels, last: str) -> None:
    x, weight = random_array(1, 2, 8, 6, 7), random_array(2, 4, 8, 3, 3)
    tensors = [torch.from_numpy(x), torch.from_numpy(weight)]
    for i, name in enumerate(["x", "weight"]):
        if last in (name, "both"):
            tensors[i] = tensors[i].to(memory_format=torch.channels_last)
    x, weight = (t.numpy() for t in tensors)
    pairs = [(backend.conv(x, weight, None, (1, 1), (0, 0), (1, 1), 1), F.conv2d(*tensors))]
    window = ((2, 2), (2, 2), (0, 0))
    pairs += zip(
        backend.max_pool(x, *window, (1, 1), False),
        F.max_pool2d(tensors[0], 2, return_indices=True),
        strict=True,
    )
    pairs += [
        (backend.avg_pool(x, *window, False, True, None), F.avg_pool2d(tensors[0], 2)),
        (backend.adaptive_avg_pool(x, (3, 3)), F.adaptive_avg_pool2d(tensors[0], 3)),
        (backend.adaptive_max_pool(x, (3, 3))[1], F.adaptive_max_pool2d(tensors[0], 3, True)[1]),
    ]
    for result, expected in pairs:
        close(result, expected)
        steps = layout(result.strides, result.shape, result.itemsize)
        assert steps == layout(expected.stride(), expected.shape, 1)
