"""Masks and parts of arrays: native against reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight import get_num_threads, set_num_threads
from rushlight.backends import Kernels
from rushlight.backends.shapes import as_shape, view_shape

# Below, at and above what one part of a mask holds, and more parts than are counted apart.
SIZES = [0, 1, 17, 32767, 32768, 32769, 100_000, 3_000_000]


@pytest.fixture(params=[1, 2])
def threads(request: Any) -> Any:
    before = get_num_threads()
    set_num_threads(request.param)
    yield request.param
    set_num_threads(before)


def masks_of(shape: Any) -> list[Any]:
    random = np.random.default_rng(0).random(shape)
    last = np.zeros(shape, bool)
    last[..., -1:] = True
    return [random > 0.5, random > 0.999, np.zeros(shape, bool), np.ones(shape, bool), last]


@pytest.mark.parametrize("n", SIZES)
def test_flat_masks(native: Kernels, reference: Kernels, threads: int, n: int) -> None:
    x = np.arange(n, dtype=np.float32)
    for mask in masks_of((n,)):
        assert np.array_equal(native.masked_select(x, mask), reference.masked_select(x, mask))
        got = native.nonzero(mask)
        assert got.dtype == np.int64 and np.array_equal(got, reference.nonzero(mask))
        for name in ("any", "all"):
            got, want = getattr(native, name)(mask), getattr(reference, name)(mask)
            assert got.shape == () and got.dtype == bool and got == want


@pytest.mark.parametrize("dtype", ["f", "d", "q", "?", "e", "D", "S3"])
@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 5), (1, 300, 2), (2, 0, 3)])
def test_masks_of_first_axes(
    native: Kernels, reference: Kernels, dtype: str, shape: tuple[int, ...]
) -> None:
    x = (np.random.default_rng(1).normal(size=shape) * 9).astype(dtype)
    for ndim in range(1, len(shape) + 1):
        for mask in masks_of(shape[:ndim]):
            for layout in (x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2]):
                for m in (mask, np.asfortranarray(mask)):
                    got, want = native.masked_select(layout, m), reference.masked_select(layout, m)
                    assert got.shape == want.shape and got.tobytes() == want.tobytes()
            assert np.array_equal(native.nonzero(mask), reference.nonzero(mask))


def test_bytes_that_are_true(native: Kernels) -> None:
    mask = np.array([0, 2, 255, 0, 1], np.uint8).view(bool)
    assert native.masked_select(np.arange(5), mask).tolist() == [1, 2, 4]
    assert native.nonzero(mask).tolist() == [[1], [2], [4]]


def test_any_of_other_things(native: Kernels, reference: Kernels) -> None:
    rows = np.random.default_rng(0).normal(size=(4, 5)) > 1
    for x in (rows, rows.T, rows.astype("f"), np.array([np.nan]), np.array(True), np.zeros(0, "f")):
        for axes in [None, *[(d,) for d in range(x.ndim)]]:
            for name in ("any", "all"):
                for keepdims in (False, True):
                    got = getattr(native, name)(x, axes, keepdims)
                    assert np.array_equal(got, getattr(reference, name)(x, axes, keepdims))


def test_masked_fill_into_itself(native: Kernels, reference: Kernels) -> None:
    for shape in [(70,), (5, 9)]:
        for mask in masks_of(shape):
            mine, theirs = np.ones(shape, "f"), np.ones(shape, "f")
            assert native.masked_fill(mine, mask, float("nan"), mine) is mine
            reference.masked_fill(theirs, mask, float("nan"), theirs)
            assert mine.tobytes() == theirs.tobytes()


def test_select_and_slice_are_views(native: Kernels, reference: Kernels) -> None:
    base = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    for x in (base, base.T, base[:, ::2], base[::-1], base[:, :0]):
        for axis in range(x.ndim):
            for index in range(x.shape[axis]):
                got, want = native.select(x, axis, index), reference.select(x, axis, index)
                assert np.array_equal(got, want) and got.strides == want.strides
                assert got.size == 0 or np.shares_memory(got, x)
            for start in range(x.shape[axis] + 1):
                for stop in range(start, x.shape[axis] + 1):
                    for step in (1, 2, 2**60):
                        got = native.slice(x, axis, start, stop, step)
                        want = reference.slice(x, axis, start, stop, step)
                        assert np.array_equal(got, want) and got.flags.writeable
    frozen = base.copy()
    frozen.flags.writeable = False
    assert not native.select(frozen, 0, 1).flags.writeable


def test_several_axes_by_number(native: Kernels, reference: Kernels) -> None:
    x = np.arange(4 * 5 * 6.0).reshape(4, 5, 6)
    a, b = np.array([[0, -1, 2]]), np.array([[4, 0, -5]])
    every = slice(None)
    for index in [(a, b), (every, b, a), (a, every, b), (a, b % 4, a), a, (every, a), ([0, 1],)]:
        for layout in (x, np.asfortranarray(x)):
            want = reference.index_get(layout, index)
            assert np.array_equal(native.index_get(layout, index), want)
            for values in (7, -want, np.float32(3), want[..., :1]):
                got, expected = layout.copy("K"), layout.copy("K")
                native.index_put(got, index, values)
                reference.index_put(expected, index, values)
                assert np.array_equal(got, expected)
    with pytest.raises(IndexError):
        native.index_get(x, (a, b + 9))


def test_shapes_as_programs_give_them() -> None:
    assert as_shape((2, 3)) == as_shape(([2, 3],)) == as_shape(((2, 3),)) == (2, 3)
    assert as_shape((np.int64(2), 3)) == (2, 3) and as_shape((5,)) == (5,) and as_shape(()) == ()
    x = np.ones((2, 6))
    given: list[tuple[Any, ...]] = [
        (12,), (-1,), (3, -1), ([3, 4],), ((-1, 2, 3),), (4, -1), (5, -1), (-1, -1), (-2, 6),
        (), ((),), (2.0, 6), (True, 12), (0, -1), (12, 1, 1), (1 << 40, 1 << 40, -1),
    ]  # fmt: skip
    wanted = [
        (12,), (12,), (3, 4), (3, 4), (2, 2, 3), (4, 3), None, None, None, None, None,
        None, None, None, (12, 1, 1), None,
    ]  # fmt: skip
    assert [view_shape(x, g) for g in given] == wanted
    assert view_shape(x.T, (12,)) is None
    assert view_shape(np.ones((0, 3)), (0, 7)) == (0, 7)
    assert view_shape(np.ones((0, 3)), (-1, 3)) == (0, 3)
    assert view_shape(np.ones((0, 3)), (0, -1)) is None
    assert view_shape(np.ones(()), ((),)) == ()
