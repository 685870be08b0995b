"""Sorting and the largest k: native against reference, and the reference by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rushlight import get_num_threads, set_num_threads
from rushlight.backends import Kernels

DTYPES = [np.float32, np.float64, np.int64]
# Around the sizes at which order.cpp goes another way.
LENGTHS = [1, 2, 15, 16, 17, 31, 32, 33, 39, 40, 41, 63, 64, 65, 100, 127, 128, 129, 511, 512, 1000]


def rows_of(length: int, dtype: Any) -> list[Any]:
    """Distinct, few distinct, ascending, descending, constant; for floats with special numbers."""
    rng = np.random.default_rng(0)
    spread = (rng.normal(size=(9, length)) * 1000).astype(dtype)
    few = rng.integers(-2, 3, (9, length)).astype(dtype)
    ramp = np.tile(np.arange(length), (9, 1)).astype(dtype)
    found = [spread, few, ramp, ramp[:, ::-1], np.full((9, length), 7, dtype)]
    if dtype == np.int64:
        limits = np.iinfo(np.int64)
        found.append(rng.choice([limits.min, limits.max, 0, -1], (9, length)))
    else:
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, np.copysign(np.nan, -1)]
        found.append(rng.choice(special, (9, length)).astype(dtype))
    return found


def assert_pairs_equal(got: Any, want: Any) -> None:
    for a, b in zip(got, want):
        assert a.dtype == b.dtype and a.shape == b.shape and a.flags.c_contiguous
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(got[0]), np.signbit(want[0]))  # -0 stays -0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_sort(native: Kernels, reference: Kernels, length: int, dtype: Any) -> None:
    for x, descending in itertools.product(rows_of(length, dtype), (False, True)):
        assert_pairs_equal(native.sort(x, 1, descending), reference.sort(x, 1, descending))
        assert_pairs_equal(native.sort(x.T, 0, descending), reference.sort(x.T, 0, descending))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_topk(native: Kernels, reference: Kernels, length: int, dtype: Any) -> None:
    for x, largest in itertools.product(rows_of(length, dtype), (False, True)):
        for k in {0, 1, *(k for k in (5, 8, 9, 32, 33) if k < length), length // 2, length}:
            assert_pairs_equal(native.topk(x, k, 1, largest), reference.topk(x, k, 1, largest))
            columns = np.ascontiguousarray(x.T)
            assert_pairs_equal(
                native.topk(columns, k, 0, largest), reference.topk(columns, k, 0, largest)
            )


def test_ties_and_nan_by_hand(native: Kernels, reference: Kernels) -> None:
    x = np.array([2.0, np.nan, 0.0, 2.0, -0.0, np.nan], np.float32)
    for k in (native, reference):
        assert k.sort(x, 0, False)[1].tolist() == [2, 4, 0, 3, 1, 5]
        assert k.sort(x, 0, True)[1].tolist() == [1, 5, 0, 3, 2, 4]
        assert k.topk(x, 3, 0, True)[1].tolist() == [1, 5, 0]
        assert k.topk(x, 3, 0, False)[1].tolist() == [2, 4, 0]


def test_middle_axis_and_empty(native: Kernels, reference: Kernels) -> None:
    x = np.random.default_rng(1).normal(size=(4, 50, 3)).astype(np.float32)
    assert_pairs_equal(native.sort(x, 1, True), reference.sort(x, 1, True))
    assert_pairs_equal(native.topk(x, 7, 1, True), reference.topk(x, 7, 1, True))
    for shape in ((0,), (0, 5), (5, 0)):
        empty = np.zeros(shape, np.float32)
        assert_pairs_equal(native.sort(empty, 0, True), reference.sort(empty, 0, True))
        assert_pairs_equal(native.topk(empty, 0, 0, True), reference.topk(empty, 0, 0, True))


def test_other_dtypes_go_by_the_reference(native: Kernels, reference: Kernels) -> None:
    for dtype in (np.float16, np.int32, np.uint8, bool):
        x = np.random.default_rng(2).integers(0, 2, (3, 60)).astype(dtype)
        assert_pairs_equal(native.topk(x, 4, 1, True), reference.topk(x, 4, 1, True))


def test_threads_do_not_change_the_result(native: Kernels) -> None:
    x = np.random.default_rng(3).normal(size=(40, 3000)).astype(np.float32)
    before = get_num_threads()
    results = []
    for threads in (1, 2):
        set_num_threads(threads)
        results.append([*native.sort(x, 1, False), *native.topk(x, 9, 1, True)])
    set_num_threads(before)
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


def test_the_native_paths_are_taken(extension: Any) -> None:
    x = np.zeros((2, 50), np.float32)
    assert extension.sort(x, True) is not NotImplemented
    assert extension.topk(x, 3, True) is not NotImplemented
