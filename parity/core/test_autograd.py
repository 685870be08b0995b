"""Programs of autograd do in rushlight what they do in PyTorch: values, names, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch as reference

import rushlight


def graph(tensor) -> list:
    """The graph behind a tensor as nested names."""

    def walk(node):
        if node is None:
            return None
        return [type(node).__name__, *[walk(f) for f, _ in node.next_functions]]

    return walk(tensor.grad_fn)


def leaf(torch, *values):
    return torch.tensor(list(values), requires_grad=True)


PROGRAMS = {
    "scalar ops": lambda t: leaf(t, 1.0, 2.0).mul(3).add(1).sub(2).div(4).pow(2).neg().sum(),
    "reflected": lambda t: (2 - leaf(t, 1.0, 2.0)) / 3 + 2 / leaf(t, 1.0, 4.0),
    "linear": lambda t: t.nn.functional.linear(
        leaf(t, 1.0, 2.0).view(1, 2), leaf(t, 1.0, 2.0).view(1, 2), leaf(t, 0.5)),
    "matmul": lambda t: leaf(t, 1.0, 2.0).view(1, 2) @ leaf(t, 1.0, 2.0).view(2, 1),
    "bmm": lambda t: t.bmm(t.ones(2, 3, 4, requires_grad=True), t.ones(2, 4, 5)),
    "mse": lambda t: t.nn.functional.mse_loss(leaf(t, 1.0, 2.0), t.zeros(2)),
    "cross entropy": lambda t: t.nn.functional.cross_entropy(
        leaf(t, 1.0, 2.0).view(1, 2), t.tensor([1])),
    "softmax": lambda t: leaf(t, 1.0, 2.0).softmax(0),
    "activations": lambda t: leaf(t, 1.0, -2.0).relu().sigmoid().tanh().exp().log(),
    "indexing": lambda t: leaf(t, 1.0, 2.0, 3.0)[1:][0],
    "index tensor": lambda t: leaf(t, 1.0, 2.0, 3.0)[t.tensor([0, 0, 2])],
    "shapes": lambda t: t.ones(2, 3, requires_grad=True).t().unsqueeze(0).squeeze(0).permute(1, 0)
                         .flatten().expand(2, 6).transpose(0, 1),
    "cat": lambda t: t.cat([leaf(t, 1.0), leaf(t, 2.0)]),
    "stack": lambda t: t.stack([leaf(t, 1.0), leaf(t, 2.0)]),
    "split": lambda t: t.ones(4, requires_grad=True).split(2)[1],
    "unbind": lambda t: t.ones(4, requires_grad=True).unbind()[1],
    "reductions": lambda t: t.ones(2, 3, requires_grad=True).sum(1).mean(),
    "max": lambda t: t.ones(2, 3, requires_grad=True).max(1)[0].max(),
    "norm": lambda t: leaf(t, 3.0, 4.0).norm(),
    "clamp": lambda t: leaf(t, -1.0, 2.0).clamp(min=0),
    "where": lambda t: t.where(t.tensor([True, False]), leaf(t, 1.0, 2.0), leaf(t, 3.0, 4.0)),
    "conv pool": lambda t: t.nn.functional.max_pool2d(
        t.nn.functional.conv2d(t.ones(1, 1, 4, 4), t.ones(1, 1, 3, 3, requires_grad=True)), 2),
    "embedding": lambda t: t.nn.functional.embedding(
        t.tensor([0]), t.ones(2, 2, requires_grad=True)),
    "clone to": lambda t: leaf(t, 1.0).clone().to(t.float64),
    "in place": lambda t: leaf(t, 1.0, 2.0).clone().add_(1).mul_(2).relu_(),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_graphs_print_the_same(name: str) -> None:
    got, expected = PROGRAMS[name](rushlight), PROGRAMS[name](reference)
    assert graph(got) == graph(expected)
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-6)


def run_views(t):
    x = t.arange(12.0).reshape(3, 4).requires_grad_(True)
    y = x * 2
    v = y[1]
    v.mul_(3)
    y[:, 0] = 7
    w = y.view(4, 3).t()
    w[0].add_(x.sum())
    (y * y).sum().backward()
    return x.grad, y


def run_double(t):
    x = leaf(t, 0.5, -1.5, 2.0)
    y = (x.sin() * x.exp() + x.pow(3)).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x)
    return g, h


def run_hooks(t):
    seen = []
    x = leaf(t, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: (seen.append(g.sum().item()), g * 10)[1])
    x.register_hook(lambda g: seen.append(g.sum().item()))
    y.retain_grad()
    (y * y).sum().backward()
    return x.grad, y.grad, t.tensor(seen)


def run_shared(t):
    x = leaf(t, 1.0, 2.0)
    a, b = x + 1, x + 1
    (a + b).sum().backward()
    x.grad.mul_(2)
    (x * 3).sum().backward()
    return x.grad, a


def run_function(t):
    class Cube(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x**3 * scale, x.sign()

        @staticmethod
        def backward(ctx, g, unused):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return g * 3 * x * x * ctx.scale, None

    x = leaf(t, 1.0, -2.0)
    y, s = Cube.apply(x, 2.0)
    y.sum().backward()
    return x.grad, y, s


@pytest.mark.parametrize("program", [run_views, run_double, run_hooks, run_shared, run_function])
def test_programs_give_the_same(program) -> None:
    for got, expected in zip(program(rushlight), program(reference)):
        assert got.requires_grad == expected.requires_grad
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-5)


def backward_twice(t):
    y = leaf(t, 1.0).exp()
    y.backward()
    y.backward()


def stale(t):
    x = leaf(t, 1.0).clone()
    y = x.exp()
    y.add_(1)
    y.sum().backward()


ERRORS = {
    "no graph": lambda t: t.ones(1).backward(),
    "not a scalar": lambda t: leaf(t, 1.0, 2.0).mul(2).backward(),
    "twice": backward_twice,
    "stale": stale,
    "leaf in place": lambda t: leaf(t, 1.0).add_(1),
    "view of leaf": lambda t: leaf(t, 1.0)[0:1].add_(1),
    "unused": lambda t: t.autograd.grad(leaf(t, 1.0) * 2, leaf(t, 1.0)),
    "shape": lambda t: leaf(t, 1.0, 2.0).mul(2).backward(t.ones(3)),
    "integer grad": lambda t: t.tensor([1], requires_grad=True),
    "numpy": lambda t: leaf(t, 1.0).numpy(),
    "retain": lambda t: t.ones(1).retain_grad(),
    "hook": lambda t: t.ones(1).register_hook(print),
    "set requires_grad": lambda t: setattr(leaf(t, 1.0) * 2, "requires_grad", False),
    "deepcopy": lambda t: __import__("copy").deepcopy(leaf(t, 1.0) * 2),
    "bool": lambda t: bool(t.ones(2)),
    "grad shape": lambda t: setattr(t.ones(2), "grad", t.ones(3)),
    "view size": lambda t: t.ones(6).view(4),
    "expand": lambda t: t.ones(3).expand(4),
    "broadcast": lambda t: t.ones(3) + t.ones(4),
    "index": lambda t: t.ones(3)[3],
    "dim": lambda t: t.ones(3).sum(1),
    "cat": lambda t: t.cat([t.ones(2, 3), t.ones(2, 4)]),
    "item": lambda t: t.ones(2).item(),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_of_the_same_class(name: str) -> None:
    with pytest.raises(Exception) as expected:
        ERRORS[name](reference)
    with pytest.raises(Exception) as got:
        ERRORS[name](rushlight)
    assert type(got.value).__name__ == type(expected.value).__name__
    words = set(re.findall(r"[a-z]{4,}", str(expected.value).split("\n")[0].lower()))
    shared = words & set(re.findall(r"[a-z]{4,}", str(got.value).lower()))
    assert len(shared) >= 0.4 * len(words), (str(got.value), str(expected.value))
