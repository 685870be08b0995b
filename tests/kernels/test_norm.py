"""Normalisations: native against reference, and the definitions by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

FLOATS = [np.float32, np.float64]
CHANNEL_SHAPES = [
    (4, 6),
    (17, 64),
    (17, 65),
    (3, 5, 7),
    (2, 6, 4, 4),
    (8, 3, 33, 33),
    (2, 4, 3, 2, 2),
]


LAST_SHAPES = [
    (2, 3, 4, 5),
    (1, 1, 3, 3),
    (3, 17, 5, 7),
    (2, 64, 13, 5),
    (4, 6, 3, 3, 3),
    (2, 130, 1, 33),
    (2, 16, 50, 51),  # more than one block of rows
    (5, 8, 97, 90),  # more than one chunk of blocks
]


def channels_last(x: Any) -> Any:
    """The same numbers with the channels side by side in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def close(got: Any, want: Any, steps: float = 64, scale: float = 0.0) -> None:
    if want is None:
        assert got is None
        return
    assert got.strides == want.strides
    assert got.dtype == want.dtype and got.shape == want.shape
    eps = np.finfo(got.dtype).eps
    scale = max(scale, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, rtol=steps * eps, atol=steps * eps * scale)


def data(shape: Any, dtype: Any, affine: bool, parameters: Any) -> Any:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 2 + 3).astype(dtype)
    grad = rng.normal(size=shape).astype(dtype)
    if not affine:
        return x, grad, None, None
    return x, grad, *(rng.normal(size=parameters).astype(dtype) for _ in range(2))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", CHANNEL_SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(
    native: Kernels, reference: Kernels, training: bool, shape: Any, dtype: Any
) -> None:
    for affine in (True, False):
        x, grad, weight, bias = data(shape, dtype, affine, shape[1])
        results, moved = [], []
        for k in (native, reference):
            mean, var = np.linspace(-1, 1, shape[1]).astype(dtype), np.ones(shape[1], dtype)
            results.append(k.batch_norm(x, weight, bias, mean, var, training, 0.1, 1e-5))
            moved.append((mean, var))
        for got, want in zip((*results[0], *moved[0]), (*results[1], *moved[1]), strict=True):
            close(got, want)
        _, mean, invstd = results[1]
        for needs in itertools.product((True, False), repeat=3):
            arguments = (grad, x, weight, mean, invstd, training, needs)
            got, want = native.batch_norm_grad(*arguments), reference.batch_norm_grad(*arguments)
            for a, b in zip(got, want, strict=True):
                close(a, b, 400)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", LAST_SHAPES)
def test_batch_norm_channels_last(
    native: Kernels, reference: Kernels, shape: Any, dtype: Any
) -> None:
    """Images whose channels lie side by side give such results, whatever the gradient's layout."""
    for affine, training in itertools.product((True, False), repeat=2):
        x, grad, weight, bias = data(shape, dtype, affine, shape[1])
        x = channels_last(x)
        mean, var = np.linspace(-1, 1, shape[1]).astype(dtype), np.ones(shape[1], dtype)
        arguments = (x, weight, bias, mean.copy(), var.copy(), training, 0.1, 1e-5)
        want = reference.batch_norm(x, weight, bias, mean, var, training, 0.1, 1e-5)
        for a, b in zip((*native.batch_norm(*arguments), *arguments[3:5]),
                        (*want, mean, var), strict=True):  # fmt: skip
            close(a, b)
        assert x.flags.c_contiguous or want[0].strides == x.strides
        for g in (grad, channels_last(grad)):
            rest = (x, weight, *want[1:], training, (True, True, True))
            for a, b in zip(native.batch_norm_grad(g, *rest),
                            reference.batch_norm_grad(g, *rest), strict=True):  # fmt: skip
                close(a, b, 400)


def test_batch_norm_of_a_channels_last_gradient(native: Kernels, reference: Kernels) -> None:
    """The result lies as the input does, not as the gradient."""
    x, grad, weight, _ = data((3, 5, 6, 7), np.float32, True, 5)
    _, mean, invstd = reference.batch_norm(x, weight, None, None, None, True, 0.1, 1e-5)
    arguments = (channels_last(grad), x, weight, mean, invstd, True, (True, True, True))
    want = reference.batch_norm_grad(*arguments)
    for a, b in zip(native.batch_norm_grad(*arguments), want, strict=True):
        close(a, b, 400)


