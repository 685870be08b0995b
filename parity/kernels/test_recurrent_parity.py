"""Recurrent layers, functions and cells against PyTorch's: values, gradients, second gradients."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = (torch, rushlight)
NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("GRU", {}),
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {"proj_size": 3}),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"batch_first": True},
    {"bias": False},
    {"bidirectional": True, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]
FUNCTIONS = [("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)]


def pair(name: str, *args: Any, **options: Any) -> list[Any]:
    """The same layer in both libraries, with the same weights, in float64."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **options).double()
    ours = getattr(rushlight.nn, name)(*args, **options).double()
    ours.load_state_dict({k: rushlight.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return [theirs, ours]


def leaf(library: Any, seed: int, *shape: int) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape)
    return library.tensor(values, requires_grad=True)


def flat(values: Any) -> list[Any]:
    if isinstance(values, tuple):
        return [t for part in values for t in flat(part)]
    return [values]


def same(theirs: Any, ours: Any, tolerance: float = 1e-10) -> None:
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            want = a.detach().numpy()
            np.testing.assert_allclose(b.detach().numpy(), want, rtol=tolerance, atol=tolerance)


def results(library: Any, values: Any, inputs: list[Any], second: bool) -> list[Any]:
    """Outputs, gradients and, with `second`, gradients of a function of the gradients."""
    outputs = flat(values)
    loss = sum((t * t * (i + 1)).sum() for i, t in enumerate(outputs))
    first = library.autograd.grad(loss, inputs, create_graph=second)
    if not second:
        return [*outputs, *first]
    total = sum((g * g).sum() for g in first)
    return [*outputs, *first, *library.autograd.grad(total, inputs, allow_unused=True)]


def initial_state(library: Any, layer: Any, batch: int) -> Any:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    h = leaf(library, 2, count, batch, layer.proj_size or layer.hidden_size)
    return (h, leaf(library, 3, count, batch, layer.hidden_size)) if layer.mode == "LSTM" else h


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("name", "form"), NETWORKS)
@pytest.mark.parametrize("with_state", [False, True])
def test_networks(name: str, form: Any, options: Any, with_state: bool) -> None:
    found = []
    for library, layer in zip(LIBRARIES, pair(name, 3, 5, **form, **options), strict=True):
        x = leaf(library, 1, 4, 4, 3)
        hx = initial_state(library, layer, 4) if with_state else None
        inputs = [x, *layer.parameters(), *(flat(hx) if with_state else [])]
        found.append(results(library, layer(x, hx), inputs, second=True))
    same(*found)


@pytest.mark.parametrize(("name", "form"), NETWORKS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("with_state", [False, True])
def test_packed(name: str, form: Any, options: Any, with_state: bool) -> None:
    found = []
    for library, layer in zip(LIBRARIES, pair(name, 3, 5, **form, **options), strict=True):
        x = leaf(library, 1, 6, 4, 3)
        rnn = library.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, [3, 6, 1, 5], enforce_sorted=False)
        hx = initial_state(library, layer, 4) if with_state else None
        inputs = [x, *layer.parameters(), *(flat(hx) if with_state else [])]
        output, last = layer(packed, hx)
        found.append(results(library, (output.data, last), inputs, second=True))
    same(*found)


@pytest.mark.parametrize(("name", "form"), NETWORKS)
def test_part_of_the_outputs(name: str, form: Any) -> None:
    """The gradient when only the output, or only the last state, is used."""
    for part in (0, 1):
        found = []
        for library, layer in zip(LIBRARIES, pair(name, 3, 5, **form), strict=True):
            x = leaf(library, 1, 4, 2, 3)
            inputs = [x, *layer.parameters()]
            found.append(results(library, layer(x)[part], inputs, second=False))
        same(*found)


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_cells(name: str, shape: tuple[int, ...]) -> None:
    for bias, steps in itertools.product((True, False), (1, 3)):
        found = []
        for library, cell in zip(LIBRARIES, pair(name, 3, 5, bias=bias), strict=True):
            x, state = leaf(library, 1, *shape), None
            for _ in range(steps):
                state = cell(x, state)
            found.append(results(library, state, [x, *cell.parameters()], second=True))
        same(*found)


@pytest.mark.parametrize(("name", "blocks"), FUNCTIONS)
def test_functions(name: str, blocks: int) -> None:
    found = []
    for library in LIBRARIES:
        x, h = leaf(library, 1, 4, 2, 3), leaf(library, 2, 2, 2, 5)
        hx = (h, leaf(library, 3, 2, 2, 5)) if name == "lstm" else h
        shapes = [(blocks * 5, 3), (blocks * 5, 5), (blocks * 5,), (blocks * 5,)] * 2
        params = [leaf(library, 10 + i, *shape) for i, shape in enumerate(shapes)]
        function = getattr(library, name)
        padded = function(x, hx, params, True, 1, 0.0, False, True, False)
        packed = function(
            leaf(library, 1, 5, 3), library.tensor([2, 2, 1]), hx, params, True, 1, 0.0, False, True
        )
        named = function(
            input=leaf(library, 1, 2, 4, 3), hx=hx, params=params, has_biases=True, num_layers=1,
            dropout=0.0, train=False, bidirectional=True, batch_first=True,
        )  # fmt: skip
        cell = getattr(library, name + "_cell")
        step = cell(x[0], tuple(t[0] for t in hx) if name == "lstm" else h[0], *params[:4])
        found.append(flat((padded, packed, named, step)))
    same(*found)


def test_dropout_between_layers_uses_the_same_stream() -> None:
    found = []
    layers = pair("LSTM", 3, 5, num_layers=3, dropout=0.5)
    for library, layer in zip(LIBRARIES, layers, strict=True):
        x = leaf(library, 1, 4, 2, 3)
        library.manual_seed(3)
        found.append(flat(layer(x)))
    same(*found)


def test_no_steps() -> None:
    for library in LIBRARIES:
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0"):
            library.nn.GRU(3, 5)(library.ones(0, 2, 3))


def test_batch_of_nobody() -> None:
    for library in LIBRARIES:
        layer = library.nn.GRU(3, 5)
        output, last = layer(library.ones(4, 0, 3))
        assert output.shape == (4, 0, 5) and last.shape == (1, 0, 5)
        output.sum().backward()
        assert not layer.weight_hh_l0.grad.any()


@pytest.mark.parametrize(("name", "blocks"), FUNCTIONS)
def test_errors(name: str, blocks: int) -> None:
    for library in LIBRARIES:
        x, w = library.ones(2, 3), library.ones(blocks * 5, 3)
        u, h = library.ones(blocks * 5, 5), library.ones(2, 5)
        cell = getattr(library, name + "_cell")
        state, wrong = ((h, h), (x, x)) if name == "lstm" else (h, x)
        with pytest.raises(RuntimeError, match="inconsistent input_size: got 4 expected 3"):
            cell(library.ones(2, 4), state, w, u)
        with pytest.raises(RuntimeError, match=r"Input batch size 1 doesn't match hidden0 batch"):
            cell(library.ones(1, 3), state, w, u)
        with pytest.raises(RuntimeError, match="hidden0 has inconsistent hidden_size: got 3"):
            cell(x, wrong, w, u)
        with pytest.raises(TypeError):
            getattr(library, name)(x, h)
