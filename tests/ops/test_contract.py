"""One contract for every operation, a table of cases: op, inputs, expected value.

Of each case the forward pass, non-contiguous inputs, `out=`, the in-place method, and first and
second derivatives (against finite differences) are tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.autograd import gradcheck, gradgradcheck

F = torch.nn.functional


def spread(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Distinct numbers between two bounds in an irregular order, the same in every run."""
    count = math.prod(shape)
    order = (np.arange(count) * 7919 + 3) % max(count, 1)
    return (low + (high - low) * (order + 0.37) / max(count, 1)).reshape(shape)


@dataclass(frozen=True)
class Case:
    """What `op(*inputs)` is; `expected` computes it with NumPy."""

    name: str
    op: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    expected: Callable[..., Any]
    out: bool = False
    in_place: str | None = None
    second: bool = True  # has second derivatives that differences can check

    def __str__(self) -> str:
        return self.name


x23 = spread(2, 3)
y23 = spread(2, 3, low=-1.7, high=2.3)
p23 = spread(2, 3, low=0.2, high=2.5)
u23 = spread(2, 3, low=-0.9, high=0.9)
q23 = spread(2, 3, low=0.1, high=0.9)
square = spread(3, 3) + 3 * np.eye(3)
positive = square @ square.T
image = spread(1, 2, 4, 5)


def unary(name: str, x: np.ndarray, expected: Callable[..., Any], **options: Any) -> Case:
    """A case of a function of one operand with `out=` and an in-place form."""
    settings = {"out": True, "in_place": name + "_", **options}
    return Case(name, getattr(torch, name), (x,), expected, **settings)


def binary(name: str, x: np.ndarray, y: np.ndarray, expected: Callable[..., Any],
           **options: Any) -> Case:  # fmt: skip
    settings = {"out": True, "in_place": name + "_", **options}
    return Case(name, getattr(torch, name), (x, y), expected, **settings)


ELEMENTWISE = [
    unary("neg", x23, np.negative),
    unary("abs", x23, np.abs),
    unary("exp", x23, np.exp),
    unary("exp2", x23, np.exp2),
    unary("expm1", x23, np.expm1),
    unary("log", p23, np.log),
    unary("log2", p23, np.log2),
    unary("log10", p23, np.log10),
    unary("log1p", p23, np.log1p),
    unary("sqrt", p23, np.sqrt),
    unary("rsqrt", p23, lambda x: x**-0.5),
    unary("square", x23, np.square),
    unary("reciprocal", p23, lambda x: 1 / x),
    unary("sin", x23, np.sin),
    unary("cos", x23, np.cos),
    unary("tan", u23, np.tan),
    unary("asin", u23, np.arcsin),
    unary("acos", u23, np.arccos),
    unary("atan", x23, np.arctan),
    unary("sinh", x23, np.sinh),
    unary("cosh", x23, np.cosh),
    unary("tanh", x23, np.tanh),
    unary("asinh", x23, np.arcsinh),
    unary("acosh", p23 + 1, np.arccosh),
    unary("atanh", u23, np.arctanh),
    unary("sigmoid", x23, lambda x: 1 / (1 + np.exp(-x))),
    unary("erf", x23, np.vectorize(math.erf)),
    unary("erfc", x23, np.vectorize(math.erfc)),
    unary("lgamma", p23, np.vectorize(math.lgamma)),
    unary("floor", x23, np.floor, second=False),
    unary("ceil", x23, np.ceil, second=False),
    unary("trunc", x23, np.trunc, second=False),
    unary("round", x23, np.round, second=False),
    unary("frac", x23, lambda x: x - np.trunc(x), second=False),
    unary("sign", x23, np.sign, second=False),
    unary("logit", q23, lambda p: np.log(p / (1 - p))),
    unary("sinc", x23, np.sinc),
    unary("deg2rad", x23, np.deg2rad, second=False),
    Case("clamp", lambda x: torch.clamp(x, -0.5, 1.0), (x23,), lambda x: np.clip(x, -0.5, 1),
         second=False),
    Case("pow number", lambda x: x**3, (x23,), lambda x: x**3),
    Case("number pow", lambda x: 2**x, (x23,), lambda x: 2**x),
    binary("add", x23, y23, np.add, second=False),
    binary("sub", x23, y23, np.subtract, second=False),
    binary("mul", x23, y23, np.multiply),
    binary("div", x23, p23, np.divide),
    binary("pow", p23, y23, np.power),
    binary("remainder", x23, p23, np.remainder, second=False),
    binary("fmod", x23, p23, np.fmod, second=False),
    binary("atan2", x23, y23, np.arctan2),
    binary("hypot", x23, y23, np.hypot),
    binary("xlogy", x23, p23, lambda x, y: x * np.log(y)),
    binary("copysign", x23, y23, np.copysign, second=False),
    binary("maximum", x23, y23, np.maximum, in_place=None, second=False),
    binary("minimum", x23, y23, np.minimum, in_place=None, second=False),
    binary("logaddexp", x23, y23, np.logaddexp, in_place=None),
    binary("logaddexp2", x23, y23, np.logaddexp2, in_place=None),
    Case("add broadcast", torch.add, (x23, y23[0]), np.add, out=True, second=False),
    Case("lerp", lambda a, b: torch.lerp(a, b, 0.3), (x23, y23), lambda a, b: a + 0.3 * (b - a),
         second=False),
    Case("addcmul", lambda a, b, c: torch.addcmul(a, b, c, value=2), (x23, y23, p23),
         lambda a, b, c: a + 2 * b * c),
    Case("addcdiv", lambda a, b, c: torch.addcdiv(a, b, c, value=2), (x23, y23, p23),
         lambda a, b, c: a + 2 * b / c),
    Case("where", lambda a, b: torch.where(a > 0, a, b), (x23, y23),
         lambda a, b: np.where(a > 0, a, b), second=False),
]  # fmt: skip

