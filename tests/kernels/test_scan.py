"""Running sums and products, log-sum-exp: native against reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight import get_num_threads, set_num_threads
from rushlight.backends import Kernels

DTYPES = [np.float32, np.float64, np.int64]
SHAPES = [(1,), (9,), (1, 5), (5, 1), (3, 40), (4, 40), (5, 40), (8, 300), (3, 20, 257),
          (2, 9, 600), (0, 3), (3, 0)]  # fmt: skip


def layouts(x: Any) -> list[Any]:
    return [x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2]]


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_scans(native: Kernels, reference: Kernels, shape: Any, dtype: Any, name: str) -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.9, shape)
    x = (x * 3 if dtype == np.int64 else x).astype(dtype)
    for axis in range(len(shape)):
        for given in layouts(x):
            got = getattr(native, name)(given, axis)
            want = getattr(reference, name)(given, axis)
            assert got.dtype == want.dtype == dtype and got.flags.c_contiguous
            np.testing.assert_array_equal(got, want)  # one order of additions, in one precision


def test_special_numbers(native: Kernels, reference: Kernels) -> None:
    x = np.array([-0.0, 1, np.inf, -np.inf, 2, np.nan, 3], np.float32)
    for k in (native, reference):
        assert np.signbit(k.cumsum(x, 0)[0])
        np.testing.assert_array_equal(k.cumsum(x, 0), [0, 1, np.inf, *[np.nan] * 4])
        assert k.cumsum(np.array([2**63 - 1, 1]), 0).tolist() == [2**63 - 1, -(2**63)]


def test_float32_sums_are_carried_in_double(native: Kernels) -> None:
    x = np.full(100_001, 0.1, np.float32)
    exact = np.cumsum(x.astype(np.float64))
    np.testing.assert_array_equal(native.cumsum(x, 0), exact.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 4095), (2, 4096), (2, 4097), (1, 50_000)])
def test_logsumexp(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    x = (np.random.default_rng(1).normal(size=shape) * 5 + 90).astype(dtype)
    axes_choices: list[Any] = [None, *[(i,) for i in range(len(shape))], tuple(range(len(shape)))]
    for axes in axes_choices + ([(0, 2)] if len(shape) == 3 else []):
        for keepdims in (False, True):
            for given in layouts(x):
                got = native.logsumexp(given, axes, keepdims)
                want = reference.logsumexp(given, axes, keepdims)
                assert got.dtype == dtype and got.shape == want.shape
                np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps)


def test_logsumexp_of_special_rows(native: Kernels, reference: Kernels) -> None:
    inf, nan = np.inf, np.nan
    rows = [
        [1, inf],
        [-inf, -inf],
        [-inf, 3],
        [nan, inf],
        [1e30, 1e30],
        [-1e30, -1e30],
        [inf, -inf],
    ]
    for dtype in (np.float32, np.float64):
        x = np.array(rows, dtype)
        for width in (2, 40):
            wide = np.tile(x, (1, width // 2))
            np.testing.assert_allclose(
                native.logsumexp(wide, (1,)), reference.logsumexp(wide, (1,)), rtol=1e-6
            )


def test_threads_do_not_change_the_result(native: Kernels) -> None:
    x = np.random.default_rng(2).normal(size=(60, 3000)).astype(np.float32)
    before = get_num_threads()
    results = []
    for threads in (1, 2):
        set_num_threads(threads)
        results.append([native.cumsum(x, 0), native.cumsum(x, 1), native.logsumexp(x, (1,))])
    set_num_threads(before)
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


def test_the_native_paths_are_taken(extension: Any) -> None:
    x = np.zeros((2, 50), np.float32)
    assert extension.cumsum(x, 1) is not NotImplemented
    assert extension.cumprod(x, 0) is not NotImplemented
    assert extension.logsumexp(x, 1) is not NotImplemented
