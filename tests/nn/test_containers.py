"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict and DataParallel."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import rushlight as torch
from rushlight import nn


def test_sequential_as_a_list() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert len(net) == 3 and isinstance(net[-1], nn.Sigmoid)
    assert [type(m).__name__ for m in net[1:]] == ["Tanh", "Sigmoid"]
    net[0] = nn.ELU()
    net.append(nn.GELU()).insert(1, nn.Identity())
    names = ["ELU", "Identity", "Tanh", "Sigmoid", "GELU"]
    assert [type(m).__name__ for m in net] == names
    del net[1:3]
    assert list(net._modules) == ["0", "1", "2"]
    assert isinstance(net.pop(0), nn.ELU)
    assert len(net + net) == 4 and len(net * 3) == 6
    with pytest.raises(IndexError, match="out of range"):
        _ = net[5]


def test_sequential_with_names() -> None:
    net = nn.Sequential(OrderedDict([("first", nn.Linear(1, 2)), ("then", nn.ReLU())]))
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    assert isinstance(net.then, nn.ReLU)


def test_module_list() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU()).extend([nn.Tanh()])
    layers.insert(0, nn.Identity())
    assert [type(m).__name__ for m in layers] == ["Identity", "Linear", "ReLU", "Tanh"]
    del layers[0]
    assert list(layers._modules) == ["0", "1", "2"]
    assert len(layers[:2]) == 2 and isinstance(layers[-1], nn.Tanh)
    with pytest.raises(TypeError, match="iterable"):
        layers.extend(3)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        layers(torch.ones(1))


def test_module_dict() -> None:
    choices = nn.ModuleDict({"a": nn.ReLU()})
    choices["b"] = nn.Tanh()
    choices.update([("c", nn.Linear(1, 1))])
    assert list(choices) == ["a", "b", "c"] and "b" in choices
    assert isinstance(choices.pop("b"), nn.Tanh)
    with pytest.raises(ValueError, match="2 is required"):
        choices.update([("x", nn.ReLU(), 3)])
    with pytest.raises(KeyError):
        _ = choices["z"]


def test_parameter_containers() -> None:
    weights = nn.ParameterList([torch.ones(2), torch.zeros(1)])
    assert all(isinstance(weight, nn.Parameter) for weight in weights)
    assert len(list(weights.parameters())) == 2 and len(weights[1:]) == 1
    named = nn.ParameterDict({"x": torch.ones(2)})
    named["y"] = torch.zeros(3)
    assert list(named.keys()) == ["x", "y"]
    assert [name for name, _ in named.named_parameters()] == ["x", "y"]
    assert list((named | nn.ParameterDict({"z": torch.ones(1)})).keys()) == ["x", "y", "z"]
    assert named.pop("x").shape == (2,) and "x" not in named


def test_data_parallel_calls_the_module() -> None:
    net = nn.DataParallel(nn.Linear(2, 3))
    assert torch.equal(net(torch.ones(1, 2)), net.module(torch.ones(1, 2)))
    with pytest.raises(ValueError, match="process group"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1))


def test_lists_of_names_are_complete() -> None:
    assert sorted(nn.__all__) == nn.__all__
    assert all(hasattr(nn, name) for name in nn.__all__)
