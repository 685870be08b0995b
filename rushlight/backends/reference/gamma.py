"""Reference kernels of zeta, incomplete gamma, modified Bessel and normal distribution functions.

All are computed in float64 by series whose terms do not cancel, and rounded once. Formulas:
Abramowitz and Stegun, sections 6.5, 9.6, 9.7, 23.2 and 26.2.
"""

from __future__ import annotations

import math
from typing import Any

from .base import Array
from .special import ERFC_FAR, SpecialKernels, horner

__all__ = ["GammaKernels"]

# B(2j) / (2j)!, the coefficients of the Euler-Maclaurin sum.
EULER_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
    1 / 74724249600, -3617 / 10670622842880000,
)  # fmt: skip


class GammaKernels(SpecialKernels):
    """Functions on the way from the gamma function to statistics."""

    # ------------------------------------------------------------------ zeta and its family
    def zeta(self, s: Array, q: Array) -> Array:
        """Hurwitz's ``sum (q + k)^-s``, k = 0, 1, …; infinite at its poles."""
        return self._both_in_float64(self._zeta, s, q)

    def polygamma(self, n: int, x: Array) -> Array:
        """The n-th derivative of digamma, ``(-1)^(n+1) n! zeta(n + 1, x)`` for n >= 1."""

        def derivative(a: Array) -> Any:
            sign = -1.0 if n % 2 == 0 else 1.0
            return sign * math.factorial(n) * self._zeta(self.xp.full_like(a, n + 1.0), a)

        return self._in_float64(derivative, x, None)

    def _zeta(self, s: Array, q: Array) -> Any:
        """Terms up to 10, and the Euler-Maclaurin formula for the rest."""
        xp = self.xp
        s, q = xp.broadcast_arrays(s, q)
        pole = (q <= 0) & (xp.floor(q) == q)
        undefined = (s < 1) | ((q <= 0) & (xp.floor(s) != s))
        total, a = xp.zeros(q.shape), xp.where(pole | (q != q), 1.0, q)
        while bool((a < 10).any()):
            small = a < 10
            total = total + xp.where(small, xp.where(small, a, 1.0) ** -s, 0.0)
            a = xp.where(small, a + 1, a)
        total = total + a ** (1 - s) / (s - 1) + 0.5 * a**-s
        rising, power = s, a ** (-s - 1)
        for j, coefficient in enumerate(EULER_MACLAURIN):
            total = total + coefficient * rising * power
            rising = rising * (s + 2 * j + 1) * (s + 2 * j + 2)
            power = power / (a * a)
        total = xp.where(pole | (s == 1), math.inf, xp.where(undefined, math.nan, total))
        return xp.where((q != q) | (s != s), math.nan, total)

    def _both_in_float64(self, function: Any, x: Array, y: Array) -> Array:
        wide = self.xp.float64
        with self.quiet():
            return self.finish(
                function(self.widen(x).astype(wide), self.widen(y).astype(wide)), x.dtype
            )

    # ------------------------------------------------------------------ incomplete gamma
    def gammainc(self, a: Array, x: Array) -> Array:
        """The regularised lower incomplete gamma function P(a, x)."""
        return self._both_in_float64(lambda a, x: self._gammainc(a, x)[0], a, x)

    def gammaincc(self, a: Array, x: Array) -> Array:
        """The regularised upper incomplete gamma function ``1 - P(a, x)``."""
        return self._both_in_float64(lambda a, x: self._gammainc(a, x)[1], a, x)

    def _gammainc(self, a: Array, x: Array) -> tuple[Any, Any]:
        """A power series where x is below a + 1, a continued fraction above."""
        xp = self.xp
        a, x = xp.broadcast_arrays(a, x)
        inside = (a > 0) & (x > 0) & xp.isfinite(a) & xp.isfinite(x)
        safe_a, safe_x = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0)
        low = safe_x < safe_a + 1
        front = xp.exp(safe_a * xp.log(safe_x) - safe_x - self._lgamma(safe_a))
        lower = front * self._lower_series(safe_a, xp.where(low, safe_x, safe_a))
        upper = front * self._upper_fraction(safe_a, xp.where(low, safe_a + 1, safe_x))
        p = xp.where(low, lower, 1 - upper)
        q = xp.where(low, 1 - lower, upper)
        return tuple(
            self._incomplete_edges(a, x, xp.where(inside, v, math.nan), at_zero)
            for v, at_zero in ((p, 0.0), (q, 1.0))
        )

    def _incomplete_edges(self, a: Array, x: Array, value: Array, at_zero: float) -> Array:
        xp = self.xp
        value = xp.where((x == 0) & (a > 0), at_zero, value)
        value = xp.where((a == 0) & (x > 0), 1 - at_zero, value)
        value = xp.where(xp.isinf(x) & (x > 0) & xp.isfinite(a) & (a >= 0), 1 - at_zero, value)
        return xp.where(xp.isinf(a) & (a > 0) & xp.isfinite(x) & (x >= 0), at_zero, value)

    def _lower_series(self, a: Array, x: Array) -> Any:
        term = total = 1 / a
        for k in range(1, 2000):
            term = term * x / (a + k)
            total = total + term
            if bool((self.xp.abs(term) <= 1e-17 * self.xp.abs(total)).all()):
                break
        return total

    def _upper_fraction(self, a: Array, x: Array) -> Any:
        """Lentz's evaluation of ``1/(x+1-a- 1(1-a)/(x+3-a- …))``."""
        b = x + 1 - a
        c, d = self.xp.full_like(x, 1e300), 1 / b
        total = d
        for k in range(1, 2000):
            factor = -k * (k - a)
            b = b + 2
            d = 1 / (factor * d + b)
            c = b + factor / c
            change = c * d
            total = total * change
            if bool((self.xp.abs(change - 1) <= 1e-16).all()):
                break
        return total

    # ------------------------------------------------------------------ modified Bessel functions
    def bessel_i(self, x: Array, order: int, scaled: bool) -> Array:
        """I of order 0 or 1; ``scaled`` by ``exp(-|x|)``."""

        def value(a: Array) -> Any:
            return self._bessel_i(a, order, scaled)

        return self._in_float64(value, x, None)

    def _bessel_i(self, x: Array, order: int, scaled: bool) -> Any:
        xp = self.xp
        size = xp.abs(x)
        small = xp.minimum(size, 30.0)
        quarter = small * small / 4
        series: Any = 1.0
        for k in range(80, 0, -1):
            series = 1 + quarter / (k * (k + order)) * series
        near = series * xp.exp(-small) * (small / 2 if order else 1.0)
        large = xp.maximum(size, 30.0)
        rest: Any = 1.0
        for k in range(20, 0, -1):
            rest = 1 - (4 * order * order - (2 * k - 1) ** 2) / (8 * k * large) * rest
        far = rest / xp.sqrt(2 * math.pi * large)
        result = xp.where(size <= 30, near, far)
        if not scaled:
            result = result * xp.exp(size / 2) * xp.exp(size / 2)
        result = xp.where(x != x, x, result)
        return xp.where(x < 0, -result, result) if order else result

    # ------------------------------------------------------------------ normal distribution
    def erfcx(self, x: Array) -> Array:
        """``exp(x^2) erfc(x)``."""
        return self._in_float64(self._erfcx, x, None)

    def _erfcx(self, x: Array) -> Any:
        size = self.xp.abs(x)
        finite = self.xp.minimum(size, 1e300)
        positive = horner((finite - 4) / (finite + 4), ERFC_FAR) / (1 + 2 * finite)
        return self.xp.where(x < 0, 2 * self.xp.exp(x * x) - positive, positive)

    def ndtr(self, x: Array) -> Array:
        """The normal distribution function."""
        return self._in_float64(self._normal_cdf, x, None)

    def log_ndtr(self, x: Array) -> Array:
        """Its logarithm, exact far below 0."""
        return self._in_float64(self._log_ndtr, x, None)

    def _log_ndtr(self, x: Array) -> Any:
        root = math.sqrt(0.5)
        low = self.xp.minimum(x, -1.0)
        tail = self.xp.log(self._erfcx(-low * root) / 2) - low * low / 2
        return self.xp.where(x < -1, tail, self.xp.log1p(-self._erfc(x * root) / 2))

    def ndtri(self, p: Array) -> Array:
        """The inverse of ``ndtr``: Newton's method on its logarithm in the tails."""
        return self._in_float64(self._ndtri, p, None)

    def _ndtri(self, p: Array) -> Any:
        xp = self.xp
        middle = math.sqrt(2) * self._erfinv(xp.clip(2 * p - 1, -0.9, 0.9))
        tail = xp.clip(xp.minimum(p, 1 - p), 1e-300, 0.25)
        log = xp.log(tail)
        x = -xp.sqrt(-2 * log)
        for _ in range(12):
            value = self._log_ndtr(x)
            slope = xp.exp(-x * x / 2 - value) / math.sqrt(2 * math.pi)
            x = x - (value - log) / slope
        result = xp.where(xp.abs(p - 0.5) < 0.25, middle, xp.where(p < 0.5, x, -x))
        result = xp.where(p == 0, -math.inf, xp.where(p == 1, math.inf, result))
        return xp.where((p < 0) | (p > 1) | (p != p), math.nan, result)
