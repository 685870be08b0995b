"""Optimizer steps over lists of parameters, each one kernel call (PyTorch's `_fused_…_`)."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from ..autograd.variable import mark_changed
from ..backends import kernels

__all__ = ["_fused_sgd_", "_fused_adam_", "_fused_adamw_", "_foreach_add_"]


_array_of = attrgetter("_array")


def _arrays(tensors: Sequence[Any]) -> list[Any]:
    return list(map(_array_of, tensors))


def _fused_sgd_(params: Sequence[Any], grads: Sequence[Any], momentum_buffer_list: Sequence[Any], *,
                weight_decay: float, momentum: float, lr: float, dampening: float, nesterov: bool,
                maximize: bool, is_first_step: bool) -> None:  # fmt: skip
    """One step of SGD for all `params`, in place; momentum buffers too."""
    if not params:
        return
    kernels(params[0]._array).sgd_step(
        _arrays(params), _arrays(grads), _arrays(momentum_buffer_list), float(lr), momentum,
        dampening, weight_decay, nesterov, maximize, is_first_step,
    )  # fmt: skip
    mark_changed(params, "the optimizer step")


def _fused_adam(params: Sequence[Any], grads: Sequence[Any], exp_avgs: Sequence[Any],
                exp_avg_sqs: Sequence[Any], max_exp_avg_sqs: Sequence[Any],
                state_steps: Sequence[Any], lr: float, beta1: float, beta2: float,
                weight_decay: float, eps: float, amsgrad: bool, maximize: bool,
                decoupled: bool) -> None:  # fmt: skip
    if not params:
        return
    steps = [float(s._array) for s in state_steps]
    kernels(params[0]._array).adam_step(
        _arrays(params), _arrays(grads), _arrays(exp_avgs), _arrays(exp_avg_sqs),
        _arrays(max_exp_avg_sqs), steps, float(lr), beta1, beta2, eps, weight_decay, amsgrad,
        maximize, decoupled,
    )  # fmt: skip
    mark_changed(params, "the optimizer step")


def _fused_adam_(params: Sequence[Any], grads: Sequence[Any], exp_avgs: Sequence[Any],
                 exp_avg_sqs: Sequence[Any], max_exp_avg_sqs: Sequence[Any],
                 state_steps: Sequence[Any], *, lr: float, beta1: float, beta2: float,
                 weight_decay: float, eps: float, amsgrad: bool,
                 maximize: bool) -> None:  # fmt: skip
    """One step of Adam for all `params`, in place, with their running means."""
    _fused_adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, lr, beta1,
                beta2, weight_decay, eps, amsgrad, maximize, decoupled=False)  # fmt: skip


def _fused_adamw_(params: Sequence[Any], grads: Sequence[Any], exp_avgs: Sequence[Any],
                  exp_avg_sqs: Sequence[Any], max_exp_avg_sqs: Sequence[Any],
                  state_steps: Sequence[Any], *, lr: float, beta1: float, beta2: float,
                  weight_decay: float, eps: float, amsgrad: bool,
                  maximize: bool) -> None:  # fmt: skip
    """One step of AdamW for all `params`, in place, with their running means."""
    _fused_adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, lr, beta1,
                beta2, weight_decay, eps, amsgrad, maximize, decoupled=True)  # fmt: skip


def fused_rule_(rule: str, params: Sequence[Any], grads: Sequence[Any],
                states: Sequence[Sequence[Any]], factors: Sequence[tuple[float, ...]],
                numbers: tuple[float, ...], *, weight_decay: float,
                 maximize: bool) -> None:  # fmt: skip
    """One step of the algorithm called `rule` (see the kernel `rule_step`), in place."""
    if not params:
        return
    kernels(params[0]._array).rule_step(
        rule, _arrays(params), _arrays(grads), tuple([_arrays(tensors) for tensors in states]),
        factors, numbers, float(weight_decay), maximize,
    )  # fmt: skip
    mark_changed(params, "the optimizer step")


def _foreach_add_(self: Sequence[Any], other: Any, alpha: float = 1) -> None:
    """Adds `alpha · other` (one number for all, or a list of tensors) to every tensor, in place."""
    if isinstance(other, (list, tuple)):
        if len(other) != len(self):
            raise RuntimeError(
                f"Tensor lists must have the same number of tensors, got {len(self)} "
                f"and {len(other)}"
            )
        for tensor, term in zip(self, other):
            tensor.add_(term, alpha=alpha)
        return
    for tensor in self:
        array = tensor._array
        array += other * alpha
    mark_changed(self, "_foreach_add_")
