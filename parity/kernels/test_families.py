"""Softmax, losses, normalisations, optimizer steps against PyTorch, forward and backward."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rushlight.backends import Kernels, kernels

BACKENDS = {"reference": Kernels(np), "native": kernels(np.ones(1))}
FLOATS = [np.float32, np.float64]


@pytest.fixture(params=list(BACKENDS))
def k(request: pytest.FixtureRequest) -> Kernels:
    return BACKENDS[request.param]


def leaf(array: Any) -> Any:
    return None if array is None else torch.from_numpy(array.copy()).requires_grad_()


def close(got: Any, want: Any, steps: float = 64) -> None:
    want = want.detach().numpy()
    assert got.dtype == want.dtype and got.shape == want.shape
    eps = np.finfo(got.dtype).eps
    scale = np.abs(want[np.isfinite(want)]).max(initial=0)
    np.testing.assert_allclose(got, want, rtol=steps * eps, atol=steps * eps * scale)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4, 10), (128, 10), (7, 1000), (3, 5, 17), (2, 3, 4, 5), (5,)])
def test_softmax(k: Kernels, shape: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    for dim in range(len(shape)):
        for function, name in ((torch.softmax, "softmax"), (torch.log_softmax, "log_softmax")):
            t = leaf(x)
            result = function(t, dim)
            result.backward(torch.from_numpy(grad))
            mine = getattr(k, name)(x, dim)
            close(mine, result)
            close(getattr(k, f"{name}_grad")(grad, mine, dim), t.grad, 200)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(5,), (16, 33), (3, 4, 5), (2, 3, 4, 5)])
def test_reductions(k: Kernels, shape: Any, dtype: Any) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    t = torch.from_numpy(x)
    for count in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            for keep in (False, True):
                for name in ("sum", "mean", "amax", "amin", "logsumexp"):
                    close(getattr(k, name)(x, axes, keep), getattr(torch, name)(t, axes, keep))
                close(k.var(x, axes, 1, keep), torch.var(t, axes, correction=1, keepdim=keep))
                for p in (0, 1, 2, 3, float("inf"), float("-inf")):
                    want = torch.linalg.vector_norm(t, p, axes, keep)
                    close(k.norm(x, p, axes, keep), want)
    for dim in range(len(shape)):
        for name in ("cumsum", "cumprod"):
            close(getattr(k, name)(x, dim), getattr(torch, name)(t, dim))
        for name in ("argmax", "argmin"):
            want = getattr(torch, name)(t, dim).numpy()
            np.testing.assert_array_equal(getattr(k, name)(x, dim), want)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("inner", [(), (3, 4)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll(k: Kernels, weighted: bool, reduction: str, inner: Any, dtype: Any) -> None:
    rng = np.random.default_rng(2)
    logp = torch.log_softmax(torch.from_numpy(rng.normal(size=(9, 5, *inner)).astype(dtype)), 1)
    target = rng.integers(0, 5, (9, *inner))
    target.flat[::3] = -100
    weight = rng.uniform(0.1, 1, 5).astype(dtype) if weighted else None
    t = logp.clone().requires_grad_()
    torch_weight = None if weight is None else torch.from_numpy(weight)
    loss = F.nll_loss(t, torch.from_numpy(target), torch_weight, reduction=reduction)
    grad = np.asarray(rng.normal(size=tuple(loss.shape))).astype(dtype)
    loss.backward(torch.from_numpy(grad))
    mine, total = k.nll_loss(logp.numpy(), target, weight, -100, reduction)
    close(mine, loss)
    arguments = (grad, target, weight, total, tuple(logp.shape), -100, reduction)
    close(k.nll_loss_grad(*arguments), t.grad)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4, 6), (32, 16, 7, 7), (17, 130), (2, 6, 33)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(k: Kernels, training: bool, affine: bool, shape: Any, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    x, grad = ((rng.normal(size=shape) * 2 + 3).astype(dtype) for _ in range(2))
    weight, bias = (rng.normal(size=shape[1]).astype(dtype) if affine else None for _ in range(2))
    mean, var = rng.normal(size=shape[1]).astype(dtype), rng.uniform(0.5, 2, shape[1]).astype(dtype)
    torch_mean, torch_var = torch.from_numpy(mean.copy()), torch.from_numpy(var.copy())
    t, w, b = leaf(x), leaf(weight), leaf(bias)
    result = F.batch_norm(t, torch_mean, torch_var, w, b, training, 0.1, 1e-5)
    result.backward(torch.from_numpy(grad))
    out, batch_mean, invstd = k.batch_norm(x, weight, bias, mean, var, training, 0.1, 1e-5)
    close(out, result)
    close(mean, torch_mean)
    close(var, torch_var)
    arguments = (grad, x, weight, batch_mean, invstd, training, (True, True, True))
    dx, dweight, dbias = k.batch_norm_grad(*arguments)
    close(dx, t.grad, 1000)
    if affine:
        close(dweight, w.grad, 400)
        close(dbias, b.grad, 400)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4, 6), (3, 6, 5), (2, 12, 7, 7), (17, 130)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_group_and_rms_norm(k: Kernels, affine: bool, shape: Any, dtype: Any) -> None:
    rng = np.random.default_rng(4)
    x, grad = ((rng.normal(size=shape) * 2 + 3).astype(dtype) for _ in range(2))

    def parameters(size: Any) -> Any:
        return (rng.normal(size=size).astype(dtype) if affine else None for _ in range(2))

    for axes in range(1, len(shape)):
        size = shape[-axes:]
        weight, bias = parameters(size)
        t, w, b = leaf(x), leaf(weight), leaf(bias)
        result = F.layer_norm(t, size, w, b, 1e-5)
        result.backward(torch.from_numpy(grad))
        out, mean, rstd = k.layer_norm(x, weight, bias, axes, 1e-5)
        close(out, result)
        dx, dweight, dbias = k.layer_norm_grad(grad, x, weight, mean, rstd, axes, (True,) * 3)
        close(dx, t.grad, 1000)
        if affine:
            close(dweight, w.grad, 400)
            close(dbias, b.grad, 400)
        t, w = leaf(x), leaf(weight)
        result = F.rms_norm(t, size, w, 1e-5)
        result.backward(torch.from_numpy(grad))
        out, rstd = k.rms_norm(x, weight, axes, 1e-5)
        close(out, result)
        close(k.rms_norm_grad(grad, x, weight, rstd, axes, (True, True))[0], t.grad, 1000)

    for groups in (1, 2):
        weight, bias = parameters(shape[1])
        t, w, b = leaf(x), leaf(weight), leaf(bias)
        result = F.group_norm(t, groups, w, b, 1e-5)
        result.backward(torch.from_numpy(grad))
        out, mean, rstd = k.group_norm(x, weight, bias, groups, 1e-5)
        close(out, result)
        dx, dweight, dbias = k.group_norm_grad(grad, x, weight, mean, rstd, groups, (True,) * 3)
        close(dx, t.grad, 1000)
        if affine:
            close(dweight, w.grad, 1000)
            close(dbias, b.grad, 400)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_adam(k: Kernels, maximize: bool, amsgrad: bool, decoupled: bool, dtype: Any) -> None:
    rng = np.random.default_rng(5)
    params = [rng.normal(size=shape).astype(dtype) for shape in [(3, 4), (5,), (40_000,), (1,)]]
    grads = [rng.normal(size=p.shape).astype(dtype) for p in params]
    theirs = [leaf(p) for p in params]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind(theirs, lr=0.01, weight_decay=0.1, amsgrad=amsgrad, maximize=maximize)
    means, squares, largest = ([np.zeros_like(p) for p in params] for _ in range(3))
    for step in (1, 2, 3):
        scaled = [g * dtype(step) for g in grads]
        for p, g in zip(theirs, scaled, strict=True):
            p.grad = torch.from_numpy(g)
        optimizer.step()
        k.adam_step(
            params, scaled, means, squares, largest if amsgrad else [], [step] * 4,
            0.01, 0.9, 0.999, 1e-8, 0.1, amsgrad, maximize, decoupled,
        )  # fmt: skip
        for p, q in zip(params, theirs, strict=True):
            close(p, q)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "settings",
    [(0, 0, 0, False, False), (0.9, 0, 0, False, False), (0.9, 0.1, 0.01, False, True),
     (0.9, 0, 0.01, True, False)],
)  # fmt: skip
def test_sgd(k: Kernels, settings: Any, dtype: Any) -> None:
    momentum, dampening, weight_decay, nesterov, maximize = settings
    rng = np.random.default_rng(6)
    params = [rng.normal(size=shape).astype(dtype) for shape in [(3, 4), (5,), (40_000,), (1,)]]
    grads = [rng.normal(size=p.shape).astype(dtype) for p in params]
    theirs, buffers = [leaf(p) for p in params], [np.full_like(p, np.nan) for p in params]
    optimizer = torch.optim.SGD(theirs, 0.1, momentum, dampening, weight_decay, nesterov,
                                maximize=maximize)  # fmt: skip
    for step in (1, 2, 3):
        scaled = [g * dtype(step) for g in grads]
        for p, g in zip(theirs, scaled, strict=True):
            p.grad = torch.from_numpy(g)
        optimizer.step()
        k.sgd_step(params, scaled, buffers if momentum else [], 0.1, *settings, step == 1)
        for p, q in zip(params, theirs, strict=True):
            close(p, q)
