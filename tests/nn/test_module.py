"""Module: registration, attribute rules, printing, iteration, modes, conversion, errors."""

from __future__ import annotations

import copy
import pickle

import pytest

import rushlight as torch
from rushlight import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 3)
        self.act = nn.ReLU()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 2)])
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.fc1(x))
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


def test_repr_of_nested_modules() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (fc1): Linear(in_features=4, out_features=3, bias=True)\n"
        "  (act): ReLU()\n"
        "  (layers): ModuleList(\n"
        "    (0): Linear(in_features=3, out_features=3, bias=True)\n"
        "    (1): Linear(in_features=3, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )


def test_equal_neighbours_print_once() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])
    assert repr(layers) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"


def test_names_of_parameters_buffers_modules() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "fc1.weight",
        "fc1.bias",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == ["scale", "scratch"]
    names = ["", "fc1", "act", "layers", "layers.0", "layers.1"]
    assert [name for name, _ in net.named_modules()] == names
    assert [name for name, _ in net.named_children()] == ["fc1", "act", "layers"]


def test_shared_parameters_are_yielded_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_assignment_moves_a_name_between_registries() -> None:
    module = nn.Module()
    module.x = 3
    module.x = nn.Parameter(torch.ones(1))
    assert "x" not in module.__dict__ and "x" in module._parameters
    module.x = nn.ReLU()
    assert "x" not in module._parameters and "x" in module._modules
    module.x = None
    assert module.x is None and "x" in module._modules
    del module.x
    assert not hasattr(module, "x")


@pytest.mark.parametrize(
    ("assign", "error"),
    [
        (lambda m: setattr(m, "weight", torch.ones(1)), TypeError),
        (lambda m: setattr(m, "child", 3), TypeError),
        (lambda m: setattr(m, "buf", "text"), TypeError),
        (lambda m: m.register_parameter("a.b", None), KeyError),
        (lambda m: m.register_parameter("", None), KeyError),
        (lambda m: m.register_parameter("weight2", torch.ones(1)), TypeError),
        (lambda m: m.register_buffer("forward", None), KeyError),
        (lambda m: m.add_module("child2", 3), TypeError),
        (lambda m: m.register_parameter("p", (nn.Parameter(torch.ones(1)) * 2)), TypeError),
    ],
)
def test_wrong_assignments_raise(assign: object, error: type[Exception]) -> None:
    module = nn.Module()
    module.weight = nn.Parameter(torch.ones(1))
    module.child = nn.ReLU()
    module.register_buffer("buf", torch.ones(1))
    with pytest.raises(error):
        assign(module)  # type: ignore[operator]


def test_assignment_before_init_names_the_cure() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Forgetful()


def test_unknown_attribute_and_arguments() -> None:
    with pytest.raises(AttributeError, match="'ReLU' object has no attribute 'fc9'"):
        _ = nn.ReLU().fc9
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        nn.Module(size=3)
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_paths() -> None:
    net = Net()
    assert net.get_submodule("layers.1") is net.layers[1]
    assert net.get_parameter("fc1.bias") is net.fc1.bias
    assert net.get_buffer("scale") is net.scale
    with pytest.raises(AttributeError, match="has no attribute `fc2`"):
        net.get_submodule("fc2")
    net.set_submodule("layers.1", nn.Linear(3, 5))
    assert net(torch.ones(1, 4)).shape == (1, 5)


def test_train_eval_and_requires_grad() -> None:
    net = Net()
    net.eval()
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train("yes")  # type: ignore[arg-type]
    net.requires_grad_(False)
    assert not any(param.requires_grad for param in net.parameters())


def test_zero_grad() -> None:
    net = Net()
    net(torch.ones(1, 4)).sum().backward()
    assert net.fc1.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert net.fc1.weight.grad.abs().sum().item() == 0
    net.zero_grad()
    assert net.fc1.weight.grad is None


def test_conversion_keeps_the_parameter_objects() -> None:
    net = Net()
    before = list(net.parameters())
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert net.scale.dtype == torch.float64
    net.to(torch.float32)
    assert net.fc1.weight.dtype == torch.float32
    assert net.to("cpu").to(torch.ones(1).double()).fc1.weight.dtype == torch.float64
    with pytest.raises(TypeError, match="floating point or complex"):
        net.to(torch.int64)


def test_apply_visits_children_first() -> None:
    order: list[str] = []
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    net.apply(lambda module: order.append(type(module).__name__))
    assert order == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_deepcopy_and_pickle() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net.fc1))):
        assert all(p.requires_grad for p in twin.parameters())
    twin = copy.deepcopy(net)
    twin.fc1.weight.data.zero_()
    assert net.fc1.weight.abs().sum().item() > 0


def _error_text(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def test_an_error_names_the_path_of_the_module() -> None:
    net = nn.Sequential(Net(), nn.Linear(7, 1))
    with pytest.raises(RuntimeError) as caught:
        net(torch.ones(1, 5))
    text = _error_text(caught.value)
    assert "in module Sequential.0.fc1 (Linear(in_features=4, out_features=3, bias=True))" in text
    assert text.count("in module") == 1


def test_an_error_in_a_list_names_the_index() -> None:
    net = Net()
    net.layers[1] = nn.Linear(8, 2)
    with pytest.raises(RuntimeError) as caught:
        net(torch.ones(1, 4))
    assert "in module Net.layers.1 (" in _error_text(caught.value)


def test_an_exception_may_pass_unrelated_modules() -> None:
    inner = nn.Linear(2, 2)

    class Catcher(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return inner(x)
            except RuntimeError as error:
                raise ValueError("wrapped") from error

    with pytest.raises(ValueError, match="wrapped") as caught:
        Catcher()(torch.ones(1, 3))
    assert "in module Catcher()" in _error_text(caught.value)
