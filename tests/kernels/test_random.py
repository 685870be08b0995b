"""The random stream: recorded numbers of PyTorch's CPU generator, and native against reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels, RandomState

LENGTHS = [0, 1, 2, 15, 16, 17, 31, 32, 100, 623, 624, 625, 1023, 1024, 1025, 5000]


@pytest.fixture(params=["native", "reference"])
def k(request: pytest.FixtureRequest) -> Kernels:
    kernels: Kernels = request.getfixturevalue(request.param)
    return kernels


# Recorded from PyTorch 2.13 after manual_seed(0).
def test_recorded_numbers(k: Kernels) -> None:
    def seeded() -> RandomState:
        return RandomState.from_seed(0)

    assert k.random_uniform(seeded(), (3,), np.float32).tolist() == [
        0.49625658988952637, 0.7682217955589294, 0.08847743272781372,
    ]  # fmt: skip
    assert k.random_uniform(seeded(), (2,), np.float64).tolist() == [
        0.9700530018065531, 0.707819864399788,
    ]  # fmt: skip
    assert k.random_integers(seeded(), (8,), 0, 100).tolist() == [44, 39, 33, 60, 63, 79, 27, 3]
    assert k.random_permutation(seeded(), 10).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
    assert k.random_bernoulli(seeded(), (8,), 0.5, np.float32).tolist() == [0, 0, 1, 0, 0, 0, 1, 1]
    wide = k.random_uint64(seeded(), 3) & np.uint64(2**63 - 1)
    assert wide.tolist() == [
        900450186894289455, 3969543146641149120, 1895649597198586619,
    ]  # fmt: skip
    few = k.random_normal(seeded(), (3,), np.float64)
    np.testing.assert_allclose(
        few, [1.5409961082440433, -0.2934289057609464, -2.1787893820745574], rtol=1e-15
    )  # fmt: skip
    many = k.random_normal(seeded(), (17,), np.float64)
    np.testing.assert_allclose(
        many[[0, 8, 16]], [-2.310411800234176, 0.23871805816817063, 0.6748575435940039], rtol=1e-14
    )  # fmt: skip


def test_kept_sine_is_the_next_number(k: Kernels) -> None:
    state = RandomState.from_seed(0)
    parts = [k.random_normal(state, (1,), np.float64) for _ in range(4)]
    whole = k.random_normal(RandomState.from_seed(0), (4,), np.float64)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-15)


def test_stream_is_continued_across_calls(k: Kernels) -> None:
    whole = k.random_uint32(RandomState.from_seed(7), 2000)
    state = RandomState.from_seed(7)
    parts = [k.random_uint32(state, n) for n in (1, 622, 1, 1, 700, 0, 675)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("n", LENGTHS)
def test_native_equals_reference(native: Kernels, reference: Kernels, n: int) -> None:
    states = RandomState.from_seed(3), RandomState.from_seed(3)

    def both(name: str, *arguments: Any, exact: bool = True) -> None:
        a, b = (
            getattr(kernels, name)(state, *arguments)
            for kernels, state in zip((native, reference), states, strict=True)
        )
        assert a.dtype == b.dtype and a.shape == b.shape
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(states[0].key, states[1].key)
        assert states[0].position == states[1].position

    both("random_uint32", n)
    both("random_uint64", n)
    for dtype in (np.float32, np.float64, np.float16):
        both("random_uniform", (n,), dtype)
        both("random_normal", (n,), dtype, 1.0, 2.0, exact=False)
    both("random_normal_pairs", n, 1.0, 2.0, exact=False)
    for dtype in (np.float32, np.bool_, np.int64):
        both("random_bernoulli", (n,), 0.3, dtype)
    for low, high in ((0, 10), (-5, 2**31), (0, 2**32), (-(2**62), 2**62)):
        both("random_integers", (n,), low, high)
    both("random_permutation", n)
    assert (states[0].next_normal is None) == (states[1].next_normal is None)


def test_shapes_and_empty(k: Kernels) -> None:
    state = RandomState.from_seed(0)
    assert k.random_uniform(state, (), np.float32).shape == ()
    assert k.random_normal(state, (2, 3, 4), np.float32).shape == (2, 3, 4)
    assert k.random_uniform(state, (0, 3), np.float64).shape == (0, 3)
    assert k.random_permutation(state, 0).tolist() == []
    assert k.random_permutation(state, 1).tolist() == [0]


def test_moments(k: Kernels) -> None:
    state = RandomState.from_seed(1)
    normal = k.random_normal(state, (100_003,), np.float32, 2.0, 3.0)
    assert abs(normal.mean() - 2) < 0.05 and abs(normal.std() - 3) < 0.05
    uniform = k.random_uniform(state, (100_000,), np.float32)
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(k.random_bernoulli(state, (100_000,), 0.2, np.float32).mean() - 0.2) < 0.01
    assert sorted(k.random_permutation(state, 1000).tolist()) == list(range(1000))


def test_copy_is_independent() -> None:
    state = RandomState.from_seed(5)
    other = state.copy()
    state.seed(6)
    assert not np.array_equal(state.key, other.key)
    np.testing.assert_array_equal(other.key, RandomState.from_seed(5 + 2**32).key)
