"""Every learning-rate scheduler over 30 steps, against PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import rushlight


def _chained(lib: Any, o: Any) -> Any:
    s = lib.optim.lr_scheduler
    return s.ChainedScheduler([s.LinearLR(o, 0.1, total_iters=5), s.ExponentialLR(o, 0.9)])


def _sequential(lib: Any, o: Any) -> Any:
    s = lib.optim.lr_scheduler
    parts = [s.ConstantLR(o, 0.1, 3), s.CosineAnnealingLR(o, 6), s.StepLR(o, 2)]
    return s.SequentialLR(o, parts, [4, 12])


def _named(name: str, *args: Any, **kwargs: Any) -> Any:
    return lambda lib, o: getattr(lib.optim.lr_scheduler, name)(o, *args, **kwargs)


SCHEDULERS: dict[str, Any] = {
    "lambda": _named("LambdaLR", lambda epoch: 0.95**epoch),
    "multiplicative": _named("MultiplicativeLR", lambda epoch: 0.9 if epoch % 2 else 1.1),
    "step": _named("StepLR", 3, 0.5),
    "multistep": _named("MultiStepLR", [2, 5, 5, 9], 0.3),
    "constant": _named("ConstantLR", 0.5, 4),
    "linear": _named("LinearLR", 0.25, 0.75, 7),
    "exponential": _named("ExponentialLR", 0.9),
    "polynomial": _named("PolynomialLR", 10, 2.0),
    "cosine": _named("CosineAnnealingLR", 7, 0.01),
    "restarts": _named("CosineAnnealingWarmRestarts", 4, 2, 0.01),
    "cyclic": _named("CyclicLR", 0.01, 0.5, 4),
    "cyclic2": _named("CyclicLR", 0.01, 0.5, 3, 5, "triangular2"),
    "cyclic exp": _named("CyclicLR", 0.01, 0.5, 3, mode="exp_range", gamma=0.95),
    "onecycle": _named("OneCycleLR", 0.5, 40),
    "onecycle three": _named("OneCycleLR", 0.5, 40, three_phase=True, anneal_strategy="linear"),
    "chained": _chained,
    "sequential": _sequential,
    "swalr": lambda lib, o: lib.optim.swa_utils.SWALR(o, 0.05, 6),
    "swalr linear": lambda lib, o: lib.optim.swa_utils.SWALR(o, 0.05, 4, "linear"),
}


def _optimizer(lib: Any, kind: str = "SGD") -> Any:
    groups = [
        {"params": [lib.nn.Parameter(lib.ones(1))]},
        {"params": [lib.nn.Parameter(lib.ones(1))], "lr": 0.3},
    ]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(lib.optim, kind)(groups, lr=0.1, **options)


def _history(lib: Any, make: Any, kind: str = "SGD") -> list[Any]:
    optimizer = _optimizer(lib, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(lib, optimizer)
        rows = []
        for _ in range(30):
            row = []
            for group in optimizer.param_groups:
                row += [group["lr"], group.get("momentum", group.get("betas"))]
            rows.append((row, scheduler.get_last_lr()))
            optimizer.step()
            scheduler.step()
    return rows


def _flat(value: Any) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for entry in value for number in _flat(entry)]
    return [float(value)]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_rates_match_torch(name: str, kind: str) -> None:
    own = _history(rushlight, SCHEDULERS[name], kind)
    theirs = _history(torch, SCHEDULERS[name], kind)
    assert _flat(own) == pytest.approx(_flat(theirs), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_state_dict_matches_torch(name: str) -> None:
    states = []
    for lib in (rushlight, torch):
        optimizer = _optimizer(lib)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = SCHEDULERS[name](lib, optimizer)
            for _ in range(3):
                optimizer.step()
                scheduler.step()
            states.append(scheduler.state_dict())
    assert sorted(states[0]) == sorted(states[1])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau(mode: str, threshold_mode: str) -> None:
    metrics = [5.0, 4.0, 4.0, 4.1, 3.9, 3.9, 3.9, 3.9, 3.8, 6.0, 6.0, 6.0, 7.0, 7.0, 7.0, 7.0]
    histories = []
    for lib in (rushlight, torch):
        optimizer = _optimizer(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode,
            0.5,
            patience=1,
            threshold_mode=threshold_mode,
            threshold=0.05,
            cooldown=1,
            min_lr=[0.01, 0.02],
        )
        rows = []
        for metric in metrics:
            scheduler.step(metric)
            rows.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best))
        histories.append(rows)
        assert scheduler.state_dict().keys() == {
            *"factor default_min_lr min_lrs patience cooldown eps last_epoch _last_lr".split(),
            *"mode_worse mode threshold threshold_mode best cooldown_counter".split(),
            "num_bad_epochs",
        }
    assert histories[0] == histories[1]
