"""Adam, and the frame it shares with AdamW."""

from __future__ import annotations

import math
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._elementwise import (
    ElementwiseOptimizer,
    advance_step,
    as_number,
    check_epsilon,
    check_fused,
    check_lr,
    check_not_negative,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Adam"]


class Adam(ElementwiseOptimizer):
    """Adam (Kingma & Ba, 2014): steps scaled by running means of the gradient and of its square.

        g ← ∇f(θ) + λ θ                      (−∇f for `maximize`)
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        θ ← θ − lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps)

    With `amsgrad` the largest v so far takes the place of v (Reddi et al., 2018). With
    `decoupled_weight_decay` θ shrinks by lr · λ · θ instead of λ entering g (AdamW). `foreach`,
    `fused` and `capturable` are accepted and change nothing.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.Adam([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.9
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr, foreach, capturable)
        check_epsilon(eps)
        for index, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element")
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("fused", None)
            group.setdefault("decoupled_weight_decay", False)
            for param in group["params"]:
                own = self.state.get(param, {})
                if own and not isinstance(own["step"], Tensor):
                    own["step"] = new_step() + float(own["step"])

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        state = {
            "step": new_step(),
            "exp_avg": rushlight.zeros_like(param),
            "exp_avg_sq": rushlight.zeros_like(param),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = rushlight.zeros_like(param)
        return state

    def _fused_step(
        self, params: list[Tensor], grads: list[Tensor], states: list[Any], group: Group
    ) -> None:
        """One kernel call updates all parameters of the group."""
        steps = [state["step"] for state in states]
        rushlight._foreach_add_(steps, 1)
        kernel = (
            rushlight._fused_adamw_ if group["decoupled_weight_decay"] else rushlight._fused_adam_
        )
        amsgrad = group["amsgrad"]
        beta1, beta2 = group["betas"]
        kernel(
            params,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["max_exp_avg_sq"] for state in states] if amsgrad else [],
            steps,
            lr=as_number(group["lr"]),
            beta1=as_number(beta1),
            beta2=as_number(beta2),
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=amsgrad,
            maximize=group["maximize"],
        )

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        """The formula in differentiable operations, for any dtype."""
        lr, eps, weight_decay = group["lr"], group["eps"], group["weight_decay"]
        beta1, beta2 = (as_number(beta) for beta in group["betas"])
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        step = advance_step(state)
        if weight_decay != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * weight_decay)
            else:
                grad = grad.add(param, alpha=weight_decay)
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            largest.copy_(rushlight.maximum(largest, exp_avg_sq))
            # A copy for the tape: the buffer itself changes in the next step.
            exp_avg_sq = largest.clone() if group["differentiable"] else largest
        denom = (exp_avg_sq.sqrt() / math.sqrt(1 - beta2**step)).add_(eps)
        step_size = lr / (1 - beta1**step)
        if isinstance(step_size, Tensor) and group["differentiable"]:
            param.add_(exp_avg / denom * -step_size)
        else:
            param.addcdiv_(exp_avg, denom, value=-as_number(step_size))
