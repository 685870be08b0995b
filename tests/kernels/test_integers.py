"""Native functions of whole numbers against the reference: quotients, remainders, bits, shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

DIVISION = ["floor_div", "trunc_div", "remainder", "fmod"]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor"]
SHIFTS = ["left_shift", "right_shift"]
LOGIC = ["logical_and", "logical_or", "logical_xor"]
WHOLE = [np.int32, np.int64]
# On both sides of the last number that a double tells from its neighbours, and of the blocks.
EDGES = [0, 1, -1, 2, -7, 7, 2**31 - 1, -(2**31), 2**53, 2**53 - 1, -(2**53), 2**62 + 1, -(2**63)]
SIZES = [0, 1, 7, 8, 9, 63, 64, 65, 1000, 200000]


def numbers(n: int, dtype: Any, seed: int) -> Any:
    """Numbers of all lengths, with the edges among them."""
    rng = np.random.default_rng(seed)
    bits = 8 * np.dtype(dtype).itemsize - 1
    values = rng.integers(-(2**bits), 2**bits - 1, n, np.int64) >> rng.integers(0, bits, n)
    edges = np.array(EDGES).astype(dtype)
    values[rng.permutation(n)[: len(edges)]] = edges[: min(n, len(edges))]
    return values.astype(dtype)


def assert_same(got: Any, want: Any) -> None:
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", WHOLE)
def test_sizes(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x, y = numbers(n, dtype, 1), numbers(n, dtype, 2)
    divisor = np.where(y == 0, 3, y).astype(dtype)
    for name in DIVISION + BITS + SHIFTS:
        second = divisor if name in DIVISION else y >> 24 if name in SHIFTS else y
        want = getattr(reference, name)(x, second)
        assert_same(getattr(native, name)(x, second), want)
        out = x.copy()
        assert getattr(native, name)(out, second, out) is out
        assert_same(out, want)
    assert_same(native.bitwise_not(x), reference.bitwise_not(x))


@pytest.mark.parametrize("dtype", WHOLE)
def test_every_pair_of_edges_and_numbers(native: Kernels, reference: Kernels, dtype: Any) -> None:
    edges = np.array(EDGES).astype(dtype)
    x, y = np.repeat(edges, len(edges)), np.tile(edges, len(edges))
    for name in DIVISION:
        quotients = (getattr(k, name)(x[y != 0], y[y != 0]) for k in (native, reference))
        assert_same(*quotients)
        for number in (1, -1, 3, -10):
            assert_same(getattr(native, name)(x, number), getattr(reference, name)(x, number))
        for zero in (0, y):
            with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                getattr(native, name)(x, zero, x)
    assert_same(x, np.repeat(edges, len(edges)))  # a division that is refused writes nothing
    for name in BITS + SHIFTS:
        for number in (0, 1, 31, 63, 64, -1):
            assert_same(getattr(native, name)(x, number), getattr(reference, name)(x, number))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.int16, np.int64])
def test_bits_of_any_type(native: Kernels, reference: Kernels, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    x, y = (rng.integers(0, 2 if dtype == np.bool_ else 100, 300).astype(dtype) for _ in range(2))
    for name in BITS + LOGIC:
        assert_same(getattr(native, name)(x, y), getattr(reference, name)(x, y))
    for name in ("bitwise_not", "logical_not"):
        assert_same(getattr(native, name)(x), getattr(reference, name)(x))


def test_layouts(native: Kernels, reference: Kernels) -> None:
    x, y = (np.abs(numbers(24 * 40, np.int64, seed)).reshape(24, 40) + 1 for seed in (4, 5))
    for first in (x, x.reshape(40, 24).T, np.repeat(x, 2, axis=1)[:, ::2], x[::-1]):
        for second in (y, np.asfortranarray(y), y[:1], y[:, :1], y[:1, :1], y[0, 0].reshape(())):
            for name in DIVISION + BITS:
                want = getattr(reference, name)(first, second)
                assert_same(getattr(native, name)(first, second), want)
