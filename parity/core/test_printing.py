"""Tensors print as PyTorch's do, character for character."""

from __future__ import annotations

import pytest
import torch as reference

import rushlight

VALUES = [
    [1.0, 2.0], [1.5, -2.25], [1e-5, 1.0, 1000.0], [1.5e8, 1.0], [0.0, 0.0], [1e-9], [123456.789],
    [float("nan"), 1.0], [float("inf"), -1.5], [float("-inf"), 2.0], [0.1] * 30, [1.0] * 1100,
    [1e8, 1.0], [1e9], [99999.0, 0.5], [[1.0, 2.0], [3.0, 4.5]], [[[1.0], [2.0]]], 3.5, 3.0, [],
    [[], []], [1e-4, 1.0], [1e-3, 5.0], [1000.5, 0.001],
]  # fmt: skip
DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool",
          "complex64"]  # fmt: skip


def both(make) -> tuple[str, str]:
    return repr(make(rushlight)), repr(make(reference))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", VALUES, ids=lambda v: str(v)[:20])
def test_values(value, dtype: str) -> None:
    def make(torch):
        to = getattr(torch, dtype)
        if dtype in ("float32", "float64", "float16", "bfloat16", "complex64"):
            return torch.tensor(value, dtype=to)
        return torch.tensor(value, dtype=torch.float64).nan_to_num(0, 9, 9).to(to)

    got, expected = both(make)
    assert got == expected


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (1001,), (40, 40), (7, 1, 200), (2, 2, 2, 2),
                                   (0,), (0, 3), (2, 0, 3), (1, 1)])  # fmt: skip
def test_shapes(shape: tuple[int, ...]) -> None:
    def make(torch):
        count = 1
        for s in shape:
            count *= s
        return (torch.arange(count, dtype=torch.float32) / 7).reshape(shape)

    got, expected = both(make)
    assert got == expected


@pytest.mark.parametrize("make", [
    lambda t: t.ones(2, 2, requires_grad=True),
    lambda t: t.ones(2, 2, requires_grad=True) * 3,
    lambda t: t.ones(2, dtype=t.float64, requires_grad=True).exp(),
    lambda t: t.tensor(3.5, requires_grad=True),
    lambda t: t.ones(30, requires_grad=True).sum(),
    lambda t: t.ones(1, 10, requires_grad=True).div(7),
    lambda t: t.ones(2, 3).max(1),
    lambda t: t.ones(2, 3).sort(),
    lambda t: t.Size([2, 3]),
    lambda t: t.device("cuda", 1),
    lambda t: t.float32,
    lambda t: t.finfo(t.float32),
    lambda t: t.iinfo(t.int8),
    lambda t: t.strided,
    lambda t: t.channels_last,
], ids=range(15))  # fmt: skip
def test_suffixes_and_small_types(make) -> None:
    got, expected = both(make)
    assert got == expected


@pytest.mark.parametrize("options", [
    {"precision": 2}, {"sci_mode": True}, {"sci_mode": False}, {"linewidth": 40},
    {"threshold": 5, "edgeitems": 2}, {"profile": "full"}, {"profile": "short"},
])  # fmt: skip
def test_print_options(options: dict) -> None:
    try:
        rushlight.set_printoptions(**options)
        reference.set_printoptions(**options)
        for value in ([0.12345, 1000.0], list(range(20)), [1e-6, 1.0]):
            got, expected = both(lambda t, v=value: t.tensor(v, dtype=t.float32))
            assert got == expected
    finally:
        rushlight.set_printoptions(profile="default")
        reference.set_printoptions(profile="default")
