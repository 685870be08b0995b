"""`x[…]` and what may be written there."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

PLACES: dict[str, Any] = {
    "int": 0,
    "slice": slice(None),
    "numbers": torch.tensor([0, 2]),
    "mask": torch.tensor([True, False, True]),
    "fill_": None,
}


def write(x: Any, place: Any, value: Any) -> Any:
    if place is None:
        return x.fill_(value)
    x[place] = value
    return x


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "dtype, value",
    [
        (torch.float32, 1e40), (torch.float32, 1j), (torch.int64, 1e40),
        (torch.int64, float("nan")), (torch.int64, 1j), (torch.uint8, 300), (torch.int8, -129),
    ],
)  # fmt: skip
def test_a_number_that_does_not_fit_is_refused(place: Any, dtype: Any, value: Any) -> None:
    x = torch.zeros(3, dtype=dtype)
    with pytest.raises(RuntimeError, match="without overflow"):
        write(x, place, value)
    assert x.tolist() == [0, 0, 0]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "dtype, value, written",
    [
        (torch.float32, float("inf"), float("inf")), (torch.int64, 2.75, 2), (torch.uint8, -1, 255),
        (torch.bool, 2.5, True), (torch.bfloat16, 70000.0, 70144.0), (torch.complex64, 1j, 1j),
        (torch.float32, True, 1.0),
    ],
)  # fmt: skip
def test_a_number_takes_the_dtype(place: Any, dtype: Any, value: Any, written: Any) -> None:
    assert write(torch.zeros(3, dtype=dtype), place, value)[0].item() == written


def test_a_number_too_large_for_16_bits_is_infinite_by_index_and_refused_by_name() -> None:
    for place in [0, slice(None), torch.tensor([0]), torch.tensor([True, False, False])]:
        x = torch.zeros(3, dtype=torch.float16)
        x[place] = -1e5
        assert x[0].item() == float("-inf")
    for fill in (lambda x: x.fill_(1e5), lambda x: x.masked_fill_(x == 0, 1e5)):
        with pytest.raises(RuntimeError, match="without overflow"):
            fill(torch.zeros(3, dtype=torch.float16))


def test_bool_tensors_of_no_dims_are_new_dims() -> None:
    x = torch.arange(6).reshape(2, 3)
    assert x[torch.tensor(True)].shape == (1, 2, 3) and x[torch.tensor(False)].shape == (0, 2, 3)
    assert torch.tensor(1.0)[torch.tensor(1.0) > 0].tolist() == [1.0]


def test_a_mask_sends_the_gradient_where_it_holds() -> None:
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    (x[x > 2] ** 2).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[0, 0, 0], [6, 8, 10]]
    rows = x[torch.tensor([False, True])]
    assert rows.grad_fn is not None and rows.grad_fn.name() == "IndexBackward0"
    (first,) = torch.autograd.grad((rows**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.tolist() == [[0, 0, 0], [18, 24, 30]]


def test_ellipsis_skips_what_the_rest_does_not_take() -> None:
    x = torch.arange(24).reshape(2, 3, 4)
    mask = torch.ones(3, 4, dtype=torch.bool)
    assert x[..., 1].shape == (2, 3) and x[1, ..., 1:3].shape == (3, 2)
    assert x[..., None, 0].shape == (2, 3, 1) and x[..., mask].shape == (2, 12)
    assert x[torch.tensor([0, 1]), ..., torch.tensor([0, 1])].tolist() == [[0, 4, 8], [13, 17, 21]]
