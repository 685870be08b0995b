"""Scaled dot-product attention: the reference kernels.

With the scores S = scale · q kᵀ + mask and the weights P = softmax(S), out = P v. The derivative
needs only the logarithm of each row's sum: P = exp(S − lse), and with g the gradient of out

    dv = Pᵀ g,  dS = P (g vᵀ − rowsum(g · out)),  dq = scale · dS k,  dk = scale · dSᵀ q

A row that may see nothing has the weights zero; its lse is +inf, with which they come out as zero.
A backend that is asked to ``keep`` the weights may return them in a form of its own.
"""

from __future__ import annotations

from .base import Array, KernelBase


class AttentionKernels(KernelBase):
    """``q (N, H, L, E)``, ``k (N, H, S, E)``, ``v (N, H, S, Ev)``; ``mask`` as S, broadcasting."""

    def _scores(self, q: Array, k: Array, mask: Array | None, causal: bool, scale: float) -> Array:
        xp = self.xp
        scores: Array = (self.widen(q) @ xp.swapaxes(self.widen(k), -1, -2)) * scale
        if mask is not None and mask.dtype == bool:
            scores = xp.where(mask, scores, -xp.inf)
        elif mask is not None:
            scores = scores + self.widen(mask)
        if causal:
            scores = xp.where(xp.tri(*scores.shape[-2:], dtype=bool), scores, -xp.inf)
        return scores

    def attention(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        causal: bool,
        scale: float,
        keep: bool,
    ) -> tuple[Array, Array, Array | None]:
        """``out (N, H, L, Ev)``, the logarithm of each row's sum, and None or kept weights."""
        xp = self.xp
        with self.quiet():
            scores = self._scores(q, k, mask, causal, scale)
            peak = xp.max(scores, -1, keepdims=True)
            peak = xp.where(peak == -xp.inf, xp.zeros_like(peak), peak)
            weights = xp.exp(scores - peak)
            total = xp.sum(weights, -1, keepdims=True)
            is_empty = total == 0
            out = (weights @ self.widen(v)) / xp.where(is_empty, xp.ones_like(total), total)
            lse = xp.where(is_empty, xp.inf, peak + xp.log(total))[..., 0]
        return self.finish(out, q.dtype), self.finish(lse, scores.dtype), None

    def attention_grad(
        self,
        grad: Array,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        causal: bool,
        scale: float,
        out: Array,
        lse: Array,
        weights: Array | None,
    ) -> tuple[Array, Array, Array]:
        """``(dq, dk, dv)``."""
        xp = self.xp
        with self.quiet():
            g = self.widen(grad)
            weights = xp.exp(self._scores(q, k, mask, causal, scale) - lse[..., None])
            shift = xp.sum(g * self.widen(out), -1, keepdims=True)
            slopes = weights * (g @ xp.swapaxes(self.widen(v), -1, -2) - shift) * scale
            dq = slopes @ self.widen(k)
            dk = xp.swapaxes(slopes, -1, -2) @ self.widen(q)
            dv = xp.swapaxes(weights, -1, -2) @ g
        return self.finish(dq, q.dtype), self.finish(dk, k.dtype), self.finish(dv, v.dtype)
