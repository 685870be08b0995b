"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._line_search import strong_wolfe
from rushlight.optim.optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS (Nocedal, 1980; after Schmidt's minFunc): a quasi-Newton method with short memory.

    One `step(closure)` does up to `max_iter` iterations, each with at least one call of `closure`,
    which must compute the loss and its gradients anew. The direction is −H g with H from the last
    `history_size` pairs of steps and gradient changes. `line_search_fn` is None (a fixed step of
    lr, shorter in the first iteration) or "strong_wolfe". One parameter group only.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.LBFGS([weight], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (weight - 3).pow(2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> round(weight.item(), 4)
    3.0
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    # ---------------------------------------------------------------- all parameters as one vector

    def _gather_flat_grad(self) -> Tensor:
        views = []
        for param in self._params:
            grad = rushlight.zeros_like(param) if param.grad is None else param.grad
            views.append(_as_real(grad).reshape(-1))
        return rushlight.cat(views)

    def _add_grad(self, step_size: float, direction: Tensor) -> None:
        """θ ← θ + step_size · direction."""
        offset = 0
        for param in self._params:
            real = _as_real(param)
            size = real.numel()
            real.add_(direction[offset : offset + size].view_as(real), alpha=step_size)
            offset += size

    def _clone_param(self) -> list[Tensor]:
        return [param.clone() for param in self._params]

    def _set_param(self, values: list[Tensor]) -> None:
        for param, value in zip(self._params, values, strict=True):
            param.copy_(value)

    def _evaluate_at(
        self, closure: Callable[[], Any], start: list[Tensor], t: float, direction: Tensor
    ) -> tuple[float, Tensor]:
        """Loss and gradient at θ + t · direction; the parameters are put back."""
        self._add_grad(t, direction)
        loss = float(closure())
        flat_grad = self._gather_flat_grad()
        self._set_param(start)
        return loss, flat_grad

    # ---------------------------------------------------------------- the iterations

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Runs the iterations; returns the loss at the start."""
        if closure is None:
            raise TypeError(
                "[LBFGS.step] expected a closure that computes the loss and its gradients anew; "
                "got None; call step(closure)"
            )

        def evaluate() -> Any:
            with rushlight.enable_grad():
                return closure()

        with rushlight.no_grad():
            return self._iterate(evaluate)

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        # PyTorch keeps the state of all parameters under the first one.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        original_loss = closure()
        loss = float(original_loss)
        evaluations = 1
        state["func_evals"] += 1
        flat_grad = self._gather_flat_grad()
        if flat_grad.abs().max().item() <= group["tolerance_grad"]:
            return original_loss
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            self._update_direction(state, flat_grad, group["history_size"])
            state["prev_flat_grad"] = flat_grad.clone()
            state["prev_loss"] = previous_loss = loss
            direction = state["d"]
            lr = group["lr"].item() if isinstance(group["lr"], Tensor) else group["lr"]
            t = min(1.0, 1.0 / flat_grad.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            slope = flat_grad.dot(direction).item()
            state["t"] = t
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"] is not None:
                loss, flat_grad, t, used = self._search(closure, t, loss, flat_grad, slope)
                self._add_grad(t, direction)
            else:
                self._add_grad(t, direction)
                if iterations != group["max_iter"]:
                    # The last evaluation would serve nobody.
                    loss = float(closure())
                    flat_grad = self._gather_flat_grad()
                    used = 1
            state["t"] = t
            evaluations += used
            state["func_evals"] += used
            if (
                iterations == group["max_iter"]
                or evaluations >= group["max_eval"]
                or flat_grad.abs().max().item() <= group["tolerance_grad"]
                or (direction * t).abs().max().item() <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        return original_loss

    def _search(
        self, closure: Callable[[], Any], t: float, loss: float, flat_grad: Tensor, slope: float
    ) -> tuple[float, Tensor, float, int]:
        if self.param_groups[0]["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        start = self._clone_param()
        direction = self.state[self._params[0]]["d"]
        return strong_wolfe(
            lambda step: self._evaluate_at(closure, start, step, direction),
            t,
            direction,
            loss,
            flat_grad,
            slope,
        )

    def _update_direction(
        self, state: dict[str, Any], flat_grad: Tensor, history_size: int
    ) -> None:
        """Sets `state["d"]` to −H g by the two-loop recursion."""
        if state["n_iter"] == 1:
            state.update(d=flat_grad.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return
        y = flat_grad.sub(state["prev_flat_grad"])
        s = state["d"].mul(state["t"])
        curvature = y.dot(s).item()
        old_y, old_s, ro = state["old_dirs"], state["old_stps"], state["ro"]
        if curvature > 1e-10:
            if len(old_y) == history_size:
                for history in (old_y, old_s, ro):
                    history.pop(0)
            old_y.append(y)
            old_s.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y).item()
        count = len(old_y)
        # `al` is kept because PyTorch's state has it; only this loop reads it.
        alphas = state.setdefault("al", [None] * history_size)
        q = flat_grad.neg()
        for i in range(count - 1, -1, -1):
            alphas[i] = old_s[i].dot(q).item() * ro[i]
            q.add_(old_y[i], alpha=-alphas[i])
        direction = q.mul(state["H_diag"])
        for i in range(count):
            beta = old_y[i].dot(direction).item() * ro[i]
            direction.add_(old_s[i], alpha=alphas[i] - beta)
        state["d"] = direction


def _as_real(tensor: Tensor) -> Tensor:
    return rushlight.view_as_real(tensor) if tensor.is_complex() else tensor
