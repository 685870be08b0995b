"""User-defined functions: their node's type, in-place outputs, missing gradients."""

from __future__ import annotations

import rushlight as torch


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


class Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x * 2

    @staticmethod
    def backward(ctx, first, second):
        Both.seen = (first is None, second is None)
        return first


def test_the_node_is_named_after_the_function() -> None:
    x = torch.ones(2, requires_grad=True)
    first, _ = Both.apply(x)
    assert type(first.grad_fn).__name__ == "BothBackward"
    assert repr(first).endswith("grad_fn=<BothBackward>)")


def test_a_changed_input_is_the_output() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.clone()
    z = Double.apply(y)
    z.sum().backward()
    assert z is y and x.grad.tolist() == [2, 2]


def test_missing_gradients_come_as_none_if_asked() -> None:
    x = torch.ones(2, requires_grad=True)
    first, _ = Both.apply(x)
    first.sum().backward()
    assert Both.seen == (False, True) and x.grad.tolist() == [1, 1]
