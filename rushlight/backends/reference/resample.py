"""Reference kernels that resample an axis: which elements are mixed, with what weights, and how."""

from __future__ import annotations

from typing import Any

from .base import Array, KernelBase
from .windows import laid_out_like

__all__ = ["ResampleKernels"]


class ResampleKernels(KernelBase):
    """Nearest, linear and cubic interpolation along one axis, and antialiased shrinking."""

    def resample_plan(
        self, mode: str, size: int, count: int, scale: float, align_corners: bool, dtype: Any
    ) -> tuple[Array, Array]:
        """For each of `count` results the positions among `size` elements and their weights.

        Both are `(count, taps)`. `scale` is the distance between results, counted in elements.
        `mode`: `nearest`, `nearest-exact`, `linear`, `cubic`, `linear-antialias`,
        `cubic-antialias`.
        """
        xp = self.xp
        real = xp.float64 if dtype == "float64" else xp.float32
        if mode.startswith("nearest"):
            shift = 0.5 if mode == "nearest-exact" else 0.0
            place = (xp.arange(count, dtype=xp.float32) + xp.float32(shift)) * xp.float32(scale)
            index = xp.minimum(xp.floor(place).astype(xp.int64), size - 1)
            return index[:, None], xp.ones((count, 1), real)
        if mode.endswith("antialias"):
            return self._antialias_plan(mode, size, count, scale, real)
        step = real(scale)
        i = xp.arange(count, dtype=real)
        place = i * step if align_corners else step * (i + real(0.5)) - real(0.5)
        if mode == "linear" and not align_corners:
            place = xp.maximum(place, real(0))
        low = xp.minimum(xp.floor(place).astype(xp.int64), size - 1)
        t = xp.clip(place - low.astype(real), real(0), real(1))
        if mode == "linear":
            index = xp.stack([low, xp.minimum(low + 1, size - 1)], 1)
            return index, xp.stack([1 - t, t], 1)
        index = xp.clip(low[:, None] + xp.arange(-1, 3), 0, size - 1)
        distances = (t + 1, t, 1 - t, 2 - t)
        return index, xp.stack([self._cubic(d, real(-0.75)) for d in distances], 1)

    def _cubic(self, x: Array, a: Any) -> Array:
        """Keys' convolution kernel with parameter `a`, at distances `x >= 0`."""
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return self.xp.where(x < 1, near, self.xp.where(x < 2, far, 0)).astype(x.dtype)

    def _antialias_plan(
        self, mode: str, size: int, count: int, scale: float, real: Any
    ) -> tuple[Array, Array]:
        """The filter widens with the scale, so that a shrunk axis mixes all it covers."""
        xp = self.xp
        reach = 1.0 if mode.startswith("linear") else 2.0
        wide = max(scale, 1.0)
        support = reach * wide
        center = real(scale) * (xp.arange(count, dtype=real) + real(0.5))
        first = xp.maximum((center - real(support) + real(0.5)).astype(xp.int64), 0)
        last = xp.minimum((center + real(support) + real(0.5)).astype(xp.int64), size)
        taps = max(int((last - first).max()), 1) if count else 1
        index = first[:, None] + xp.arange(taps)
        distance = xp.abs((index - center[:, None] + 0.5) / wide).astype(real)
        if mode.startswith("linear"):
            weights = xp.maximum(1 - distance, 0)
        else:
            weights = self._cubic(distance, real(-0.5))
        weights = xp.where(index < last[:, None], weights, 0)
        total = weights.sum(1, keepdims=True)
        weights = weights / xp.where(total == 0, 1, total)
        return xp.minimum(index, size - 1), weights.astype(real)

    def resample(self, x: Array, index: Array, weights: Array, axis: int) -> Array:
        """`Σ_t weights[i, t] · x[index[i, t]]` along `axis`; positions of weight 0 are not read."""
        xp = self.xp
        if weights.shape[1] == 1:
            return laid_out_like(xp, self.finish(xp.take(x, index[:, 0], axis), x.dtype), x)
        wide = self.widen(x)
        shape = [1] * x.ndim
        shape[axis] = -1
        total: Any = 0
        with self.quiet():
            for t in range(weights.shape[1]):
                weight = weights[:, t].astype(wide.dtype).reshape(shape)
                term = xp.take(wide, index[:, t], axis) * weight
                total = total + xp.where(weight == 0, 0, term)
        return laid_out_like(xp, self.finish(total, x.dtype), x)

    def resample_grad(
        self, grad: Array, index: Array, weights: Array, axis: int, size: int
    ) -> Array:
        """The transpose of `resample`: each result returns its gradient to what it mixed."""
        xp = self.xp
        wide = self.widen(grad)
        matrix = xp.zeros((grad.shape[axis], size), wide.dtype)
        rows = xp.arange(grad.shape[axis])[:, None]
        xp.add.at(matrix, (rows, index), weights.astype(wide.dtype))
        with self.quiet():
            result = xp.moveaxis(xp.matmul(xp.moveaxis(wide, axis, -1), matrix), -1, axis)
        return laid_out_like(xp, self.finish(result, grad.dtype), grad)
