"""Native activations with constants against the reference: sizes, layouts, NaN and its kin."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends import Kernels

# On both sides of a vector; the last two are cut into blocks and split between threads.
SIZES = [0, 1, 3, 7, 8, 9, 15, 16, 17, 33, 1000, 65537, 300000]
SPECIAL = [0.0, -0.0, 3.0, -3.0, 0.25, 1e-38, 90.0, -90.0, math.inf, -math.inf, math.nan]
FLOATS = [np.float32, np.float64]
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "leaky_relu": (0.1,), "elu": (1.5, 1.05, 0.7), "threshold": (0.25, 2.0), "hardsigmoid": (),
    "hardswish": (), "mish": (), "nan_to_num": (0.5, None, -7.0), "expm1": (), "log1p": (),
    "softplus": (1.5, 10.0), "logsigmoid": (), "softshrink": (0.25,), "hardshrink": (0.25,),
}  # fmt: skip
GRADIENTS: list[tuple[str, tuple[Any, ...]]] = [
    ("leaky_relu_grad", (0.1,)), ("elu_grad", (1.5, 1.05, 0.7, False)),
    ("elu_grad", (1.5, 1.05, 0.7, True)), ("threshold_grad", (0.25,)),
    ("hardtanh_grad", (-3.0, 0.25)), ("hardsigmoid_grad", ()), ("hardswish_grad", ()),
    ("mish_grad", ()), ("softplus_grad", (1.5, 10.0)), ("logsigmoid_grad", ()),
    ("shrink_grad", (0.25,)),
]  # fmt: skip


def numbers(n: int, dtype: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n) * 3
    count = min(n, len(SPECIAL))
    values[rng.permutation(n)[:count]] = rng.permutation(SPECIAL)[:count]
    return values.astype(dtype)


def assert_close(got: Any, want: Any) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, want, rtol=32 * eps, atol=64 * eps)  # sums cancel


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_sizes(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x, grad = numbers(n, dtype, 1), numbers(n, dtype, 2)
    for name, constants in FUNCTIONS.items():
        got, want = (getattr(k, name)(x, *constants) for k in (native, reference))
        assert_close(got, want)
        zero = want == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))
    grad = np.where(np.isfinite(grad), grad, 1).astype(dtype)
    for name, constants in GRADIENTS:
        want = getattr(reference, name)(grad, x, *constants)
        assert_close(getattr(native, name)(grad, x, *constants), want)


@pytest.mark.parametrize("dtype", FLOATS)
def test_layouts_and_out(native: Kernels, dtype: Any) -> None:
    plain, grad = numbers(40 * 24, dtype).reshape(40, 24), np.full((40, 24), 2, dtype)
    for x in (plain.reshape(24, 40).T, np.repeat(plain, 2, axis=1)[:, ::2], plain[::-1, ::-1]):
        flat = np.ascontiguousarray(x)
        for name, constants in FUNCTIONS.items():
            want = getattr(native, name)(flat, *constants)
            np.testing.assert_array_equal(getattr(native, name)(x, *constants), want)
            written = x.copy(order="K")
            assert getattr(native, name)(written, *constants, written) is written
            np.testing.assert_array_equal(written, want)
        for name, constants in GRADIENTS:
            want = getattr(native, name)(grad, flat, *constants)
            np.testing.assert_array_equal(getattr(native, name)(grad, x, *constants), want)
            for repeated in (grad[:1, :1], np.broadcast_to(grad[:1, :1], x.shape)):
                got = getattr(native, name)(repeated, x, *constants)
                np.testing.assert_array_equal(got, want)
            spare = grad.copy()
            assert getattr(native, name)(spare, x, *constants, spare) is spare
            np.testing.assert_array_equal(spare, want)


def test_by_hand(native: Kernels, reference: Kernels) -> None:
    x = np.array([-4.0, -3.0, 0.0, 3.0, 4.0, math.nan], np.float32)
    one = np.ones_like(x)
    for k in (native, reference):
        for got, want in (
            (k.leaky_relu(x, 0.5), [-2, -1.5, 0, 3, 4, math.nan]),
            (k.leaky_relu_grad(one, x, 0.5), [0.5, 0.5, 0.5, 1, 1, 0.5]),
            (k.threshold(x, -3.0, 9.0), [9, 9, 0, 3, 4, math.nan]),
            (k.threshold_grad(one, x, -3.0), [0, 0, 1, 1, 1, 1]),
            (k.hardtanh_grad(one, x, -3.0, 3.0), [0, 0, 1, 0, 0, 1]),
            (k.hardsigmoid(x), [0, 0, 0.5, 1, 1, math.nan]),
            (k.hardsigmoid_grad(6 * one, x), [0, 0, 1, 0, 0, 0]),
            (k.hardswish(x), [0, 0, 0, 3, 4, math.nan]),
            (k.hardswish_grad(one, x), [0, 0, 0.5, 1, 1, 1]),
            (k.elu_grad(one, x, 2.0, 1.0, 1.0, True), [-2, -1, 2, 1, 1, 1]),
        ):
            np.testing.assert_array_equal(got, np.array(want, np.float32))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_types_have_limits_of_their_own(native: Kernels, dtype: Any) -> None:
    x = np.array([math.nan, math.inf, -math.inf, 1.5], dtype)
    most = float(ml_dtypes.finfo(dtype).max)
    got = native.nan_to_num(x, 0.25, None, None)
    assert got.dtype == x.dtype and got.tolist() == [0.25, most, -most, 1.5]
    assert native.hardswish(x[3:]).dtype == x.dtype


def test_whole_numbers_have_bounds_on_one_side(native: Kernels, reference: Kernels) -> None:
    for dtype in (np.int32, np.int64):
        x = np.array([np.iinfo(dtype).min, -1, 5, np.iinfo(dtype).max], dtype)
        for bounds in ((0, None), (None, 3), (0, 3)):
            want = reference.clamp(x, *bounds)
            np.testing.assert_array_equal(native.clamp(x, *bounds), want)


@pytest.mark.parametrize("dtype", FLOATS)
def test_small_numbers_keep_their_digits(native: Kernels, dtype: Any) -> None:
    x = np.concatenate([np.logspace(-30, 0, 999), -np.logspace(-30, -0.01, 999)]).astype(dtype)
    exact = x.astype(np.longdouble)
    for name in ("expm1", "log1p"):
        error = abs(getattr(native, name)(x) - getattr(np, name)(exact)) / abs(exact)
        assert error.max() < 2.5 * np.finfo(dtype).eps, name
