"""Adagrad."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._elementwise import (
    ElementwiseOptimizer,
    Rule,
    advance_step,
    advance_steps,
    as_number,
    check_epsilon,
    check_fused,
    check_lr,
    check_not_negative,
    for_each,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Adagrad"]


class Adagrad(ElementwiseOptimizer):
    """Adagrad (Duchi et al., 2011): steps divided by the root of the sum of all squared gradients.

        g ← ∇f(θ) + λ θ
        s ← s + g²                                (s starts at `initial_accumulator_value`)
        θ ← θ − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.Adagrad([weight], lr=0.5)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.5
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay", lr_decay)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("initial_accumulator_value", initial_accumulator_value)
        check_epsilon(eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param] = self._init_state(param, group)

    def share_memory(self) -> None:
        """Moves the sums to memory that child processes share."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        start: Any = group["initial_accumulator_value"]
        if param.is_complex():
            start = complex(start, start)
        return {"step": new_step(), "sum": rushlight.full_like(param.detach(), start)}

    def _rule(self, states: list[Any], group: Group) -> Rule:
        lr, lr_decay = as_number(group["lr"]), group["lr_decay"]
        factors = for_each(
            lambda step: (1.0, lr / (1 + (step - 1) * lr_decay)), advance_steps(states)
        )
        return Rule("adagrad", ("sum",), factors, (group["eps"],), group["weight_decay"])

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        step = advance_step(state)
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        lr = as_number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"].addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add_(group["eps"]), value=-lr)