REDUCTIONS = [
    Case("sum", lambda x: x.sum(1), (x23,), lambda x: x.sum(1), second=False),
    Case("mean", lambda x: x.mean(0, keepdim=True), (x23,), lambda x: x.mean(0, keepdims=True),
         second=False),
    Case("prod", lambda x: x.prod(1), (x23,), lambda x: x.prod(1)),
    Case("prod of zeros", lambda x: x.prod(1), (np.array([[0.0, 2, 3], [0, 0, 1]]),),
         lambda x: x.prod(1), second=False),
    Case("var", lambda x: x.var(1), (x23,), lambda x: x.var(1, ddof=1)),
    Case("std", lambda x: x.std(), (x23,), lambda x: x.std(ddof=1)),
    Case("amax", lambda x: x.amax(1), (x23,), lambda x: x.max(1), second=False),
    Case("amin", lambda x: x.amin((0, 1)), (x23,), lambda x: x.min(), second=False),
    Case("logsumexp", lambda x: x.logsumexp(1), (x23,), lambda x: np.log(np.exp(x).sum(1))),
    Case("norm", lambda x: x.norm(3, 1), (x23,), lambda x: (np.abs(x) ** 3).sum(1) ** (1 / 3)),
    Case("cumsum", lambda x: x.cumsum(1), (x23,), lambda x: x.cumsum(1), second=False),
    Case("cumprod", lambda x: x.cumprod(1), (x23,), lambda x: x.cumprod(1)),
    Case("logcumsumexp", lambda x: x.logcumsumexp(1), (x23,),
         lambda x: np.log(np.exp(x).cumsum(1))),
    Case("trace", torch.trace, (x23,), np.trace, second=False),
    Case("diff", torch.diff, (x23,), np.diff, second=False),
    Case("trapezoid", torch.trapezoid, (x23,), lambda x: ((x[:, 1:] + x[:, :-1]) / 2).sum(1),
         second=False),
    Case("cov", torch.cov, (x23,), np.cov),
    Case("renorm", lambda x: torch.renorm(x, 2, 0, 1.0), (x23,),
         lambda x: x * np.minimum(1, 1 / (np.sqrt((x * x).sum(1, keepdims=True)) + 1e-7))),
]  # fmt: skip

