"""Native special functions against the reference, which computes in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 100, 70000]
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 8.0, 27.0, -27.0, 1e-40, -1e-40,
           1e30, -1e30, 3e38, -3e38, 2.0**24, math.inf, -math.inf, math.nan]  # fmt: skip

# name, domain, most units in the last place
CASES: list[tuple[str, float, float, float]] = [
    ("erfc", -5.0, 9.3, 5.0),
    ("erfc", -0.6, 0.6, 5.0),
    ("erfinv", -1.0, 1.0, 3.5),
    ("erfinv", -0.01, 0.01, 3.5),
    ("erfinv", 0.9999, 1.0, 3.5),
    ("lgamma", -60.0, 0.0, 0.6),
    ("lgamma", 0.0, 10.0, 0.6),
    ("lgamma", 0.999, 1.001, 2.0),
    ("lgamma", 1.999, 2.001, 2.0),
    ("digamma", -60.0, 0.0, 0.6),
    ("digamma", 0.0, 10.0, 0.6),
    ("digamma", 1.46, 1.463, 0.6),
]
NAMES = ["erfc", "erfinv", "lgamma", "digamma"]


def assert_within(got: Any, want: Any, most: float) -> None:
    """`want` is in double precision; what overflows or is denormal must only look so."""
    assert got.dtype == np.float32 and got.shape == want.shape
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        rounded = want.astype(np.float32)
    known = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~known], rounded[~known])
    size = np.maximum(np.abs(rounded[known]), np.finfo(np.float32).tiny)
    error = np.abs(got[known].astype(np.float64) - want[known]) / np.spacing(size)
    assert error.max(initial=0) <= most


@pytest.mark.parametrize("name, low, high, most", CASES)
def test_accuracy(
    native: Kernels, reference: Kernels, name: str, low: float, high: float, most: float
) -> None:
    x = np.random.default_rng(0).uniform(low, high, 200_000).astype(np.float32)
    want = getattr(reference, name)(x.astype(np.float64))
    assert_within(getattr(native, name)(x), want, most)


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_accuracy_over_all_sizes(native: Kernels, reference: Kernels, name: str) -> None:
    x = (10 ** np.random.default_rng(1).uniform(-38, 38, 200_000)).astype(np.float32)
    assert_within(getattr(native, name)(x), getattr(reference, name)(x.astype(np.float64)), 0.6)


@pytest.mark.parametrize("name", NAMES)
def test_special_numbers(native: Kernels, reference: Kernels, name: str) -> None:
    x = np.array(SPECIAL, np.float32)
    for numbers in (x, x[x >= 0.5]):  # with and without numbers to reflect
        got, want = (getattr(k, name)(numbers) for k in (native, reference))
        np.testing.assert_allclose(got, want, rtol=6e-7, atol=0)
        known = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(want[known]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", SIZES)
def test_sizes_layouts_and_out(native: Kernels, reference: Kernels, n: int, name: str) -> None:
    x = np.random.default_rng(2).uniform(-1, 1, n).astype(np.float32)
    want = getattr(reference, name)(x)
    np.testing.assert_allclose(getattr(native, name)(x), want, rtol=1e-6)
    steps = np.repeat(x, 2)[::2]
    np.testing.assert_allclose(getattr(native, name)(steps), want, rtol=1e-6)
    assert getattr(native, name)(x, x) is x
    np.testing.assert_allclose(x, want, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_doubles(native: Kernels, reference: Kernels, name: str) -> None:
    x = np.concatenate([np.random.default_rng(3).uniform(-1, 27, 1000), SPECIAL])
    with np.errstate(invalid="ignore"):
        want = getattr(reference, name)(x)
    np.testing.assert_allclose(getattr(native, name)(x), want, rtol=2e-15, atol=1e-320)
