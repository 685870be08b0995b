"""Batch, layer, group and RMS normalisation with their derivatives: the reference kernels.

All four subtract a mean (RMS does not), multiply with the inverse standard deviation over some
axes, and scale and shift by parameters that run along other axes. With
``xhat = (x - mean) * invstd`` and ``g = grad * weight`` the derivative of the first two is

    dx = invstd * (g - mean(g) - xhat * mean(g * xhat))

over the same axes; it is written once, in ``_normalised_grad``.
"""

from __future__ import annotations

from typing import Any

from .base import Array, KernelBase
from .windows import laid_out_like

Needs = tuple[bool, ...]


class NormKernels(KernelBase):
    """Statistics are formed in float64 and rounded once."""

    # ------------------------------------------------------------------ shared parts
    def _statistics(self, x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
        """Mean and biased inverse standard deviation over ``axes`` in float64, axes kept."""
        wide = x.astype(self.xp.float64)
        mean = self.xp.mean(wide, axis=axes, keepdims=True)
        var = self.xp.mean((wide - mean) ** 2, axis=axes, keepdims=True)
        return mean, 1 / self.xp.sqrt(var + eps)

    def _affine(self, x: Any, weight: Any, bias: Any) -> Any:
        """``x * weight + bias``, either of them optional."""
        if weight is not None:
            x = x * self.widen(weight)
        return x if bias is None else x + self.widen(bias)

    def _like(self, x: Array, result: Array) -> Array:
        """``result`` with the dtype and, where that is channels last, the layout of ``x``."""
        return laid_out_like(self.xp, self.finish(result, x.dtype), x)

    def _normalised_grad(
        self, g: Array, xhat: Array, invstd: Array, axes: tuple[int, ...]
    ) -> Array:
        mean_g = self.xp.mean(g, axis=axes, keepdims=True)
        mean_gx = self.xp.mean(g * xhat, axis=axes, keepdims=True)
        result: Array = invstd * (g - mean_g - xhat * mean_gx)
        return result

    def _channel_shape(self, x: Array) -> tuple[int, ...]:
        """The shape in which a vector of channels broadcasts along axis 1."""
        return (1, -1, *(1 for _ in range(x.ndim - 2)))

    def _per_channel(self, vector: Array | None, x: Array) -> Array | None:
        return None if vector is None else vector.reshape(self._channel_shape(x))

    # ------------------------------------------------------------------ batch norm
    def batch_norm(
        self,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        running_mean: Array | None,
        running_var: Array | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> tuple[Array, Array, Array]:
        """``(out, mean, invstd)`` of ``x (N, C, *S)``, by its own or by the running statistics.

        In training the running statistics move by ``momentum`` towards the batch's (the variance
        unbiased), in place.
        """
        axes = (0, *range(2, x.ndim))
        wide = self.widen(x)
        with self.quiet():
            if training:
                mean, invstd = self._statistics(wide, axes, eps)
                self._move_running(running_mean, mean.reshape(-1), momentum)
                count = x.size // max(x.shape[1], 1)
                var = (1 / invstd**2 - eps).reshape(-1) * (count / max(count - 1, 1))
                self._move_running(running_var, var, momentum)
            else:
                assert running_mean is not None and running_var is not None
                shape = self._channel_shape(x)
                mean = self.widen(running_mean).astype(self.xp.float64).reshape(shape)
                invstd = 1 / self.xp.sqrt(
                    self.widen(running_var).astype(self.xp.float64).reshape(shape) + eps
                )
            mean, invstd = mean.astype(wide.dtype), invstd.astype(wide.dtype)
            out = self._affine(
                (wide - mean) * invstd, self._per_channel(weight, x), self._per_channel(bias, x)
            )
            return self._like(x, out), mean.reshape(-1), invstd.reshape(-1)

    def _move_running(self, running: Array | None, value: Array, momentum: float) -> None:
        if running is not None:
            running[...] = (1 - momentum) * self.widen(running) + momentum * value

    def batch_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        invstd: Array,
        training: bool,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        """``(dx, dweight, dbias)``; without ``training`` the statistics count as constants."""
        axes = (0, *range(2, x.ndim))
        shape = self._channel_shape(x)
        with self.quiet():
            g, wide_invstd = self.widen(grad), self.widen(invstd).reshape(shape)
            xhat = (self.widen(x) - self.widen(mean).reshape(shape)) * wide_invstd
            dx = None
            if needs[0]:
                scaled = self._affine(g, self._per_channel(weight, x), None)
                if training:
                    dx = self._normalised_grad(scaled, xhat, wide_invstd, axes)
                else:
                    dx = scaled * wide_invstd
            like = x if weight is None else weight
            return (
                None if dx is None else self._like(x, dx),
                self._summed(g * xhat, axes, like) if needs[1] else None,
                self._summed(g, axes, like) if needs[2] else None,
            )

    def _summed(self, terms: Array, axes: tuple[int, ...], like: Array) -> Array:
        """A parameter's gradient: the sum over ``axes``, formed in float64."""
        return self.finish(self.xp.sum(terms, axis=axes, dtype=self.xp.float64), like.dtype)

    # ------------------------------------------------------------------ layer norm
    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, axes: int, eps: float
    ) -> tuple[Array, Array, Array]:
        """``(out, mean, rstd)`` over the last ``axes`` axes, which ``weight`` and ``bias`` have."""
        last = tuple(range(x.ndim - axes, x.ndim))
        with self.quiet():
            wide = self.widen(x)
            mean, rstd = self._statistics(wide, last, eps)
            mean, rstd = mean.astype(wide.dtype), rstd.astype(wide.dtype)
            out = self._affine((wide - mean) * rstd, weight, bias)
            return self.finish(out, x.dtype), mean, rstd

    def layer_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        rstd: Array,
        axes: int,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        """``(dx, dweight, dbias)``."""
        last = tuple(range(x.ndim - axes, x.ndim))
        leading = tuple(range(x.ndim - axes))
        with self.quiet():
            g = self.widen(grad)
            xhat = (self.widen(x) - self.widen(mean)) * self.widen(rstd)
            dx = None
            if needs[0]:
                scaled = self._affine(g, weight, None)
                dx = self._normalised_grad(scaled, xhat, self.widen(rstd), last)
            like = x if weight is None else weight
            return (
                None if dx is None else self.finish(dx, x.dtype),
                self._summed(g * xhat, leading, like) if needs[1] else None,
                self._summed(g, leading, like) if needs[2] else None,
            )

    # ------------------------------------------------------------------ group norm
    def group_norm(
        self, x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
    ) -> tuple[Array, Array, Array]:
        """``(out, mean, rstd)`` of ``x (N, C, *S)``; the statistics have shape ``(N, groups)``."""
        with self.quiet():
            wide = self.widen(x).reshape(x.shape[0], groups, -1)
            mean, rstd = self._statistics(wide, (2,), eps)
            mean, rstd = mean.astype(wide.dtype), rstd.astype(wide.dtype)
            normal = ((wide - mean) * rstd).reshape(x.shape)
            out = self._affine(normal, self._per_channel(weight, x), self._per_channel(bias, x))
            return self._like(x, out), mean[:, :, 0], rstd[:, :, 0]

    def group_norm_grad(
        self,
        grad: Array,
        x: Array,
        weight: Array | None,
        mean: Array,
        rstd: Array,
        groups: int,
        needs: Needs,
    ) -> tuple[Array | None, Array | None, Array | None]:
        """``(dx, dweight, dbias)``."""
        split = (x.shape[0], groups, -1)
        with self.quiet():
            g, wide_rstd = self.widen(grad), self.widen(rstd)[:, :, None]
            xhat = (self.widen(x).reshape(split) - self.widen(mean)[:, :, None]) * wide_rstd
            dx = None
            if needs[0]:
                scaled = self._affine(g, self._per_channel(weight, x), None).reshape(split)
                dx = self._normalised_grad(scaled, xhat, wide_rstd, (2,)).reshape(x.shape)
            axes = (0, *range(2, x.ndim))
            like = x if weight is None else weight
            return (
                None if dx is None else self._like(x, dx),
                self._summed(g * xhat.reshape(x.shape), axes, like) if needs[1] else None,
                self._summed(g, axes, like) if needs[2] else None,
            )

    # ------------------------------------------------------------------ RMS norm
    def rms_norm(
        self, x: Array, weight: Array | None, axes: int, eps: float
    ) -> tuple[Array, Array]:
        """``(out, rstd)``: ``x / sqrt(mean(x^2) + eps) * weight`` over the last ``axes`` axes."""
        last = tuple(range(x.ndim - axes, x.ndim))
        with self.quiet():
            wide = self.widen(x)
            square = wide.astype(self.xp.float64) ** 2
            rstd = 1 / self.xp.sqrt(self.xp.mean(square, axis=last, keepdims=True) + eps)
            rstd = rstd.astype(wide.dtype)
            return self.finish(self._affine(wide * rstd, weight, None), x.dtype), rstd

    def rms_norm_grad(
        self, grad: Array, x: Array, weight: Array | None, rstd: Array, axes: int, needs: Needs
    ) -> tuple[Array | None, Array | None]:
        """``(dx, dweight)``; with ``g = grad * weight``, ``rstd (g - xhat mean(g xhat))``."""
        last = tuple(range(x.ndim - axes, x.ndim))
        leading = tuple(range(x.ndim - axes))
        with self.quiet():
            g, wide_rstd = self.widen(grad), self.widen(rstd)
            xhat = self.widen(x) * wide_rstd
            dx = None
            if needs[0]:
                scaled = self._affine(g, weight, None)
                projection = self.xp.mean(scaled * xhat, axis=last, keepdims=True)
                dx = self.finish(wide_rstd * (scaled - xhat * projection), x.dtype)
            like = x if weight is None else weight
            return dx, self._summed(g * xhat, leading, like) if needs[1] else None
