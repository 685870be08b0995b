"""Gathering, scattering and adding up by number: native against reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight import get_num_threads, set_num_threads
from rushlight.backends import Kernels

DTYPES = [np.float32, np.float64, np.int64]
SHAPES = [(1,), (7,), (70000,), (5, 9), (1, 300), (300, 1), (400, 200), (3, 4, 5), (6, 1, 7)]


@pytest.fixture(params=[1, 2])
def threads(request: Any) -> Any:
    before = get_num_threads()
    set_num_threads(request.param)
    yield request.param
    set_num_threads(before)


def layouts(x: Any) -> list[Any]:
    """The same numbers: contiguous, transposed in memory, with gaps, backwards."""
    gaps = np.repeat(x, 2, axis=-1)[..., ::2]
    backwards = np.flip(np.flip(x, 0).copy(), 0)
    return [x, np.asfortranarray(x), gaps, backwards]


def random_array(shape: Any, dtype: Any, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).normal(size=shape) * 9
    # What a negative number becomes as an unsigned one differs between processors.
    return (np.abs(values) if np.dtype(dtype).kind == "u" else values).astype(dtype)


def random_numbers(shape: Any, size: int) -> Any:
    """Repeated, unordered, half of them counted from the end."""
    return np.random.default_rng(1).integers(-size, size, shape)


@pytest.mark.parametrize("dtype", [*DTYPES, np.uint8, np.float16, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_take_along_axis(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    for axis in range(len(shape)):
        smaller = [n if i == axis else max(n - 1, 1) for i, n in enumerate(shape)]
        for wanted in (shape, smaller):
            numbers = random_numbers(wanted, shape[axis])
            for x in layouts(random_array(shape, dtype)):
                for i in layouts(numbers):
                    got = native.take_along_axis(x, i, axis)
                    assert got.flags.c_contiguous and got.dtype == x.dtype
                    np.testing.assert_array_equal(got, reference.take_along_axis(x, i, axis))


@pytest.mark.parametrize("numbers", [(), (1,), (40,), (3, 4)])
@pytest.mark.parametrize("shape", SHAPES)
def test_take(native: Kernels, reference: Kernels, shape: Any, numbers: Any) -> None:
    for axis in range(len(shape)):
        i = np.asarray(random_numbers(numbers, shape[axis]))
        for x in layouts(random_array(shape, np.float32)):
            got, want = native.take(x, i, axis), reference.take(x, i, axis)
            assert got.shape == want.shape
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_add_and_put_along_axis(native: Kernels, reference: Kernels, threads: int, shape: Any,
                                dtype: Any) -> None:  # fmt: skip
    for axis in range(len(shape)):
        numbers = random_numbers(shape, shape[axis])
        for source in [*layouts(random_array(shape, dtype, 2)), 3]:
            for start in layouts(random_array(shape, dtype)):
                got, want = start.copy("K"), start.copy("K")
                native.add_along_axis(got, numbers, source, axis)
                reference.add_along_axis(want, numbers, source, axis)
                np.testing.assert_array_equal(got, want)  # the same order of additions
        got, want = random_array(shape, dtype), random_array(shape, dtype)
        native.put_along_axis(got, numbers, 5, axis)
        reference.put_along_axis(want, numbers, 5, axis)
        np.testing.assert_array_equal(got, want)
        native.put_along_axis(got, numbers, got * 2, axis)  # of equal numbers the last wins
        reference.put_along_axis(want, numbers, want * 2, axis)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_index_add(native: Kernels, reference: Kernels, threads: int, shape: Any,
                   dtype: Any) -> None:  # fmt: skip
    for axis, count in ((a, n) for a in range(len(shape)) for n in (0, 1, 50)):
        index = (slice(None),) * axis + (random_numbers((count,), shape[axis]),)
        source = random_array((*shape[:axis], count, *shape[axis + 1 :]), dtype, 2)
        for values in (
            source,
            np.ones((), dtype),
            np.broadcast_to(np.ones(1, dtype), source.shape),
        ):
            got, want = random_array(shape, dtype), random_array(shape, dtype)
            native.index_add(got, index, values)
            reference.index_add(want, index, values)
            np.testing.assert_array_equal(got, want)


def test_index_add_of_several_axes(native: Kernels, reference: Kernels) -> None:
    a, b = random_numbers((50,), 5), random_numbers((3, 50), 6)
    every = slice(None)
    for index in [(a, b), (every, b, a), (a, every, a), (a,), (every, every, a % 4)]:
        for start in (np.zeros((5, 6, 5)), np.zeros((5, 5, 6)).swapaxes(1, 2)):
            got, want = start.copy("K"), start.copy("K")
            native.index_add(got, index, 1.5)
            reference.index_add(want, index, 1.5)
            np.testing.assert_array_equal(got, want)


def test_repeated_numbers_add_up_by_hand(native: Kernels, reference: Kernels) -> None:
    for k in (native, reference):
        x = np.zeros(3, np.float32)
        k.index_add(x, np.array([2, 0, 2, -1]), np.array([1, 2, 4, 8], np.float32))
        assert x.tolist() == [2.0, 0.0, 13.0]
        highest = np.array([2**63 - 1])
        k.index_add(highest, np.array([0]), np.array([1]))
        assert highest.tolist() == [-(2**63)]


def test_source_in_the_target_is_not_read_after_it_was_written(native: Kernels) -> None:
    x = np.arange(4.0)
    native.put_along_axis(x, np.array([1, 2, 3]), x[:3], 0)
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize("bad", [4, -5])
def test_numbers_outside_raise_and_change_nothing(native: Kernels, bad: int) -> None:
    x, numbers = np.zeros((4, 2)), np.array([[0, 0], [bad, 1]])
    for write in (native.put_along_axis, native.add_along_axis):
        with pytest.raises(IndexError, match="out of bounds"):
            write(x, numbers, 1.0, 0)
    with pytest.raises(IndexError, match="out of bounds"):
        native.take_along_axis(x, numbers, 0)
    assert not x.any()


@pytest.mark.parametrize("place", [0, 2047, 2048, 4999])
@pytest.mark.parametrize("bad", [-1001, 1000, 2**62])
def test_a_late_number_outside_raises(native: Kernels, place: int, bad: int) -> None:
    x, numbers = np.ones(1000), np.zeros(5000, np.int64)
    numbers[place] = bad
    for take in (native.take, native.take_along_axis):
        with pytest.raises(IndexError, match="out of"):
            take(x, numbers, 0)
    with pytest.raises(IndexError, match="out of"):
        native.add_along_axis(x, numbers, 1.0, 0)
    assert (x == 1).all()


def test_a_late_number_counts_from_the_end(native: Kernels, reference: Kernels) -> None:
    x, numbers = random_array(1000, np.float32), np.arange(5000) % 1000
    numbers[4000] = -3
    for a, b in zip(native.take(x, numbers, 0), reference.take(x, numbers, 0), strict=True):
        assert a == b


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_within(native: Kernels, reference: Kernels, count: int) -> None:
    limits = np.iinfo(np.int64)
    for place in range(0, count, max(count // 5, 1)):
        for value in (-3, -4, 5, 6, limits.min, limits.max):
            numbers = np.zeros(count, np.int64)
            numbers[place] = value
            expected = -3 <= value < 6
            for i in (numbers, np.repeat(numbers, 2)[::2], numbers[::-1]):
                assert native.within(i, -3, 6) is reference.within(i, -3, 6) is expected
    assert native.within(np.zeros(count, np.int64), 0, 0) is (count == 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("width", [0, 1, 17, 300])
def test_add_rows(native: Kernels, reference: Kernels, threads: int, width: int,
                  dtype: Any) -> None:  # fmt: skip
    table = random_array((12, width), dtype)
    for count in (0, 1, 400):
        source, target = random_numbers((count,), 6) + 6, random_numbers((count,), 4) + 4
        for scale in (None, random_array((count,), dtype, 3)):
            got = native.add_rows(table, source, target, scale, 9)
            want = reference.add_rows(table, source, target, scale, 9)
            assert got.shape == (9, width) and got.dtype == dtype
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


def test_embedding_grad_of_strided_gradients(native: Kernels, reference: Kernels) -> None:
    numbers = random_numbers((3, 20), 5) + 5
    for dtype in (np.int64, np.int32):
        for grad in (np.broadcast_to(np.float32(2), (3, 20, 4)), random_array((4, 20, 3), "f").T):
            got = native.embedding_grad(grad, numbers.astype(dtype), 10, 3)
            want = reference.embedding_grad(grad, numbers.astype(dtype), 10, 3)
            np.testing.assert_allclose(got, want, rtol=1e-6)
            assert not got[3].any()


def test_first_maxima_by_hand(reference: Kernels) -> None:
    nan = np.nan
    rows = np.array([[1, nan], [3, 5], [3, 7], [nan, -np.inf], [2, nan]])
    places, bags = reference.first_maxima(rows, np.array([0, 0, 0, 2, 2]))
    assert places.tolist() == [[1, 0], [3, 3]] and bags.tolist() == [0, 2]


def test_the_native_paths_are_taken(extension: Any) -> None:
    x, numbers = np.zeros((3, 4), np.float32), np.zeros((3, 4), np.int64)
    assert extension.take_along_axis(x, numbers, 1, False) is not NotImplemented
    assert extension.add_along_axis(x.T, numbers.T, x.T.copy(), 1, False) is None
    assert extension.put_along_axis(x, numbers, np.ones((), "f"), 0, False) is None
    assert extension.index_add(x, numbers[0], np.ones((), "f"), False) is None


@pytest.mark.parametrize("dtype", ["f", "d", "q", "i", "B", "?", "e", "F"])
@pytest.mark.parametrize("value", [0, -0.0, 1, 2.5, float("nan"), float("-inf")])
def test_fill(native: Kernels, reference: Kernels, dtype: str, value: float) -> None:
    if not np.isfinite(value) and dtype in "qiB?":
        return  # has no meaning there
    for shape in [(), (0, 3), (1,), (300_000,), (3, 4)]:
        mine, theirs = (np.ones(shape, dtype) for _ in range(2))
        native.fill(mine, value)
        reference.fill(theirs, value)
        assert mine.tobytes() == theirs.tobytes()
    rows = np.ones((4, 6), dtype)
    native.fill(rows[:, 1::2], value)
    assert (rows[:, ::2] == 1).all() and rows[0, 1].tobytes() == np.array(value, dtype).tobytes()


def test_other_views(native: Kernels, reference: Kernels) -> None:
    x = random_array((4, 6, 5), "f")
    for array in (x, x[::2, :, 1:], x[:0], np.array(1.0)):
        assert native.transpose(array).strides == reference.transpose(array).strides
        assert np.shares_memory(native.transpose(array), array) == bool(array.size)
    for shape in ((24, 5), (2, -1), [5, 24], (120,), (4, 6, 1, 5)):
        got, want = native.view(x, shape), reference.view(x, shape)
        assert got.strides == want.strides and np.shares_memory(got, x)
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(native.view(x.T, (120,)), x.T.reshape(-1))
    for k in (native, reference):
        with pytest.raises(ValueError, match="cannot reshape"):
            k.view(x, (7, 7))
