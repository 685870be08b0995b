"""Native elementwise kernels of three operands against the reference."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends import Kernels

# On both sides of a vector and of the block of 256 elements.
SIZES = [0, 1, 7, 8, 15, 16, 17, 255, 256, 257, 1000, 70000]
NUMBERS = [np.float32, np.float64, np.int32, np.int64]
SPECIAL = [0.0, -0.0, 1.0, 0.5, -0.5, math.inf, -math.inf, math.nan]


def numbers(shape: Any, dtype: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    n = math.prod(shape)
    values = rng.normal(size=n) * 4
    if np.dtype(dtype).kind == "f":
        count = min(n, len(SPECIAL))
        values[rng.permutation(n)[:count]] = rng.permutation(SPECIAL)[:count]
    return values.astype(dtype).reshape(shape)


def assert_same(got: Any, want: Any) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    for size, a, b in zip(got.shape, got.strides, want.strides, strict=True):
        assert size <= 1 or a == b
    if got.dtype.kind in "bi":
        np.testing.assert_array_equal(got, want)
    else:
        eps = np.finfo(got.dtype).eps
        np.testing.assert_allclose(got, want, rtol=4 * eps, atol=64 * eps)


def layouts(shape: tuple[int, int], dtype: Any, seed: int) -> list[Any]:
    x = numbers(shape, dtype, seed)
    return [
        x,
        np.asfortranarray(x),
        np.repeat(x, 2, axis=1)[:, ::2],
        np.broadcast_to(x[:1], shape),
        x[:, :1],
        x[0, 0].reshape(()),
    ]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_sizes(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x, y, z = (numbers((n,), dtype, seed) for seed in range(3))
    mask = y > 0
    for name, arguments in (
        ("addcmul", (x, y, z, 3)),
        ("add_scaled", (x, y, -2)),
        ("clamp", (x, -1, 2)),
        ("clamp", (x, y, z)),
        ("clamp", (x, y, 3)),
        ("clamp", (x, -2, y)),
        ("clamp", (x, None, y)),
        ("clamp", (x, y, None)),
        ("where", (mask, x, y)),
        ("where", (mask, x, 2)),
        ("masked_fill", (x, mask, 7)),
    ):
        assert_same(getattr(native, name)(*arguments), getattr(reference, name)(*arguments))
    if np.dtype(dtype).kind == "f":
        for name, arguments in (
            ("addcdiv", (x, y, z, 0.5)),
            ("lerp", (x, y, 0.3)),
            ("lerp", (x, y, 0.7)),
            ("lerp", (x, y, z)),
            ("clamp", (x, None, 0.5)),
            ("clamp", (x, math.nan, 0.5)),
            ("clamp", (x, y, math.nan)),
        ):
            assert_same(getattr(native, name)(*arguments), getattr(reference, name)(*arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("first", range(3))
def test_layouts(native: Kernels, reference: Kernels, dtype: Any, first: int) -> None:
    shape = (5, 300)
    x = layouts(shape, dtype, 1)[first]
    for y in layouts(shape, dtype, 2):
        for z in layouts(shape, dtype, 3):
            for name, arguments in (
                ("addcmul", (x, y, z, 2)),
                ("clamp", (x, y, z)),
                ("clamp", (x, None, y)),
                ("clamp", (x, y, 1)),
                ("where", (np.asarray(x > 0), y, z)),
                ("masked_fill", (x, np.asarray(y > 0), 1)),
            ):
                got = getattr(native, name)(*arguments)
                assert_same(got, getattr(reference, name)(*arguments))


def test_out_may_be_an_operand(native: Kernels, reference: Kernels) -> None:
    for k in (native, reference):
        x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
        assert k.addcmul(x, y, y, 2.0, x) is x
        np.testing.assert_array_equal(x, np.arange(1000) + 2)
        k.lerp(y, x, 0.25, x)
        np.testing.assert_allclose(x, 1 + 0.25 * (np.arange(1000) + 1))
        assert k.clamp(x, None, y, x) is x
        np.testing.assert_array_equal(x, y)


def test_lerp_ends_are_exact(native: Kernels, reference: Kernels) -> None:
    start, end = np.array([1e8], np.float32), np.array([1.0], np.float32)
    for k in (native, reference):
        assert k.lerp(start, end, 0.0)[0] == start[0] and k.lerp(start, end, 1.0)[0] == 1.0


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.uint8, np.int16, np.float16, ml_dtypes.bfloat16, np.complex128]
)
def test_where_moves_any_items(native: Kernels, reference: Kernels, dtype: Any) -> None:
    x, y = np.arange(300).astype(dtype), np.arange(300)[::-1].astype(dtype)
    mask = np.arange(300) % 3 == 0
    np.testing.assert_array_equal(native.where(mask, x, y), reference.where(mask, x, y))


def test_half_precision_rounds_once(native: Kernels) -> None:
    x = np.array([1.0], np.float16)
    tiny = np.array([2.0**-11], np.float16)  # x + tiny rounds to x, x + 2 tiny does not
    assert native.addcmul(x, tiny, x, 2.0)[0] == np.float16(1 + 2.0**-10)
