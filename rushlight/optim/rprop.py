"""Resilient backpropagation."""

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
    check_lr,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Rprop"]


class Rprop(ElementwiseOptimizer):
    """Rprop (Riedmiller & Braun, 1993): only the signs of the gradients count.

        g·g' > 0:  Δ ← min(Δ η₊, Δ_max)
        g·g' < 0:  Δ ← max(Δ η₋, Δ_min),  g ← 0
        θ ← θ − sign(g) Δ,   g' ← g

    `etas` = (η₋, η₊), `step_sizes` = (Δ_min, Δ_max); Δ starts at `lr`, g' at 0.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.Rprop([weight], lr=0.25)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> weight.item()
    0.75
    """

    has_kernel = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        lr: Any = as_number(group["lr"])
        if param.is_complex():
            lr = complex(lr, lr)
        return {
            "step": new_step(),
            "prev": rushlight.zeros_like(param),
            "step_size": rushlight.full_like(param.detach(), lr),
        }

    def _rule(self, states: list[Any], group: Group) -> Rule:
        advance_steps(states)
        numbers = (*group["etas"], *group["step_sizes"])
        return Rule("rprop", ("prev", "step_size"), [(1.0,)] * len(states), numbers, 0.0)

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        eta_minus, eta_plus = group["etas"]
        smallest, largest = group["step_sizes"]
        previous, step_size = state["prev"], state["step_size"]
        advance_step(state)
        agreement = grad * previous
        factor = rushlight.ones_like(grad)
        factor = factor.masked_fill(agreement > 0, eta_plus)
        factor = factor.masked_fill(agreement < 0, eta_minus)
        step_size.mul_(factor).clamp_(smallest, largest)
        grad = grad.masked_fill(agreement < 0, 0)
        param.addcmul_(grad.sign(), step_size.clone(), value=-1)
        previous.copy_(grad)
