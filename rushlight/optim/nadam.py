"""NAdam."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.ops.optimizer import numbers_in, scale_each_
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
        steps, products = advance_steps(states), [state["mu_product"] for state in states]
        scale_each_(products, for_each(lambda step: self._mus(step, group)[0], steps))

        def factors_of(step: float, product: float) -> tuple[float, ...]:
            of_gradient, of_mean = self._rates(lr, *self._mus(step, group), product)
            return shrink, of_gradient, of_mean, 1 - beta2**step

        factors = for_each(factors_of, steps, numbers_in(products))
        decay = 0.0 if group["decoupled_weight_decay"] else decay
        numbers = (beta1, beta2, group["eps"])
        return Rule("nadam", ("exp_avg", "exp_avg_sq"), factors, numbers, decay)

    @staticmethod
    def _mus(step: float, group: Group) -> tuple[float, float]:
        """μₜ and μₜ₊₁."""
        beta1, decay = group["betas"][0], group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        return mu, beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))

    @staticmethod
    def _rates(lr: float, mu: float, mu_next: float, product: float) -> tuple[float, float]:
        """What g / d and m / d are multiplied by, without their sign."""
        return lr * (1.0 - mu) / (1.0 - product), lr * mu_next / (1.0 - product * mu_next)

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
        mu, mu_next = self._mus(step, group)
        state["mu_product"] *= mu
        of_gradient, of_mean = self._rates(lr, mu, mu_next, state["mu_product"].item())
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denom = exp_avg_sq.div(1 - beta2**step).sqrt().add_(group["eps"])
        param.addcdiv_(grad, denom, value=-of_gradient)
        param.addcdiv_(exp_avg, denom, value=-of_mean)
