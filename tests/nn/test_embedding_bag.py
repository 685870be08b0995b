"""Bags of embeddings: values by hand, derivatives by differences, errors."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.autograd import gradcheck, gradgradcheck
from rushlight.nn.functional import embedding_bag

TABLE = [[1.0, 9.0], [2.0, 8.0], [4.0, 0.0]]


def table(requires_grad: bool = False) -> Any:
    return torch.tensor(TABLE, dtype=torch.float64, requires_grad=requires_grad)


def test_values_by_hand() -> None:
    numbers, starts = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 3, 3])  # the second is empty
    for mode, expected in [
        ("sum", [[5, 25], [0, 0], [4, 0]]),
        ("mean", [[5 / 3, 25 / 3], [0, 0], [4, 0]]),
        ("max", [[2, 9], [0, 0], [4, 0]]),
    ]:
        got = embedding_bag(numbers, table(), starts, mode=mode)
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


def test_padding_counts_for_nothing() -> None:
    numbers = torch.tensor([[0, 1], [1, 1]])
    got = embedding_bag(numbers, table(), mode="mean", padding_idx=-2)
    assert got.tolist() == [[1, 9], [0, 0]]
    weights = torch.tensor([[3.0, 5.0], [7.0, 9.0]], dtype=torch.float64)
    got = embedding_bag(numbers, table(), mode="sum", padding_idx=0, per_sample_weights=weights)
    assert got.tolist() == [[10, 40], [32, 128]]


def test_last_offset_ends_the_last_bag() -> None:
    numbers, cuts = torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([0, 1, 3])
    got = embedding_bag(numbers, table(), cuts, mode="sum", include_last_offset=True)
    assert got.tolist() == [[1, 9], [6, 8]]


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    weight = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    embedding_bag(torch.tensor([[2, 1, 0]]), weight, mode="max").sum().backward()
    assert weight.grad.tolist() == [[0], [1], [0]]


def test_a_nan_is_the_maximum_only_where_it_comes_first() -> None:
    nan = float("nan")
    weight = torch.tensor([[nan], [1.0]])
    got = embedding_bag(torch.tensor([[0, 1], [1, 0]]), weight, mode="max")
    assert got[0].isnan().item() and got[1].item() == 1


@pytest.mark.parametrize("options", [{"mode": "sum"}, {"mode": "mean"}, {"mode": "max"},
                                     {"mode": "sum", "padding_idx": 1}])  # fmt: skip
def test_derivatives(options: dict[str, Any]) -> None:
    numbers, starts = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 3, 3])
    run = lambda w: embedding_bag(numbers, w, starts, **options)  # noqa: E731
    assert gradcheck(run, (table(True),)) and gradgradcheck(run, (table(True),))


def test_derivatives_of_the_weights_of_samples() -> None:
    numbers, starts = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 3, 3])
    scale = torch.tensor([0.5, -1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    run = lambda w, s: embedding_bag(numbers, w, starts, mode="sum", per_sample_weights=s)  # noqa: E731
    assert gradcheck(run, (table(True), scale)) and gradgradcheck(run, (table(True), scale))


def test_gradients_divided_by_frequency() -> None:
    weight = table(True)
    numbers = torch.tensor([[0, 1], [1, 1]])
    embedding_bag(numbers, weight, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert weight.grad.tolist() == [[1, 1], [1, 1], [0, 0]]


def test_nothing_at_all() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    for mode in ("sum", "mean", "max"):
        weight = table(True)
        assert embedding_bag(none, weight, none, mode=mode).shape == (0, 2)
        got = embedding_bag(none, weight, torch.tensor([0, 0]), mode=mode)
        got.sum().backward()
        assert not got.any() and not weight.grad.any()


@pytest.mark.parametrize(
    "numbers, starts, options, error, text",
    [
        ([0], [1], {}, RuntimeError, r"offsets\[0\] has to be 0"),
        ([0], [0, 2], {}, RuntimeError, r"offsets\[-1\] can not be greater"),
        ([0, 1, 2], [0, 2, 1], {}, RuntimeError, "ascending"),
        ([3], [0], {}, RuntimeError, r"valid range \[0, 3\)"),
        ([0], None, {}, ValueError, "1D Tensor"),
        ([[0]], [0], {}, ValueError, "offsets has to be None"),
        ([0], [0], {"mode": "min"}, ValueError, "mode has to be"),
        ([0], [0], {"padding_idx": 3}, RuntimeError, "padding_idx must be within"),
        ([0], [0], {"mode": "max", "scale_grad_by_freq": True}, ValueError, "frequency"),
    ],
)
def test_errors(numbers: Any, starts: Any, options: Any, error: Any, text: str) -> None:
    offsets = None if starts is None else torch.tensor(starts)
    with pytest.raises(error, match=text):
        embedding_bag(torch.tensor(numbers), table(), offsets, **options)
