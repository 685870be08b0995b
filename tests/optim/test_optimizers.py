"""Optimizers: trajectories recorded from PyTorch 2.13, groups, state, hooks, errors."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn, optim

TRAJECTORIES: list[tuple[str, dict[str, Any], list[list[float]]]] = [
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        [[0.601, 3.928], [-0.491821, -39.794075], [6.622351, 47836.257812]],
    ),
    (
        "Adam",
        {"lr": 0.1, "amsgrad": True},
        [[0.9, -1.9], [0.806551, -1.800703], [0.726524, -1.702618]],
    ),
    ("AdamW", {"lr": 0.1}, [[0.899, -1.898], [0.804762, -1.796826], [0.724243, -1.697]]),
    ("Adagrad", {"lr": 0.1}, [[0.9, -1.9], [0.854709, -1.834971], [0.826382, -1.784496]]),
    ("Adadelta", {}, [[0.996838, -1.996838], [0.99362, -1.993601], [0.990384, -1.990318]]),
    (
        "RMSprop",
        {"lr": 0.1, "centered": True, "momentum": 0.5},
        [[-0.005038, -0.994962], [-0.059913, -0.364787], [0.075676, -0.041436]],
    ),
    ("Adamax", {"lr": 0.1}, [[0.9, -1.9], [0.825821, -1.807486], [0.770735, -1.721865]]),
    ("NAdam", {"lr": 0.1}, [[0.894355, -1.894355], [0.843167, -1.821926], [0.805998, -1.757221]]),
    ("RAdam", {"lr": 0.1}, [[0.8, 1.1], [0.539579, 2.246105], [0.269184, 1.276825]]),
    ("ASGD", {"lr": 0.1}, [[0.79999, 1.10002], [0.48519, 0.487586], [0.390741, 0.392696]]),
    ("Rprop", {"lr": 0.1}, [[0.9, -1.9], [0.78, -1.78], [0.636, -1.636]]),
    (
        "Adafactor",
        {"lr": 0.1},
        [[0.841886, -1.841886], [0.784869, -1.715092], [0.757225, -1.608716]],
    ),
    (
        "LBFGS",
        {"lr": 0.5, "max_iter": 2},
        [[0.969697, -1.530303], [0.928585, -1.350224], [0.859158, -1.165241]],
    ),
]


@pytest.mark.parametrize("case", TRAJECTORIES, ids=[case[0] for case in TRAJECTORIES])
def test_recorded_trajectory(case: Any) -> None:
    name, options, expected = case
    param = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = getattr(optim, name)([param], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (param**4).sum() + param[0] * param[1]
        loss.backward()
        return loss

    for values in expected:
        optimizer.step(closure)
        assert param.tolist() == pytest.approx(values, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_kernel_call_equals_the_formula(name: str, dtype: Any) -> None:
    """The fused step and the differentiable one are the same algorithm."""
    options = {"lr": 0.1, "weight_decay": 0.1}
    if name == "SGD":
        options["momentum"] = 0.9
    results = []
    for differentiable in (False, True):
        params = [torch.tensor([1.0, -2.0], dtype=dtype) for _ in range(2)]
        optimizer = getattr(optim, name)(params, differentiable=differentiable, **options)
        for step in range(4):
            for index, param in enumerate(params):
                # The second parameter joins late: its state starts later.
                param.grad = param * 2 if step >= index else None
            optimizer.step()
        results.append([param.tolist() for param in params])
    assert results[0] == [pytest.approx(values, rel=1e-5) for values in results[1]]


def test_repr() -> None:
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n"
        "    foreach: None\n    fused: None\n    lr: 0.1\n    maximize: False\n"
        "    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )


def test_groups_and_their_options() -> None:
    a, b, c = (nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 1.0}], lr=0.5)
    optimizer.add_param_group({"params": c, "lr": 2.0})
    for param in (a, b, c):
        param.grad = torch.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == [0.5, 0.0, -1.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_state_dict_layout_and_resuming() -> None:
    params = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    optimizer = optim.Adam(params, lr=0.1)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][0]["step"].item() == 1 and state["state"][0]["step"].dim() == 0
    assert state["param_groups"][0]["params"] == [0, 1]
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)
    twins = [nn.Parameter(param.detach().clone()) for param in params]
    other = optim.Adam(twins, lr=9.0)
    other.load_state_dict(copy.deepcopy(state))
    for group in (params, twins):
        for param in group:
            param.grad = torch.full_like(param, 0.5)
    optimizer.step()
    other.step()
    assert all(torch.equal(a, b) for a, b in zip(params, twins, strict=True))


def test_no_state_without_momentum() -> None:
    param = nn.Parameter(torch.ones(1))
    optimizer = optim.SGD([param], lr=0.1)
    param.grad = torch.ones(1)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}


def test_named_parameters() -> None:
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": nn.Parameter(torch.ones(1))})


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda p: optim.SGD(p, lr=0.1), TypeError, "iterable of Tensors or dicts"),
        (lambda p: optim.SGD([{"params": {p}}]), TypeError, "ordered collections"),
        (lambda p: optim.SGD([3], lr=0.1), TypeError, "only optimize Tensors"),
        (lambda p: optim.SGD([p * 2], lr=0.1), ValueError, "non-leaf"),
        (lambda p: optim.SGD([{"params": p}, {"params": p}]), ValueError, "more than one"),
        (lambda p: optim.SGD([p], lr=-1.0), ValueError, "Invalid learning rate: -1.0"),
        (lambda p: optim.SGD([p], momentum=-1.0), ValueError, "Invalid momentum value"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "index 0: 1.0"),
        (lambda p: optim.Adam([p], eps=-1.0), ValueError, "Invalid epsilon value"),
        (lambda p: optim.Adam([p], fused=True, foreach=True), RuntimeError, "together"),
        (lambda p: optim.Rprop([p], etas=(2.0, 3.0)), ValueError, "Invalid eta values"),
        (lambda p: optim.Muon([p]), ValueError, "only supports 2D"),
        (lambda p: optim.LBFGS([{"params": p}, {"params": []}]), ValueError, "per-parameter"),
    ],
)
def test_errors(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(nn.Parameter(torch.ones(1)))


def test_loading_a_different_shape_of_groups() -> None:
    one = optim.SGD([nn.Parameter(torch.ones(1))])
    two = optim.SGD([{"params": nn.Parameter(torch.ones(1))} for _ in range(2)])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        one.load_state_dict(two.state_dict())


def test_hooks_see_every_step() -> None:
    param = nn.Parameter(torch.ones(1))
    optimizer = optim.SGD([param], lr=0.1)
    order: list[str] = []
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: order.append("pre"))
    handle = optimizer.register_step_post_hook(lambda opt, args, kwargs: order.append("post"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert order == ["pre", "post", "pre"]


def test_own_optimizer() -> None:
    class SignDescent(optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure: Any = None) -> None:
            with torch.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        param -= group["lr"] * param.grad.sign()

    param = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = SignDescent([param], lr=0.5)
    (param**2).sum().backward()
    optimizer.step()
    assert param.tolist() == [0.5, -0.5]


def test_closure_result_is_returned() -> None:
    param = nn.Parameter(torch.ones(1))
    optimizer = optim.SGD([param], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (param * 3).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert param.item() == pytest.approx(0.7)
