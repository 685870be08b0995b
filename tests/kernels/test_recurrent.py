"""Recurrent kernels: native against reference, the reference against definition and differences."""

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

MODES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
LAYOUTS: list[Any] = ["steps first", "batch first", (5, 5, 3, 2, 2, 1)]
modes = pytest.mark.parametrize("mode", list(MODES))


def arguments(
    mode: str,
    layout: Any,
    hidden: int = 9,
    batch: int = 3,
    steps: int = 4,
    inputs: int = 2,
    dtype: Any = np.float64,
    states: bool = True,
    biases: bool = True,
    reverse: bool = False,
) -> tuple[list[Any], tuple[Any, ...]]:
    """The array arguments and the options of `recurrent`."""
    rng = np.random.default_rng(hidden + 100 * batch)

    def values(*shape: int) -> Any:
        return rng.normal(size=shape).astype(dtype)

    sizes = layout if isinstance(layout, tuple) else None
    batch = sizes[0] if sizes else batch
    shape = (batch, steps) if layout == "batch first" else (steps, batch)
    rows = MODES[mode] * hidden
    weights = [values(rows, inputs), values(rows, hidden) / np.sqrt(hidden).astype(dtype)]
    arrays = [
        values(sum(sizes), inputs) if sizes else values(*shape, inputs),
        values(batch, hidden) if states else None,
        values(batch, hidden) if states and mode == "lstm" else None,
        *weights,
        values(rows) if biases else None,
        values(rows) if biases else None,
    ]
    return arrays, (mode, sizes, layout == "batch first", reverse)


def grads_for(results: Any, dtype: Any) -> list[Any]:
    rng = np.random.default_rng(5)
    return [None if r is None else rng.normal(size=r.shape).astype(dtype) for r in results[:3]]


def close(got: Any, want: Any, dtype: Any) -> None:
    assert (got is None) == (want is None)
    if want is None:
        return
    assert got.shape == want.shape and got.dtype == want.dtype
    assert got.flags.c_contiguous
    tolerance = 200 * np.finfo(dtype).eps * max(1.0, float(np.abs(want).max(initial=0.0)))
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


def compare(native: Kernels, reference: Kernels, arrays: Any, options: Any, dtype: Any) -> None:
    got, want = native.recurrent(*arrays, *options), reference.recurrent(*arrays, *options)
    for a, b in zip(got, want, strict=True):
        close(a, b, dtype)
    grads = grads_for(want, dtype)
    for given in (grads, [grads[0], None, None], [None, grads[1], grads[2]]):
        call = (*given, *arrays, want[0], *want[3:], *options, (True,) * 7)
        for a, b in zip(native.recurrent_grad(*call), reference.recurrent_grad(*call), strict=True):
            close(a, b, dtype)


# ---------------------------------------------------------------- native against reference


@modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [1, 3, 7, 8, 9, 15, 16, 17, 33, 65])
def test_hidden_sizes(native: Any, reference: Any, mode: str, dtype: Any, hidden: int) -> None:
    for layout in LAYOUTS:
        arrays, options = arguments(mode, layout, hidden, dtype=dtype)
        compare(native, reference, arrays, options, dtype)


@modes
@pytest.mark.parametrize("batch", [1, 2, 6, 7, 14, 15, 29])
def test_batch_sizes(native: Any, reference: Any, mode: str, batch: int) -> None:
    for hidden in (5, 40):
        arrays, options = arguments(mode, "batch first", hidden, batch, dtype=np.float32)
        compare(native, reference, arrays, options, np.float32)


@modes
@pytest.mark.parametrize("inputs", [1, 3, 4, 5])
@pytest.mark.parametrize("hidden", [5, 16, 33])
def test_narrow_inputs(native: Any, reference: Any, mode: str, hidden: int, inputs: int) -> None:
    for biases in (True, False):
        sizes = {"hidden": hidden, "batch": 5, "steps": 52, "inputs": inputs}
        arrays, options = arguments(mode, "batch first", **sizes, biases=biases)
        compare(native, reference, arrays, options, np.float64)


