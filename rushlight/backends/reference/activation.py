"""Activations with constants and their gradients: the reference kernels.

A NaN stays one; the slope at a kink is the one that the formula's condition says.
"""

from __future__ import annotations

from typing import Any

from .base import Array, Scalar
from .elementwise import ElementwiseKernels


class ActivationKernels(ElementwiseKernels):
    """Piecewise linear, exponential and other units, each with its gradient."""

    def leaky_relu(self, x: Array, slope: Scalar, out: Array | None = None) -> Array:
        """``x`` above 0, else ``slope x``."""
        return self._unary(lambda a: self.xp.where(a > 0, a, a * slope), x, out)

    def leaky_relu_grad(
        self, grad: Array, x: Array, slope: Scalar, out: Array | None = None
    ) -> Array:
        return self._binary(lambda g, a: self.xp.where(a > 0, g, g * slope), grad, x, out)

    def elu(
        self, x: Array, alpha: float, scale: float, slope: float, out: Array | None = None
    ) -> Array:
        """``scale x`` above 0, else ``scale alpha (exp(slope x) - 1)``."""

        def unit(a: Array) -> Any:
            below = self.xp.expm1(self._below(a) * slope) * (alpha * scale)
            return self.xp.where(a > 0, a * scale, below)

        return self._unary(unit, x, out)

    def _below(self, a: Array) -> Any:
        """``min(a, 0)``, where zero keeps its sign."""
        return self.xp.where(a > 0, a.dtype.type(0), a)

    def elu_grad(
        self, grad: Array, x: Array, alpha: float, scale: float, slope: float, of_result: bool,
        out: Array | None = None,
    ) -> Array:  # fmt: skip
        """The gradient by the input ``x``, or, if ``of_result``, by what `elu` made of it."""

        def derivative(g: Array, a: Array) -> Any:
            if of_result:
                below = g * slope * (a + alpha * scale)
            else:
                below = g * (slope * alpha * scale) * self.xp.exp(self._below(a) * slope)
            return self.xp.where(a <= 0, below, g * scale)

        return self._binary(derivative, grad, x, out)

    def threshold(
        self, x: Array, threshold: float, value: float, out: Array | None = None
    ) -> Array:
        """``x`` where it is not at most ``threshold``, else ``value``."""

        def kept(a: Array) -> Any:
            return self.xp.where(a <= threshold, a.dtype.type(value), a)

        return self._unary(kept, x, out)

    def threshold_grad(
        self, grad: Array, x: Array, threshold: float, out: Array | None = None
    ) -> Array:
        return self._binary(
            lambda g, a: self.xp.where(a <= threshold, g.dtype.type(0), g), grad, x, out
        )

    def hardtanh_grad(
        self, grad: Array, x: Array, low: float, high: float, out: Array | None = None
    ) -> Array:
        """``grad``, but 0 at ``low`` and below, at ``high`` and above."""

        def inside(g: Array, a: Array) -> Any:
            return self.xp.where((a <= low) | (a >= high), g.dtype.type(0), g)

        return self._binary(inside, grad, x, out)

    def hardsigmoid(self, x: Array, out: Array | None = None) -> Array:
        """``clamp(x + 3, 0, 6) / 6``."""
        return self._unary(lambda a: self._up_to_6(a + 3) / 6, x, out)

    def hardsigmoid_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        def derivative(g: Array, a: Array) -> Any:
            return self.xp.where((a > -3) & (a < 3), g / 6, g.dtype.type(0))

        return self._binary(derivative, grad, x, out)

    def hardswish(self, x: Array, out: Array | None = None) -> Array:
        """``x clamp(x + 3, 0, 6) / 6``."""
        return self._unary(lambda a: a * self._up_to_6(a + 3) / 6, x, out)

    def hardswish_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        """``grad`` times 0 up to -3, ``x / 3 + 1 / 2`` from there, and 1 from 3 on."""

        def derivative(g: Array, a: Array) -> Any:
            inside = self.xp.where(a < 3, g * (a / 3 + 0.5), g)
            return self.xp.where(a <= -3, g.dtype.type(0), inside)

        return self._binary(derivative, grad, x, out)

    def _up_to_6(self, a: Array) -> Any:
        return self.xp.minimum(self.xp.maximum(a, 0), 6)

    def mish(self, x: Array, out: Array | None = None) -> Array:
        """``x tanh(log(1 + exp(x)))``."""
        return self._unary(lambda a: a * self._mish_gate(a), x, out)

    def mish_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        def derivative(g: Array, a: Array) -> Any:
            gate = self._mish_gate(a)
            return g * (gate + a / (1 + self.xp.exp(-a)) * (1 - gate * gate))

        return self._binary(derivative, grad, x, out)

    def _mish_gate(self, a: Array) -> Any:
        return self.xp.tanh(self.xp.logaddexp(a, a.dtype.type(0)))

    def softplus(self, x: Array, beta: float, threshold: float, out: Array | None = None) -> Array:
        """``log(1 + exp(beta x)) / beta``; ``x`` itself where ``beta x > threshold``."""

        def unit(a: Array) -> Any:
            scaled = a * a.dtype.type(beta)
            soft = self.xp.log1p(self.xp.exp(self.xp.minimum(scaled, threshold))) / beta
            return self.xp.where(scaled > threshold, a, soft)

        return self._unary(unit, x, out)

    def softplus_grad(
        self, grad: Array, x: Array, beta: float, threshold: float, out: Array | None = None
    ) -> Array:
        def derivative(g: Array, a: Array) -> Any:
            scaled = a * a.dtype.type(beta)
            return self.xp.where(scaled > threshold, g, g / (1 + self.xp.exp(-scaled)))

        return self._binary(derivative, grad, x, out)

    def logsigmoid(self, x: Array, out: Array | None = None) -> Array:
        """``log(1 / (1 + exp(-x)))``, without overflow."""

        def unit(a: Array) -> Any:
            return self.xp.minimum(a, 0) - self.xp.log1p(self.xp.exp(-self.xp.abs(a)))

        return self._unary(unit, x, out)

    def logsigmoid_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        return self._binary(lambda g, a: g / (1 + self.xp.exp(a)), grad, x, out)

    def softshrink(self, x: Array, lambd: float, out: Array | None = None) -> Array:
        """``x`` nearer to 0 by ``lambd``; ``0 x`` where it is no farther away."""

        def unit(a: Array) -> Any:
            outside = self.xp.where(a > lambd, a - lambd, a * 0)
            return self.xp.where(a < -lambd, a + lambd, outside)

        return self._unary(unit, x, out)

    def hardshrink(self, x: Array, lambd: float, out: Array | None = None) -> Array:
        """``x``, but 0 where it lies in ``[-lambd, lambd]``."""
        return self.shrink_grad(x, x, lambd, out)

    def shrink_grad(self, grad: Array, x: Array, lambd: float, out: Array | None = None) -> Array:
        """``grad``, but 0 where ``x`` lies in ``[-lambd, lambd]``: for both shrinkages."""

        def outside(g: Array, a: Array) -> Any:
            return self.xp.where((a >= -lambd) & (a <= lambd), g.dtype.type(0), g)

        return self._binary(outside, grad, x, out)
