"""Adam for sparse gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._elementwise import as_number, check_betas
from rushlight.optim.optimizer import Group, Optimizer, ParamsT

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam that changes only the entries in which the sparse gradient has values.

    Raises RuntimeError for dense gradients: use `Adam` for them.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        self._refuse("Sparse", "requires dense parameter tensors", lambda param: param.is_sparse)
        self._refuse(
            "Complex", "does not support complex parameters", lambda param: param.is_complex()
        )

    def _refuse(self, kind: str, text: str, is_refused: Callable[[Tensor], bool]) -> None:
        found = [
            [i, j]
            for i, group in enumerate(self.param_groups)
            for j, param in enumerate(group["params"])
            if is_refused(param)
        ]
        if found:
            raise ValueError(f"{kind} params at indices {found}: SparseAdam {text}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one step; `closure`, if given, computes the loss anew and its gradients."""
        loss = None
        if closure is not None:
            with rushlight.enable_grad():
                loss = closure()
        with rushlight.no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, param.grad, self._state_of(param), group)
        return loss

    def _state_of(self, param: Tensor) -> dict[str, Any]:
        state = self.state[param]
        if not state:
            state["step"] = 0
            state["exp_avg"] = rushlight.zeros_like(param)
            state["exp_avg_sq"] = rushlight.zeros_like(param)
        return state

    def _update(self, param: Tensor, grad: Any, state: dict[str, Any], group: Group) -> None:
        if not grad.is_sparse:
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = state["step"]
        grad = grad.coalesce()
        where, values = tuple(grad.indices()), grad.values()
        if values.numel() == 0:
            return
        if group["maximize"]:
            values = -values
        exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
        mean = exp_avg[where].lerp(values, 1 - beta1)
        square = exp_avg_sq[where].lerp(values * values, 1 - beta2)
        exp_avg.index_put_(where, mean)
        exp_avg_sq.index_put_(where, square)
        step_size = as_number(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        update = mean / (square.sqrt() + group["eps"]) * -step_size
        param.index_put_(where, update, accumulate=True)
