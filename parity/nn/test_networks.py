"""Attention, transformers, lazy modules, hooks and utilities against PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compare import assert_close, compare, make_both, to_rushlight

import rushlight

pytestmark = pytest.mark.filterwarnings("ignore")  # both libraries warn of the same things


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 5, "vdim": 3}],
    ids=["plain", "nobias", "biaskv", "zeroattn", "kdim"],
)
def test_multihead_attention(kwargs: dict[str, Any], need_weights: bool) -> None:
    k, v = kwargs.get("kdim", 8), kwargs.get("vdim", 8)
    inputs = (torch.randn(4, 2, 8), torch.randn(5, 2, k), torch.randn(5, 2, v))
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
    causal = torch.zeros(4, 5).masked_fill(torch.ones(4, 5).triu(2).bool(), float("-inf"))
    padding_mask = torch.zeros(2, 5).masked_fill(padding, float("-inf"))
    for masks in ((None, None), (padding_mask, causal)):
        arguments = (*inputs, masks[0], need_weights, masks[1])
        _compare_without_mask_gradients(
            lambda lib: lib.nn.MultiheadAttention(8, 2, **kwargs), arguments, needs_grad=3
        )


def _compare_without_mask_gradients(make: Any, arguments: Any, needs_grad: int) -> None:
    own, theirs = make_both(make)
    theirs_in = [
        x.clone().requires_grad_() if i < needs_grad else x for i, x in enumerate(arguments)
    ]
    own_in = to_rushlight(theirs_in)
    expected, got = theirs(*theirs_in), own(*own_in)
    for mine, other in zip(got, expected, strict=True):
        if other is not None:
            assert_close(mine, other, "attention")
    expected[0].square().sum().backward()
    got[0].square().sum().backward()
    for i in range(needs_grad):
        assert_close(own_in[i].grad, theirs_in[i].grad, f"gradient {i}", 1e-3, 1e-4)


def test_average_attn_weights_and_batch_first() -> None:
    own, theirs = make_both(lambda lib: lib.nn.MultiheadAttention(8, 2, batch_first=True))
    x = torch.randn(3, 4, 8)
    y = to_rushlight(x)
    expected = theirs(x, x, x, average_attn_weights=False)
    for mine, other in zip(own(y, y, y, average_attn_weights=False), expected, strict=True):
        assert_close(mine, other, "attention")


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer(norm_first: bool) -> None:
    def make(lib: Any) -> Any:
        return lib.nn.Transformer(
            8, 2, 2, 1, dim_feedforward=16, dropout=0.0, norm_first=norm_first
        )

    compare(make, (torch.randn(5, 2, 8), torch.randn(4, 2, 8)))


def test_encoder_with_mask_in_eval() -> None:
    def make(lib: Any) -> Any:
        layer = lib.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        return lib.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    own, theirs = make_both(make)
    own.eval()
    theirs.eval()
    x = torch.randn(2, 4, 8)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4)
    own_mask = rushlight.nn.Transformer.generate_square_subsequent_mask(4)
    assert_close(own_mask, mask, "mask")
    assert_close(own(to_rushlight(x), mask=own_mask), theirs(x, mask=mask), "encoder")


def test_adaptive_log_softmax() -> None:
    def make(lib: Any) -> Any:
        return lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True)

    own, theirs = make_both(make)
    x, target = torch.randn(6, 8), torch.tensor([0, 3, 5, 9, 12, 19])
    y, own_target = to_rushlight(x), to_rushlight(target)
    for mine, other in zip(own(y, own_target), theirs(x, target), strict=True):
        assert_close(mine, other, "output")
    assert_close(own.log_prob(y), theirs.log_prob(x), "log_prob")
    assert_close(own.predict(y), theirs.predict(x), "predict")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda lib: lib.nn.LazyLinear(3), (2, 5)),
        (lambda lib: lib.nn.LazyConv2d(6, 3, groups=2), (2, 4, 6, 6)),
        (lambda lib: lib.nn.LazyConvTranspose1d(6, 3), (2, 4, 6)),
        (lambda lib: lib.nn.LazyBatchNorm2d(), (2, 4, 6, 6)),
        (lambda lib: lib.nn.LazyInstanceNorm1d(), (2, 4, 6)),
    ],
    ids=["linear", "conv2d", "convtranspose1d", "batchnorm2d", "instancenorm1d"],
)
def test_lazy_modules(make: Any, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    theirs, own = make(torch), make(rushlight)
    assert repr(own) == repr(theirs)
    torch.manual_seed(3)
    expected = theirs(x)
    rushlight.manual_seed(3)
    assert_close(own(to_rushlight(x)), expected, "output")
    assert repr(own) == repr(theirs)
    assert type(own).__name__ == type(theirs).__name__


INITS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("uniform_", (3, 5), {"a": -1.0, "b": 2.0}),
    ("normal_", (3, 5), {"mean": 1.0, "std": 2.0}),
    ("trunc_normal_", (3, 5), {}),
    ("trunc_normal_", (3, 7), {"mean": 1.0, "a": 2.0, "b": 3.0}),
    ("constant_", (3, 5), {"val": 0.3}),
    ("ones_", (3,), {}),
    ("zeros_", (3,), {}),
    ("eye_", (3, 5), {}),
    ("dirac_", (4, 2, 3, 3), {"groups": 2}),
    ("xavier_uniform_", (3, 5), {"gain": 2.0}),
    ("xavier_normal_", (3, 5, 2), {}),
    ("kaiming_uniform_", (3, 5), {"a": 0.1}),
    ("kaiming_normal_", (3, 5, 2, 2), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("orthogonal_", (4, 3), {}),
    ("orthogonal_", (3, 4), {"gain": 2.0}),
    ("sparse_", (6, 3), {"sparsity": 0.3}),
]


@pytest.mark.parametrize("case", INITS, ids=[f"{c[0]}-{i}" for i, c in enumerate(INITS)])
def test_init(case: Any) -> None:
    name, shape, kwargs = case
    results = []
    for lib in (rushlight, torch):
        lib.manual_seed(5)
        results.append(getattr(lib.nn.init, name)(lib.empty(shape), **kwargs))
    assert_close(results[0], results[1], name, rtol=1e-4, atol=1e-6)


def _hook_record(lib: Any) -> list[Any]:
    """The order in which hooks run, and the shapes that they see."""
    record: list[Any] = []
    net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh())
    layer = net[0]

    def note(kind: str) -> Any:
        def hook(module: Any, *values: Any) -> None:
            shapes = [
                [None if x is None else tuple(x.shape) for x in value]
                if isinstance(value, tuple)
                else tuple(value.shape)
                for value in values
                if not isinstance(value, dict)
            ]
            record.append((kind, type(module).__name__, shapes))

        return hook

    layer.register_forward_pre_hook(note("pre"))
    layer.register_forward_pre_hook(note("pre first"), prepend=True)
    layer.register_forward_hook(note("post"))
    layer.register_forward_hook(note("post kwargs"), with_kwargs=True)
    layer.register_full_backward_pre_hook(note("backward pre"))
    net[1].register_full_backward_hook(note("backward"))
    layer.register_full_backward_hook(note("backward"))
    x = lib.ones(2, 3, requires_grad=True)
    net(x).sum().backward()
    layer(lib.ones(2, 3)).sum().backward()
    return record


def test_hooks_run_in_the_same_order() -> None:
    assert _hook_record(rushlight) == _hook_record(torch)


def test_clip_grad_norm() -> None:
    for norm_type in (1.0, 2.0, float("inf")):
        totals, grads = [], []
        for lib in (rushlight, torch):
            params = [lib.nn.Parameter(lib.ones(2)), lib.nn.Parameter(lib.ones(3))]
            params[0].grad = lib.tensor([3.0, -4.0])
            params[1].grad = lib.tensor([1.0, 2.0, -2.0])
            totals.append(lib.nn.utils.clip_grad_norm_(params, 1.5, norm_type))
            grads.append([param.grad for param in params])
        assert_close(totals[0], totals[1], "total norm")
        for mine, other in zip(*grads, strict=True):
            assert_close(mine, other, "clipped gradient")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["utils", "utils.parametrizations"])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_reparametrised_weights(where: str, name: str) -> None:
    def make(lib: Any) -> Any:
        place = lib.nn
        for part in where.split("."):
            place = getattr(place, part)
        return getattr(place, name)(lib.nn.Linear(4, 3))

    own, theirs = make_both(make)
    x = torch.randn(2, 4)
    for _ in range(2):
        assert_close(own(to_rushlight(x)), theirs(x), "output")
    for lib_module, value in ((own, to_rushlight(x)), (theirs, x)):
        lib_module(value).square().sum().backward()
    for (key, mine), other in zip(own.named_parameters(), theirs.parameters(), strict=True):
        assert_close(mine.grad, other.grad, key, 1e-3, 1e-4)


def test_load_error_texts_agree() -> None:
    own, theirs = rushlight.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    texts = []
    for lib, module in ((rushlight, own), (torch, theirs)):
        with pytest.raises(RuntimeError) as caught:
            module.load_state_dict({"weight": lib.ones(2, 2), "other": lib.ones(1)})
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
