"""Muon: momentum orthogonalised by a Newton–Schulz iteration."""

from __future__ import annotations

import math
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.optim._elementwise import ElementwiseOptimizer, as_number
from rushlight.optim.optimizer import Group, ParamsT

__all__ = ["Muon"]


class Muon(ElementwiseOptimizer):
    """Muon (Jordan et al., 2024) for the weight matrices of hidden layers; only 2-D parameters.

        b ← μ b + (1 − μ) g
        u = b, or (1 − μ) g + μ b for `nesterov`
        θ ← θ (1 − lr λ) − lr · s · orthogonal(u)

    orthogonal(u) ≈ U Vᵀ of the singular value decomposition of u, by `ns_steps` of
    X ← a X + (b A + c A²) X, A = X Xᵀ, in bfloat16. s = √max(1, rows / columns), or
    0.2 √max(rows, columns) with `adjust_lr_fn="match_rms_adamw"`.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.eye(2))
    >>> optimizer = torch.optim.Muon([weight], lr=0.1)
    >>> weight.pow(2).sum().backward()
    >>> optimizer.step()
    >>> weight[0, 0].item() < 1.0
    True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn is not None and adjust_lr_fn not in ("original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {param.size()}"
                    )

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": rushlight.zeros_like(param.grad)}

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        momentum, lr = group["momentum"], as_number(group["lr"])
        buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = _orthogonalised(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        param.mul_(1 - lr * group["weight_decay"])
        param.add_(update, alpha=-lr * _shape_factor(param, group["adjust_lr_fn"]))


def _orthogonalised(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The Newton–Schulz iteration towards the nearest (semi-)orthogonal matrix, in bfloat16."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x = matrix.bfloat16()
    is_tall = matrix.size(0) > matrix.size(1)
    if is_tall:
        x = x.T
    # The iteration converges for singular values up to 1; the norm bounds them.
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = rushlight.addmm(gram, gram, gram, beta=b, alpha=c)
        x = rushlight.addmm(x, polynomial, x, beta=a)
    return x.T if is_tall else x


def _shape_factor(param: Tensor, adjust_lr_fn: str | None) -> float:
    rows, columns = param.shape
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
