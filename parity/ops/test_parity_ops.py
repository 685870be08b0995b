"""A broad table of operations on the same inputs in PyTorch and rushlight: values and gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as reference

import rushlight

Entry = tuple[str, Callable[..., Any], tuple[Any, ...]]
random = np.random.default_rng(0)


def real(*shape: int) -> np.ndarray:
    return random.normal(size=shape)


def complex_(*shape: int) -> np.ndarray:
    return random.normal(size=shape) + 1j * random.normal(size=shape)


def positive(*shape: int) -> np.ndarray:
    return random.random(shape) + 0.1


def linear_algebra(make: Callable[..., np.ndarray]) -> list[Entry]:
    return [
        ("qr tall r", lambda M, x: M.linalg.qr(x)[1].abs(), (make(4, 3),)),
        ("qr wide q", lambda M, x: M.linalg.qr(x)[0].abs(), (make(3, 5),)),
        ("qr wide r", lambda M, x: M.linalg.qr(x)[1].abs(), (make(3, 5),)),
        ("svd u", lambda M, x: M.linalg.svd(x, False)[0].abs(), (make(4, 3),)),
        ("svd vh", lambda M, x: M.linalg.svd(x, False)[2].abs(), (make(3, 5),)),
        ("svd s of full", lambda M, x: M.linalg.svd(x)[1], (make(2, 3, 5),)),
        ("slogdet", lambda M, x: tuple(M.linalg.slogdet(x)), (make(3, 3),)),
        ("eigh", lambda M, x: M.linalg.eigh(x + x.mH)[1].abs(), (make(3, 3),)),
        ("eig", lambda M, x: M.linalg.eig(x)[1].abs(), (make(3, 3),)),
        ("eigvals", lambda M, x: M.linalg.eigvals(x).abs().sum(), (make(3, 3),)),
        ("lu", lambda M, x: tuple(M.linalg.lu(x))[1:], (make(3, 3),)),
        ("lu tall", lambda M, x: tuple(M.linalg.lu(x))[1:], (make(4, 3),)),
        ("lu wide", lambda M, x: tuple(M.linalg.lu(x))[1:], (make(3, 5),)),
        ("lu_factor", lambda M, x: M.linalg.lu_factor(x)[0], (make(2, 3, 3),)),
        ("lu_solve", lambda M, x, b: M.linalg.lu_solve(*M.linalg.lu_factor(x), b),
         (make(2, 3, 3), make(2, 3, 2))),
        ("lu_solve adjoint",
         lambda M, x, b: M.linalg.lu_solve(*M.linalg.lu_factor(x), b, adjoint=True),
         (make(2, 3, 3), make(2, 3, 2))),
        ("pinv wide", lambda M, x: M.linalg.pinv(x), (make(3, 5),)),
        ("pinv tall", lambda M, x: M.linalg.pinv(x), (make(5, 3),)),
        ("lstsq", lambda M, a, b: M.linalg.lstsq(a, b)[0], (make(5, 3), make(5, 2))),
        ("matrix_exp", lambda M, x: M.linalg.matrix_exp(x), (3 * make(4, 4),)),
        ("matrix_power", lambda M, x: M.linalg.matrix_power(x, -3), (make(3, 3),)),
        ("multi_dot", lambda M, a, b, c: M.linalg.multi_dot([a, b, c]),
         (make(3, 3), make(3, 2), make(2))),
        ("cond", lambda M, x: M.linalg.cond(x), (make(3, 3),)),
        ("householder", lambda M, a, t: M.linalg.householder_product(a, t), (make(4, 3), make(2))),
        ("tensorinv", lambda M, x: M.linalg.tensorinv(x), (make(2, 3, 6),)),
        ("tensorsolve", lambda M, a, b: M.linalg.tensorsolve(a, b), (make(2, 3, 6), make(2, 3))),
        ("vecdot", lambda M, a, b: M.linalg.vecdot(a, b), (make(2, 3), make(2, 3))),
        ("cross", lambda M, a, b: M.linalg.cross(a, b), (make(2, 3), make(2, 3))),
        ("vander", lambda M, x: M.linalg.vander(x), (make(2, 3),)),
        ("det of rank 2", lambda M, x: M.linalg.det(x),
         (np.outer(make(3), make(3)) + np.outer(make(3), make(3)),)),
        ("solve_triangular", lambda M, a, b: M.linalg.solve_triangular(
            a, b, upper=True, left=False, unitriangular=True), (make(2, 3, 3), make(2, 4, 3))),
        ("solve from the right", lambda M, a, b: M.linalg.solve(a, b, left=False),
         (make(2, 3, 3), make(2, 4, 3))),
    ]  # fmt: skip


def _fft(name: str, norm: str | None, x: np.ndarray) -> Entry:
    return (f"{name} {norm}", lambda M, t: getattr(M.fft, name)(t, norm=norm), (x,))


FOURIER = [
    _fft(name, norm, make(3, 4))
    for norm in (None, "forward", "ortho")
    for name, make in (
        ("fft", real), ("fft2", complex_), ("ifftn", complex_), ("rfft", real), ("rfftn", real),
        ("irfft", complex_), ("irfftn", complex_), ("hfft", complex_), ("ihfft", real),
        ("hfftn", complex_), ("ihfft2", real),
    )
]  # fmt: skip
FOURIER += [
    ("irfft of 7", lambda M, x: M.fft.irfft(x, 7, 0), (complex_(3, 4),)),
    ("irfft of 1", lambda M, x: M.fft.irfft(x, 1, 0), (complex_(3, 4),)),
    ("fft padded", lambda M, x: M.fft.fft(x, 7), (real(3, 4),)),
    ("fft cut", lambda M, x: M.fft.fft(x, 2), (real(3, 4),)),
    ("fftshift", lambda M, x: M.fft.fftshift(x), (real(3, 4),)),
]
line = np.linspace(-8, 8, 17) + 0.01
SPECIAL: list[Entry] = [
    (name, lambda M, x, name=name: getattr(M.special, name)(x), (x,))
    for name, x in (
        ("i0", line), ("i0e", 5 * line), ("i1", line), ("i1e", 5 * line), ("ndtr", line),
        ("log_ndtr", 3 * line), ("ndtri", positive(9) / 1.2), ("erfcx", line / 2),
        ("entr", positive(4)), ("digamma", line), ("gammaln", line), ("expit", line),
        ("exp2", line), ("sinc", line), ("erfinv", line / 9),
    )
]  # fmt: skip
SPECIAL += [
    ("polygamma", lambda M, x: M.special.polygamma(2, x), (positive(5),)),
    ("multigammaln", lambda M, x: M.special.multigammaln(x, 3), (positive(5) + 2,)),
    ("zeta", lambda M, x: M.special.zeta(M.full_like(x.detach(), 2.5), x), (positive(5),)),
    ("gammainc", lambda M, x: M.special.gammainc(M.full_like(x.detach(), 2.5), x),
     (5 * positive(9),)),
    ("xlog1py", lambda M, x, y: M.special.xlog1py(x, y), (real(5), positive(5))),
    ("logaddexp2", lambda M, x, y: M.logaddexp2(x, y), (real(5), real(5))),
]  # fmt: skip


def _interpolations() -> list[Entry]:
    entries: list[Entry] = []
    sizes: list[dict[str, Any]] = [
        {"size": 7}, {"scale_factor": 2.3}, {"scale_factor": 0.6},
        {"scale_factor": 1.7, "recompute_scale_factor": True},
    ]  # fmt: skip
    for mode, n in (("nearest", 1), ("nearest-exact", 2), ("area", 2), ("linear", 1),
                    ("bilinear", 2), ("bicubic", 2), ("trilinear", 3)):  # fmt: skip
        corners = (None,) if mode in ("nearest", "nearest-exact", "area") else (True, False)
        for options in sizes:
            for align in corners:
                arguments = {"mode": mode, "align_corners": align, **options}
                entries.append((
                    f"interpolate {arguments}",
                    lambda M, x, a=arguments: M.nn.functional.interpolate(x, **a),
                    (real(2, 3, *(5, 6, 4)[:n]),),
                ))  # fmt: skip
    for mode in ("bilinear", "bicubic"):
        for size in ((3, 2), (9, 13)):
            entries.append((
                f"antialias {mode} {size}",
                lambda M, x, m=mode, s=size: M.nn.functional.interpolate(
                    x, s, mode=m, antialias=True),
                (real(2, 3, 8, 7),),
            ))  # fmt: skip
    return entries


def _grids() -> list[Entry]:
    return [
        (
            f"grid_sample {mode} {padding} {align}",
            lambda M, x, g, a=(mode, padding, align): M.nn.functional.grid_sample(x, g, *a),
            (real(2, 3, 4, 5), 1.3 * real(2, 3, 4, 2)),
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for align in (True, False)
    ]


labels = random.integers(1, 5, size=(3, 4))


def _losses() -> list[Entry]:
    signs = np.sign(real(4))
    entries: list[Entry] = []
    for reduction in ("none", "mean", "sum"):
        r = {"reduction": reduction}
        entries += [
            (f"smooth_l1 {reduction}", lambda M, x, y, r=r: M.nn.functional.smooth_l1_loss(
                x, y, beta=0.7, **r), (real(4, 5), real(4, 5))),
            (f"huber {reduction}", lambda M, x, y, r=r: M.nn.functional.huber_loss(
                x, y, delta=0.7, **r), (real(4, 5), real(4, 5))),
            (f"poisson {reduction}", lambda M, x, y, r=r: M.nn.functional.poisson_nll_loss(
                x, y, full=True, **r), (real(4, 5), 3 * positive(4, 5))),
            (f"gaussian {reduction}", lambda M, x, y, v, r=r: M.nn.functional.gaussian_nll_loss(
                x, y, v, full=True, **r), (real(4, 5), real(4, 5), positive(4, 5))),
            (f"soft_margin {reduction}", lambda M, x, r=r: M.nn.functional.soft_margin_loss(
                x, M.from_numpy(signs), **r), (real(4),)),
            (f"hinge {reduction}", lambda M, x, r=r: M.nn.functional.hinge_embedding_loss(
                x, M.from_numpy(signs), **r), (real(4),)),
            (f"ranking {reduction}", lambda M, x, y, r=r: M.nn.functional.margin_ranking_loss(
                x, y, M.from_numpy(signs), 0.1, **r), (real(4), real(4))),
            (f"cosine {reduction}", lambda M, x, y, r=r: M.nn.functional.cosine_embedding_loss(
                x, y, M.from_numpy(signs), 0.1, **r), (real(4, 5), real(4, 5))),
            (f"multi_margin {reduction}", lambda M, x, r=r: M.nn.functional.multi_margin_loss(
                x, M.tensor([1, 0, 4, 2]), p=2, **r), (real(4, 5),)),
            (f"multilabel_margin {reduction}",
             lambda M, x, r=r: M.nn.functional.multilabel_margin_loss(
                 x, M.tensor([[3, 0, -1, 1], [0, 1, 2, 3]]), **r), (real(2, 4),)),
            (f"multilabel_soft {reduction}",
             lambda M, x, y, r=r: M.nn.functional.multilabel_soft_margin_loss(x, y, **r),
             (real(4, 5), positive(4, 5))),
            (f"triplet {reduction}", lambda M, a, p, n, r=r: M.nn.functional.triplet_margin_loss(
                a, p, n, swap=True, **r), (real(4, 5), real(4, 5), real(4, 5))),
            (f"ctc {reduction}", lambda M, x, r=r: M.nn.functional.ctc_loss(
                M.log_softmax(x, 2), M.tensor(labels.tolist()), [6, 8, 3], [2, 4, 4],
                zero_infinity=True, **r), (real(8, 3, 5),)),
        ]  # fmt: skip
    return entries


def _attention() -> list[Entry]:
    sizes = (real(2, 4, 4, 5), real(2, 4, 4, 5), real(2, 4, 4, 6))
    grouped = (real(2, 4, 4, 5), real(2, 2, 4, 5), real(2, 2, 4, 6))
    call = "scaled_dot_product_attention"
    return [
        (f"attention {options}",
         lambda M, q, k, v, o=options: getattr(M.nn.functional, call)(q, k, v, **o), inputs)
        for options, inputs in (
            ({}, sizes), ({"is_causal": True}, sizes), ({"scale": 0.3}, sizes),
            ({"enable_gqa": True}, grouped),
        )
    ]  # fmt: skip


OTHERS: list[Entry] = [
    ("fold", lambda M, x: M.nn.functional.fold(x, (7, 6), (2, 3), (2, 1), 1, (1, 2)),
     (real(2, 12, 21),)),
    ("unfold", lambda M, x: M.nn.functional.unfold(x, (2, 3), (2, 1), 1, (1, 2)),
     (real(2, 2, 7, 6),)),
    ("affine_grid", lambda M, t: M.nn.functional.affine_grid(t, (2, 3, 4, 5), False),
     (real(2, 2, 3),)),
    ("logcumsumexp", lambda M, x: M.logcumsumexp(x, 1), (real(3, 4),)),
    ("index_reduce", lambda M, x, y: x.index_reduce(0, M.tensor([0, 2, 0]), y, "amax"),
     (real(4, 3), real(3, 3))),
    ("scatter mean", lambda M, x, y: x.scatter_reduce(
        1, M.tensor([[0, 0, 1], [2, 2, 2]]), y, "mean", include_self=False),
     (real(2, 3), real(2, 3))),
    ("quantile", lambda M, x: M.quantile(x, 0.3, dim=1), (real(3, 5),)),
    ("corrcoef", lambda M, x: M.corrcoef(x), (real(3, 6),)),
    ("cov weighted", lambda M, x: M.cov(x, aweights=M.tensor([1.0, 2, 3]).double()), (real(2, 3),)),
    ("gradient", lambda M, x: M.gradient(x, spacing=0.5, edge_order=2), (real(4, 5),)),
    ("pdist", lambda M, x: M.pdist(x), (real(4, 3),)),
    ("cholesky_solve", lambda M, b, x: M.cholesky_solve(
        b, M.linalg.cholesky(x @ x.mT + 3 * M.eye(3).double())), (real(3, 2), real(3, 3))),
    ("float_power", lambda M, x: M.float_power(x, 1.5), (positive(4),)),
    ("block_diag", lambda M, a, b: M.block_diag(a, b), (real(2, 3), real(1, 2))),
    ("tensordot of size 1", lambda M, a, b: M.tensordot(a, b, dims=([0, 1], [2, 0])),
     (real(1, 1, 1), real(2, 1, 2))),
    ("complex sigmoid", lambda M, x: M.sigmoid(x), (complex_(4),)),
    ("complex conv", lambda M, x, w: M.nn.functional.conv1d(x, w), (complex_(1, 2, 5),
                                                                    complex_(3, 2, 2))),
    ("pad negative", lambda M, x: M.nn.functional.pad(x, (-1, 2), "circular"), (real(1, 2, 4),)),
]  # fmt: skip

TABLE = [
    *[(f"real {n}", f, a) for n, f, a in linear_algebra(real)],
    *[(f"complex {n}", f, a) for n, f, a in linear_algebra(complex_)],
    *FOURIER, *SPECIAL, *_interpolations(), *_grids(), *_losses(), *_attention(), *OTHERS,
]  # fmt: skip


def run(M: Any, function: Callable[..., Any], arrays: tuple[Any, ...]) -> list[np.ndarray]:
    """Outputs and input gradients under cotangents that are the same in both libraries."""
    inputs = [M.tensor(a).requires_grad_() for a in arrays]
    result = function(M, *inputs)
    outputs = [o for o in (result if isinstance(result, tuple) else (result,)) if o.requires_grad]
    weights = np.random.default_rng(1)
    cotangents = []
    for o in outputs:
        v = weights.normal(size=tuple(o.shape))
        v = v + 1j * weights.normal(size=tuple(o.shape)) if o.is_complex() else v
        cotangents.append(M.tensor(np.asarray(v)).to(o.dtype))
    grads = M.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    found = [*outputs, *[g for g in grads if g is not None]]
    return [t.detach().resolve_conj().numpy() for t in found]


@pytest.mark.parametrize("name, function, arrays", TABLE, ids=[e[0] for e in TABLE])
def test_same_values_and_gradients(name: str, function: Any, arrays: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = run(rushlight, function, arrays), run(reference, function, arrays)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9 * scale)


DTYPES = (
    "bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
)  # fmt: skip
BINARY = ("add", "mul", "div", "maximum", "pow", "atan2", "eq", "remainder", "logical_or")


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
def test_result_dtype(op: str, left: str, right: str) -> None:
    """Both refuse a pair of dtypes, or both give the same result dtype."""
    if (left, right) == ("float16", "complex64"):
        pytest.skip("PyTorch's result is complex32, which NumPy has not; rushlight's is complex64")
    names = []
    for M in (reference, rushlight):
        x, y = M.ones(2, dtype=getattr(M, left)), M.ones((), dtype=getattr(M, right))
        try:
            names.append(str(getattr(M, op)(x, y).dtype).split(".")[-1])
        except (RuntimeError, NotImplementedError):
            names.append("error")
    assert names[0] == names[1]