@pytest.mark.parametrize("shape", [(5000, 6), (40, 3, 20, 20)])
def test_batch_norm_far_from_zero(native: Kernels, shape: Any) -> None:
    """Blocks are joined without losing the variance of data far from zero."""
    x = (np.random.default_rng(1).normal(size=shape) + 4000).astype(np.float32)
    axes = (0, *range(2, len(shape)))
    exact = 1 / x.astype(np.float64).std(axis=axes)
    for y in (x, channels_last(x)):
        invstd = native.batch_norm(y, None, None, None, None, True, 0.1, 0.0)[2]
        np.testing.assert_allclose(invstd, exact, rtol=1e-5)


def test_batch_norm_of_infinity(native: Kernels, reference: Kernels) -> None:
    """One infinite number spoils its channel alone."""
    x = np.random.default_rng(3).normal(size=(3000, 4)).astype(np.float32)
    x[7, 1], x[2500, 2] = np.inf, np.nan
    for k in (native, reference):
        out, mean, invstd = k.batch_norm(x, None, None, None, None, True, 0.1, 1e-5)
        np.testing.assert_array_equal(np.isfinite(mean), [True, False, False, True])
        assert mean[1] == np.inf and np.isnan(mean[2]) and np.isnan(invstd[1:3]).all()
        assert np.isfinite(out[:, [0, 3]]).all() and np.isnan(out[:, 1:3]).all()


@pytest.mark.parametrize("last", [False, True])
def test_batch_norm_that_outgrows_the_cache(native: Kernels, last: bool) -> None:
    x = np.random.default_rng(6).random((4, 32, 256, 256), np.float32)
    y = channels_last(x) if last else x
    out, mean, invstd = native.batch_norm(y, None, None, None, None, True, 0.1, 0.0)
    part = (x[:, 3] - mean[3]) * invstd[3]
    np.testing.assert_allclose(out[:, 3], part, atol=1e-5)
    np.testing.assert_allclose(out.mean((0, 2, 3), np.float64), 0, atol=1e-5)
    arguments = (out, y, None, mean, invstd, False, (True, True, True))
    np.testing.assert_allclose(native.batch_norm_grad(*arguments)[0][1, 3], out[1, 3] * invstd[3])


def test_channels_last_does_not_depend_on_threads(native: Kernels) -> None:
    # here, as `native` has skipped the test where there is no extension
    from rushlight.backends import _native as frame

    x, grad, weight, bias = data((8, 32, 60, 61), np.float32, True, 32)
    x, before = channels_last(x), frame.num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            frame.set_num_threads(threads)
            out, mean, invstd = native.batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)
            rest = (x, weight, mean, invstd, True, (True, True, True))
            results.append((out, mean, invstd, *native.batch_norm_grad(grad, *rest)))
    finally:
        frame.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_batch_norm_by_hand(native: Kernels, reference: Kernels) -> None:
    x = np.array([[1.0, 10.0], [3.0, 30.0]])
    for k in (native, reference):
        running_mean, running_var = np.zeros(2), np.ones(2)
        out, mean, invstd = k.batch_norm(x, None, None, running_mean, running_var, True, 0.5, 0.0)
        np.testing.assert_allclose(out, [[-1, -1], [1, 1]])
        np.testing.assert_allclose(mean, [2, 20])
        np.testing.assert_allclose(invstd, [1, 0.1])
        np.testing.assert_allclose(running_mean, [1, 10])
        np.testing.assert_allclose(running_var, [1.5, 100.5])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(5,), (4, 7), (3, 64), (3, 65), (2, 3, 4), (9, 1025)])
