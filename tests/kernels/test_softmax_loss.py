"""Softmax and losses: native against reference, and what the reference promises."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

FLOATS = [np.float32, np.float64]
SHAPES = [(), (1,), (10,), (3, 15), (3, 16), (3, 17), (4, 33), (3, 63), (3, 64), (3, 65), (2, 80),
          (2, 1000), (3, 5, 17), (2, 3, 4, 5), (0, 4), (70, 300)]  # fmt: skip


def close(got: Any, want: Any, steps: float = 16) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, want, rtol=steps * eps, atol=steps * eps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, grad = (np.asarray(rng.normal(size=shape) * 5).astype(dtype) for _ in range(2))
    for dim in range(max(len(shape), 1)):
        soft, log = native.softmax(x, dim), native.log_softmax(x, dim)
        close(soft, reference.softmax(x, dim))
        close(log, reference.log_softmax(x, dim), 40)
        close(native.softmax_grad(grad, soft, dim), reference.softmax_grad(grad, soft, dim), 100)
        close(
            native.log_softmax_grad(grad, log, dim), reference.log_softmax_grad(grad, log, dim), 400
        )


def test_softmax_of_strided_and_half(native: Kernels, reference: Kernels) -> None:
    x = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    np.testing.assert_allclose(native.softmax(x.T, 0), reference.softmax(x.T, 0), rtol=1e-6)
    half = native.softmax(x.astype(np.float16), 1)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, reference.softmax(x, 1), atol=1e-3)


def test_softmax_limits(native: Kernels, reference: Kernels) -> None:
    inf = math.inf
    x = np.array(
        [[1e30, 0, -1e30], [-inf, 0, -inf], [-inf, -inf, -inf], [np.nan, 0, 0]], np.float32
    )
    for k in (native, reference):
        y = k.softmax(x, 1)
        assert y[:2].tolist() == [[1, 0, 0], [0, 1, 0]]
        assert np.isnan(y[2:]).all()
        assert k.log_softmax(x, 1)[1].tolist() == [-inf, 0, -inf]
        assert k.softmax(x.T.copy(), 0)[:, :2].T.tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_number_or_a_nan_may_stand_anywhere(native: Kernels, dtype: Any) -> None:
    for n in (1, 5, 16, 70, 150):
        x = np.zeros((n, n), dtype)
        np.fill_diagonal(x, 1e30)
        np.testing.assert_array_equal(native.softmax(x, 1), np.eye(n))
        np.testing.assert_array_equal(native.log_softmax(x, 1).argmax(1), np.arange(n))
        np.fill_diagonal(x, np.nan)
        assert np.isnan(native.softmax(x, 1)).all() and np.isnan(native.log_softmax(x, 1)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("inner", [(), (1,), (3, 4)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nll(native: Kernels, reference: Kernels, reduction: str, inner: Any, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    logp = reference.log_softmax(rng.normal(size=(9, 5, *inner)).astype(dtype), 1)
    target = rng.integers(0, 5, (9, *inner))
    target.flat[::4] = -100
    weights = [None, rng.uniform(0.1, 1, 5).astype(dtype)]
    for weight in weights:
        want, want_total = reference.nll_loss(logp, target, weight, -100, reduction)
        loss, total = native.nll_loss(logp, target, weight, -100, reduction)
        close(loss, want)
        close(total, want_total)
        grad = np.asarray(rng.normal(size=loss.shape)).astype(dtype)
        arguments = (grad, target, weight, total, logp.shape, -100, reduction)
        close(native.nll_loss_grad(*arguments), reference.nll_loss_grad(*arguments))


def test_nll_by_hand(native: Kernels, reference: Kernels) -> None:
    logp = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    for k in (native, reference):
        loss, total = k.nll_loss(logp, np.array([0, 1]), None, -100, "mean")
        assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
        assert total.item() == 2 and loss.shape == ()
        loss, _ = k.nll_loss(logp[0], np.array(1), None, -100, "mean")
        assert loss.item() == pytest.approx(-math.log(0.5))
        nothing, total = k.nll_loss(logp, np.array([-100, -100]), None, -100, "mean")
        assert np.isnan(nothing).all() and total.item() == 0
        with pytest.raises(IndexError, match="Target 2 is out of bounds"):
            k.nll_loss(logp, np.array([0, 2]), None, -100, "mean")


def test_ignored_infinity_is_not_read(native: Kernels, reference: Kernels) -> None:
    logp = np.array([[-np.inf, 0.0], [np.nan, -1.0]], np.float32)
    for k in (native, reference):
        loss, _ = k.nll_loss(logp, np.array([-100, 1]), None, -100, "mean")
        assert loss.item() == 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1023, 1024, 1025, 70000])
def test_mse(native: Kernels, reference: Kernels, n: int, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, n)).astype(dtype)
    for reduction in ("none", "mean", "sum"):
        close(native.mse_loss(x, y, reduction), reference.mse_loss(x, y, reduction))
        grad = np.asarray(rng.normal(size=n if reduction == "none" else ())).astype(dtype)
        close(
            native.mse_loss_grad(grad, x, y, reduction),
            reference.mse_loss_grad(grad, x, y, reduction),
        )


def test_mse_of_nothing(native: Kernels, reference: Kernels) -> None:
    empty = np.zeros(0, np.float32)
    for k, reduction in itertools.product((native, reference), ("mean", "sum")):
        assert np.isnan(k.mse_loss(empty, empty, "mean")).all()
        assert k.mse_loss(empty, empty, "sum").item() == 0
        assert k.mse_loss_grad(np.float32(1) * np.ones(()), empty, empty, reduction).shape == (0,)


def test_strided_arguments(native: Kernels, reference: Kernels) -> None:
    """Images whose channels lie side by side, broadcast gradients, sliced targets."""
    rng = np.random.default_rng(8)
    x, y, grad = (rng.normal(size=(2, 5, 6, 7)).astype(np.float32) for _ in range(3))
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    target = rng.integers(0, 5, (2, 6, 7))
    for name in ("softmax", "log_softmax"):
        result = getattr(reference, name)(x, 1)
        got = getattr(native, name)(last, 1)
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, result, rtol=1e-5, atol=1e-6)
        for g in (grad.T.copy().T, np.broadcast_to(grad[:, :1], grad.shape)):
            want = getattr(reference, name + "_grad")(g, result, 1)
            got = getattr(native, name + "_grad")(g, result, 1)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    for reduction in ("mean", "sum"):
        want = reference.nll_loss(x, target, None, -100, reduction)
        got = native.nll_loss(last, target, None, -100, reduction)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        want, got = (k.mse_loss(last, y, reduction) for k in (reference, native))
        np.testing.assert_allclose(got, want, rtol=1e-5)
        one = np.float32(1).reshape(())
        want, got = (k.mse_loss_grad(one, last, y, reduction) for k in (reference, native))
        np.testing.assert_allclose(got, want, rtol=1e-5)
