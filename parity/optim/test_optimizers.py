"""Every optimizer: five steps with each set of options, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import rushlight

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.6), "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "t0": 2, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.1}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
    ("LBFGS", {"lr": 0.1, "max_iter": 4}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "history_size": 3}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(OPTIONS)]


def _start(lib: Any, dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 4)), rng.standard_normal(4)]
    return [lib.nn.Parameter(lib.tensor(array.astype(dtype))) for array in arrays]


def _closure(params: list[Any]) -> Any:
    """A loss with a gradient that depends on all parameters, and that some steps overshoot."""
    weight, bias = params
    for param in params:
        param.grad = None
    loss = ((weight * weight + bias).sin().sum() + (bias**4).sum() * 0.1 + weight.pow(2).sum()) / 3
    loss.backward()
    return loss


def _run(lib: Any, name: str, options: dict[str, Any], dtype: str, steps: int = 5) -> Any:
    params = _start(lib, dtype)
    chosen = params[:1] if name == "Muon" else params
    optimizer = getattr(lib.optim, name)(chosen, **options)
    history = []
    for _ in range(steps):
        if name == "LBFGS":
            optimizer.step(lambda: _closure(params))
        else:
            _closure(params)
            optimizer.step()
        history.append([param.detach().numpy().copy() for param in params])
    return history, optimizer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OPTIONS, ids=IDS)
def test_trajectory_matches_torch(case: Any, dtype: str) -> None:
    name, options = case
    own, own_optimizer = _run(rushlight, name, options, dtype)
    theirs, their_optimizer = _run(torch, name, options, dtype)
    rtol, atol = (1e-4, 1e-5) if dtype == "float32" else (1e-9, 1e-10)
    if "line_search_fn" in options and dtype == "float32":
        atol = 1e-3  # the search ends in the noise of float32 losses
    for mine, expected in zip(own, theirs, strict=True):
        for a, b in zip(mine, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    _assert_same_state(own_optimizer.state_dict(), their_optimizer.state_dict(), rtol, atol)


def _assert_same_state(own: Any, theirs: Any, rtol: float, atol: float) -> None:
    assert own["param_groups"] == theirs["param_groups"]
    assert list(own["state"]) == list(theirs["state"])
    for number, expected in theirs["state"].items():
        assert sorted(own["state"][number]) == sorted(expected)
        for key, value in expected.items():
            # LBFGS keeps the scalars of its recursion as numbers, PyTorch as tensors.
            if isinstance(value, torch.Tensor) and value.dim() + ("old_dirs" not in expected):
                mine = own["state"][number][key]
                assert str(mine.dtype) == str(value.dtype), key
                np.testing.assert_allclose(
                    mine.numpy(), value.numpy(), rtol=10 * rtol, atol=10 * atol, err_msg=key
                )


@pytest.mark.parametrize("case", OPTIONS, ids=IDS)
def test_repr_and_defaults(case: Any) -> None:
    name, options = case
    own = getattr(rushlight.optim, name)(_start(rushlight, "float32"), **options)
    theirs = getattr(torch.optim, name)(_start(torch, "float32"), **options)
    assert repr(own) == repr(theirs)
    assert own.defaults == theirs.defaults
    assert list(own.defaults) == list(theirs.defaults)


def test_muon() -> None:
    for options in ({}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}):
        own, _ = _run(rushlight, "Muon", {"lr": 0.1, **options}, "float32", 2)
        theirs, _ = _run(torch, "Muon", {"lr": 0.1, **options}, "float32", 2)
        # The iteration runs in bfloat16: three digits.
        for mine, expected in zip(own, theirs, strict=True):
            np.testing.assert_allclose(mine[0], expected[0], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_resuming_from_the_other_library(name: str) -> None:
    """State saved by PyTorch and loaded here goes on as if nothing had happened."""
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    theirs = _start(torch, "float32")
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for _ in range(3):
        _closure(theirs)
        their_optimizer.step()
    state = their_optimizer.state_dict()
    own = [rushlight.nn.Parameter(rushlight.tensor(p.detach().numpy())) for p in theirs]
    own_optimizer = getattr(rushlight.optim, name)(own, lr=0.5)
    converted = {
        number: {
            key: rushlight.tensor(value.numpy()) if isinstance(value, torch.Tensor) else value
            for key, value in entry.items()
        }
        for number, entry in state["state"].items()
    }
    own_optimizer.load_state_dict({"state": converted, "param_groups": state["param_groups"]})
    for _ in range(2):
        _closure(theirs)
        their_optimizer.step()
        _closure(own)
        own_optimizer.step()
    for mine, expected in zip(own, theirs, strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5
        )
