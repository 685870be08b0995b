"""The random stream against real PyTorch, seed by seed, interleaved."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from rushlight.backends import Kernels, RandomState, kernels, native_available

BACKENDS = {"reference": Kernels(np), "native": kernels(np.ones(1))}


def has_fused_multiply_add() -> bool:
    """Whether the native kernels round like PyTorch's own (compiled for AVX2 and up)."""
    from rushlight.backends import _native

    return _native.active_isa() in ("v3", "v4")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", [0, 42, 2**40 + 5])
def test_stream(backend: str, seed: int) -> None:
    k, state = BACKENDS[backend], RandomState.from_seed(seed)
    exact = backend == "native" and native_available() and has_fused_multiply_add()
    torch.manual_seed(seed)

    def same(got: Any, want: torch.Tensor) -> None:
        assert got.dtype == want.numpy().dtype
        np.testing.assert_array_equal(got, want.numpy())

    def normal(got: Any, want: torch.Tensor) -> None:
        if exact:
            same(got, want)
        else:
            scale = 4 * np.finfo(got.dtype).eps
            np.testing.assert_allclose(got, want.numpy(), rtol=scale, atol=scale)

    for n in (1, 3, 7, 15, 16, 17, 40, 624, 1000, 5003):
        same(k.random_uniform(state, (n,), np.float32), torch.rand(n))
        same(k.random_uniform(state, (n,), np.float64), torch.rand(n, dtype=torch.float64))
        normal(k.random_normal(state, (n,), np.float32), torch.randn(n))
        normal(k.random_normal(state, (n,), np.float64), torch.randn(n, dtype=torch.float64))
        want = torch.empty(n, dtype=torch.float64).normal_(1.5, 0.3)
        normal(k.random_normal(state, (n,), np.float64, 1.5, 0.3), want)
        same(k.random_integers(state, (n,), 3, 77), torch.randint(3, 77, (n,)))
        same(k.random_integers(state, (n,), -5, 2**40), torch.randint(-5, 2**40, (n,)))
        same(k.random_permutation(state, n), torch.randperm(n))
        want = torch.empty(n).bernoulli_(0.3)
        same(k.random_bernoulli(state, (n,), 0.3, np.float32), want)
        same(k.random_uniform(state, (n,), np.float16), torch.rand(n).to(torch.float16))


@pytest.mark.skipif("RUSHLIGHT_ISA" in os.environ, reason="the instruction set is forced")
def test_weights_of_a_layer_are_pytorchs() -> None:
    """kaiming_uniform_ of Linear(400, 120): bound 1/sqrt(400) for weight and bias."""
    torch.manual_seed(7)
    layer = torch.nn.Linear(400, 120)
    k, state = BACKENDS["native"], RandomState.from_seed(7)
    for parameter in (layer.weight, layer.bias):
        u = k.random_uniform(state, tuple(parameter.shape), np.float32)
        mine = u * np.float32(0.1) + np.float32(-0.05)
        np.testing.assert_allclose(mine, parameter.detach().numpy(), rtol=0, atol=4e-9)
