"""Activations and special functions: the reference kernels.

The special functions are computed in float64, whatever the input type, and rounded once, so that
plain formulas are accurate to the last bit or two of float32 and to about 1e-15 in float64.
Coefficients marked "interpolant" were computed for this file with 60 digits.
"""

from __future__ import annotations

import math
from typing import Any

from .base import Array
from .logic import LogicKernels

SQRT_HALF = math.sqrt(0.5)
GELU_SCALE, GELU_CUBIC = math.sqrt(2.0 / math.pi), 0.044715

# erf(x) / x in powers of x^2 for |x| <= 1 (interpolant).
ERF_NEAR = (
    1.1283791670955125738, -0.37612638903183748056, 0.11283791670954878666,
    -0.026866170645076793248, 0.0052239776248180144673, -0.00085483269808337899052,
    0.00012055331111642710923, -0.000014925595266831181565, 1.6461000484121368033e-6,
    -1.6350312701054695011e-7, 1.4659775274047435814e-8, -1.137284885679167367e-9,
    5.9571761477489114044e-11,
)  # fmt: skip
# (1 + 2x) exp(x^2) erfc(x) in powers of (x - 4) / (x + 4) for x >= 0 (interpolant).
ERFC_FAR = (
    1.2329951186255525067, -0.13962111684056289354, 0.015379652102620741303,
    0.068097054254737323901, -0.10103906603635213169, 0.093732834996794115895,
    -0.066330365811529384089, 0.037167515562492865974, -0.016197734059115007082,
    0.0050319697558954261144, -0.0007577733414133300446, -0.00019925550755614952137,
    0.0001506222439483029924, -0.000024403169244974074952, -0.000011224789135154700706,
    5.7178872846321852018e-6, 3.0135049944875394771e-7, -8.351619688696847075e-7,
    6.2707271571983108779e-8, 1.1534943745754157287e-7, -7.7154186144178301303e-9,
    -1.3670989863347382443e-8, -1.8206098680308683344e-9,
)  # fmt: skip
# (-1)^k (zeta(k) - 1) / k for k = 2, 3, ...: log Gamma(2 + z) is z (1 - Euler) + their series.
LGAMMA_AT_2 = (
    0.32246703342411321824, -0.067352301053198095133, 0.020580808427784547879,
    -0.0073855510286739852663, 0.0028905103307415232858, -0.0011927539117032609771,
    0.00050966952474304242234, -0.00022315475845357937976, 0.000099457512781808533715,
    -0.0000449262367381331417, 0.000020507212775670691553, -9.439488275268395904e-6,
    4.3748667899074878042e-6, -2.0392157538013662368e-6, 9.5514121304074198329e-7,
    -4.4924691987645660433e-7, 2.1207184805554665869e-7, -1.0043224823968099609e-7,
    4.7698101693639805658e-8, -2.271109460894316491e-8, 1.0838659214896954091e-8,
    -5.1834750419700466551e-9, 2.4836745438024783172e-9, -1.1921401405860912074e-9,
    5.7313672416788620133e-10, -2.7595228851242331452e-10, 1.3304764374244489481e-10,
    -6.4229645638381000221e-11,
)  # fmt: skip
EULER_REST = 0.4227843350984671393934879  # 1 - Euler's constant
# B(2k) / (2k (2k - 1)) and B(2k) / 2k, the coefficients of Stirling's series and its derivative.
STIRLING = tuple(
    b / (2 * k * (2 * k - 1))
    for k, b in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6), 1)
)
STIRLING_SLOPE = tuple((2 * k - 1) * c for k, c in enumerate(STIRLING, 1))
STIRLING_CURVE = tuple(2 * k * c for k, c in enumerate(STIRLING_SLOPE, 1))


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    """``c[0] + c[1] x + c[2] x^2 + ...``."""
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


