"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.autograd.variable import with_gradient
from rushlight.optim._elementwise import (
    ElementwiseOptimizer,
    as_number,
    can_fuse,
    check_fused,
    check_lr,
    check_not_negative,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["SGD"]


class SGD(ElementwiseOptimizer):
    """Stochastic gradient descent with momentum μ, dampening τ and weight decay λ.

        g ← ∇f(θ) + λ θ              (−∇f for `maximize`)
        b ← μ b + (1 − τ) g          (b ← g in the first step)
        g ← g + μ b for `nesterov`, else b
        θ ← θ − lr · g

    (Sutskever et al., 2013, for Nesterov's form.) `foreach` and `fused` are accepted and change
    nothing: one kernel updates all parameters of a group in any case.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.SGD([weight], lr=0.5)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> weight.item()
    0.0
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        check_lr(lr)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", as_number(weight_decay))
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def _step_group(self, group: Group) -> None:
        params, grads = with_gradient(group["params"])
        if not params:
            return
        if group["differentiable"] or not can_fuse(params):
            for param, grad in zip(params, grads, strict=True):
                self._update_by_formula(param, grad, group)
        elif group["momentum"] == 0:
            self._kernel_step(params, grads, [], group, is_first_step=False)
        else:
            self._fused_step_with_momentum(params, grads, group)

    def _fused_step_with_momentum(
        self, params: list[Tensor], grads: list[Tensor], group: Group
    ) -> None:
        """Parameters in their first step have no buffer yet; they go by themselves."""
        state = self.state
        buffers = [state[param].get("momentum_buffer") for param in params]
        is_new = [buffer is None for buffer in buffers]
        if True not in is_new:
            self._kernel_step(params, grads, buffers, group, is_first_step=False)
            return
        for i, grad in enumerate(grads):
            if is_new[i]:
                buffers[i] = state[params[i]]["momentum_buffer"] = rushlight.empty_like(grad)
        for first in (True, False):
            chosen = [i for i, new in enumerate(is_new) if new == first]
            if chosen:
                self._kernel_step(
                    [params[i] for i in chosen],
                    [grads[i] for i in chosen],
                    [buffers[i] for i in chosen],
                    group,
                    is_first_step=first,
                )

    def _kernel_step(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        buffers: list[Any],
        group: Group,
        *,
        is_first_step: bool,
    ) -> None:
        rushlight._fused_sgd_(
            params,
            grads,
            buffers,
            weight_decay=float(group["weight_decay"]),
            momentum=group["momentum"],
            lr=float(group["lr"]),
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=is_first_step,
        )

    def _update_by_formula(self, param: Tensor, grad: Tensor, group: Group) -> None:
        """The formula in differentiable operations, for any dtype."""
        momentum, lr = group["momentum"], group["lr"]
        if group["maximize"]:
            grad = -grad
        if as_number(group["weight_decay"]) != 0:
            grad = grad + group["weight_decay"] * param
        if momentum != 0:
            state = self.state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.clone().detach()
            else:
                buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        if group["differentiable"] and isinstance(lr, Tensor):
            param.add_(grad * -lr)
        else:
            param.add_(grad, alpha=-as_number(lr))
