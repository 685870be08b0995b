"""Loss kernels with their derivatives: the reference."""

from __future__ import annotations

from typing import Any

from .base import Array, KernelBase


class LossKernels(KernelBase):
    """Negative log-likelihood and mean squared error."""

    # ------------------------------------------------------------------ nll
    def nll_loss(
        self,
        logp: Array,
        target: Array,
        weight: Array | None,
        ignore_index: int,
        reduction: str,
    ) -> tuple[Array, Array]:
        """``(loss, total_weight)`` of ``-weight[target] * logp[target]``.

        ``logp (N, C)``, ``(C,)`` or ``(N, C, *S)``; targets equal to ``ignore_index`` count
        nothing. The mean divides by the weights' total; raises ``IndexError`` for a target that
        is no class.
        """
        with self.quiet():
            index, weights = self._chosen(logp.shape, logp.dtype, target, weight, ignore_index)
            wide = self.widen(logp)
            axis = 1 if logp.ndim > 1 else 0
            spread = self.xp.expand_dims(index, axis)
            picked = self.xp.squeeze(self.xp.take_along_axis(wide, spread, axis), axis)
            terms = self.xp.where(weights != 0, -weights * picked, 0)
            total = self.xp.sum(weights, dtype=self.xp.float64)
            if reduction == "none":
                total = self.xp.zeros((), dtype=self.xp.float64)
                return self.finish(terms, logp.dtype), self.finish(total, logp.dtype)
            loss = self.xp.sum(terms, dtype=self.xp.float64)
            if reduction == "mean":
                loss = self.xp.asarray(loss) / total
            return self.finish(loss, logp.dtype), self.finish(total, logp.dtype)

    def nll_loss_grad(
        self,
        grad: Array,
        target: Array,
        weight: Array | None,
        total_weight: Array,
        logp_shape: tuple[int, ...],
        ignore_index: int,
        reduction: str,
    ) -> Array:
        """Zero but for ``-grad * weight[target]`` (over the total for the mean) at the targets."""
        with self.quiet():
            index, weights = self._chosen(logp_shape, grad.dtype, target, weight, ignore_index)
            values = -weights * self.widen(grad)
            if reduction == "mean":
                values = values / self.widen(total_weight)
            values = self.xp.where(weights != 0, values, 0)
            result = self.xp.zeros(logp_shape, dtype=self.widen(grad).dtype)
            axis = 1 if len(logp_shape) > 1 else 0
            spread = self.xp.expand_dims
            self.xp.put_along_axis(result, spread(index, axis), spread(values, axis), axis)
            return self.finish(result, grad.dtype)

    def _chosen(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        target: Array,
        weight: Array | None,
        ignore_index: int,
    ) -> tuple[Array, Array]:
        """The targets with ignored ones as class 0, and each one's weight (0 if ignored)."""
        classes = shape[1] if len(shape) > 1 else shape[0]
        kept = target != ignore_index
        outside = kept & ((target < 0) | (target >= classes))
        if self.xp.any(outside):
            wrong = int(target[outside].reshape(-1)[0])
            raise IndexError(
                f"[nll_loss] expected targets from 0 to {classes - 1} (or ignore_index "
                f"{ignore_index}); got Target {wrong} is out of bounds for {classes} classes; "
                "check the labels and the size of the last layer"
            )
        index = self.xp.where(kept, target, 0).astype(self.xp.int64)
        wide = self.xp.zeros((), dtype=dtype)
        if weight is None:
            weights = self.xp.ones(target.shape, dtype=self.widen(wide).dtype)
        else:
            weights = self.widen(weight)[index]
        return index, self.xp.where(kept, weights, self.xp.zeros_like(weights))

    # ------------------------------------------------------------------ mse
    def mse_loss(self, x: Array, y: Array, reduction: str) -> Array:
        """``(x - y)^2``, its sum or its mean."""
        with self.quiet():
            difference = self.widen(x) - self.widen(y)
            squares = difference * difference
            if reduction == "none":
                return self.finish(squares, x.dtype)
            total = self.xp.asarray(self.xp.sum(squares, dtype=self.xp.float64))
            if reduction == "mean":
                total = total / self.xp.float64(squares.size)
            return self.finish(total, x.dtype)

    def mse_loss_grad(self, grad: Array, x: Array, y: Array, reduction: str) -> Array:
        """``2 (x - y) grad``, over the count for the mean."""
        with self.quiet():
            difference = self.widen(x) - self.widen(y)
            factor = 2 / difference.size if reduction == "mean" and difference.size else 2.0
            return self.finish(factor * difference * self.widen(grad), x.dtype)