class SpecialKernels(LogicKernels):
    """Activations with their derivatives, and the error and gamma functions."""

    # ------------------------------------------------------------------ activations
    def relu(self, x: Array, out: Array | None = None) -> Array:
        """``max(x, 0)``; NaN stays NaN."""
        return self._unary(self.rectified, x, out)

    def relu_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        """``grad`` where ``result > 0``, else 0: the slope at 0 is 0."""

        def masked(g: Array, r: Array) -> Any:
            return self.xp.where(r > 0, g, g.dtype.type(0))

        return self._binary(masked, grad, result, out)

    def sigmoid(self, x: Array, out: Array | None = None) -> Array:
        """``1 / (1 + exp(-x))``."""
        return self._unary(self._sigmoid, x, out)

    def _sigmoid(self, a: Array) -> Any:
        return 1 / (1 + self.xp.exp(-a))

    def sigmoid_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        """``grad (1 - s) s`` with the result ``s``."""
        return self._binary(lambda g, s: g * (1 - s) * s, grad, result, out)

    def tanh_grad(self, grad: Array, result: Array, out: Array | None = None) -> Array:
        """``grad (1 - t^2)`` with the result ``t``."""
        return self._binary(lambda g, t: g * (1 - t * t), grad, result, out)

    def silu(self, x: Array, out: Array | None = None) -> Array:
        """``x sigmoid(x)``."""
        return self._unary(lambda a: a / (1 + self.xp.exp(-a)), x, out)

    def silu_grad(self, grad: Array, x: Array, out: Array | None = None) -> Array:
        """``grad s (1 + x (1 - s))`` with ``s = sigmoid(x)``."""

        def derivative(g: Array, a: Array) -> Any:
            s = self._sigmoid(a)
            return g * s * (1 + a * (1 - s))

        return self._binary(derivative, grad, x, out)

    def gelu(self, x: Array, approximate: str = "none", out: Array | None = None) -> Array:
        """``x cdf(x)`` of the normal distribution, or its tanh approximation."""

        def exact(a: Array) -> Any:
            return a * self._normal_cdf(a)

        def by_tanh(a: Array) -> Any:
            return 0.5 * a * (1 + self._gelu_tanh(a))

        return self._unary(by_tanh if approximate == "tanh" else exact, x, out)

    def gelu_grad(
        self, grad: Array, x: Array, approximate: str = "none", out: Array | None = None
    ) -> Array:
        """``grad (cdf(x) + x pdf(x))``, or the derivative of the tanh approximation."""

        def exact(g: Array, a: Array) -> Any:
            pdf = self.xp.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
            return g * (self._normal_cdf(a) + a * pdf)

        def by_tanh(g: Array, a: Array) -> Any:
            t = self._gelu_tanh(a)
            inner_slope = GELU_SCALE * (1 + 3 * GELU_CUBIC * a * a)
            return g * (0.5 * (1 + t) + 0.5 * a * (1 - t * t) * inner_slope)

        return self._binary(by_tanh if approximate == "tanh" else exact, grad, x, out)

    def _gelu_tanh(self, a: Array) -> Any:
        return self.xp.tanh(GELU_SCALE * (a + GELU_CUBIC * a * a * a))

    def _normal_cdf(self, a: Array) -> Any:
        """``erfc(-x / sqrt 2) / 2``, which keeps its digits in both tails."""
        return (0.5 * self._erfc(a.astype(self.xp.float64) * -SQRT_HALF)).astype(a.dtype)

    # ------------------------------------------------------------------ error functions
    def _in_float64(self, function: Any, x: Array, out: Array | None) -> Array:
        return self._unary(lambda a: function(a.astype(self.xp.float64)), x, out)

    def erf(self, x: Array, out: Array | None = None) -> Array:
        """``2 / sqrt(pi)`` times the integral of ``exp(-t^2)`` from 0 to x."""
        return self._in_float64(self._erf, x, out)

    def erfc(self, x: Array, out: Array | None = None) -> Array:
        """``1 - erf(x)`` without cancellation."""
        return self._in_float64(self._erfc, x, out)

    def _erf(self, x: Array) -> Any:
        size = self.xp.abs(x)
        near = x * horner(self.xp.minimum(x * x, 1.0), ERF_NEAR)
        far = self.xp.copysign(1 - self._erfc_positive(size), x)
        return self.xp.where(size <= 1, near, self.xp.where(x == x, far, x))

    def _erfc(self, x: Array) -> Any:
        size = self.xp.abs(x)
        tail = self._erfc_positive(size)
        return self.xp.where(size < 0.5, 1 - self._erf(x), self.xp.where(x < 0, 2 - tail, tail))

    def _erfc_positive(self, x: Array) -> Any:
        """erfc for ``x >= 0``. The square is formed in two parts, the first of them exactly."""
        x = self.xp.minimum(x, 28.0)
        high = x.astype(self.xp.float32).astype(self.xp.float64)
        gauss = self.xp.exp(-high * high) * self.xp.exp(-(x - high) * (x + high))
        return gauss * horner((x - 4) / (x + 4), ERFC_FAR) / (1 + 2 * x)

    def erfinv(self, x: Array, out: Array | None = None) -> Array:
        """The ``y`` with ``erf(y) == x``; infinite at -1 and 1, NaN beyond."""
        return self._in_float64(self._erfinv, x, out)

    def _erfinv(self, x: Array) -> Any:
        """Winitzki's approximation, then three of Halley's steps on erfc (accurate at the ends)."""
        size = self.xp.abs(x)
        log = self.xp.log1p(-size * size)
        middle = 2 / (math.pi * 0.147) + 0.5 * log
        y = self.xp.sqrt(self.xp.sqrt(middle * middle - log / 0.147) - middle)
        for _ in range(3):
            # 1 - |x| is exact above one half, where erfc is small; below, erf itself is used.
            error = self.xp.where(
                size < 0.5, self._erf(y) - size, (1 - size) - self._erfc_positive(y)
            )
            step = error * (0.5 * math.sqrt(math.pi)) * self.xp.exp(y * y)
            y = y - step / (1 + y * step)
        y = self.xp.where(size == 1, math.inf, y)
        return self.xp.copysign(self.xp.where(size > 1, math.nan, y), x)

    # ------------------------------------------------------------------ gamma functions
    def lgamma(self, x: Array, out: Array | None = None) -> Array:
        """``log |Gamma(x)|``."""
        return self._in_float64(self._lgamma, x, out)

    def _lgamma(self, x: Array) -> Any:
        positive = self._lgamma_positive(self.xp.where(x < 0.5, 1 - x, x))
        # Reflection: Gamma(x) Gamma(1 - x) = pi / sin(pi x)
        sine = self.xp.abs(self.xp.sin(math.pi * (x - self.xp.rint(x))))
        reflected = self.xp.log(math.pi / sine) - positive
        result = self.xp.where(x < 0.5, reflected, positive)
        return self.xp.where(self.xp.isinf(x), math.inf, result)

    def _lgamma_positive(self, x: Array) -> Any:
        """A series about 2 (its zeros at 1 and 2 come out exactly), Stirling's for large x."""
        z = self.xp.clip(x, 0.5, 2.5) - 2
        z_up = self.xp.where(z < -0.5, z + 1, z)
        near = z_up * (EULER_REST + z_up * horner(z_up, LGAMMA_AT_2))
        near = self.xp.where(
            z < -0.5, near - self.xp.log1p(self.xp.where(z < -0.5, z + 1, 0)), near
        )

        shifted = self.xp.where(x < 10, x + 8, x)
        product = self.xp.ones_like(x)
        for i in range(8):
            product = product * self.xp.where(x < 10, x + i, 1)
        square = 1 / (shifted * shifted)
        far = (shifted - 0.5) * self.xp.log(shifted) - shifted + 0.5 * math.log(2 * math.pi)
        far = far + horner(square, STIRLING) / shifted - self.xp.log(product)
        return self.xp.where(x <= 2.5, near, far)

    def digamma(self, x: Array, out: Array | None = None) -> Array:
        """The derivative of ``log Gamma``; minus and plus infinity at 0.0 and -0.0."""
        return self._in_float64(self._digamma, x, out)

    def _digamma(self, x: Array) -> Any:
        positive = self._digamma_positive(self.xp.where(x < 0.5, 1 - x, x))
        # Reflection: digamma(1 - x) - digamma(x) = pi / tan(pi x)
        fraction = x - self.xp.rint(x)
        reflected = positive - math.pi / self.xp.tan(math.pi * fraction)
        result = self.xp.where(x < 0.5, reflected, positive)
        pole = self.xp.where(x == 0, self.xp.copysign(math.inf, -x), math.nan)
        return self.xp.where((x <= 0) & (fraction == 0), pole, result)

    def _digamma_positive(self, x: Array) -> Any:
        """The recurrence up to 10, then the derivative of Stirling's series."""
        total = self.xp.zeros_like(x)
        for _ in range(10):
            small = x < 10
            total = total - self.xp.where(small, 1 / x, 0)
            x = self.xp.where(small, x + 1, x)
        square = 1 / (x * x)
        return total + self.xp.log(x) - 0.5 / x - square * horner(square, STIRLING_SLOPE)

    def trigamma(self, x: Array, out: Array | None = None) -> Array:
        """The second derivative of ``log Gamma``; infinite at 0 and the negative integers."""
        return self._in_float64(self._trigamma, x, out)

    def _trigamma(self, x: Array) -> Any:
        positive = self._trigamma_positive(self.xp.where(x < 0.5, 1 - x, x))
        # Reflection: trigamma(1 - x) + trigamma(x) = (pi / sin(pi x))^2
        sine = self.xp.sin(math.pi * (x - self.xp.rint(x)))
        return self.xp.where(x < 0.5, (math.pi / sine) ** 2 - positive, positive)

    def _trigamma_positive(self, x: Array) -> Any:
        """The recurrence up to 10, then the second derivative of Stirling's series."""
        total = self.xp.zeros_like(x)
        for _ in range(10):
            small = x < 10
            total = total + self.xp.where(small, 1 / (x * x), 0)
            x = self.xp.where(small, x + 1, x)
        square = 1 / (x * x)
        return total + 1 / x + 0.5 * square + square / x * horner(square, STIRLING_CURVE)