SHAPES = [
    Case("reshape", lambda x: x.reshape(3, 2), (x23,), lambda x: x.reshape(3, 2), second=False),
    Case("permute", lambda x: x.permute(1, 0), (x23,), lambda x: x.T, second=False),
    Case("expand", lambda x: x.expand(4, 2, 3), (x23,), lambda x: np.broadcast_to(x, (4, 2, 3)),
         second=False),
    Case("cat", lambda a, b: torch.cat([a, b], 1), (x23, y23),
         lambda a, b: np.concatenate([a, b], 1), second=False),
    Case("stack", lambda a, b: torch.stack([a, b], 2), (x23, y23),
         lambda a, b: np.stack([a, b], 2), second=False),
    Case("flip", lambda x: x.flip(0, 1), (x23,), lambda x: x[::-1, ::-1], second=False),
    Case("roll", lambda x: x.roll(1, 1), (x23,), lambda x: np.roll(x, 1, 1), second=False),
    Case("repeat", lambda x: x.repeat(2, 3), (x23,), lambda x: np.tile(x, (2, 3)), second=False),
    Case("diagonal", lambda x: x.diagonal(1), (x23,), lambda x: x.diagonal(1), second=False),
    Case("tril", torch.tril, (x23,), np.tril, second=False),
    Case("unfold view", lambda x: x.unfold(1, 2, 1), (x23,),
         lambda x: np.stack([x[:, :2], x[:, 1:]], 1), second=False),
    Case("slice", lambda x: x[:, ::2], (x23,), lambda x: x[:, ::2], second=False),
    Case("index", lambda x: x[[1, 0, 1]], (x23,), lambda x: x[[1, 0, 1]], second=False),
    Case("gather", lambda x: x.gather(1, torch.tensor([[0, 0], [2, 1]])), (x23,),
         lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1), second=False),
    Case("index_add", lambda x, y: x.index_add(1, torch.tensor([0, 2, 2]), y), (x23, y23),
         lambda x, y: x + np.stack([y[:, 0], 0 * y[:, 0], y[:, 1] + y[:, 2]], 1), second=False),
    Case("masked_fill", lambda x: x.masked_fill(torch.tensor([True, False, True]), 5.0), (x23,),
         lambda x: np.where([True, False, True], 5.0, x), second=False),
    Case("scatter_reduce prod",
         lambda x, y: x.scatter_reduce(1, torch.tensor([[0, 0, 2], [1, 1, 1]]), y, "prod"),
         (x23, y23), lambda x, y: np.stack([
             [x[0, 0] * y[0, 0] * y[0, 1], x[0, 1], x[0, 2] * y[0, 2]],
             [x[1, 0], x[1, 1] * y[1].prod(), x[1, 2]]])),
    Case("pad reflect", lambda x: F.pad(x, (2, 1), "reflect"), (x23,),
         lambda x: np.pad(x, ((0, 0), (2, 1)), "reflect"), second=False),
    Case("pad replicate", lambda x: F.pad(x, (2, 1), "replicate"), (x23,),
         lambda x: np.pad(x, ((0, 0), (2, 1)), "edge"), second=False),
    Case("pad circular", lambda x: F.pad(x, (2, 1), "circular"), (x23,),
         lambda x: np.pad(x, ((0, 0), (2, 1)), "wrap"), second=False),
]  # fmt: skip


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


def _windows(x: np.ndarray, k: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))


