"""RAdam."""

from __future__ import annotations

import math
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

__all__ = ["RAdam"]


class RAdam(ElementwiseOptimizer):
    """Rectified Adam (Liu et al., 2019): plain momentum until the variance can be trusted.

        g ← ∇f(θ) + λ θ
        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   m̂ = m / (1 − β₁ᵗ)
        ρ∞ = 2 / (1 − β₂) − 1,   ρₜ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        ρₜ > 5:  θ ← θ − lr · m̂ · rₜ · √(1 − β₂ᵗ) / (√v + eps),
                 rₜ = √((ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ))
        else:    θ ← θ − lr · m̂

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.RAdam([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.8
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        return {
            "step": new_step(),
            "exp_avg": rushlight.zeros_like(param),
            "exp_avg_sq": rushlight.zeros_like(param),
        }

    def _rule(self, states: list[Any], group: Group) -> Rule:
        beta1, beta2 = group["betas"]
        lr, decay = as_number(group["lr"]), group["weight_decay"]
        shrink = 1.0 - lr * decay if group["decoupled_weight_decay"] else 1.0
        factors = for_each(
            lambda step: (shrink, lr / (1 - beta1**step), self._rectifier(step, beta2)),
            advance_steps(states),
        )
        decay = 0.0 if group["decoupled_weight_decay"] else decay
        numbers = (beta1, beta2, group["eps"])
        return Rule("radam", ("exp_avg", "exp_avg_sq"), factors, numbers, decay)

    @staticmethod
    def _rectifier(step: float, beta2: float) -> float:
        """rₜ · √(1 − β₂ᵗ), or 0 as long as ρₜ ≤ 5."""
        correction = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction
        if rho <= 5.0:
            return 0.0
        ratio = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        return math.sqrt(correction) * math.sqrt(ratio)

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        beta1, beta2 = group["betas"]
        lr = as_number(group["lr"])
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        step = advance_step(state)
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = grad.add(param, alpha=group["weight_decay"])
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        update = exp_avg / (1 - beta1**step) * lr
        rectifier = self._rectifier(step, beta2)
        if rectifier:
            update = update * rectifier / exp_avg_sq.sqrt().add_(group["eps"])
        param.sub_(update)
