"""Exception classes, `out=` rules, and views that change their tensor in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional
t = torch.tensor

ERRORS = [
    ("dim out of range", IndexError, lambda: torch.ones(2).sum(3)),
    ("unbind of a scalar", IndexError, lambda: t(1).unbind()),
    ("cat of nothing", ValueError, lambda: torch.cat([])),
    ("cat of a tensor", TypeError, lambda: torch.cat(torch.ones(2, 2))),
    ("logical_and of a number", TypeError, lambda: torch.logical_and(t([1]), 2)),
    ("index out of range", IndexError, lambda: torch.ones(2)[5]),
    ("gather out of range", RuntimeError, lambda: torch.ones(2).gather(0, t([5]))),
    ("matmul shapes", RuntimeError, lambda: torch.ones(2, 3) @ torch.ones(2, 3)),
    ("integer mean", RuntimeError, lambda: t([1, 2]).mean()),
    ("integer negative power", RuntimeError, lambda: t([2]) ** -1),
    ("bool subtraction", RuntimeError, lambda: t([True]) - t([True])),
    ("scatter dtypes", RuntimeError, lambda: torch.zeros(2).scatter(0, t([0]), t([1]))),
    ("loss shapes", ValueError, lambda: F.binary_cross_entropy(torch.ones(2), torch.ones(3))),
    ("loss reduction", ValueError, lambda: F.l1_loss(torch.ones(2), torch.ones(2), reduction="x")),
    ("probability above 1", RuntimeError, lambda: F.binary_cross_entropy(t([2.0]), t([1.0]))),
    ("singular inverse", torch.linalg.LinAlgError, lambda: torch.linalg.inv(torch.zeros(2, 2))),
    ("not positive-definite", torch.linalg.LinAlgError,
     lambda: torch.linalg.cholesky(-torch.eye(2))),
    ("integer inverse", RuntimeError, lambda: torch.linalg.inv(t([[1]]))),
    ("rfft of complex", RuntimeError, lambda: torch.fft.rfft(t([1j]))),
    ("fft norm", RuntimeError, lambda: torch.fft.fft(torch.ones(2), norm="x")),
    ("interpolate twice", ValueError, lambda: F.interpolate(torch.ones(1, 1, 2), 3, 2.0)),
    ("interpolate rank", NotImplementedError,
     lambda: F.interpolate(torch.ones(1, 1, 2), 3, mode="bilinear")),
    ("pixel_shuffle channels", RuntimeError, lambda: F.pixel_shuffle(torch.ones(1, 3, 2, 2), 2)),
    ("attention mask and causal", RuntimeError, lambda: F.scaled_dot_product_attention(
        torch.ones(2, 2), torch.ones(2, 2), torch.ones(2, 2), torch.ones(2, 2), is_causal=True)),
    ("grid dtype", RuntimeError, lambda: F.grid_sample(
        torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 2).double(), align_corners=False)),
    ("gradcheck without inputs", ValueError,
     lambda: torch.autograd.gradcheck(torch.exp, torch.ones(2))),
    ("saved tensor hooks", NotImplementedError,
     lambda: torch.autograd.graph.saved_tensors_hooks(None, None)),
]  # fmt: skip


@pytest.mark.parametrize("name, kind, call", ERRORS, ids=[e[0] for e in ERRORS])
def test_exception_class(name: str, kind: type[Exception], call: Callable[[], Any]) -> None:
    with pytest.raises(kind):
        call()


def test_out_is_resized_with_a_warning() -> None:
    out = torch.zeros(5)
    with pytest.warns(UserWarning, match="resized"):
        torch.add(torch.ones(2), 1, out=out)
    assert out.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("out", [torch.zeros(2, dtype=torch.int64), torch.zeros(1).expand(2)])
def test_out_that_cannot_hold_the_result(out: Any) -> None:
    with pytest.raises(RuntimeError):
        torch.mul(torch.ones(2), 0.5, out=out)


def test_out_refuses_gradients() -> None:
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        torch.exp(torch.ones(2, requires_grad=True), out=torch.zeros(2))


VIEWS = [
    ("squeeze_", (), (1, 3), (3,)),
    ("unsqueeze_", (0,), (1, 3), (1, 1, 3)),
    ("t_", (), (2, 3), (3, 2)),
    ("transpose_", (0, 1), (2, 3), (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("name, args, before, after", VIEWS)
def test_view_in_place(name: str, args: Any, before: Any, after: Any) -> None:
    """The tensor becomes its own view: same memory, shape and history of the view."""
    leaf = torch.arange(6.0)[: before[0] * before[1]].reshape(before).requires_grad_(True)
    x = leaf * 2
    address, history = x.data_ptr(), x.grad_fn
    assert getattr(x, name)(*args) is x
    assert tuple(x.shape) == after and x.data_ptr() == address
    assert x.grad_fn.next_functions[0][0] is history
    (x * x).sum().backward()
    assert torch.equal(leaf.grad, 8 * leaf.detach())


def test_view_in_place_of_a_leaf_is_refused() -> None:
    with pytest.raises(RuntimeError, match="leaf"):
        torch.ones(1, 2, requires_grad=True).squeeze_()


def test_in_place_composition_keeps_what_its_parts_saved() -> None:
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 1
    F.elu(y, inplace=True)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0.36787944, 1.0])


def test_changed_saved_tensor_is_still_an_error() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    z = y * y
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_in_place_on_an_empty_expanded_tensor() -> None:
    x = torch.ones(1, 0).expand(3, 0)
    assert x.exp_() is x


@pytest.mark.parametrize("arguments", [(2.0, 3.0), (2, 3)])
def test_arithmetic_of_two_numbers(arguments: Any) -> None:
    assert torch.add(*arguments).item() == 5
    assert torch.div(*arguments).item() == pytest.approx(2 / 3)
    assert torch.add(*arguments).dtype is t(arguments[0]).dtype


@pytest.mark.parametrize(
    ("method", "operands", "expected"),
    [
        ("add_", {"other": 2.0}, [3.0, 4.0]),
        ("sub_", {"other": 2.0, "alpha": 2}, [-3.0, -2.0]),
        ("mul_", {"other": 2.0}, [2.0, 4.0]),
        ("div_", {"other": 2.0}, [0.5, 1.0]),
        ("lerp_", {"end": 3.0, "weight": 0.5}, [2.0, 2.5]),
        ("copy_", {"other": 2.0}, [2.0, 2.0]),
    ],
)
def test_operands_of_in_place_methods_by_name(
    method: str, operands: dict[str, Any], expected: list[float]
) -> None:
    x = torch.tensor([1.0, 2.0])
    given = {
        name: torch.full((2,), value) if name in ("other", "end") else value
        for name, value in operands.items()
    }
    assert getattr(x, method)(**given) is x
    assert x.tolist() == expected


def test_swapaxes_names_axes() -> None:
    x = torch.zeros(2, 3)
    assert x.swapaxes(axis0=0, axis1=1).shape == torch.swapaxes(x, axis0=1, axis1=0).shape == (3, 2)