MATRICES = [
    Case("matmul", torch.matmul, (x23, spread(3, 4)), np.matmul, out=True),
    Case("batched matmul", torch.matmul, (spread(2, 1, 2, 3), spread(3, 3, 2)), np.matmul,
         out=True),
    Case("addmm", lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2),
         (spread(4), x23, spread(3, 4)), lambda b, x, y: 0.5 * b + 2 * x @ y),
    Case("einsum", lambda a, b: torch.einsum("ij,ij->j", a, b), (x23, y23),
         lambda a, b: (a * b).sum(0)),
    Case("inv", torch.linalg.inv, (square,), np.linalg.inv, out=True),
    Case("det", torch.linalg.det, (square,), np.linalg.det, out=True),
    Case("logdet", torch.logdet, (positive,), lambda x: np.log(np.linalg.det(x))),
    Case("solve", torch.linalg.solve, (square, spread(3, 2)), np.linalg.solve, out=True),
    Case("cholesky", lambda x: torch.linalg.cholesky((x + x.T) / 2), (positive,),
         np.linalg.cholesky),
    Case("eigvalsh", lambda x: torch.linalg.eigvalsh((x + x.T) / 2), (positive,),
         np.linalg.eigvalsh),
    Case("svdvals", torch.linalg.svdvals, (x23,), lambda x: np.linalg.svd(x, False)[1], out=True),
    Case("pinv", torch.linalg.pinv, (x23,), np.linalg.pinv, out=True),
    Case("qr", lambda x: torch.linalg.qr(x)[1].abs(), (square,),
         lambda x: np.abs(np.linalg.qr(x)[1])),
    Case("matrix_exp", lambda x: torch.matrix_exp(x / 4), (square,),
         lambda x: sum(np.linalg.matrix_power(x / 4, k) / math.factorial(k) for k in range(30))),
    Case("nuclear norm", lambda x: torch.linalg.matrix_norm(x, "nuc"), (x23,),
         lambda x: np.linalg.norm(x, "nuc")),
    Case("rfft", lambda x: torch.view_as_real(torch.fft.rfft(x)), (x23,),
         lambda x: np.stack([np.fft.rfft(x).real, np.fft.rfft(x).imag], -1), second=False),
    Case("irfft", lambda x: torch.fft.irfft(torch.complex(x[..., 0], x[..., 1]), 5),
         (spread(2, 3, 2),),
         lambda x: np.fft.irfft(x[..., 0] + 1j * x[..., 1], 5), second=False),
]  # fmt: skip

NETWORKS = [
    Case("softmax", lambda x: torch.softmax(x, 1), (x23,), _softmax),
    Case("log_softmax", lambda x: torch.log_softmax(x, 1), (x23,), lambda x: np.log(_softmax(x))),
    Case("relu", torch.relu, (x23,), lambda x: np.maximum(x, 0), in_place="relu_", second=False),
    Case("elu", F.elu, (x23,), lambda x: np.where(x > 0, x, np.expm1(x))),
    Case("gelu", F.gelu, (x23,), lambda x: x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2),
    Case("silu", F.silu, (x23,), lambda x: x / (1 + np.exp(-x))),
    Case("softplus", F.softplus, (x23,), lambda x: np.log1p(np.exp(x))),
    Case("linear", F.linear, (x23, spread(4, 3), spread(4)), lambda x, w, b: x @ w.T + b),
    Case("conv2d", F.conv2d, (image, spread(3, 2, 2, 2), spread(3)), lambda x, w, b: np.einsum(
        "nchwij,ocij->nohw", _windows(x, 2), w) + b[:, None, None]),
    Case("avg_pool2d", lambda x: F.avg_pool2d(x, 2, 1), (image,),
         lambda x: _windows(x, 2).mean((-1, -2)), second=False),
    Case("max_pool2d", lambda x: F.max_pool2d(x, 2, 1), (image,),
         lambda x: _windows(x, 2).max((-1, -2)), second=False),
    Case("layer_norm", lambda x: F.layer_norm(x, (3,)), (x23,), lambda x: (
        x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)),
    Case("mse_loss", F.mse_loss, (x23, y23), lambda a, b: ((a - b) ** 2).mean()),
    Case("l1_loss", F.l1_loss, (x23, y23), lambda a, b: np.abs(a - b).mean(), second=False),
    Case("huber_loss", lambda a, b: F.huber_loss(a, b, delta=0.5), (x23, y23),
         lambda a, b: np.where(
             np.abs(a - b) <= 0.5, 0.5 * (a - b) ** 2, 0.5 * (np.abs(a - b) - 0.25)).mean(),
         second=False),
    Case("bce", F.binary_cross_entropy, (q23, q23[::-1].copy()), lambda p, y: -(
        y * np.log(p) + (1 - y) * np.log(1 - p)).mean()),
    Case("bce logits", F.binary_cross_entropy_with_logits, (x23, q23), lambda x, y: (
        np.log1p(np.exp(x)) - x * y).mean()),
    Case("kl_div", lambda x, y: F.kl_div(x, y, reduction="batchmean"), (x23, q23),
         lambda x, y: (y * (np.log(y) - x)).sum() / 2),
    Case("cross_entropy", lambda x: F.cross_entropy(x, torch.tensor([2, 0])), (x23,),
         lambda x: -np.log(_softmax(x))[[0, 1], [2, 0]].mean()),
    Case("cosine_similarity", F.cosine_similarity, (x23, y23), lambda a, b: (a * b).sum(1)
         / np.sqrt((a * a).sum(1) * (b * b).sum(1))),
    Case("cdist", torch.cdist, (x23, y23), lambda a, b: np.sqrt(
        ((a[:, None] - b[None]) ** 2).sum(-1))),
    Case("attention", F.scaled_dot_product_attention, (x23, y23, spread(2, 4)),
         lambda q, k, v: _softmax(q @ k.T / 3**0.5) @ v),
    Case("interpolate", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), (image,),
         lambda x: x.repeat(2, 2).repeat(2, 3), second=False),
    Case("bilinear", lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True),
         (image,), lambda x: np.stack([np.stack([_bilinear(p) for p in n]) for n in x]),
         second=False),
    Case("unfold", lambda x: F.unfold(x, 2), (image,), lambda x: _windows(x, 2).transpose(
        0, 1, 4, 5, 2, 3).reshape(1, 8, 12), second=False),
    Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (spread(1, 4, 2, 3),),
         lambda x: x.reshape(1, 2, 2, 2, 3).transpose(0, 3, 1, 4, 2).reshape(1, 1, 4, 6),
         second=False),
]  # fmt: skip


