"""Accuracy of the elementary functions in float32, in units in the last place, over many points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

POINTS = 2_000_000
SMALLEST = np.finfo(np.float32).tiny

# name, domain, most units. Beyond the domains of sigmoid and silu exp(-x) leaves the range and the
# result, which is a denormal number, is rounded to 0. The bounds of gelu and its slope hold down
# the negative tail to where the result is 0, and the slope's at its zero.
CASES: list[tuple[str, float, float, float]] = [
    ("exp", -87.3, 88.7, 1.2),
    ("tanh", -20.0, 20.0, 1.5),
    ("tanh", -0.7, 0.7, 1.5),
    ("sigmoid", -87.0, 100.0, 2.5),
    ("silu", -87.0, 100.0, 2.5),
    ("erf", -5.0, 5.0, 2.5),
    ("erf", -0.1, 0.1, 2.5),
    ("gelu", 0.0, 10.0, 2.5),
    ("gelu", -14.0, 0.0, 2.5),
    ("gelu", -1.0, 1.0, 2.5),
    ("gelu_slope", 0.0, 10.0, 3.0),
    ("gelu_slope", -14.0, 0.0, 4.0),  # 2.6 with fused multiply-add
    ("gelu_slope", -0.76, -0.74, 4.0),
]


def gelu_slope(v: float) -> float:
    """cdf(v) + v pdf(v), which double precision carries through the zero at -0.7518."""
    pdf = math.exp(-v * v / 2) / math.sqrt(2 * math.pi)
    return 0.5 * math.erfc(-v * math.sqrt(0.5)) + v * pdf


def exact(name: str, x: Any) -> Any:
    if name in ("exp", "tanh"):
        return getattr(np, name)(x)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if name == "silu":
        return x / (1 + np.exp(-x))
    # The C library's functions are not NumPy's: a quarter of the points keeps the test short.
    functions = {
        "erf": math.erf,
        "gelu": lambda v: 0.5 * v * math.erfc(-v * math.sqrt(0.5)),
        "gelu_slope": gelu_slope,
    }
    return np.array([functions[name](v) for v in x.tolist()])


def computed(kernels: Kernels, name: str, x: Any) -> Any:
    if name == "gelu_slope":
        return kernels.gelu_grad(np.ones_like(x), x)
    return getattr(kernels, name)(x)


def units_off(got: Any, want: Any) -> Any:
    size = np.maximum(np.abs(want), SMALLEST).astype(np.float32)
    return np.abs(got.astype(np.float64) - want) / np.spacing(size)


@pytest.mark.parametrize("name, low, high, most", CASES)
def test_function(native: Kernels, name: str, low: float, high: float, most: float) -> None:
    count = POINTS if name in ("exp", "tanh", "sigmoid", "silu") else POINTS // 4
    x = np.random.default_rng(7).uniform(low, high, count).astype(np.float32)
    error = units_off(computed(native, name, x), exact(name, x.astype(np.float64)))
    assert error.max() <= most, f"{error.max():.2f} units at {x[error.argmax()]!r}"


def test_log_over_all_positive_numbers(native: Kernels) -> None:
    bits = np.random.default_rng(8).integers(1, 0x7F800000, POINTS).astype(np.uint32)
    x = bits.view(np.float32)
    error = units_off(native.log(x), np.log(x.astype(np.float64)))
    assert error.max() <= 1.0, f"{error.max():.2f} units at {x[error.argmax()]!r}"


def test_special_values(native: Kernels) -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45], np.float32)
    nan, inf = math.nan, math.inf
    expected = {
        "exp": [1, 1, inf, 0, nan, 1, 1],
        "log": [-inf, -inf, inf, nan, nan, np.log(1.401298464e-45), nan],
        "tanh": [0, -0.0, 1, -1, nan, 1e-45, -1e-45],
        "sigmoid": [0.5, 0.5, 1, 0, nan, 0.5, 0.5],
        "erf": [0, -0.0, 1, -1, nan, 1e-45, -1e-45],
        "gelu": [0, -0.0, inf, nan, nan, 0, 0],
    }
    for name, values in expected.items():
        got = getattr(native, name)(x)
        np.testing.assert_allclose(got, np.array(values, np.float32), rtol=1e-6, atol=3e-45)
        assert np.signbit(got[1]) == np.signbit(np.float32(values[1]))


def test_pow_rounds_about_once(native: Kernels) -> None:
    """Over all positive bases, and those near 1, where the exponents are large."""
    rng = np.random.default_rng(9)
    bases = rng.integers(1, 0x7F800000, POINTS // 2).astype(np.uint32).view(np.float32)
    near = rng.uniform(0.999, 1.001, POINTS // 2).astype(np.float32)
    x = np.concatenate([bases, near[near != 1]])
    y = (rng.uniform(-149.0, 128.0, x.size) / np.log2(x.astype(np.float64))).astype(np.float32)
    want = np.power(x.astype(np.float64), y.astype(np.float64))
    known = (want > SMALLEST) & (want < np.finfo(np.float32).max)
    error = units_off(native.pow(x[known], y[known]), want[known])
    assert error.max() <= 0.52, f"{error.max():.3f} units"
