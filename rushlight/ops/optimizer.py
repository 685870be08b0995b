"""Optimizer steps over lists of parameters, each one kernel call (PyTorch's `_fused_…_`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.variable import arrays_of, mark_changed
from ..backends import kernels

__all__ = ["_fused_sgd_", "_fused_adam_", "_fused_adamw_", "_foreach_add_"]


def _fused_sgd_(params: Sequence[Any], grads: Sequence[Any], momentum_buffer_list: Sequence[Any], *,
                weight_decay: float, momentum: float, lr: float, dampening: float, nesterov: bool,
                maximize: bool, is_first_step: bool) -> None:  # fmt: skip
    """One step of SGD for all `params`, in place; momentum buffers too."""
    if not params:
        return
    kernels(params[0]._array).sgd_step(
        arrays_of(params), arrays_of(grads), arrays_of(momentum_buffer_list), float(lr), momentum,
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
    steps = numbers_in(state_steps)
    kernels(params[0]._array).adam_step(
        arrays_of(params), arrays_of(grads), arrays_of(exp_avgs), arrays_of(exp_avg_sqs),
        arrays_of(max_exp_avg_sqs), steps, float(lr), beta1, beta2, eps, weight_decay, amsgrad,
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
        rule, arrays_of(params), arrays_of(grads), tuple(map(arrays_of, states)), factors,
        numbers, float(weight_decay), maximize,
    )  # fmt: skip
    mark_changed(params, "the optimizer step")


def numbers_in(tensors: Sequence[Any]) -> list[float]:
    """The numbers in tensors of one element."""
    return [float(array) for array in arrays_of(tensors)]


def scale_each_(tensors: Sequence[Any], numbers: list[float]) -> None:
    """Multiplies every tensor by its number, in place."""
    kernels(tensors[0]._array).scale_each(arrays_of(tensors), numbers)
    mark_changed(tensors, "the optimizer step")


def write_each_(tensors: Sequence[Any], numbers: list[float]) -> None:
    """Sets all elements of every tensor to its number."""
    kernels(tensors[0]._array).write_each(arrays_of(tensors), numbers)
    mark_changed(tensors, "the optimizer step")


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
    if not self:
        return
    kernels(self[0]._array).add_to_each(arrays_of(self), other * alpha)
    mark_changed(self, "_foreach_add_")
