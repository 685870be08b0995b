"""In-place operations under recording: the memory stays, the values and gradients are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch

CHANGES: dict[str, tuple[Callable, Callable]] = {
    "relu": (lambda x, y: x.relu_(), lambda x, y: x.relu()),
    "add": (lambda x, y: x.add_(y, alpha=3), lambda x, y: x.add(y, alpha=3)),
    "add row": (lambda x, y: x.add_(y[0]), lambda x, y: x + y[0]),
    "add itself": (lambda x, y: x.add_(x), lambda x, y: x + x),
    "subtract": (lambda x, y: x.sub_(y), lambda x, y: x - y),
    "add number": (lambda x, y: x.add_(2.5), lambda x, y: x + 2.5),
    "multiply": (lambda x, y: x.mul_(y), lambda x, y: x * y),
    "multiply by no leaf": (lambda x, y: x.mul_(y.detach()), lambda x, y: x * y.detach()),
    "multiply by itself": (lambda x, y: x.mul_(x), lambda x, y: x * x),
    "divide": (lambda x, y: x.div_(y), lambda x, y: x / y),
    "square, then root": (
        lambda x, y: x.square_().add_(1).sqrt_(),
        lambda x, y: (x * x + 1).sqrt(),
    ),
}
UNITS: dict[str, tuple[Any, ...]] = {
    "leaky_relu": (0.1,), "elu": (1.5,), "selu": (), "celu": (0.7,), "threshold": (0.5, 2.0),
    "hardtanh": (-1.0, 2.0), "relu6": (), "hardswish": (), "hardsigmoid": (), "mish": (),
    "silu": (), "rrelu": (),
}  # fmt: skip


def both_ways(name: str, rest: tuple[Any, ...]) -> tuple[Callable, Callable]:
    unit = getattr(torch.nn.functional, name)
    return lambda x, y: unit(x, *rest, inplace=True), lambda x, y: unit(x, *rest)


CHANGES |= {name: both_ways(name, rest) for name, rest in UNITS.items()}
CHANGES["slopes that fall"] = (
    lambda x, y: torch.nn.functional.elu_(torch.nn.functional.leaky_relu_(x, -0.5), -2.0),
    lambda x, y: torch.nn.functional.elu(torch.nn.functional.leaky_relu(x, -0.5), -2.0),
)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_as_out_of_place(name: str, transposed: bool) -> None:
    in_place, out_of_place = CHANGES[name]
    results = []
    for change in (in_place, out_of_place):
        a = torch.arange(-6.0, 6).reshape(3, 4).requires_grad_()
        b = torch.linspace(-2, 3, 12).reshape(4, 3).t().requires_grad_()
        x, y = (a.t() * 2, b.t() * 1) if transposed else (a * 2, b * 1)
        memory = x.data_ptr()
        z = change(x, y)
        assert (z.data_ptr() == memory) == (change is in_place)
        (z * torch.arange(12.0).reshape(z.shape)).sum().backward()
        results.append([z.detach(), a.grad, b.grad])
    for one, other in zip(*results, strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, 1e-6, 1e-5)


def test_the_old_values_are_copied_only_for_a_rule_that_asks() -> None:
    native = pytest.importorskip("rushlight.backends._native")
    x = torch.ones(300_000, requires_grad=True)
    for change, copies in ((lambda y: y.mul_(2.0), 0), (lambda y: y.clamp_(0, 2), 1)):
        y = x * 1
        native.reset_peak_memory()
        before = native.memory_stats()["peak"]
        change(y)
        assert round((native.memory_stats()["peak"] - before) / x.nbytes) <= copies


def test_who_kept_the_old_values_raises() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = x * 1
    kept = y * y
    y.relu_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()
    z = (x * 1).relu_()
    z.add_(1)  # relu keeps its result
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_keeps_its_result_or_the_old_values(name: str) -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    unit = getattr(torch.nn.functional, name)
    z = unit(x * 1, *UNITS[name], inplace=True)
    z.add_(1)
    if name in ("leaky_relu", "elu", "selu", "celu", "rrelu"):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()
    else:
        z.sum().backward()
        assert x.grad is not None


@pytest.mark.parametrize("name", ["relu", *UNITS])
def test_a_leaf_may_not_be_changed(name: str) -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(torch.nn.functional, name)(x, *UNITS.get(name, ()), inplace=True)
    assert x.tolist() == [1.0, 1.0] and x._version == 0


def test_residual_block() -> None:
    def block(x: torch.Tensor, in_place: bool) -> torch.Tensor:
        out = x * 3
        if in_place:
            out += x
            return torch.nn.functional.relu(out, inplace=True)
        return torch.relu(out + x)

    grads = []
    for in_place in (True, False):
        x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
        y = block(block(x, in_place), in_place)
        y.sum().backward()
        grads.append((y.tolist(), x.grad.tolist()))
    assert grads[0] == grads[1]
