"""Native functions of two arrays against the reference; remainders and quotients are exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

NAMES = ["fmod", "remainder", "floor_div", "trunc_div", "copysign", "heaviside", "nextafter",
         "hypot", "xlogy", "atan2", "pow"]  # fmt: skip
NEARLY = {
    "hypot": 2,
    "xlogy": 4,
    "atan2": 6,
    "pow": 2,
}  # units in the last place; the others are exact
SPECIAL = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 0.1, 0.3, 1e-40, -1e-40, 1e30, -1e30, 2.0**22,
           2.0**22 - 0.5, 2.0**51, 2.0**51 + 1, math.inf, -math.inf, math.nan]  # fmt: skip
FLOATS = [np.float32, np.float64]


def assert_same(name: str, got: Any, want: Any) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    rtol = NEARLY.get(name, 0) * np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, want, rtol=rtol, atol=0)
    known = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(want[known]))


def pairs(dtype: Any) -> tuple[Any, Any]:
    """Numbers of many sizes, whole multiples of tenths, and all pairs of special ones."""
    rng = np.random.default_rng(0)
    n = len(SPECIAL)
    sizes = 10.0 ** rng.integers(-3, 8, 3000)
    x = [rng.normal(size=3000) * sizes, rng.integers(-1000, 1000, 3000) * 0.1, SPECIAL * n]
    y = [rng.normal(size=3000), rng.integers(-30, 30, 3000) * 0.1, np.repeat(SPECIAL, n)]
    return np.concatenate(x).astype(dtype), np.concatenate(y).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_numbers(native: Kernels, reference: Kernels, name: str, dtype: Any) -> None:
    x, y = pairs(dtype)
    assert_same(name, getattr(native, name)(x, y), getattr(reference, name)(x, y))
    for number in (0.7, -3, 0, math.inf):
        if name != "nextafter":
            want = getattr(reference, name)(x, number)
            assert_same(name, getattr(native, name)(x, number), want)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 100, 300000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_sizes_and_out(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=n).astype(dtype) for _ in range(2))
    for name in NAMES:
        want = getattr(reference, name)(x, y)
        assert_same(name, getattr(native, name)(x, y), want)
        for out in (x.copy(), y.copy()):
            operands = (out, y) if np.array_equal(out, x) else (x, out)
            assert getattr(native, name)(*operands, out) is out
            assert_same(name, out, want)


def test_layouts(native: Kernels, reference: Kernels) -> None:
    x, y = (a[:600].reshape(20, 30) for a in pairs(np.float32))
    shapes = [x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[:1], x[:, :1], x[::-1]]
    for name in NAMES:
        for first in shapes[:4]:
            for second in (y, np.asfortranarray(y), y[:1], y[:, :1], y[0, 0].reshape(())):
                want = getattr(reference, name)(first, second)
                assert_same(name, getattr(native, name)(first, second), want)


def test_powers(native: Kernels, reference: Kernels) -> None:
    """Whole and odd exponents, roots, and bases and exponents at the ends of the range."""
    x, y = np.meshgrid(
        np.array([*SPECIAL, 2, 0.5, 1e-10, 1.0000001, 1e38], np.float32),
        np.array([*SPECIAL, 2, 5, -2, 0.5, 1e-3, 100, -100, 127, 16777215], np.float32),
    )
    assert_same("pow", native.pow(x, y), reference.pow(x, y))
    for number in (0, 1, 2, 3, 7, -3, 1.5, 1 / 3):
        assert_same("pow", native.pow(x, number), reference.pow(x, number))
