"""Exact values and slopes at kinks, ties, zeros and infinities: PyTorch's conventions, pinned."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional
inf, nan = math.inf, math.nan


def slope(op: Callable[..., Any], *values: list[float]) -> list[float]:
    """The gradient of the sum of `op` by its first operand."""
    xs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    op(*xs).sum().backward()
    gradient: list[float] = xs[0].grad.tolist()
    return gradient


SLOPES = [
    ("relu", F.relu, [-1.0, 0.0, 1.0], [0, 0, 1]),
    ("relu6", F.relu6, [0.0, 6.0, 3.0], [0, 0, 1]),
    ("hardtanh", F.hardtanh, [-1.0, 1.0, 0.0], [0, 0, 1]),
    ("leaky_relu", F.leaky_relu, [0.0, -1.0], [0.01, 0.01]),
    ("elu", F.elu, [0.0], [1]),
    ("abs", torch.abs, [-2.0, 0.0, 3.0], [-1, 0, 1]),
    ("sign", torch.sign, [-2.0, 0.0], [0, 0]),
    ("clamp", lambda x: x.clamp(-1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0], [0, 1, 1, 1, 0]),
    ("clamp_min", lambda x: x.clamp(min=0), [-1.0, 0.0], [0, 1]),
    ("square root of 0", torch.sqrt, [0.0], [inf]),
    ("0 ** 2", lambda x: x**2, [0.0], [0]),
    ("0 ** 1", lambda x: x**1, [0.0], [1]),
    ("0 ** 0", lambda x: x**0, [0.0], [0]),
    ("norm of 0", lambda x: x.norm(), [0.0, 0.0], [0, 0]),
    ("l1 norm at 0", lambda x: x.norm(1), [0.0, 2.0], [0, 1]),
    ("max shares", lambda x: x.max(), [2.0, 1.0, 2.0], [0.5, 0, 0.5]),
    ("max of a dim takes one", lambda x: x.max(0).values, [2.0, 1.0, 2.0], [1, 0, 0]),
    ("amax shares", lambda x: x.amax(0), [2.0, 2.0, 2.0], [1 / 3] * 3),
    ("median takes one", lambda x: x.median(), [3.0, 1.0, 2.0], [0, 0, 1]),
    ("prod with one zero", lambda x: x.prod(), [0.0, 2.0, 3.0], [6, 0, 0]),
    ("prod with two zeros", lambda x: x.prod(), [0.0, 0.0, 3.0], [0, 0, 0]),
    ("cumprod with a zero", lambda x: x.cumprod(0), [2.0, 0.0, 3.0], [1, 8, 0]),
    ("std of equals", lambda x: x.std(), [1.0, 1.0], [0, 0]),
    ("smooth l1 at beta", lambda x: F.smooth_l1_loss(x, x.detach() - 1, reduction="sum"),
     [5.0], [1]),
    ("l1 at 0", lambda x: F.l1_loss(x, x.detach(), reduction="sum"), [5.0], [0]),
    ("hardswish", F.hardswish, [-4.0, -3.0, 0.0, 3.0, 4.0], [0, 0, 0.5, 1, 1]),
    ("hardsigmoid", F.hardsigmoid, [-3.0, 3.0, nan], [0, 0, 0]),
    ("threshold", lambda x: F.threshold(x, 1, 2), [1.0, 1.5, nan], [0, 1, 1]),
    ("elu of nan", F.elu, [nan], [1]),
    ("softshrink", F.softshrink, [0.5, -0.5, 1.0], [0, 0, 1]),
    ("hardshrink", F.hardshrink, [0.5, -0.5, 1.0], [0, 0, 1]),
    ("floor", torch.floor, [1.5], [0]),
    ("frac", torch.frac, [1.5], [1]),
    ("nan_to_num", torch.nan_to_num, [nan, inf, 1.0], [0, 0, 1]),
    ("sinc at 0", torch.sinc, [0.0], [0]),
    ("cdist at 0", lambda x: torch.cdist(x.view(1, 2), x.detach().view(1, 2)), [1.0, 2.0], [0, 0]),
]  # fmt: skip


@pytest.mark.parametrize("name, op, at, expected", SLOPES, ids=[s[0] for s in SLOPES])
def test_slope(name: str, op: Callable[..., Any], at: list[float], expected: list[float]) -> None:
    assert slope(op, at) == pytest.approx(expected, abs=0, rel=1e-15)


PAIRS = [
    ("maximum", torch.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [0, 0.5, 1]),
    ("minimum", torch.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [1, 0.5, 0]),
    ("fmax", torch.fmax, [1.0, 2.0, nan], [2.0, 2.0, 2.0], [0, 1, 0]),
    ("pow at base 0", torch.pow, [0.0, 0.0], [2.0, 0.0], [0, 0]),
    ("atan2 at the origin", torch.atan2, [0.0], [0.0], [0]),
    ("xlogy at 0", torch.xlogy, [2.0], [1.0], [0]),
    ("copysign at 0", torch.copysign, [0.0, 1.0], [-1.0, -1.0], [0, -1]),
]


@pytest.mark.parametrize("name, op, x, y, expected", PAIRS, ids=[p[0] for p in PAIRS])
def test_slope_of_pairs(name: str, op: Callable[..., Any], x: list[float], y: list[float],
                        expected: list[float]) -> None:  # fmt: skip
    assert slope(op, x, y) == pytest.approx(expected, abs=0)


def test_power_of_zero_is_flat_in_its_exponent() -> None:
    y = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    torch.pow(torch.zeros(2, dtype=torch.float64), y).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]


VALUES = [
    ("0/0", lambda: torch.tensor(0.0) / 0, nan),
    ("log 0", lambda: torch.log(torch.tensor(0.0)), -inf),
    ("log -1", lambda: torch.log(torch.tensor(-1.0)), nan),
    ("0 ** 0", lambda: torch.tensor(0.0) ** 0, 1.0),
    ("max with nan", lambda: torch.tensor([1.0, nan]).max(), nan),
    ("relu of nan", lambda: torch.relu(torch.tensor(nan)), nan),
    ("clamp of nan", lambda: torch.tensor(nan).clamp(0, 1), nan),
    ("fmax with nan", lambda: torch.fmax(torch.tensor(nan), torch.tensor(1.0)), 1.0),
    ("sum of nothing", lambda: torch.zeros(0).sum(), 0.0),
    ("mean of nothing", lambda: torch.zeros(0).mean(), nan),
    ("prod of nothing", lambda: torch.zeros(0).prod(), 1.0),
    ("logsumexp of nothing", lambda: torch.zeros(0).logsumexp(0), -inf),
    ("logsumexp of -inf", lambda: torch.full((2,), -inf).logsumexp(0), -inf),
    ("xlogy 0 0", lambda: torch.xlogy(torch.tensor(0.0), torch.tensor(0.0)), 0.0),
    ("xlogy 0 nan", lambda: torch.xlogy(torch.tensor(0.0), torch.tensor(nan)), nan),
    ("remainder sign", lambda: torch.remainder(torch.tensor(-3.0), 2), 1.0),
    ("fmod sign", lambda: torch.fmod(torch.tensor(-3.0), 2), -1.0),
    ("round half to even", lambda: torch.round(torch.tensor(2.5)), 2.0),
    (
        "bce of 0 is 100",
        lambda: F.binary_cross_entropy(torch.tensor(0.0), torch.tensor(1.0)),
        100.0,
    ),
    ("median is the lower", lambda: torch.tensor([4.0, 1.0, 3.0, 2.0]).median(), 2.0),
    ("var of one", lambda: torch.tensor([1.0]).var(correction=0), 0.0),
    ("det of nothing", lambda: torch.linalg.det(torch.zeros(0, 0)), 1.0),
    ("entr of 0", lambda: torch.special.entr(torch.tensor(0.0)), 0.0),
    ("polygamma pole", lambda: torch.polygamma(1, torch.tensor(0.0)), inf),
]


@pytest.mark.parametrize("name, compute, expected", VALUES, ids=[v[0] for v in VALUES])
def test_value(name: str, compute: Callable[[], Any], expected: float) -> None:
    assert compute().item() == pytest.approx(expected, nan_ok=True, abs=0)


def test_first_of_equal_elements_is_the_argmax() -> None:
    assert torch.tensor([1.0, 3.0, 3.0]).argmax().item() == 1
    assert torch.tensor([3.0, nan, nan]).argmax().item() == 1
    assert torch.tensor([1, 1, 0, 0]).argmin().item() == 2


def test_row_without_allowed_positions_attends_to_nothing() -> None:
    q = torch.ones(1, 2, 4, requires_grad=True)
    mask = torch.tensor([[True, False], [False, False]])
    out = F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
    out.sum().backward()
    assert out[0, 1].tolist() == [0.0] * 4
    assert bool(q.grad.isfinite().all())