def test_layer_and_rms_norm(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    for axes, affine in itertools.product(range(1, len(shape) + 1), (True, False)):
        x, grad, weight, bias = data(shape, dtype, affine, shape[-axes:])
        want = reference.layer_norm(x, weight, bias, axes, 1e-5)
        for a, b in zip(native.layer_norm(x, weight, bias, axes, 1e-5), want, strict=True):
            close(a, b)
        for needs in ((True, True, True), (False, True, False), (True, False, False)):
            arguments = (grad, x, weight, want[1], want[2], axes, needs)
            got = native.layer_norm_grad(*arguments)
            for a, b in zip(got, reference.layer_norm_grad(*arguments), strict=True):
                close(a, b, 400)
        out, rstd = reference.rms_norm(x, weight, axes, 1e-5)
        for a, b in zip(native.rms_norm(x, weight, axes, 1e-5), (out, rstd), strict=True):
            close(a, b)
        for rms_needs in ((True, True), (True, False), (False, True)):
            rms_arguments = (grad, x, weight, rstd, axes, rms_needs)
            got_rms = native.rms_norm_grad(*rms_arguments)
            for a, b in zip(got_rms, reference.rms_norm_grad(*rms_arguments), strict=True):
                close(a, b, 400)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 6), (3, 6, 5), (2, 12, 7, 7), (1, 6, 33, 2)])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm(
    native: Kernels, reference: Kernels, groups: int, shape: Any, dtype: Any
) -> None:
    for affine in (True, False):
        x, grad, weight, bias = data(shape, dtype, affine, shape[1])
        want = reference.group_norm(x, weight, bias, groups, 1e-5)
        for a, b in zip(native.group_norm(x, weight, bias, groups, 1e-5), want, strict=True):
            close(a, b, 400, scale=float(want[2].max()) * 8)  # x * a + b cancels likewise
        arguments = (grad, x, weight, want[1], want[2], groups, (True, True, True))
        got = native.group_norm_grad(*arguments)
        for a, b in zip(got, reference.group_norm_grad(*arguments), strict=True):
            # With one element per group all terms cancel; rstd says how large they are.
            close(a, b, 400, scale=float(want[2].max()) * 4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (1, 12, 3, 3), (3, 24, 33, 2), (2, 6, 2, 3, 4)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_channels_last(
    native: Kernels, reference: Kernels, groups: int, shape: Any, dtype: Any
) -> None:
    for affine in (True, False):
        x, grad, weight, bias = data(shape, dtype, affine, shape[1])
        x = channels_last(x)
        want = reference.group_norm(x, weight, bias, groups, 1e-5)
        assert want[0].strides == x.strides
        for a, b in zip(native.group_norm(x, weight, bias, groups, 1e-5), want, strict=True):
            close(a, b, 400, scale=float(want[2].max()) * 8)
        for g in (grad, channels_last(grad)):
            arguments = (g, x, weight, want[1], want[2], groups, (True, True, True))
            got = native.group_norm_grad(*arguments)
            for a, b in zip(got, reference.group_norm_grad(*arguments), strict=True):
                close(a, b, 400, scale=float(want[2].max()) * 4)


def test_layer_norm_parameters_of_many_rows(native: Kernels, reference: Kernels) -> None:
    x, grad, weight, _ = data((3001, 19), np.float32, True, 19)
    _, mean, rstd = reference.layer_norm(x, weight, None, 1, 1e-5)
    arguments = (grad, x, weight, mean, rstd, 1, (True, True, True))
    want = reference.layer_norm_grad(*arguments)
    for a, b in zip(native.layer_norm_grad(*arguments), want, strict=True):
        close(a, b, 400)


def test_far_from_zero(native: Kernels, reference: Kernels) -> None:
    """A mean that is large against the spread does not spoil the variance."""
    x = (np.random.default_rng(1).normal(size=(4, 1000)) + 4000).astype(np.float32)
    exact = reference.layer_norm(x.astype(np.float64), None, None, 1, 1e-5)[0]
    for k in (native, reference):
        np.testing.assert_allclose(k.layer_norm(x, None, None, 1, 1e-5)[0], exact, atol=1e-3)


def test_half_and_strided_input(native: Kernels, reference: Kernels) -> None:
    x = np.random.default_rng(2).normal(size=(8, 6)).astype(np.float32)
    half, mean, _ = native.layer_norm(x.astype(np.float16), None, None, 1, 1e-5)
    assert half.dtype == np.float16 and mean.dtype == np.float32
    grad = np.random.default_rng(3).normal(size=(6, 8)).astype(np.float32)
    for y, g in ((x.T, grad), (x.T.copy(), grad.T.copy().T), (x.T[::-1], grad[:, ::-1])):
        out, mean, rstd = reference.layer_norm(y.copy(), None, None, 1, 1e-5)
        close(native.layer_norm(y, None, None, 1, 1e-5)[0], out)
        arguments = (g.copy(), y.copy(), None, mean, rstd, 1, (True, True, True))
        got = native.layer_norm_grad(g, y, *arguments[2:])
        for a, b in zip(got, reference.layer_norm_grad(*arguments), strict=True):
            close(a, b, 400)
