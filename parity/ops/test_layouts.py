"""How results lie in memory, for inputs that are channels last or otherwise permuted.

Programs see it where `view` works or does not, and where random numbers go. Deliberately different:
`nonzero`, `rot90`, Fourier transforms and copies by several index tensors are contiguous here, and
pooling in three dims leaves channels-last volumes so (PyTorch makes some of them contiguous).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as reference

import rushlight

Operation = Callable[[Any, Any], Any]
random = np.random.default_rng(0)
IMAGES = random.normal(size=(2, 8, 6, 6)).astype(np.float32)
VOLUMES = random.normal(size=(2, 4, 2, 6, 6)).astype(np.float32)
LINES = random.normal(size=(4, 6, 8)).astype(np.float32)

INPUTS: dict[str, Operation] = {
    "image": lambda t, of: of(IMAGES).contiguous(memory_format=t.channels_last),
    "volume": lambda t, of: of(VOLUMES).contiguous(memory_format=t.channels_last_3d),
    "turned": lambda t, of: of(LINES).permute(2, 0, 1),
    "swapped": lambda t, of: of(LINES).transpose(0, 1),
    "every other": lambda t, of: of(LINES).permute(2, 0, 1)[:, ::2],
    "plain": lambda t, of: of(IMAGES),
}
ALL = tuple(INPUTS)
LINE = ("turned", "swapped")


def functions(names: str) -> dict[str, Operation]:
    return {name: lambda t, x, name=name: getattr(t, name)(x) for name in names.split()}


def functional(names: str, *arguments: Any, **options: Any) -> dict[str, Operation]:
    return {
        f"{name} {options or ''}": lambda t, x, name=name: getattr(t.nn.functional, name)(
            x, *arguments, **options)
        for name in names.split()
    }  # fmt: skip


def of_two(names: str) -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for name in names.split():
        for other, make in {
            "itself": lambda t, x: x,
            "row": lambda t, x: t.ones(x.shape[-1]),
            "contiguous": lambda t, x: t.ones(x.shape),
        }.items():
            found[f"{name} of {other}"] = lambda t, x, name=name, make=make: getattr(t, name)(
                x.abs() + 1, make(t, x))  # fmt: skip
        found[f"{name} of contiguous first"] = lambda t, x, name=name: getattr(t, name)(
            t.ones(x.shape), x)  # fmt: skip
    return found


def reductions(names: str) -> dict[str, Operation]:
    return {
        f"{name} {dim} {keepdim}": lambda t, x, name=name, dim=dim, keepdim=keepdim: getattr(
            t, name)(x > 0 if name in ("any", "all") else x, dim=dim, keepdim=keepdim)
        for name in names.split() for dim in (0, 1, -1) for keepdim in (False, True)
    }  # fmt: skip


def along(names: str, pick: int | None = None) -> dict[str, Operation]:
    def at(result: Any) -> Any:
        return result if pick is None else result[pick]

    return {
        f"{name} along {dim}": lambda t, x, name=name, dim=dim: at(getattr(t, name)(x, dim=dim))
        for name in names.split() for dim in (0, 1, -1)
    }  # fmt: skip


ELEMENTWISE: dict[str, Operation] = {
    **functions("neg abs exp log1p sqrt square tanh sigmoid relu sin erf round sign floor rsqrt "
                "isnan logical_not signbit frac sinc nan_to_num lgamma digamma angle"),
    **functional("gelu silu mish softplus elu selu celu leaky_relu hardtanh hardswish hardsigmoid "
                 "relu6 logsigmoid softsign tanhshrink softshrink hardshrink rrelu"),
    **functional("glu", 1),
    **of_two("add sub mul div maximum minimum atan2 pow fmod remainder hypot copysign eq lt "
             "logical_and logaddexp xlogy"),
    "add number": lambda t, x: x + 1,
    "number - x": lambda t, x: 1 - x,
    "x ** 2": lambda t, x: x**2,
    "2 ** x": lambda t, x: 2**x,
    "where": lambda t, x: t.where(x > 0, x, 0.0),
    "masked_fill": lambda t, x: x.masked_fill(x > 0, 1.0),
    "clamp": lambda t, x: x.clamp(0, 1),
    "lerp": lambda t, x: t.lerp(x, x, 0.3),
    "addcmul": lambda t, x: t.addcmul(x, x, x),
    "prelu": lambda t, x: t.nn.functional.prelu(x, t.ones(x.shape[1])),
    "of expanded": lambda t, x: x[:1].expand(x.shape).relu(),
    "of part": lambda t, x: x.narrow(1, 1, 1).relu(),
    "gradient": lambda t, x: grad_of(t, lambda y: y.clamp(0, 1) * y.detach(), x),
}  # fmt: skip
LOSSES: dict[str, Operation] = {
    name: lambda t, x, name=name: getattr(t.nn.functional, name)(
        x, x.detach().sigmoid(), reduction="none")
    for name in ("mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy_with_logits "
                 "kl_div soft_margin_loss poisson_nll_loss").split()
}  # fmt: skip
NORMS: dict[str, Operation] = {
    **along("softmax log_softmax"),
    **functional("batch_norm", None, None, training=True),
    **functional("group_norm", 2),
    **functional("instance_norm"),
    **functional("local_response_norm", 3),
    **functional("normalize"),
    "layer_norm": lambda t, x: t.nn.functional.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda t, x: t.nn.functional.rms_norm(x, x.shape[-1:]),
    "rms_norm weight": lambda t, x: t.nn.functional.rms_norm(x, x.shape[1:], t.ones(x.shape[1:])),
}
REDUCTIONS: dict[str, Operation] = {
    **reductions("sum mean amax prod any argmax std logsumexp norm"),
    **along("max median cummax sort aminmax std_mean", 0),
    **along("cumsum cumprod argsort"),
    "topk": lambda t, x: t.topk(x, 2, 1)[0],
    "quantile": lambda t, x: t.quantile(x, 0.5, 1),
    "quantile keepdim": lambda t, x: t.quantile(x, t.tensor([0.2, 0.5]), 1, keepdim=True),
}
NEW: dict[str, Operation] = {
    **functions("zeros_like ones_like rand_like randn_like clone"),
    "full_like": lambda t, x: t.full_like(x, 3.0),
    "randint_like": lambda t, x: t.randint_like(x, 10),
    "rand_like contiguous": lambda t, x: t.rand_like(x, memory_format=t.contiguous_format),
    "randn_like double": lambda t, x: t.randn_like(x, dtype=t.float64),
    "new_zeros": lambda t, x: x.new_zeros(x.shape),
    "clone contiguous": lambda t, x: x.clone(memory_format=t.contiguous_format),
    "to double": lambda t, x: x.to(t.float64),
    "to contiguous": lambda t, x: x.to(memory_format=t.contiguous_format),
    "to double contiguous": lambda t, x: x.to(t.float64, memory_format=t.contiguous_format),
    "to copy": lambda t, x: x.to(t.float32, copy=True),
    "zeros like expanded": lambda t, x: t.zeros_like(x[:1].expand(3, *x.shape[1:])),
    **{
        name: lambda t, x, name=name, numbers=numbers: getattr(x, name)(*numbers)
        for name, numbers in {
            "normal_": (), "uniform_": (), "exponential_": (), "random_": (0, 9), "cauchy_": (),
            "geometric_": (0.3,), "log_normal_": (),
        }.items()
    },
    "normal": lambda t, x: t.normal(x, x.abs()),
}  # fmt: skip
PARTS: dict[str, Operation] = {
    "cat": lambda t, x: t.cat([x, x], 1),
    "cat with contiguous": lambda t, x: t.cat([x, x.contiguous()], 1),
    "stack": lambda t, x: t.stack([x, x], 1),
    "stack first": lambda t, x: t.stack([x, x]),
    "repeat": lambda t, x: x.repeat((2,) + (1,) * (x.ndim - 1)),
    "repeat_interleave": lambda t, x: x.repeat_interleave(2, 1),
    "flip": lambda t, x: t.flip(x, (1,)),
    "roll": lambda t, x: t.roll(x, 1, 1),
    "rows": lambda t, x: x[t.tensor([1, 0])],
    "columns": lambda t, x: x[:, t.tensor([1, 0])],
    "last": lambda t, x: x[..., t.tensor([1, 0])],
    "table of rows": lambda t, x: x[t.tensor([[1, 0, 1], [0, 1, 0]])],
    "index_select": lambda t, x: t.index_select(x, 1, t.tensor([1, 0])),
    "gather": lambda t, x: t.gather(x, 1, t.zeros(x.shape, dtype=t.int64)),
    "scatter": lambda t, x: x.scatter(1, t.zeros(x.shape, dtype=t.int64), x),
    "index_add": lambda t, x: x.index_add(0, t.tensor([0]), x[:1]),
    "index_copy": lambda t, x: x.index_copy(0, t.tensor([0]), x[:1]),
    "index_fill": lambda t, x: x.index_fill(0, t.tensor([0]), 1.0),
    "index_put": lambda t, x: x.index_put((t.tensor([0]),), t.tensor(1.0)),
    "masked_select": lambda t, x: x.masked_select(x > 0),
    "tril": lambda t, x: t.tril(x),
    "diff": lambda t, x: t.diff(x, dim=1),
    "renorm": lambda t, x: t.renorm(x, 2, 0, 1.0),
    "pad": lambda t, x: t.nn.functional.pad(x, (1, 1) * x.ndim),
    "pad cut": lambda t, x: t.nn.functional.pad(x, (-1, 1)),
    "pad nothing": lambda t, x: t.nn.functional.pad(x, (0, 0)),
    "embedding": lambda t, x: t.nn.functional.embedding(x.long().abs(), t.ones(10, 4)),
    "gradient of cat": lambda t, x: grad_of(t, lambda y: t.cat([y, y], 1) * 2, x),
}
IMAGE_OPERATIONS: dict[str, Operation] = {
    **{
        f"pad {mode}": lambda t, x, mode=mode: t.nn.functional.pad(x, (1, 2, 2, 1), mode=mode)
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    **{
        f"interpolate {mode} {size}": lambda t, x, mode=mode, size=size: (
            t.nn.functional.interpolate(x, size=size, mode=mode))
        for mode in ("nearest", "bilinear", "bicubic", "area", "nearest-exact")
        for size in ((3, 4), (12, 13), (6, 6))
    },
    **functional("avg_pool2d max_pool2d pixel_shuffle pixel_unshuffle", 2),
    **functional("adaptive_avg_pool2d adaptive_max_pool2d", 3),
    "channel_shuffle": lambda t, x: t.channel_shuffle(x, 2),
    "lp_pool": lambda t, x: t.nn.functional.lp_pool2d(x, 2, 2),
    "max_unpool": lambda t, x: t.nn.functional.max_unpool2d(
        *t.nn.functional.max_pool2d(x, 2, return_indices=True), 2),
    "conv": lambda t, x: t.nn.functional.conv2d(x, t.ones(4, 8, 3, 3)),
    "conv_transpose": lambda t, x: t.nn.functional.conv_transpose2d(x, t.ones(8, 4, 3, 3)),
    "unfold": lambda t, x: t.nn.functional.unfold(x, 2),
    "grid_sample": lambda t, x: t.nn.functional.grid_sample(
        x, t.zeros(2, 3, 3, 2), align_corners=False),
    "linear": lambda t, x: t.nn.functional.linear(x, t.ones(3, 6)),
    "matmul": lambda t, x: x @ x,
    "to channels last": lambda t, x: x.to(t.float64, memory_format=t.channels_last),
    "zeros_like channels last": lambda t, x: t.zeros_like(x, memory_format=t.channels_last),
    "empty channels last": lambda t, x: t.empty(2, 3, 4, 5, memory_format=t.channels_last).zero_(),
}  # fmt: skip
LINE_OPERATIONS: dict[str, Operation] = {
    **functional("avg_pool1d max_pool1d adaptive_avg_pool1d", 2),
    "pad reflect": lambda t, x: t.nn.functional.pad(x, (1, 2), mode="reflect"),
    "interpolate": lambda t, x: t.nn.functional.interpolate(x, scale_factor=2, mode="linear"),
    "conv1d": lambda t, x: t.nn.functional.conv1d(x, t.ones(4, x.shape[1], 3)),
    "bmm": lambda t, x: t.bmm(x, x.transpose(1, 2)),
}
CASES = [
    *((name, f, ALL) for table in (ELEMENTWISE, LOSSES, NORMS, REDUCTIONS, NEW, PARTS)
      for name, f in table.items()),
    *((name, f, ("image", "plain")) for name, f in IMAGE_OPERATIONS.items()),
    *((name, f, LINE) for name, f in LINE_OPERATIONS.items()),
]  # fmt: skip


def grad_of(t: Any, f: Callable[[Any], Any], x: Any) -> Any:
    y = x.detach().requires_grad_()
    f(y).sum().backward()
    return y.grad


def run(t: Any, f: Operation, kind: str) -> tuple[list[int], np.ndarray]:
    """The strides of the dims that have several elements, and the elements."""
    t.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = f(t, INPUTS[kind](t, lambda array: t.from_numpy(array.copy())))
    result = result.detach()
    steps = [step for step, n in zip(result.stride(), result.shape, strict=True) if n > 1]
    return steps, result.contiguous().numpy()


@pytest.mark.parametrize(("f", "kinds"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_strides_and_numbers(f: Operation, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        steps, numbers = run(rushlight, f, kind)
        expected_steps, expected = run(reference, f, kind)
        assert numbers.shape == expected.shape
        assert steps == expected_steps, kind
        np.testing.assert_allclose(numbers, expected, rtol=1e-3, atol=1e-4)


EMPTY_LIKE: dict[str, Operation] = {
    "empty_like": lambda t, x: t.empty_like(x),
    "empty_like of part": lambda t, x: t.empty_like(x[:1]),
    "dropout": lambda t, x: t.nn.functional.dropout(x, 0.4),
    "bernoulli": lambda t, x: t.bernoulli(x, 0.4),
    "poisson": lambda t, x: t.poisson(x.abs()),
}


@pytest.mark.parametrize("name", EMPTY_LIKE)
def test_strides_alone(name: str) -> None:
    for kind in ALL:
        steps = run(rushlight, EMPTY_LIKE[name], kind)[0]
        assert steps == run(reference, EMPTY_LIKE[name], kind)[0], kind
