"""Attention kernels: native against reference, the reference against definition and differences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.backends import Kernels, native_available

# (batch, heads, L, S, E, Ev): both sides of a vector, of a block of 64 queries and of 256 keys, of
# the 4 queries that are few (alone or left over), and under a causal mask of vectors' ends; queries
# that leave a last vector half empty, or with one or two of them
SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (2, 3, 5, 7, 3, 4),
    (1, 2, 31, 33, 16, 17),
    (2, 1, 32, 32, 8, 8),
    (1, 2, 33, 31, 15, 9),
    (1, 2, 63, 257, 8, 20),
    (1, 1, 64, 255, 16, 8),
    (1, 1, 65, 511, 8, 5),
    (1, 2, 64, 64, 32, 32),
    (1, 1, 47, 49, 16, 33),
    (1, 1, 321, 321, 8, 70),
    (1, 1, 130, 256, 33, 47),
    (1, 1, 40, 512, 8, 5),
    (1, 2, 3, 1030, 4, 8),
    (1, 1, 530, 530, 8, 8),
    (2, 2, 4, 40, 17, 9),
    (1, 2, 5, 40, 17, 9),
    (1, 1, 68, 68, 8, 8),
    (1, 1, 69, 300, 8, 8),
    (1, 2, 8, 300, 17, 8),
    (1, 2, 9, 257, 16, 9),
    (1, 2, 10, 30, 8, 8),
    (1, 2, 17, 300, 33, 8),
    (1, 1, 18, 40, 8, 8),
    (2, 1, 25, 270, 8, 8),
    (1, 1, 114, 120, 16, 8),
]
MASKS = ["none", "causal", "bool", "bool row", "float", "float row"]


def arrays(shape: Any, dtype: Any = np.float32) -> list[Any]:
    b, h, length, keys, e, ev = shape
    rng = np.random.default_rng(length)
    sizes = [(b, h, length, e), (b, h, keys, e), (b, h, keys, ev), (b, h, length, ev)]
    return [rng.normal(size=size).astype(dtype) for size in sizes]


def mask_of(kind: str, shape: Any, dtype: Any = np.float32) -> Any:
    _, h, length, keys, _, _ = shape
    rng = np.random.default_rng(1)
    if kind == "bool":
        return rng.random((h, length, keys)) > 0.4  # some rows of the smallest shapes see nothing
    if kind == "bool row":
        return rng.random((1, 1, 1, keys)) > 0.4
    if kind == "float":
        values = rng.normal(size=(length, keys))
        return np.where(values < -1.5, -np.inf, values).astype(dtype)
    return rng.normal(size=(1, h, 1, keys)).astype(dtype) if kind == "float row" else None


def compare(
    native: Kernels, reference: Kernels, shape: Any, kind: str, given: Any, scale: float = 0.3
) -> None:
    *inputs, grad = given
    options = (mask_of(kind, shape), kind == "causal", scale)
    want = reference.attention(*inputs, *options, True)
    slopes = reference.attention_grad(grad, *inputs, *options, *want)
    for keep in (False, True):
        got = native.attention(*inputs, *options, keep)
        for a, b in zip(got[:2], want[:2], strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
        assert (got[2] is not None) <= keep
        for a, b in zip(native.attention_grad(grad, *inputs, *options, *got), slopes, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
def test_native(native: Any, reference: Any, shape: Any, kind: str) -> None:
    compare(native, reference, shape, kind, arrays(shape))


@pytest.mark.parametrize("scale", [-0.3, 0.0])
@pytest.mark.parametrize("length", [3, 70])
def test_any_scale(native: Any, reference: Any, length: int, scale: float) -> None:
    shape = (1, 2, length, 300, 8, 8)
    for kind in MASKS:
        compare(native, reference, shape, kind, arrays(shape), scale)


@pytest.mark.parametrize("kind", MASKS)
def test_heads_cut_out_of_rows(native: Any, reference: Any, kind: str) -> None:
    shape = (2, 3, 34, 34, 5, 5)
    cut = [np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2) for a in arrays(shape)]
    compare(native, reference, shape, kind, cut)
    out = native.attention(*cut[:3], None, False, 1.0, False)[0]
    assert out.swapaxes(1, 2).flags.c_contiguous, "joining the heads is a view"


@pytest.mark.parametrize("kind", ["none", "causal"])
def test_heads_wide_enough_for_products_that_copy_operands(
    native: Any, reference: Any, kind: str
) -> None:
    shape = (1, 1, 70, 520, 300, 280)
    q, k, v, grad = arrays(shape)
    compare(native, reference, shape, kind, [q / 10, k, v, grad / 10])


def test_other_strides(native: Any, reference: Any) -> None:
    shape = (2, 2, 9, 9, 6, 6)
    compare(native, reference, shape, "bool", [np.asfortranarray(a) for a in arrays(shape)])
    backwards = [a[:, ::-1, ::-1, ::-1] for a in arrays(shape)]
    compare(native, reference, shape, "float", backwards)


def test_threads_change_nothing(native: Any, reference: Any) -> None:
    before = rushlight.get_num_threads()
    try:
        rushlight.set_num_threads(2)
        shape = (4, 4, 96, 96, 32, 32)
        compare(native, reference, shape, "causal", arrays(shape))
    finally:
        rushlight.set_num_threads(before)


@pytest.mark.parametrize("keys", [600, 200])  # the weights of 200 are kept
@pytest.mark.parametrize("length", [3, 30])
def test_rows_that_see_nothing_are_zero(
    native: Any, reference: Any, length: int, keys: int
) -> None:
    shape = (1, 1, length, keys, 4, 4)
    *inputs, grad = arrays(shape)
    for kind in (bool, np.float32):
        mask = np.ones((length, keys), bool)
        mask[1] = False
        mask[2, : keys - 50] = False  # nothing in the first block of keys
        if kind is not bool:
            mask = np.where(mask, 0, -np.inf).astype(kind)
        for k in (native, reference):
            out, lse, weights = k.attention(*inputs, mask, False, 1.0, True)
            assert not out[0, 0, 1].any() and np.isposinf(lse[0, 0, 1])
            assert np.isfinite(out).all() and out[0, 0, 2].any()
            results = out, lse, weights
            dq, dk, dv = k.attention_grad(grad, *inputs, mask, False, 1.0, *results)
            assert not dq[0, 0, 1].any()
            assert all(np.isfinite(d).all() for d in (dq, dk, dv))


@pytest.mark.parametrize("length", [2, 20])
def test_rising_scores_do_not_overflow(native: Any, reference: Any, length: int) -> None:
    """Each block of keys has larger scores than the one before; only the largest counts."""
    q = np.full((1, 1, length, 1), 30.0, np.float32)
    k = np.arange(1100, dtype=np.float32).reshape(1, 1, -1, 1)
    for kernels in (native, reference):
        out, lse, _ = kernels.attention(q, k, k, None, False, 1.0, False)
        np.testing.assert_allclose(out, 1099, rtol=1e-6)
        np.testing.assert_allclose(lse, 30 * 1099, rtol=1e-6)
        out = kernels.attention(q, k[:, :, ::-1], k, None, False, 1.0, False)[0]
        np.testing.assert_allclose(out, 0, atol=1e-6)


def test_nan_stays_in_its_row(native: Any, reference: Any) -> None:
    q, k, v, _ = arrays((1, 2, 40, 40, 4, 4))
    q[0, 1, 7, 2] = np.nan
    for kernels in (native, reference):
        for keep in (False, True):
            out = kernels.attention(q, k, v, None, True, 0.5, keep)[0]
            bad = np.isnan(out).all(-1)
            assert bad[0, 1, 7] and bad.sum() == 1 and np.isnan(out).sum() == 4


def test_by_hand(native: Any, reference: Any) -> None:
    """Equal scores give the mean of what may be seen."""
    zeros = np.zeros((1, 1, 3, 2), np.float32)
    v = np.array([[[[3.0], [6.0], [9.0]]]], np.float32)
    for kernels in (native, reference):
        out = kernels.attention(zeros, zeros, v, None, False, 1.0, False)[0]
        assert out.ravel().tolist() == [6] * 3
        out, lse, _ = kernels.attention(zeros, zeros, v, None, True, 1.0, False)
        np.testing.assert_allclose(out.ravel(), [3, 4.5, 6], rtol=1e-6)
        np.testing.assert_allclose(lse.ravel(), np.log([1, 2, 3]), atol=1e-6)


@pytest.mark.parametrize("kind", MASKS)
def test_gradients_by_differences(reference: Any, kind: str) -> None:
    shape = (2, 2, 4, 5, 3, 2)
    *inputs, grad = arrays(shape, np.float64)
    options = (mask_of(kind, shape, np.float64), kind == "causal", 0.7)
    results = reference.attention(*inputs, *options, False)
    found = reference.attention_grad(grad, *inputs, *options, *results)
    rng = np.random.default_rng(0)
    for array, gradient in zip(inputs, found, strict=True):
        direction, original = rng.normal(size=array.shape), array.copy()
        losses = []
        for step in (1e-6, -1e-6):
            array[...] = original + step * direction
            losses.append((reference.attention(*inputs, *options, False)[0] * grad).sum())
        array[...] = original
        slope = (losses[0] - losses[1]) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-7)


def other_isas() -> list[str]:
    if not native_available():
        return []
    from rushlight.backends import _native

    return [isa for isa in _native.usable_isas() if isa != _native.active_isa()]


@pytest.mark.skipif("RUSHLIGHT_ISA" in os.environ, reason="runs from the best instruction set")
@pytest.mark.parametrize("isa", other_isas())
def test_instruction_set(isa: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", Path(__file__).name],
        cwd=Path(__file__).parent,
        env={**os.environ, "RUSHLIGHT_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
