"""Averages of models: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.nn import Module
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.optim.lr_scheduler import LRScheduler
from rushlight.optim.lr_scheduler._base import per_group
from rushlight.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AvgFn = Callable[[Tensor, Tensor, Any], Tensor]
MultiAvgFn = Callable[[list[Tensor], list[Tensor], Any], None]


def get_swa_avg_fn() -> AvgFn:
    """The equal mean of all models so far: a + (θ − a) / (n + 1)."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with rushlight.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """The exponential moving average: decay · a + (1 − decay) · θ."""
    _check_decay(decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with rushlight.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """`get_swa_avg_fn` on lists of tensors, in place."""
    average = get_swa_avg_fn()

    def swa_update(averaged: list[Tensor], current: list[Tensor], num_averaged: Any) -> None:
        with rushlight.no_grad():
            for own, given in zip(averaged, current, strict=True):
                own.copy_(average(own, given, num_averaged) if own.is_floating_point() else given)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """`get_ema_avg_fn` on lists of tensors, in place."""
    average = get_ema_avg_fn(decay)

    def ema_update(averaged: list[Tensor], current: list[Tensor], num_averaged: Any) -> None:
        with rushlight.no_grad():
            for own, given in zip(averaged, current, strict=True):
                own.copy_(average(own, given, num_averaged) if own.is_floating_point() else given)

    return ema_update


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


class AveragedModel(Module):
    """Holds the average of a model's parameters over the calls of `update_parameters`.

    The average is equal by default (Izmailov et al., 2018); `avg_fn(average, parameter, n)` or
    `multi_avg_fn` make another. Buffers are copied, or averaged with `use_buffers`.

    >>> import rushlight as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> averaged.update_parameters(model)
    >>> averaged.n_averaged.item()
    1
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        count = rushlight.tensor(0, dtype=rushlight.long, device=device)
        self.register_buffer("n_averaged", count)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the present parameters of `model` into the average."""
        own, given = self._tensors(self.module), self._tensors(model)
        current = [tensor.detach().to(mine.device) for mine, tensor in zip(own, given, strict=True)]
        if self.n_averaged == 0:
            for mine, tensor in zip(own, current, strict=True):
                mine.detach().copy_(tensor)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn([mine.detach() for mine in own], current, self.n_averaged)
        else:
            average = self.avg_fn if self.avg_fn is not None else get_swa_avg_fn()
            for mine, tensor in zip(own, current, strict=True):
                mine.detach().copy_(average(mine.detach(), tensor, self.n_averaged))
        if not self.use_buffers:
            for mine, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                mine.detach().copy_(buffer.detach().to(mine.device))
        self.n_averaged += 1

    def _tensors(self, module: Module) -> list[Tensor]:
        if self.use_buffers:
            return list(itertools.chain(module.parameters(), module.buffers()))
        return list(module.parameters())


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the running statistics of all batch normalisations anew, over one pass of `loader`.

    Batches may be tensors or lists and tuples that begin with the input.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    was_training = model.training
    with rushlight.no_grad():
        model.train()
        for module in norms:
            module.reset_running_stats()
            module.momentum = None  # the equal mean over all batches
        for batch in loader:
            input = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(input.to(device) if device is not None else input)
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Anneals each group's rate to `swa_lr` in `anneal_epochs` epochs and keeps it there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for group, lr in zip(
            optimizer.param_groups, per_group(optimizer, swa_lr, "swa_lr"), strict=True
        ):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _done(self, epoch: int) -> float:
        """How much of the way is done at `epoch`, from 0 to 1."""
        fraction = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "linear":
            return fraction
        return (1 - math.cos(math.pi * fraction)) / 2

    def get_lr(self) -> list[Any]:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        # PyTorch counts its own first step, so that without annealing the first rate is swa_lr.
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._done(max(0, step - 1)), self._done(step)
        lrs = []
        for group in self.optimizer.param_groups:
            swa_lr, lr = group["swa_lr"], group["lr"]
            start = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            lrs.append(swa_lr * now + start * (1 - now))
        return lrs
