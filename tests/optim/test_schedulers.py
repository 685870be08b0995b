"""Schedulers by closed form, their warnings and errors; more comparisons stand in parity/optim."""

from __future__ import annotations

import math
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn, optim
from rushlight.optim import lr_scheduler as schedulers


def make_optimizer(lr: float = 1.0) -> optim.SGD:
    return optim.SGD([nn.Parameter(torch.ones(1))], lr=lr, momentum=0.9)


def rates(make: Any, steps: int, lr: float = 1.0) -> list[float]:
    optimizer = make_optimizer(lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda o: schedulers.StepLR(o, 2, 0.5), lambda e: 0.5 ** (e // 2)),
        (lambda o: schedulers.MultiStepLR(o, [1, 3], 0.1), lambda e: 0.1 ** ((e > 0) + (e > 2))),
        (lambda o: schedulers.ExponentialLR(o, 0.9), lambda e: 0.9**e),
        (lambda o: schedulers.LambdaLR(o, lambda e: 1 / (1 + e)), lambda e: 1 / (1 + e)),
        (lambda o: schedulers.ConstantLR(o, 0.5, 3), lambda e: 0.5 if e < 3 else 1.0),
        (lambda o: schedulers.LinearLR(o, 0.5, 1.0, 4), lambda e: 0.5 + 0.5 * min(e, 4) / 4),
        (lambda o: schedulers.PolynomialLR(o, 5, 2.0), lambda e: (1 - min(e, 5) / 5) ** 2),
        (
            lambda o: schedulers.CosineAnnealingLR(o, 6),
            lambda e: (1 + math.cos(math.pi * e / 6)) / 2,
        ),
        (
            lambda o: schedulers.CosineAnnealingWarmRestarts(o, 3),
            lambda e: (1 + math.cos(math.pi * (e % 3) / 3)) / 2,
        ),
    ],
    ids="step multistep exponential lambda constant linear polynomial cosine restarts".split(),
)
def test_closed_forms(make: Any, formula: Any) -> None:
    assert rates(make, 8) == pytest.approx([formula(epoch) for epoch in range(8)])


def test_one_cycle_peaks_and_momentum_goes_the_other_way() -> None:
    optimizer = make_optimizer()
    scheduler = schedulers.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    history = []
    for _ in range(9):
        group = optimizer.param_groups[0]
        history.append((group["lr"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    assert history[0] == pytest.approx((0.04, 0.95))
    assert max(history) == pytest.approx((1.0, 0.85)) and history.index(max(history)) == 2
    with pytest.raises(ValueError, match="Tried to step"):
        for _ in range(3):
            scheduler.step()


def test_sequential_starts_each_part_at_its_epoch_zero() -> None:
    def make(optimizer: Any) -> Any:
        warmup = schedulers.ConstantLR(optimizer, 0.5, 2)
        return schedulers.SequentialLR(
            optimizer, [warmup, schedulers.ExponentialLR(optimizer, 0.5)], [2]
        )

    assert rates(make, 5) == pytest.approx([0.5, 0.5, 1.0, 0.5, 0.25])


def test_plateau_patience_and_cooldown() -> None:
    optimizer = make_optimizer()
    scheduler = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1)
    found = []
    for metric in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        scheduler.step(metric)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


def test_resuming() -> None:
    optimizer = make_optimizer()
    scheduler = schedulers.CosineAnnealingLR(optimizer, 10)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    other = make_optimizer()
    twin = schedulers.CosineAnnealingLR(other, 10)
    twin.load_state_dict(scheduler.state_dict())
    other.load_state_dict(optimizer.state_dict())
    optimizer.step()
    scheduler.step()
    other.step()
    twin.step()
    assert twin.get_last_lr() == scheduler.get_last_lr() and twin.last_epoch == 4


def test_warnings_and_errors() -> None:
    optimizer = make_optimizer()
    scheduler = schedulers.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    optimizer.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)
    assert scheduler.get_last_lr() == [pytest.approx(1e-3)]
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        schedulers.StepLR(3, 1)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="initial_lr"):
        schedulers.StepLR(make_optimizer(), 1, last_epoch=2)
    with pytest.raises(ValueError, match="Expected 1 lr_lambdas"):
        schedulers.LambdaLR(optimizer, [lambda e: 1.0] * 2)


def test_averaged_model() -> None:
    net = nn.Linear(1, 1, bias=False)
    averaged = optim.swa_utils.AveragedModel(net)
    for value in (1.0, 2.0, 6.0):
        net.weight.data.fill_(value)
        averaged.update_parameters(net)
    assert averaged.module.weight.item() == pytest.approx(3.0)
    ema = optim.swa_utils.AveragedModel(net, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.5))
    for value in (1.0, 2.0):
        net.weight.data.fill_(value)
        ema.update_parameters(net)
    assert ema.module.weight.item() == pytest.approx(1.5)
    with pytest.raises(ValueError, match="Invalid decay"):
        optim.swa_utils.get_ema_avg_fn(2.0)


def test_update_bn() -> None:
    net = nn.Sequential(nn.BatchNorm1d(1))
    batches = [torch.tensor([[1.0], [3.0]]), [torch.tensor([[5.0], [7.0]]), None]]
    optim.swa_utils.update_bn(batches, net)
    assert net[0].running_mean.item() == pytest.approx(4.0)
    assert net[0].momentum == 0.1
