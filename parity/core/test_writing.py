"""What may be written into a tensor, and where: results and errors are PyTorch's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
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
    "part of detach": lambda t, x: x.detach()[1:].add_(1),
    "detach of part": lambda t, x: x[1:].detach().add_(1),
    "kept detach": lambda t, x: x.detach() * t.ones(3, requires_grad=True),
    "detach that wants": lambda t, x: x.detach().requires_grad_(),
    "parameter": lambda t, x: t.nn.Parameter(x),
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


# Of `n`, a tensor made before; what is made of it inside and outside of inference mode.
OF_INFERENCE = {
    "itself": lambda t, n: n,
    "view": lambda t, n: n.view(6),
    "part": lambda t, n: n[0],
    "all": lambda t, n: n[...],
    "rows": lambda t, n: n.unbind(0)[0],
    "transposed": lambda t, n: n.T,
    "expanded": lambda t, n: n.expand(2, 2, 3),
    "diagonal": lambda t, n: n.diagonal(),
    "detach": lambda t, n: n.detach(),
    "detach of part": lambda t, n: n[0].detach(),
    "part of detach": lambda t, n: n.detach()[0],
    "data": lambda t, n: n.data,
    "data of part": lambda t, n: n[0].data,
    "Tensor": lambda t, n: t.Tensor(n),
    "Tensor of list": lambda t, n: t.Tensor([1.0]),
    "clone": lambda t, n: n.clone(),
    "contiguous": lambda t, n: n.contiguous(),
    "same dtype": lambda t, n: n.to(t.float32),
    "other dtype": lambda t, n: n.double(),
    "sum": lambda t, n: n + 1,
    "indices of max": lambda t, n: n.max(0)[1],
    "by numbers": lambda t, n: n[t.tensor([0])],
    "by mask": lambda t, n: n[n > 0],
    "unique": lambda t, n: n.unique(),
    "one_hot": lambda t, n: t.nn.functional.one_hot(t.tensor([0, 1])),
    "tensor": lambda t, n: t.tensor([1.0]),
    "as_tensor": lambda t, n: t.as_tensor(n),
    "from_numpy": lambda t, n: t.from_numpy(np.ones(2)),
    "zeros": lambda t, n: t.zeros(2),
    "zeros_like": lambda t, n: t.zeros_like(n),
    "rand": lambda t, n: t.rand(2),
    "dropout": lambda t, n: t.nn.functional.dropout(n, training=False),
    "tril_indices": lambda t, n: t.tril_indices(2, 2),
    "bincount": lambda t, n: t.bincount(t.tensor([0, 1])),
    "copy": lambda t, n: copy.copy(n),
    "deepcopy": lambda t, n: copy.deepcopy(n),
    "pickled": lambda t, n: pickle.loads(pickle.dumps(n)),
    "parameter": lambda t, n: t.nn.Parameter(t.ones(2)),
    "parameter around it": lambda t, n: t.nn.Parameter(n, requires_grad=False),
    "its data": lambda t, n: t.nn.Parameter(n, requires_grad=False).data,
    "weight": lambda t, n: t.nn.Linear(2, 2).weight,
    "running mean": lambda t, n: t.nn.BatchNorm1d(2).running_mean,
    "recorded after all": lambda t, n: t.enable_grad()(lambda: n * t.nn.Parameter(t.ones(3)))(),
}


@pytest.mark.parametrize("name", OF_INFERENCE)
def test_what_is_of_inference_mode(name: str) -> None:
    def kinds(t: Any) -> Any:
        make, found = OF_INFERENCE[name], []
        for made_inside in (False, True):
            for used_inside in (False, True):
                with t.inference_mode(made_inside):
                    n = t.ones(2, 3)
                try:
                    with t.inference_mode(used_inside):
                        x = make(t, n)
                    found.append((x.is_inference(), x.requires_grad))
                except RuntimeError as error:
                    found.append(str(error)[:40])
        return found

    assert kinds(rushlight) == kinds(reference)
