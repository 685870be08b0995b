"""Tensors made in inference mode: what they are, and what may not be done to them outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch


def made_inside() -> Any:
    with torch.inference_mode():
        return torch.ones(3)


def test_new_tensors_and_views_of_them_say_so() -> None:
    normal = torch.ones(3)
    with torch.inference_mode():
        inside = torch.ones(3)
        assert inside.is_inference() and (normal * 2).is_inference()
        assert not normal[1:].is_inference()
    assert inside[1:].is_inference() and inside.view(3, 1).is_inference()
    assert not inside.clone().is_inference() and not (inside + 1).is_inference()
    assert inside.detach().is_inference() and inside.data.is_inference()
    assert torch.nn.Parameter(inside, requires_grad=False).is_inference()


def test_an_alias_made_outside_may_be_changed_but_not_kept() -> None:
    x = made_inside()
    assert x.detach().add_(1).tolist() == x.tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        x.detach()[1:].add_(1)
    with pytest.raises(RuntimeError, match="cannot be saved for backward"):
        x.detach() * torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor"):
        x.detach().requires_grad_()


def test_nothing_is_recorded_inside() -> None:
    with torch.inference_mode(), torch.enable_grad():
        assert not (torch.ones(3, requires_grad=True) * 2).requires_grad
        assert torch.from_numpy(np.ones(3)).is_inference()
        assert torch.nn.Linear(2, 2).weight.is_inference()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "add_": lambda x: x.add_(1),
    "relu_": lambda x: x.relu_(),
    "zero_": lambda x: x.zero_(),
    "copy_": lambda x: x.copy_(torch.zeros(3)),
    "normal_": lambda x: x.normal_(),
    "a part": lambda x: x.__setitem__(0, 5.0),
    "a view": lambda x: x[1:].mul_(2),
    "scatter_": lambda x: x.scatter_(0, torch.tensor([0]), 5.0),
    "masked_fill_": lambda x: x.masked_fill_(x > 0, 5.0),
    "out=": lambda x: torch.add(torch.ones(3), 1, out=x),
    "out= of a product": lambda x: torch.mv(torch.ones(3, 3), torch.ones(3), out=x),
    "resize_": lambda x: x.resize_(4),
    "set_": lambda x: x.set_(torch.zeros(3)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_it_may_not_be_changed_outside(change: Callable[[Any], Any], mode: Any) -> None:
    x = made_inside()
    with mode(), pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        change(x)
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_may_be_changed_inside(change: Callable[[Any], Any]) -> None:
    x = made_inside()
    with torch.inference_mode():
        change(x)


def test_a_normal_tensor_may_be_changed_inside() -> None:
    x = torch.ones(3)
    with torch.inference_mode():
        x.add_(1)
        x[1:] = 5
    assert x.add_(1).tolist() == [3, 6, 6]


def test_it_may_not_want_a_gradient_nor_be_kept_for_one() -> None:
    x, weight = made_inside(), torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor"):
        x.requires_grad_()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        weight * x
    (weight + x).sum().backward()  # keeps nothing
    (weight * x.clone()).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [2, 2, 2]
