"""Rules that hand on to a primitive: `derive` in place of a function."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.autograd.primitive import Primitive, primitive


def make(name: str = "Scaled") -> tuple[Primitive, Primitive]:
    @primitive(name=name)
    def scaled(x: Any, y: Any, *, factor: float = 2.0) -> Any:
        return x * y * factor

    @primitive(name=f"{name}Backward")
    def backward(g: Any, other: Any, *, by: float, sign: float) -> Any:
        return g * other * by * sign

    return scaled, backward


@pytest.mark.parametrize("given", [{}, {"factor": 3.0}])
def test_positions_keywords_defaults_and_constants(given: dict[str, float]) -> None:
    scaled, backward = make()
    scaled.derive("x", backward, "grad", "y", by="factor", sign=-1.0)
    scaled.derive("y", backward, "grad", "x", by="factor", sign=1.0)
    x, y = torch.tensor([5.0], requires_grad=True), torch.tensor([7.0], requires_grad=True)
    scaled(x, y, **given).sum().backward()
    factor = given.get("factor", 2.0)
    assert x.grad.item() == -7 * factor
    assert y.grad.item() == 5 * factor


def test_only_what_is_needed_is_computed_and_kept() -> None:
    scaled, backward = make()
    scaled.derive("x", backward, "grad", "y", by="factor", sign=1.0)
    scaled.derive("y", backward, "grad", "x", by="factor", sign=1.0)
    x, y = torch.tensor([5.0], requires_grad=True), torch.tensor([7.0])
    node = scaled(x, y).grad_fn
    assert node._saved_other.item() == 7
    with pytest.raises(AttributeError, match="_saved_self"):
        _ = node._saved_self


def test_one_of_the_gradients() -> None:
    @primitive(name="Both")
    def both(x: Any) -> tuple[Any, Any]:
        return x * 2, x * 3

    @primitive(name="BothBackward")
    def backward(x: Any, first: Any, second: Any) -> Any:
        assert first is None
        return x * second

    both.derive("x", backward, "x", "grads[0]", "grads[1]")
    x = torch.tensor([5.0], requires_grad=True)
    (both(x)[1] * 7).sum().backward()
    assert x.grad.item() == 35


def test_several_inputs_and_one_of_the_results() -> None:
    @primitive(name="Pair", nondifferentiable=(1,))
    def pair(x: Any, y: Any) -> tuple[Any, Any]:
        return x + y, x * 10

    @primitive(name="PairBackward")
    def backward(g: Any, tenfold: Any, *, needs: tuple[bool, ...]) -> tuple[Any, Any]:
        assert needs == (True, False)
        return g * tenfold, g

    pair.derive(("x", "y"), backward, "grad", "results[1]", needs="needs")
    x = torch.tensor([3.0], requires_grad=True)
    pair(x, torch.tensor([1.0]))[0].sum().backward()
    assert x.grad.item() == 30


def test_a_value_that_nobody_has() -> None:
    scaled, backward = make()
    with pytest.raises(TypeError, match="no such value 'z'"):
        scaled.derive("x", backward, "grad", "z", by="factor", sign=1.0)


def test_tensors_go_by_position() -> None:
    scaled, backward = make()
    with pytest.raises(TypeError, match="takes the tensors .* by position"):
        scaled.derive("x", backward, "grad", other="y", by="factor", sign=1.0)


def test_the_gradient_of_a_gradient() -> None:
    scaled, backward = make()
    scaled.derive("x", scaled, "grad", "y", factor="factor")
    scaled.derive("y", scaled, "grad", "x", factor="factor")
    x = torch.tensor([3.0], requires_grad=True)
    (first,) = torch.autograd.grad(scaled(x, x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert (first.item(), second.item()) == (12, 4)
    assert first.grad_fn is not None