@modes
@pytest.mark.parametrize("inputs", [1, 2, 4, 5])
@pytest.mark.parametrize("layout", ["steps first", "batch first", (9,) * 300 + (4,) * 200 + (1,)])
def test_long_narrow_inputs(
    native: Any, reference: Any, mode: str, inputs: int, layout: Any
) -> None:
    """Gates of more than a megabyte, which each step starts by itself."""
    for reverse in (True, False):
        sizes = {"hidden": 45, "batch": 7, "steps": 500, "inputs": inputs}
        arrays, options = arguments(mode, layout, **sizes, reverse=reverse)
        arrays[4] /= 4  # states that forget, so that rounding does not grow with the length
        compare(native, reference, arrays, options, np.float64)


@modes
def test_blocks_of_k(native: Any, reference: Any, mode: str) -> None:
    """More rows than a tile has, and a state longer than a block."""
    arrays, options = arguments(mode, "steps first", 300, 17, steps=2, dtype=np.float32)
    compare(native, reference, arrays, options, np.float32)


@modes
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reverse", [False, True])
def test_options(native: Any, reference: Any, mode: str, layout: Any, reverse: bool) -> None:
    for states in (True, False):
        for biases in (True, False):
            arrays, options = arguments(mode, layout, states=states, biases=biases, reverse=reverse)
            compare(native, reference, arrays, options, np.float64)


@modes
@pytest.mark.parametrize(("batch", "steps"), [(0, 3), (3, 0), (1, 1), (3, 1)])
def test_empty_and_single(native: Any, reference: Any, mode: str, batch: int, steps: int) -> None:
    for layout in ("steps first", "batch first"):
        arrays, options = arguments(mode, layout, batch=batch, steps=steps)
        compare(native, reference, arrays, options, np.float64)


@modes
def test_strided_input(native: Any, reference: Any, mode: str) -> None:
    arrays, options = arguments(mode, "steps first", batch=4)
    strided = [None if a is None else np.asfortranarray(a) for a in arrays]
    got, want = native.recurrent(*strided, *options), reference.recurrent(*arrays, *options)
    for a, b in zip(got, want, strict=True):
        close(a, b, np.float64)


@modes
def test_gradients_that_nobody_needs(native: Any, reference: Any, mode: str) -> None:
    arrays, options = arguments(mode, "batch first")
    results = reference.recurrent(*arrays, *options)
    call = (*grads_for(results, np.float64), *arrays, results[0], *results[3:], *options)
    everything = reference.recurrent_grad(*call, (True,) * 7)
    for place in range(7):
        needs = tuple(i == place for i in range(7))
        for k in (native, reference):
            for i, part in enumerate(k.recurrent_grad(*call, needs)):
                close(part, everything[i] if i == place else None, np.float64)


@modes
def test_nan_and_infinity_stay_in_their_sequence(native: Any, reference: Any, mode: str) -> None:
    arrays, options = arguments(mode, "steps first", hidden=17, batch=3, dtype=np.float32)
    arrays[0][1, 0, 0], arrays[0][2, 2, 0] = np.nan, np.inf
    for k in (native, reference):
        out = k.recurrent(*arrays, *options)[0]
        assert np.isnan(out[1:, 0]).all()
        assert np.isfinite(out[0]).all() and np.isfinite(out[:, 1]).all()
    got, want = (k.recurrent(*arrays, *options)[0] for k in (native, reference))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_small_and_saturated_gates_keep_their_digits(native: Any, reference: Any) -> None:
    sums = np.array(
        [0, 1e-30, 1e-6, -1e-3, 0.1, -0.4, 1, 5, -20, 30, -60, 200, -200, np.inf, -np.inf]
    )
    hidden = len(sums)
    arrays, options = arguments("lstm", "steps first", hidden, 1, steps=1, dtype=np.float32)
    for weights in (arrays[0], arrays[1], arrays[3], arrays[4], arrays[6]):
        weights[...] = 0
    arrays[5][...] = np.tile(sums, 4)
    gates = native.recurrent(*arrays, *options)[3].reshape(4, hidden)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-sums))
    np.testing.assert_allclose(gates[[0, 1, 3]], np.tile(sigmoid, (3, 1)), rtol=4e-6, atol=1e-45)
    np.testing.assert_allclose(gates[2], np.tanh(sums), rtol=4e-7)