def _bilinear(plane: np.ndarray) -> np.ndarray:
    """A 4 × 5 plane at twice the density, corners on corners: neighbours and their means."""
    rows = np.empty((7, 5))
    rows[::2], rows[1::2] = plane, (plane[1:] + plane[:-1]) / 2
    result = np.empty((7, 9))
    result[:, ::2], result[:, 1::2] = rows, (rows[:, 1:] + rows[:, :-1]) / 2
    return result


CASES = ELEMENTWISE + REDUCTIONS + SHAPES + MATRICES + NETWORKS


def tensors(case: Case, requires_grad: bool = False) -> list[Any]:
    return [torch.tensor(x, dtype=torch.float64, requires_grad=requires_grad) for x in case.inputs]


def agree(result: Any, expected: Any) -> None:
    np.testing.assert_allclose(result.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    assert tuple(result.shape) == np.shape(expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(case: Case) -> None:
    agree(case.op(*tensors(case)), case.expected(*case.inputs))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_non_contiguous_inputs(case: Case) -> None:
    strided = []
    for x in tensors(case):
        wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=torch.float64)
        wide[..., ::2] = x
        strided.append(wide[..., ::2])
    assert not any(x.is_contiguous() for x in strided if x.numel() > 1)
    agree(case.op(*strided), case.expected(*case.inputs))


@pytest.mark.parametrize("case", [c for c in CASES if c.out], ids=str)
def test_out(case: Case) -> None:
    expected = np.asarray(case.expected(*case.inputs))
    out = torch.full(expected.shape, math.nan, dtype=torch.float64)
    returned = case.op(*tensors(case), out=out)
    assert returned is out
    agree(out, expected)


@pytest.mark.parametrize("case", [c for c in CASES if c.in_place], ids=str)
def test_in_place(case: Case) -> None:
    first, *others = tensors(case)
    returned = getattr(first, case.in_place)(*others)
    assert returned is first
    agree(first, case.expected(*case.inputs))


@pytest.mark.parametrize("case", [c for c in CASES if c.in_place], ids=str)
def test_in_place_gradient(case: Case) -> None:
    """A changed copy has the gradient of the operation itself."""
    name = case.in_place
    assert name is not None
    leaves, again = tensors(case, True), tensors(case, True)
    cotangent = torch.tensor(spread(*case.inputs[0].shape), dtype=torch.float64)
    case.op(*leaves).backward(cotangent)
    getattr(again[0].clone(), name)(*again[1:]).backward(cotangent)
    for a, b in zip(leaves, again):
        np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case: Case) -> None:
    assert gradcheck(case.op, tensors(case, True))


@pytest.mark.parametrize("case", [c for c in CASES if c.second], ids=str)
def test_second_gradient(case: Case) -> None:
    assert gradgradcheck(case.op, tensors(case, True), atol=1e-4)
