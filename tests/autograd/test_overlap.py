"""Writing into memory that is read at the same time, or whose elements share a place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rushlight as torch

PARTLY = "some elements of the input tensor and the written-to tensor refer to a single memory"
REPEATED = "more than one element of the written-to tensor refers to a single memory location"


def ramp() -> torch.Tensor:
    return torch.arange(6.0)


SHIFTED: dict[str, Callable[[torch.Tensor, torch.Tensor], object]] = {
    "copy_": lambda x, y: x.copy_(y),
    "add_": lambda x, y: x.add_(y),
    "add_ alpha": lambda x, y: x.add_(y, alpha=2),
    "div_": lambda x, y: x.div_(y),
    "clamp_": lambda x, y: x.clamp_(y),
    "assignment": lambda x, y: x.__setitem__(slice(None), y),
    "index_put_": lambda x, y: x.index_put_((torch.arange(5),), y),
    "out": lambda x, y: torch.mul(y, 2, out=x),
    "out of another kind": lambda x, y: torch.exp(y, out=x),
}


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("wants", [False, True])
def test_part_of_itself(name: str, wants: bool) -> None:
    x = ramp()
    if wants and name.startswith("out"):
        return  # out= is refused for tensors that want a gradient
    base = x.requires_grad_() * 1 if wants else x
    before = base.tolist()
    with pytest.raises(RuntimeError, match=PARTLY):
        SHIFTED[name](base[1:], base[:-1])
    assert base.tolist() == before


def test_parts_that_lie_apart() -> None:
    x = ramp()
    x[:3].add_(x[3:])
    assert x.tolist() == [3.0, 5.0, 7.0, 3.0, 4.0, 5.0]
    x[3:].copy_(x[:3])
    assert x.tolist() == [3.0, 5.0, 7.0, 3.0, 5.0, 7.0]
    x[::2].mul_(x[1::2])  # with gaps: not refused, and computed before it is written
    assert x.tolist() == [15.0, 5.0, 21.0, 3.0, 35.0, 7.0]


def test_all_of_itself() -> None:
    x = ramp()
    x.add_(x).mul_(x.view(6)).sub_(x.detach())
    assert x.tolist() == [0.0] * 6
    square = torch.arange(4.0).reshape(2, 2)
    with pytest.raises(RuntimeError, match=PARTLY):
        square.add_(square.t())
    assert torch.add(square, 1, out=square).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_columns_are_computed_before_they_are_written() -> None:
    x = torch.arange(8.0).reshape(2, 4)
    x[:, 1:].copy_(x[:, :-1])
    assert x.tolist() == [[0.0, 0.0, 1.0, 2.0], [4.0, 4.0, 5.0, 6.0]]


def test_two_tensors_around_one_numpy_array() -> None:
    memory = np.arange(6, dtype=np.float32)
    torch.from_numpy(memory[1:]).add_(torch.from_numpy(memory[:-1]))
    assert memory.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 9.0]


EXPANDED: dict[str, Callable[[torch.Tensor], object]] = {
    "add_": lambda x: x.add_(1),
    "relu_": lambda x: x.relu_(),
    "exp_": lambda x: x.exp_(),
    "copy_": lambda x: x.copy_(torch.ones(3)),
    "normal_": lambda x: x.normal_(),
    "assignment": lambda x: x.__setitem__(slice(None), 1),
    "scatter_": lambda x: x.scatter_(0, torch.tensor([0]), 1.0),
    "out": lambda x: torch.add(torch.ones(3), 1, out=x),
}


@pytest.mark.parametrize("name", EXPANDED)
def test_expanded_memory(name: str) -> None:
    x = torch.zeros(1)
    with pytest.raises(RuntimeError, match=REPEATED):
        EXPANDED[name](x.expand(3))
    assert x.tolist() == [0.0]
    EXPANDED[name](x.expand(3).clone())


def test_the_same_number_everywhere_in_expanded_memory() -> None:
    x = torch.zeros(2, 1)
    x.expand(2, 3).fill_(2)
    assert x.tolist() == [[2.0], [2.0]]
    with pytest.warns(UserWarning, match=r"Use of index_put_ on expanded tensors is deprecated"):
        x.expand(2, 3)[torch.tensor([1])] = 5.0
    assert x.tolist() == [[2.0], [5.0]]
    with pytest.warns(UserWarning, match="Use of masked_fill_ on expanded tensors"):
        x.expand(2, 3).masked_fill_(torch.eye(2, 3) > 0, 7)
    assert x.tolist() == [[7.0], [7.0]]
