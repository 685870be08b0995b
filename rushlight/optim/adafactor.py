"""Adafactor."""

from __future__ import annotations

import math
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._elementwise import (
    ElementwiseOptimizer,
    advance_step,
    as_number,
    new_step,
)
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Adafactor"]


class Adafactor(ElementwiseOptimizer):
    """Adafactor (Shazeer & Stern, 2018): the second moment of a matrix from its rows and columns.

        ρₜ = min(lr, 1/√t),   α = max(eps₂, rms(θ)) ρₜ,   β̂ = 1 − t^beta2_decay
        θ ← θ (1 − lr λ)
        R ← β̂ R + (1 − β̂) mean_columns(g²),   C ← β̂ C + (1 − β̂) mean_rows(g²)
        V = R C / max(mean(R), eps₁)            (tensors of one dimension keep V itself)
        U = g / √max(V, eps₁²)
        θ ← θ − α U / max(1, rms(U) / d)

    `eps` = (eps₁, eps₂); eps₁ is the machine epsilon by default.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(2, 2))
    >>> optimizer = torch.optim.Adafactor([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> round(weight[0, 0].item(), 4)
    0.9
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        state: dict[str, Any] = {"step": new_step()}
        if param.dim() > 1:
            *front, rows, columns = param.shape
            state["row_var"] = param.new_zeros((*front, rows, 1))
            state["col_var"] = param.new_zeros((*front, 1, columns))
        else:
            state["variance"] = rushlight.zeros_like(param)
        return state

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = rushlight.finfo(param.dtype).eps
        step = advance_step(state)
        lr = as_number(group["lr"])
        root_size = math.sqrt(param.numel())
        alpha = max(eps2, param.norm(2).item() / root_size) * min(lr, 1 / math.sqrt(step))
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        variance = self._variance(grad, state, step ** group["beta2_decay"], eps1)
        update = variance.clamp(min=eps1 * eps1).rsqrt() * grad
        clipping = max(1.0, update.norm(2).item() / (root_size * group["d"]))
        param.add_(update, alpha=-alpha / clipping)

    def _variance(self, grad: Tensor, state: dict[str, Any], weight: float, eps: float) -> Tensor:
        """Moves the running second moments by `weight` towards g² and returns V."""
        square = grad * grad
        if grad.dim() <= 1:
            return state["variance"].lerp_(square, weight)
        row_var, col_var = state["row_var"], state["col_var"]
        row_var.lerp_(square.mean(dim=-1, keepdim=True), weight)
        col_var.lerp_(square.mean(dim=-2, keepdim=True), weight)
        return row_var @ col_var / row_var.mean(dim=-2, keepdim=True).clamp(min=eps)
