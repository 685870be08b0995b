"""NAdam."""

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
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["NAdam"]


class NAdam(ElementwiseOptimizer):
    """Adam with Nesterov's momentum (Dozat, 2016).

        g ← ∇f(θ) + λ θ
        μₜ = β₁ (1 − 0.96^(t ψ) / 2),   Π ← Π μₜ              (ψ is `momentum_decay`)
        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
        d = √(v / (1 − β₂ᵗ)) + eps
        θ ← θ − lr (1 − μₜ) / (1 − Π) · g / d − lr μₜ₊₁ / (1 − Π μₜ₊₁) · m / d

    With `decoupled_weight_decay` θ shrinks by lr · λ · θ instead of λ entering g.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.NAdam([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> weight.item() < 1.0
    True
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative("momentum_decay", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        return {
            "step": new_step(),
            "mu_product": new_step().fill_(1.0),
            "exp_avg": rushlight.zeros_like(param),
            "exp_avg_sq": rushlight.zeros_like(param),
        }

    def _rule(self, states: list[Any], group: Group) -> Rule:
        beta1, beta2 = group["betas"]
        lr, decay = as_number(group["lr"]), group["weight_decay"]
        shrink = 1.0 - lr * decay if group["decoupled_weight_decay"] else 1.0
        factors = []
        for state, step in zip(states, advance_steps(states), strict=True):
            mu, mu_next, product = self._advance_mu(state, step, group)
            of_gradient = lr * (1.0 - mu) / (1.0 - product)
            of_mean = lr * mu_next / (1.0 - product * mu_next)
            factors.append((shrink, of_gradient, of_mean, 1 - beta2**step))
        decay = 0.0 if group["decoupled_weight_decay"] else decay
        numbers = (beta1, beta2, group["eps"])
        return Rule("nadam", ("exp_avg", "exp_avg_sq"), factors, numbers, decay)

    def _advance_mu(
        self, state: dict[str, Any], step: float, group: Group
    ) -> tuple[float, float, float]:
        """μₜ, μₜ₊₁, and the product of all μ up to this step."""
        beta1, decay = group["betas"][0], group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        state["mu_product"] *= mu
        return mu, mu_next, state["mu_product"].item()

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
        mu, mu_next, mu_product = self._advance_mu(state, step, group)
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denom = exp_avg_sq.div(1 - beta2**step).sqrt().add_(group["eps"])
        param.addcdiv_(grad, denom, value=-lr * (1.0 - mu) / (1.0 - mu_product))
        param.addcdiv_(exp_avg, denom, value=-lr * mu_next / (1.0 - mu_product * mu_next))
