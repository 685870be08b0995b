"""Adamax."""

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
    check_betas,
    check_epsilon,
    check_lr,
    check_not_negative,
    for_each,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Adamax"]


class Adamax(ElementwiseOptimizer):
    """Adam with the infinity norm (Kingma & Ba, 2014).

        g ← ∇f(θ) + λ θ
        m ← β₁ m + (1 − β₁) g
        u ← max(β₂ u, |g| + eps)
        θ ← θ − lr / (1 − β₁ᵗ) · m / u

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.Adamax([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.9
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_epsilon(eps)
        check_betas(betas)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        return {
            "step": new_step(),
            "exp_avg": rushlight.zeros_like(param),
            "exp_inf": rushlight.zeros_like(param),
        }

    def _rule(self, states: list[Any], group: Group) -> Rule:
        beta1, beta2 = group["betas"]
        lr = as_number(group["lr"])
        factors = for_each(lambda step: (1.0, lr / (1 - beta1**step)), advance_steps(states))
        numbers = (beta1, beta2, group["eps"])
        return Rule("adamax", ("exp_avg", "exp_inf"), factors, numbers, group["weight_decay"])

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        beta1, beta2 = group["betas"]
        exp_avg, exp_inf = state["exp_avg"], state["exp_inf"]
        step = advance_step(state)
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        exp_avg.lerp_(grad, 1 - beta1)
        exp_inf.copy_(rushlight.maximum(exp_inf * beta2, grad.abs().add_(group["eps"])))
        denom = exp_inf.clone() if group["differentiable"] else exp_inf
        param.addcdiv_(exp_avg, denom, value=-as_number(group["lr"]) / (1 - beta1**step))
