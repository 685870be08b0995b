"""RMSprop."""

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
    check_lr,
    check_not_negative,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["RMSprop"]


class RMSprop(ElementwiseOptimizer):
    """RMSprop (Hinton's lecture 6, 2012): steps divided by the running root mean square.

        g ← ∇f(θ) + λ θ
        v ← α v + (1 − α) g²
        `centered`:  a ← α a + (1 − α) g,  ṽ = v − a²,  else ṽ = v
        b ← μ b + g / (√ṽ + eps)          (b = g / (√ṽ + eps) without momentum)
        θ ← θ − lr · b

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.RMSprop([weight], lr=0.05)
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
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_epsilon(eps)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("alpha", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        state = {"step": new_step(), "square_avg": rushlight.zeros_like(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = rushlight.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = rushlight.zeros_like(param)
        return state

    def _rule(self, states: list[Any], group: Group) -> Rule:
        advance_steps(states)
        centered, momentum = group["centered"], group["momentum"] > 0
        names = ["square_avg", *["grad_avg"] * centered, *["momentum_buffer"] * momentum]
        name = "rmsprop"
        if centered or momentum:
            name += "_both" if centered and momentum else "_centered" if centered else "_momentum"
        numbers = (as_number(group["lr"]), group["alpha"], group["eps"], group["momentum"])
        factors = [(1.0,)] * len(states)
        return Rule(name, tuple(names), factors, numbers, group["weight_decay"])

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        alpha, lr = group["alpha"], as_number(group["lr"])
        square_avg = state["square_avg"]
        advance_step(state)
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            grad_avg = state["grad_avg"]
            grad_avg.lerp_(grad, 1 - alpha)
            root = square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt()
        else:
            root = square_avg.sqrt()
        denom = root.add_(group["eps"])
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer.mul_(group["momentum"]).addcdiv_(grad, denom)
            param.add_(buffer, alpha=-lr)
        else:
            param.addcdiv_(grad, denom, value=-lr)
