"""Hooks around forward and backward."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn.modules.module import register_module_forward_hook


def test_forward_hooks_run_in_order_and_may_replace() -> None:
    layer = nn.Identity()
    order: list[str] = []

    def add(name: str) -> Any:
        def hook(module: nn.Module, *args: Any) -> None:
            order.append(name)

        return hook

    layer.register_forward_pre_hook(add("pre 1"))
    layer.register_forward_pre_hook(add("pre 0"), prepend=True)
    layer.register_forward_hook(add("post 1"))
    last = layer.register_forward_hook(lambda module, args, out: out * 10)
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    assert layer(torch.ones(1)).item() == 20
    assert order == ["pre 0", "pre 1", "post 1"]
    last.remove()
    last.remove()
    assert layer(torch.ones(1)).item() == 2


def test_hooks_with_kwargs() -> None:
    class Scale(nn.Module):
        def forward(self, x: torch.Tensor, by: float = 1.0) -> torch.Tensor:
            return x * by

    layer = Scale()
    layer.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] * 2}), with_kwargs=True)
    layer.register_forward_hook(lambda m, a, k, out: out + k["by"], with_kwargs=True)
    assert layer(torch.ones(1), by=3.0).item() == 12
    layer.register_forward_pre_hook(lambda m, a, k: 5, with_kwargs=True)
    with pytest.raises(RuntimeError, match="tuple of"):
        layer(torch.ones(1), by=1.0)


def test_always_call_runs_after_an_exception() -> None:
    seen: list[Any] = []
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda m, a, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError):
        layer(torch.ones(1, 3))
    assert seen == [None]


def test_global_hook() -> None:
    names: list[str] = []
    with register_module_forward_hook(lambda m, a, o: names.append(type(m).__name__)):
        nn.Sequential(nn.ReLU(), nn.Tanh())(torch.ones(1))
    nn.ReLU()(torch.ones(1))
    assert names == ["ReLU", "Tanh", "Sequential"]


def test_full_backward_hook_sees_and_replaces_gradients() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data.copy_(torch.tensor([[2.0, 3.0]]))
    seen: dict[str, Any] = {}

    def hook(module: nn.Module, grad_input: Any, grad_output: Any) -> Any:
        seen["in"], seen["out"] = grad_input[0].tolist(), grad_output[0].tolist()
        return (grad_input[0] * 10,)

    layer.register_full_backward_hook(hook)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 2,))
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen == {"in": [[4.0, 6.0]], "out": [[2.0]]}
    assert x.grad.tolist() == [[40.0, 60.0]]
    assert layer.weight.grad.tolist() == [[2.0, 2.0]]


def test_backward_hook_without_input_gradients_fires_once() -> None:
    count: list[int] = []
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda m, i, o: count.append(len(i)))
    with pytest.warns(UserWarning, match="no inputs require"):
        layer(torch.ones(1, 2)).sum().backward()
    assert count == [1]


def test_a_module_takes_one_kind_of_backward_hook() -> None:
    layer = nn.ReLU()
    layer.register_full_backward_hook(lambda m, i, o: None)
    with pytest.raises(RuntimeError, match="Cannot use both"):
        layer.register_backward_hook(lambda m, i, o: None)
