"""The same seed gives the same numbers, function by function."""

from __future__ import annotations

import numpy as np
import pytest
import torch as reference

import rushlight

CALLS = {
    "rand": lambda t: t.rand(5, 3),
    "rand double": lambda t: t.rand(7, dtype=t.float64),
    "rand half": lambda t: t.rand(7, dtype=t.float16),
    "rand bfloat16": lambda t: t.rand(7, dtype=t.bfloat16).float(),
    "randn few": lambda t: t.randn(7),
    "randn odd": lambda t: t.randn(3),
    "randn 16": lambda t: t.randn(16),
    "randn 17": lambda t: t.randn(17),
    "randn many": lambda t: t.randn(33, 7),
    "randn double": lambda t: t.randn(40, dtype=t.float64),
    "randint": lambda t: t.randint(10, (20,)),
    "randint range": lambda t: t.randint(-5, 1000, (20,)),
    "randint wide": lambda t: t.randint(0, 2**40, (20,)),
    "randperm": lambda t: t.randperm(50),
    "uniform_": lambda t: t.empty(20).uniform_(-1, 3),
    "normal_": lambda t: t.empty(20).normal_(2, 3),
    "normal": lambda t: t.normal(2.0, 3.0, (4, 5)),
    "bernoulli_": lambda t: t.empty(50).bernoulli_(0.3),
    "bernoulli": lambda t: t.bernoulli(t.full((50,), 0.3)),
    "exponential_": lambda t: t.empty(20).exponential_(2.0),
    "geometric_": lambda t: t.empty(20).geometric_(0.3),
    "cauchy_": lambda t: t.empty(20).cauchy_(),
    "log_normal_": lambda t: t.empty(20).log_normal_(),
    "random_": lambda t: t.empty(20).random_(),
    "random_ int64": lambda t: t.empty(20, dtype=t.int64).random_(),
    "random_ range": lambda t: t.empty(20, dtype=t.int64).random_(3, 9),
    "multinomial": lambda t: t.multinomial(t.tensor([0.1, 0.2, 0.7]), 2),
    "multinomial replacement": lambda t: t.multinomial(t.tensor([0.1, 0.2, 0.7]), 20, True),
    "dropout": lambda t: t.dropout(t.ones(50), 0.4, True),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("seed", [0, 1, 2**40 + 5])
def test_same_seed_same_numbers(name: str, seed: int) -> None:
    results = []
    for torch in (rushlight, reference):
        torch.manual_seed(seed)
        results.append((CALLS[name](torch).numpy(), torch.rand(3).numpy()))
    (got, after), (expected, expected_after) = results
    if got.dtype.kind == "f" and got.size:
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)
    else:
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(after, expected_after)  # the stream stands at the same place


def test_states_are_exchanged() -> None:
    reference.manual_seed(3)
    reference.rand(5)
    state = reference.get_rng_state()
    rushlight.set_rng_state(rushlight.from_numpy(state.numpy().copy()))
    np.testing.assert_array_equal(rushlight.rand(9).numpy(), reference.rand(9).numpy())
    back = rushlight.get_rng_state()
    reference.set_rng_state(reference.from_numpy(back.numpy().copy()))
    np.testing.assert_array_equal(rushlight.randn(5).numpy(), reference.randn(5).numpy())


@pytest.mark.parametrize("layer", ["Linear(30, 20)", "Conv2d(3, 6, 5)", "Embedding(10, 4)",
                                   "LSTM(3, 5, 2)", "GRU(3, 5)", "RNN(3, 5)", "Bilinear(2, 3, 4)",
                                   "ConvTranspose2d(3, 4, 3)",
                                   "MultiheadAttention(8, 2)"])  # fmt: skip
def test_default_initialisation(layer: str) -> None:
    weights = []
    for torch in (rushlight, reference):
        torch.manual_seed(0)
        made = eval(f"nn.{layer}", {"nn": torch.nn})
        weights.append({k: v.detach().numpy() for k, v in made.named_parameters()})
    assert list(weights[0]) == list(weights[1])
    for name in weights[0]:
        np.testing.assert_allclose(weights[0][name], weights[1][name], rtol=1e-6, atol=1e-7)