@modes
def test_threads_change_nothing(native: Any, reference: Any, mode: str) -> None:
    arrays, options = arguments(mode, "steps first", 64, 33, steps=40, dtype=np.float32)
    before = rushlight.get_num_threads()
    try:
        rushlight.set_num_threads(2)
        compare(native, reference, arrays, options, np.float32)
    finally:
        rushlight.set_num_threads(before)


# ---------------------------------------------------------------- the reference itself


def test_relu_by_hand(native: Any, reference: Any) -> None:
    x = np.array([[[1.0]], [[-3.0]], [[2.0]]])
    one = np.ones((1, 1))
    for k in (native, reference):
        for reverse, want in ((False, [1.0, 0.0, 2.0]), (True, [1.0, 0.0, 2.0])):
            options = ("relu", None, False, reverse)
            out = k.recurrent(x, None, None, one, one, None, None, *options)[0]
            assert out.ravel().tolist() == want
        out = k.recurrent(x, 5 * one, None, one, one, None, None, "relu", None, False, False)
        assert out[0].ravel().tolist() == [6.0, 3.0, 5.0] and out[1].tolist() == [[5.0]]


def test_last_states_of_packed_sequences(native: Any, reference: Any) -> None:
    arrays, options = arguments("lstm", (3, 2, 2, 1))
    for k in (native, reference):
        out, h, _, _, _ = k.recurrent(*arrays, *options)
        # the rows of step t start at 0, 3, 5, 7
        np.testing.assert_array_equal(h, out[[7, 6, 2]])
        out, h, _, _, _ = k.recurrent(*arrays, *options[:3], True)
        np.testing.assert_array_equal(h, out[:3])


@modes
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_by_differences(reference: Any, mode: str, layout: Any) -> None:
    for reverse in (False, True):
        arrays, options = arguments(mode, layout, hidden=3, reverse=reverse)
        results = reference.recurrent(*arrays, *options)
        grads = grads_for(results, np.float64)
        found = reference.recurrent_grad(
            *grads, *arrays, results[0], *results[3:], *options, (True,) * 7
        )

        def loss(arrays: Any = arrays, options: Any = options, grads: Any = grads) -> float:
            values = reference.recurrent(*arrays, *options)
            return sum(float((v * g).sum()) for v, g in zip(values, grads) if g is not None)

        rng = np.random.default_rng(0)
        for array, gradient in zip(arrays, found, strict=True):
            if array is None:
                continue
            direction = rng.normal(size=array.shape)
            original, step = array.copy(), 1e-6
            array[...] = original + step * direction
            above = loss()
            array[...] = original - step * direction
            below = loss()
            array[...] = original
            assert (gradient * direction).sum() == pytest.approx(
                (above - below) / (2 * step), rel=1e-6, abs=1e-6
            )


def test_half_is_computed_in_single_precision(reference: Any) -> None:
    arrays, options = arguments("gru", "steps first", dtype=np.float32)
    halves = [None if a is None else a.astype(np.float16) for a in arrays]
    widened = [None if a is None else a.astype(np.float32) for a in halves]
    got = reference.recurrent(*halves, *options)
    want = reference.recurrent(*widened, *options)
    assert got[0].dtype == np.float16
    np.testing.assert_array_equal(got[0], want[0].astype(np.float16))


# ---------------------------------------------------------------- instruction sets


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
