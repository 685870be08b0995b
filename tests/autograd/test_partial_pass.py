"""A pass for some inputs computes the gradients that lead to them, and no others."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.backends import kernels


def test_weight_gradients_are_not_computed_for_the_input_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.ones(1, 2, 5, 5, requires_grad=True)
    weight = torch.ones(3, 2, 3, 3, requires_grad=True)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("nobody asked for the weight's gradient")

    monkeypatch.setattr(type(kernels(x._array)), "conv_weight_grad", refuse)
    y = torch.nn.functional.conv2d(x, weight).sum()
    (gradient,) = torch.autograd.grad(y, x, retain_graph=True)
    assert gradient[0, 0, 2, 2] == 27
    y.backward(inputs=[x], retain_graph=True)
    assert torch.equal(x.grad, gradient) and weight.grad is None
    with pytest.raises(AssertionError, match="nobody asked"):
        y.backward()
