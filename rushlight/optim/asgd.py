"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.ops.optimizer import numbers_in, write_each_
from rushlight.optim._elementwise import (
    ElementwiseOptimizer,
    Rule,
    advance_step,
    advance_steps,
    as_number,
    check_lr,
    check_not_negative,
    for_each,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["ASGD"]


class ASGD(ElementwiseOptimizer):
    """Averaged stochastic gradient descent (Polyak & Juditsky, 1992).

        g ← ∇f(θ) + λ_w θ
        θ ← (1 − lambd · η) θ − η g
        a ← θ while μ = 1, else a + μ (θ − a)          (the average, `state["ax"]`)
        η ← lr / (1 + lambd · lr · t)^alpha,   μ ← 1 / max(1, t − t0)

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.ASGD([weight], lr=0.25, lambd=0.0)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> weight.item()
    0.5
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            "eta": new_step().fill_(as_number(group["lr"])),
            "mu": new_step().fill_(1.0),
            "ax": rushlight.zeros_like(param),
        }

    def _rule(self, states: list[Any], group: Group) -> Rule:
        steps = advance_steps(states)
        etas, mus = [state["eta"] for state in states], [state["mu"] for state in states]
        lambd = group["lambd"]
        factors = for_each(
            lambda eta, mu: (1 - lambd * eta, eta, mu), numbers_in(etas), numbers_in(mus)
        )
        write_each_(etas, for_each(lambda step: self._next_eta(step, group), steps))
        write_each_(mus, for_each(lambda step: self._next_mu(step, group), steps))
        return Rule("asgd", ("ax",), factors, (), group["weight_decay"])

    @staticmethod
    def _next_eta(step: float, group: Group) -> float:
        lr = as_number(group["lr"])
        return lr / (1 + group["lambd"] * lr * step) ** group["alpha"]

    @staticmethod
    def _next_mu(step: float, group: Group) -> float:
        return 1 / max(1, step - group["t0"])

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        step = advance_step(state)
        eta, mu, average = state["eta"].item(), state["mu"].item(), state["ax"]
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        param.mul_(1 - group["lambd"] * eta)
        param.add_(grad, alpha=-eta)
        if mu != 1:
            average.add_((param - average) * mu)
        else:
            average.copy_(param)
        state["eta"].fill_(self._next_eta(step, group))
        state["mu"].fill_(self._next_mu(step, group))
