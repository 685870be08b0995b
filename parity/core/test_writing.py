"""What may be written into a tensor, and where: results and errors are PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch as reference

import rushlight

DTYPES = ["float32", "float16", "bfloat16", "float64", "int64", "int8", "uint8", "bool"]
NUMBERS = [1, 2.5, True, -1, 255, 300, -129, 1e5, 1e40, float("inf"), float("nan"), 2**40]


def outcome(torch: Any, function: Any) -> Any:
    """What `function(torch)` gives, as lists, or the class of its error."""
    try:
        result = function(torch)
    except Exception as error:
        return type(error)
    return str(result.tolist()), str(result.dtype), None if result.grad_fn is None else "graph"


def put(x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


PLACES = {
    "int": lambda t, x, v: put(x, 0, v),
    "slice": lambda t, x, v: put(x, slice(None), v),
    "numbers": lambda t, x, v: put(x, t.tensor([0, 2]), v),
    "mask": lambda t, x, v: put(x, t.tensor([True, False, True]), v),
    "fill_": lambda t, x, v: x.fill_(v),
    "masked_fill": lambda t, x, v: x.masked_fill(t.tensor([True, False, True]), v),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers(place: str, dtype: str) -> None:
    for value in NUMBERS:
        if dtype == "bool" and place == "masked_fill":
            continue

        def write(t: Any, value: Any = value) -> Any:
            return PLACES[place](t, t.zeros(3, dtype=getattr(t, dtype)), value)

        assert outcome(rushlight, write) == outcome(reference, write), value


INDICES = {
    "number of no dims": lambda t, x: x[t.tensor(1)],
    "true": lambda t, x: x[t.tensor(True)],
    "false": lambda t, x: x[t.tensor(False)],
    "mask": lambda t, x: x[x > 3],
    "mask of rows": lambda t, x: x[t.tensor([False, True])],
    "mask of two dims": lambda t, x: x[t.ones(2, 3, dtype=t.bool)],
    "mask of inner dims": lambda t, x: x[:, t.ones(3, 4, dtype=t.bool)],
    "mask that does not fit": lambda t, x: x[t.ones(3, dtype=t.bool)],
    "two": lambda t, x: x[t.tensor([0, 1]), t.tensor([2, -3])],
    "two apart": lambda t, x: x[t.tensor([0, 1]), :, t.tensor([2, -3])],
    "two and None": lambda t, x: x[None, t.tensor([0, 1]), t.tensor([2, -3])],
    "two that broadcast": lambda t, x: x[t.tensor([[0], [1]]), t.tensor([2, 1])],
    "out of range": lambda t, x: x[t.tensor([0, 1]), t.tensor([2, 3])],
    "ellipsis": lambda t, x: x[..., 1],
    "ellipsis and mask": lambda t, x: x[..., t.ones(4, dtype=t.bool)],
    "ellipsis for nothing": lambda t, x: x[0, 1, 2, ...],
    "too many": lambda t, x: x[0, ..., 0, 0, 0],
    "int of no dims": lambda t, x: t.tensor(1.0)[0],
    "empty slice": lambda t, x: x[1:0, ..., 2:1],
    "no step": lambda t, x: x[::0],
    "backwards": lambda t, x: x[::-1],
    "take": lambda t, x: x.take(t.tensor([0, 23, -1])),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices(name: str) -> None:
    for wants in (False, True):

        def get(t: Any, wants: bool = wants) -> Any:
            x = t.arange(24.0).reshape(2, 3, 4).requires_grad_(wants)
            return INDICES[name](t, x)

        assert outcome(rushlight, get) == outcome(reference, get)

    def gradient(t: Any) -> Any:
        x = t.arange(24.0).reshape(2, 3, 4).requires_grad_()
        (INDICES[name](t, x) ** 2).sum().backward()
        return x.grad

    assert outcome(rushlight, gradient) == outcome(reference, gradient)


INFERENCE = {
    "add_": lambda t, x: x.add_(1),
    "zero_": lambda t, x: x.zero_(),
    "copy_": lambda t, x: x.copy_(t.ones(3)),
    "part": lambda t, x: put(x, 0, 1.0),
    "view": lambda t, x: x[1:].mul_(2),
    "out": lambda t, x: t.add(t.ones(3), 1, out=x),
    "normal_": lambda t, x: x.normal_().zero_(),
    "requires_grad_": lambda t, x: x.requires_grad_(),
    "kept": lambda t, x: x * t.ones(3, requires_grad=True),
    "not kept": lambda t, x: x + t.ones(3, requires_grad=True),
    "clone": lambda t, x: x.clone().add_(1),
    "data": lambda t, x: x.data.add_(1),
    "detach": lambda t, x: x.detach().add_(1),
    "resize_": lambda t, x: x.resize_(2),
}


@pytest.mark.parametrize("name", INFERENCE)
def test_tensors_of_inference_mode(name: str) -> None:
    def outside(t: Any) -> Any:
        with t.inference_mode():
            x = t.zeros(3)
        return INFERENCE[name](t, x)

    def inside(t: Any) -> Any:
        with t.inference_mode():
            return INFERENCE[name](t, t.zeros(3))

    assert outcome(rushlight, outside) == outcome(reference, outside)
    assert outcome(rushlight, inside) == outcome(reference, inside)
