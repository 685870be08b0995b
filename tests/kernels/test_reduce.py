"""Reductions: native against reference along every set of axes, and the reference by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends import Kernels

SHAPES = [(), (1,), (7,), (16,), (17,), (130,), (1023,), (1025,), (3, 5), (65, 33), (64, 1024),
          (4, 1, 5), (2, 3, 4, 5), (3, 129, 2), (0,), (0, 3), (3, 0)]  # fmt: skip


def variants(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    x = np.asarray(rng.normal(size=shape) * 10).astype(dtype)
    swapped = np.asarray(rng.normal(size=shape[::-1]) * 10).astype(dtype).T
    strided = np.repeat(x, 2, axis=-1)[..., ::2] if shape else x
    return [x, swapped, strided]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_axes(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    for x in variants(shape, dtype):
        choices: list[Any] = [None]
        for count in range(1, len(shape) + 1):
            choices += itertools.combinations(range(len(shape)), count)
        for axes, keepdims in itertools.product(choices, (False, True)):
            names = ["sum"] if dtype == np.int64 else ["sum", "mean"]
            if x.size:
                names += ["amax", "amin"]
            for name in names:
                got = getattr(native, name)(x, axes, keepdims)
                want = getattr(reference, name)(x, axes, keepdims)
                assert got.shape == want.shape and got.dtype == want.dtype == dtype
                scale = 0 if dtype == np.int64 else np.finfo(dtype).eps
                size = float(np.abs(x).sum()) if name in ("sum", "mean") else 0.0
                np.testing.assert_allclose(got, want, rtol=4 * scale, atol=scale * size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 15, 16, 17, 33, 1000, 1025])
def test_positions(native: Kernels, reference: Kernels, columns: int, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, (9, columns)).astype(dtype)
    for name, axis, keepdims in itertools.product(
        ("argmax", "argmin"), (None, 0, 1), (False, True)
    ):
        got = getattr(native, name)(x, axis, keepdims)
        want = getattr(reference, name)(x, axis, keepdims)
        assert got.dtype == np.int64 and got.shape == want.shape
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("place", [0, 1, 14, 15, 16, 17, 40])
def test_nan_wins(native: Kernels, reference: Kernels, place: int) -> None:
    x = np.arange(41, dtype=np.float32)
    x[place] = np.nan
    rows, columns = np.stack([x, x[::-1]]), np.stack([x, x], axis=1)
    for k in (native, reference):
        assert np.isnan(k.amax(rows, (1,))).all() and np.isnan(k.amin(columns, (0,))).all()
        assert k.argmax(rows, 1).tolist() == [place, 40 - place]
        assert k.argmin(x).item() == place


def test_float32_sums_are_accurate(native: Kernels, reference: Kernels) -> None:
    x = np.random.default_rng(2).random(1_000_003).astype(np.float32)
    exact = math.fsum(x.tolist())
    for k in (native, reference):
        assert abs(float(k.sum(x)) - exact) <= exact * 2**-23
        column = k.sum(x[:1_000_000].reshape(-1, 10), (0,))
        np.testing.assert_allclose(
            column, x[:1_000_000].reshape(-1, 10).sum(0, np.float64), rtol=3e-7
        )


def test_result_does_not_depend_on_threads(native: Kernels) -> None:
    # here, as `native` has skipped the test where there is no extension
    from rushlight.backends import _native as frame

    x = np.random.default_rng(3).normal(size=(3, 400_000)).astype(np.float32)
    tall = x.reshape(-1, 300)
    before = frame.num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            frame.set_num_threads(threads)
            rows = native.sum(x), native.sum(x, (1,)), native.sum(x, (0,))
            results.append((*rows, native.sum(tall, (0,))))
    finally:
        frame.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_half_types_accumulate_wide(native: Kernels) -> None:
    x = np.full(4096, 1.0, ml_dtypes.bfloat16)
    assert float(native.sum(x)) == 4096.0 and native.sum(x).dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 2**17 - 1, 2**17, 2**17 + 1])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_norm(native: Kernels, reference: Kernels, n: int, scale: float) -> None:
    for dtype in (np.float32, np.float64):
        x = (np.random.default_rng(4).normal(size=n) * scale).astype(dtype)
        got, want = native.norm(x), reference.norm(x)
        assert got.dtype == dtype and got.shape == ()
        np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps)


def test_reference_by_hand(reference: Kernels) -> None:
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert reference.var(x).item() == pytest.approx(14 / 3)
    assert reference.var(x, (0,), correction=0).tolist() == [1.0, 4.0]
    assert np.isnan(reference.var(np.ones(1)).item()) and np.isnan(
        reference.mean(np.ones(0)).item()
    )
    assert reference.norm(x, 1).item() == 12 and reference.norm(x, math.inf).item() == 6
    assert reference.norm(x, 0).item() == 4 and reference.norm(x, 2).item() == pytest.approx(
        50**0.5
    )
    assert reference.norm(x, 3, (1,)).tolist() == pytest.approx([9 ** (1 / 3), 243 ** (1 / 3)])
    assert reference.logsumexp(np.array([1000.0, 1000.0])).item() == pytest.approx(
        1000 + math.log(2)
    )
    assert reference.logsumexp(np.array([-math.inf, -math.inf])).item() == -math.inf
    assert reference.cumsum(x, 0).tolist() == [[1, 2], [4, 8]]
    assert reference.cumprod(x, 1).tolist() == [[1, 2], [3, 18]]
    assert reference.any(np.array([0, np.nan])).item() and not reference.all(x - 1).item()
    assert reference.prod(x, (1,)).tolist() == [2, 18]


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 63, 64, 65, 129, 600])
@pytest.mark.parametrize("columns", [1, 3, 31, 1000, 2047, 2049])
def test_columns(native: Kernels, reference: Kernels, rows: int, columns: int) -> None:
    """Both sides of a block of rows, of a strip of columns and of work that is cut into chunks."""
    x = np.random.default_rng(4).normal(size=(rows, columns)).astype(np.float32)
    wide = np.repeat(x, 2, axis=0)[::2]  # rows that lie apart
    for name in ("sum", "amax", "amin"):
        want = getattr(reference, name)(x, (0,))
        for y in (x, wide):
            got = getattr(native, name)(y, (0,))
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("n", [1, 16, 17, 32, 33, 1023, 1024, 1025, 2**17, 2**17 + 1])
def test_elements_with_gaps(native: Kernels, reference: Kernels, n: int, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=3 * n) * 10).astype(dtype)
    same = np.broadcast_to(x[:1], n)
    for row in (x[::2], x[: 2 * n : 2], x[::3], x[::-1], x[::-2], same, x.reshape(n, 3)[:, 1]):
        for name in ("sum", "amax", "amin"):
            got, want = (getattr(k, name)(row, None, False) for k in (native, reference))
            scale = 0 if dtype == np.int64 else np.finfo(dtype).eps
            size = scale * float(np.abs(row).sum())
            np.testing.assert_allclose(got, want, rtol=4 * scale, atol=size)


def test_rows_with_gaps(native: Kernels, reference: Kernels) -> None:
    x = np.random.default_rng(4).normal(size=(6, 5, 44)).astype(np.float32)
    for cut in (x[..., ::2], x[:, ::2, ::3], x[:, :, 1], x[::-1, :, ::-1], x[:, ::2, 3:40:4]):
        for axes in [(cut.ndim - 1,), (0, cut.ndim - 1), (0,), None]:
            for name in ("sum", "mean", "amax"):
                got, want = (getattr(k, name)(cut, axes, True) for k in (native, reference))
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", [0, 5, 299, 599])
def test_nan_wins_in_every_chunk(native: Kernels, place: int) -> None:
    x = np.zeros((600, 1000), np.float32)
    x[place, 17] = np.nan
    for name in ("sum", "amax", "amin"):
        (found,) = np.nonzero(np.isnan(getattr(native, name)(x, (0,))))
        assert found.tolist() == [17]


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (2, 64, 33, 31)])
def test_channels_last(native: Kernels, reference: Kernels, shape: Any) -> None:
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for axes in (None, (1,), (2, 3), (0, 2, 3), (0,), (3,)):
        for name in ("sum", "mean", "amax"):
            want = getattr(reference, name)(x, axes)
            np.testing.assert_allclose(
                getattr(native, name)(last, axes), want, rtol=1e-5, atol=1e-3
            )
    for y in (last, last[:, ::2], last.T):
        np.testing.assert_allclose(native.norm(y), reference.norm(y), rtol=1e-6)
