"""Optimizer steps: native against reference, layouts, denormals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

# Both halves of a parameter are walked by turns of 128 float32 or 64 float64.
SIZES = [(1,), (3, 5), (15,), (16,), (17,), (0,), (), (255,), (256,), (257,), (32767,), (32768,),
         (32769,), (150_000,)]  # fmt: skip


def arrays(dtype: Any, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SIZES]


def copies(groups: list[list[Any]]) -> list[list[Any]]:
    return [[a.copy() for a in group] for group in groups]


def assert_all_close(got: list[list[Any]], want: list[list[Any]], dtype: Any) -> None:
    eps = np.finfo(dtype).eps
    for a_list, b_list in zip(got, want, strict=True):
        for a, b in zip(a_list, b_list, strict=True):
            np.testing.assert_allclose(a, b, rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "settings",
    [(0.0, 0.0, 0.0, False, False), (0.9, 0.0, 0.0, False, False), (0.9, 0.3, 0.1, False, True),
     (0.9, 0.0, 0.1, True, False)],
)  # fmt: skip
def test_sgd(native: Kernels, reference: Kernels, settings: Any, dtype: Any) -> None:
    start = [arrays(dtype, 1), [np.full_like(a, np.nan) for a in arrays(dtype, 2)]]
    states = [copies(start), copies(start)]
    for step in range(3):
        grads = arrays(dtype, 10 + step)
        for k, (params, buffers) in zip((native, reference), states, strict=True):
            k.sgd_step(params, grads, buffers if settings[0] else [], 0.1, *settings, step == 0)
    if settings[0]:
        assert_all_close(states[0], states[1], dtype)
    else:
        assert_all_close(states[0][:1], states[1][:1], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_adam(
    native: Kernels, reference: Kernels, maximize: bool, decoupled: bool, amsgrad: bool, dtype: Any
) -> None:
    zeros = [np.zeros_like(a) for a in arrays(dtype, 1)]
    start = [arrays(dtype, 1), *copies([zeros, zeros, zeros])]
    states = [copies(start), copies(start)]
    for step in range(1, 4):
        grads = arrays(dtype, 10 + step)
        for k, (params, means, squares, largest) in zip((native, reference), states, strict=True):
            k.adam_step(
                params, grads, means, squares, largest if amsgrad else [], [step] * len(params),
                0.01, 0.9, 0.999, 1e-8, 0.1, amsgrad, maximize, decoupled,
            )  # fmt: skip
    assert_all_close(states[0], states[1], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.float16])
def test_add_to_each(native: Kernels, reference: Kernels, dtype: Any) -> None:
    start = [*arrays(dtype, 1), np.arange(6).astype(dtype)[::2]]
    lists = copies([start, start])
    for k, chosen in zip((native, reference), lists, strict=True):
        k.add_to_each(chosen, 1)
        k.add_to_each([], 1)
    for got, want, before in zip(*lists, start, strict=True):
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(got, before + dtype(1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_number_for_every_array(native: Kernels, reference: Kernels, dtype: Any) -> None:
    start = [*arrays(dtype, 1), np.array(1.5, dtype), np.arange(6).astype(dtype)[::2]]
    factors = [0.1 * i for i in range(len(start))]
    lists = copies([start, start])
    for k, chosen in zip((native, reference), lists, strict=True):
        k.scale_each(chosen, factors)
        k.scale_each([], [])
    for got, want, before, factor in zip(*lists, start, factors, strict=True):
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(got, before * dtype(factor))
    native.write_each(lists[0], factors)
    for got, factor in zip(lists[0], factors, strict=True):
        assert (got == dtype(factor)).all()


RULES: list[tuple[str, int, tuple[float, ...], tuple[float, ...]]] = [
    ("adagrad", 1, (0.1,), (1e-10,)),
    ("adadelta", 2, (), (0.5, 0.9, 1e-6)),
    ("adamax", 2, (0.1,), (0.9, 0.99, 1e-8)),
    ("asgd", 1, (0.1, 1.0), ()),
    ("asgd", 1, (0.1, 0.25), ()),
    ("nadam", 2, (0.01, 0.02, 0.1), (0.9, 0.99, 1e-8)),
    ("radam", 2, (0.1, 0.0), (0.9, 0.99, 1e-8)),
    ("radam", 2, (0.1, 0.3), (0.9, 0.99, 1e-8)),
    ("rmsprop", 1, (), (0.1, 0.9, 1e-8, 0.0)),
    ("rmsprop_centered", 2, (), (0.1, 0.9, 1e-3, 0.0)),
    ("rmsprop_momentum", 2, (), (0.1, 0.9, 1e-8, 0.9)),
    ("rmsprop_both", 3, (), (0.1, 0.9, 1e-3, 0.9)),
    ("rprop", 2, (), (0.5, 1.2, 1e-6, 50.0)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("rule", range(len(RULES)))
def test_rules(native: Kernels, reference: Kernels, rule: int, maximize: bool, dtype: Any) -> None:
    name, count, factors, numbers = RULES[rule]
    start = [arrays(dtype, 1), *([np.full_like(a, 0.5) for a in arrays(dtype, 2)],) * count]
    states = [copies(start), copies(start)]
    per_parameter = [(0.9 + 0.01 * i, *factors) for i in range(len(SIZES))]
    for step in range(3):
        grads = arrays(dtype, 10 + step)
        for k, (params, *kept) in zip((native, reference), states, strict=True):
            k.rule_step(name, params, grads, kept, per_parameter, numbers, 0.1, maximize)
    for got, want in zip(states[0], states[1], strict=True):
        assert_all_close([got], [want], dtype)


def test_rprop_skips_a_turned_step(native: Kernels, reference: Kernels) -> None:
    for k in (native, reference):
        param, previous = np.zeros(4, np.float32), np.array([1, 1, 1, 0], np.float32)
        size, grad = np.ones(4, np.float32), np.array([2, -2, np.nan, -2], np.float32)
        states = ([previous], [size])
        k.rule_step("rprop", [param], [grad], states, [(1.0,)], (0.5, 1.2, 1e-6, 50), 0.0, False)
        np.testing.assert_allclose(param, [-1.2, 0, 0, 1], rtol=1e-6)
        np.testing.assert_allclose(size, [1.2, 0.5, 1, 1], rtol=1e-6)
        np.testing.assert_array_equal(previous, [2, 0, np.nan, -2])


def test_transposed_parameters_with_equal_strides(native: Kernels) -> None:
    params, grads, sums = ([np.asfortranarray(a)] for a in np.ones((3, 4, 5), np.float32))
    native.rule_step("adagrad", params, grads, [sums], [(1.0, 0.5)], (0.0,), 0.0, False)
    np.testing.assert_allclose(params[0], 1 - 0.5 / np.sqrt(2), rtol=1e-6)
    native.rule_step(  # one array in C order: the reference takes it
        "adagrad", params, [np.ones((4, 5), np.float32)], [sums], [(1.0, 0.0)], (0.0,), 0.0, False
    )
    np.testing.assert_allclose(sums[0], 3)


def test_strided_parameters_take_the_reference(native: Kernels) -> None:
    memory = np.ones((4, 4), np.float32)
    native.sgd_step(
        [memory.T[1:]], [np.ones((3, 4), np.float32)], [], 0.5, 0, 0, 0, False, False, True
    )
    assert memory[:, 0].tolist() == [1, 1, 1, 1] and (memory[:, 1:] == 0.5).all()


def test_half_parameters(native: Kernels) -> None:
    param = np.ones(4, np.float16)
    native.sgd_step([param], [np.ones(4, np.float16)], [], 0.5, 0, 0, 0, False, False, True)
    assert param.dtype == np.float16 and (param == 0.5).all()


def test_dead_momentum_is_flushed_and_the_mode_restored(native: Kernels) -> None:
    param, buffer = np.ones(64, np.float32), np.full(64, 1.2e-38, np.float32)
    native.sgd_step(
        [param], [np.zeros(64, np.float32)], [buffer], 0.1, 0.5, 0, 0, False, False, False
    )
    assert (buffer == 0).all()
    tiny = native.mul(np.full(64, 1.2e-38, np.float32), 0.5)
    assert (tiny > 0).all()
