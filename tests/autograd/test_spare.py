"""A derivative rule may write over a gradient that nobody else holds, and over no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import rushlight as torch

ACTIVATIONS: dict[str, Callable] = {
    "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu,
    "elu": torch.nn.functional.elu,
    "leaky_relu": torch.nn.functional.leaky_relu, "mish": torch.nn.functional.mish,
    "gelu by tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
}  # fmt: skip
activations = pytest.mark.parametrize("f", ACTIVATIONS.values(), ids=ACTIVATIONS)


def leaf() -> torch.Tensor:
    return torch.linspace(-2, 2, 12).reshape(3, 4).requires_grad_()


def slope(f: Callable) -> torch.Tensor:
    """The derivative at `leaf()`, from a gradient that the caller holds."""
    x = leaf()
    return torch.autograd.grad(f(x), x, torch.ones(3, 4))[0]


@activations
def test_the_gradient_given_stays(f: Callable) -> None:
    x, given = leaf(), torch.full((3, 4), 3.0)
    f(x).backward(given)
    assert given.tolist() == [[3.0] * 4] * 3
    assert torch.allclose(x.grad, 3 * slope(f))


@activations
def test_gradients_that_hooks_and_tensors_keep(f: Callable) -> None:
    x, seen = leaf(), []
    y = f(x)
    z = y * 2
    y.register_hook(seen.append)
    z.retain_grad()
    y.retain_grad()
    (z * 3).sum().backward()
    assert seen[0].tolist() == y.grad.tolist() == [[6.0] * 4] * 3
    assert z.grad.tolist() == [[3.0] * 4] * 3
    assert torch.allclose(x.grad, 6 * slope(f))


@activations
def test_a_gradient_on_two_ways(f: Callable) -> None:
    a, b, bias = leaf(), leaf(), torch.zeros(3, 4, requires_grad=True)
    (((f(a) + f(b)) + bias) * 2).sum().backward()
    assert bias.grad.tolist() == [[2.0] * 4] * 3
    assert torch.allclose(a.grad, 2 * slope(f)) and torch.equal(a.grad, b.grad)


@activations
def test_node_hooks_and_a_second_pass(f: Callable) -> None:
    x, seen = leaf(), []
    y = f(x)
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append((inputs[0], outputs[0])))
    total = (y * 2).sum()
    total.backward(retain_graph=True)
    total.backward()
    assert [outputs.tolist() for _, outputs in seen] == [[[2.0] * 4] * 3] * 2
    assert torch.allclose(x.grad, 4 * slope(f)) and torch.allclose(seen[0][0], 2 * slope(f))


def test_a_gradient_that_a_function_keeps() -> None:
    kept = []

    class Keeps(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            kept.append(grad * 5)
            return kept[0].detach()

    x = leaf()
    Keeps.apply(torch.relu(x)).sum().backward()
    assert kept[0].tolist() == [[5.0] * 4] * 3
    assert torch.allclose(x.grad, 5 * slope(torch.relu))


@activations
def test_derivatives_of_derivatives(f: Callable) -> None:
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda t: f(t * 1.5) * 2, x)


def test_gradients_that_meet_are_added_without_touching_those_that_are_kept() -> None:
    seen: list[torch.Tensor] = []
    x = leaf()
    y = x * 1
    branches = [y * 2, y * 3, y * 5]
    for branch in branches:
        branch.register_hook(seen.append)
    y.register_hook(lambda grad: seen.append(grad.clone()))
    given = torch.ones(3, 4)
    torch.autograd.backward(branches, [given, given * 1, torch.ones(3, 4).expand(3, 4)])
    assert given.tolist() == [[1.0] * 4] * 3
    assert [grad[0, 0].item() for grad in seen] == [1.0, 1.0, 1.0, 10.0]
    assert x.grad.tolist() == [[10.0] * 4] * 3
