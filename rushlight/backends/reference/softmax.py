"""Softmax, log-softmax and their derivatives: the reference kernels."""

from __future__ import annotations

from .base import Array, KernelBase


class SoftmaxKernels(KernelBase):
    """Both functions shift by the largest element, so that no exponential overflows."""

    def softmax(self, x: Array, dim: int) -> Array:
        """``exp(x) / sum(exp(x))`` along ``dim``; a slice that is -inf throughout gives NaN."""
        if x.size == 0:
            return x.copy()
        axis = dim if x.ndim else None
        with self.quiet():
            wide = self.widen(x)
            powers = self.xp.exp(wide - self.xp.max(wide, axis=axis, keepdims=True))
            return self.finish(powers / self.xp.sum(powers, axis=axis, keepdims=True), x.dtype)

    def log_softmax(self, x: Array, dim: int) -> Array:
        """``x - log(sum(exp(x)))`` along ``dim``."""
        if x.size == 0:
            return x.copy()
        axis = dim if x.ndim else None
        with self.quiet():
            wide = self.widen(x)
            shifted = wide - self.xp.max(wide, axis=axis, keepdims=True)
            total = self.xp.sum(self.xp.exp(shifted), axis=axis, keepdims=True)
            return self.finish(shifted - self.xp.log(total), x.dtype)

    def softmax_grad(self, grad: Array, result: Array, dim: int) -> Array:
        """``(grad - sum(grad * result)) * result``."""
        axis = dim if grad.ndim else None
        with self.quiet():
            g, r = self.widen(grad), self.widen(result)
            product = g * r
            total = self.xp.sum(product, axis=axis, keepdims=True)
            return self.finish(product - r * total, grad.dtype)

    def log_softmax_grad(self, grad: Array, result: Array, dim: int) -> Array:
        """``grad - exp(result) * sum(grad)``."""
        axis = dim if grad.ndim else None
        with self.quiet():
            g, r = self.widen(grad), self.widen(result)
            total = self.xp.sum(g, axis=axis, keepdims=True)
            return self.finish(g - self.xp.exp(r) * total, grad.dtype)
