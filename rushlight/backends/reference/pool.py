"""Pooling over any number of spatial axes: inputs are ``(N, C, *S)``.

The kernel is walked tap by tap in row-major order, which states the tie rules in one line: a later
tap replaces the maximum so far only if it is greater, or NaN (so of several NaNs the last counts,
as in PyTorch).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from .base import Array, KernelBase
from .windows import (
    Ints,
    laid_out_like,
    last_axes,
    pad_for_windows,
    pool_output_size,
    tap_slices,
    taps,
)


class PoolKernels(KernelBase):
    """Maximum and average pooling, their adaptive forms, and the derivatives."""

    # ------------------------------------------------------------------ maximum
    def max_pool(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        ceil_mode: bool,
    ) -> tuple[Array, Array]:
        """Return each window's maximum and its flat position in the input plane (int64).

        A window between the pixels of a small plane, with all its taps outside, gives the lowest
        number and position 0.
        """
        axes = len(kernel_size)
        size = x.shape[x.ndim - axes :]
        output = pool_output_size(size, kernel_size, stride, padding, dilation, ceil_mode)
        windows = (kernel_size, stride, padding, dilation, output)
        positions = self.xp.arange(prod(size), dtype=self.xp.int64).reshape(size)
        values = pad_for_windows(self.xp, x, *windows)
        # The padding has no position, and what has no position is never taken.
        positions = pad_for_windows(self.xp, positions, *windows, value=-1)

        result = self.xp.zeros((*x.shape[: x.ndim - axes], *output), dtype=x.dtype)
        indices = self.xp.full(result.shape, -1, dtype=self.xp.int64)
        with self.quiet():
            for tap in taps(kernel_size):
                place = tap_slices(tap, stride, dilation, output)
                value, position = values[place], positions[place]
                better = (indices < 0) | (value > result) | (value != value)
                taken = better & (position >= 0)
                result = self.xp.where(taken, value, result)
                indices = self.xp.where(taken, position, indices)
        lowest = self._lowest(result.dtype)
        result = self.xp.where(indices < 0, lowest, result)
        indices = self.xp.maximum(indices, 0)
        finished = self.finish(result, x.dtype), self.finish(indices, self.xp.dtype("int64"))
        return self._laid_out(finished[0], x, axes), self._laid_out(finished[1], x, axes)

    def _lowest(self, dtype: Any) -> Any:
        if self.is_floating(dtype):
            return dtype.type(-float("inf"))
        return self.xp.iinfo(dtype).min if dtype.kind in "iu" else dtype.type(False)

    def max_pool_values(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        ceil_mode: bool,
    ) -> Array:
        """Return each window's maximum alone."""
        return self.max_pool(x, kernel_size, stride, padding, dilation, ceil_mode)[0]

    def max_pool_grad(self, grad: Array, indices: Array, input_shape: Ints) -> Array:
        """Return zeros of ``input_shape`` with ``grad`` added at ``indices`` of each plane."""
        planes, plane = prod(input_shape[:2]), prod(input_shape[2:])
        result = self.xp.zeros((planes, plane), dtype=self.widen(grad).dtype)
        if grad.size:
            rows = self.xp.arange(planes)[:, None]
            place = (rows, indices.reshape(planes, -1))
            self.xp.add.at(result, place, self.widen(grad).reshape(planes, -1))
        finished = self.finish(result.reshape(input_shape), grad.dtype)
        return laid_out_like(self.xp, finished, indices)

    def adaptive_max_pool(self, x: Array, output_size: Ints) -> tuple[Array, Array]:
        """Return maxima and positions of ``output_size`` cells that cover the plane evenly."""
        axes = len(output_size)
        size = x.shape[x.ndim - axes :]
        leading = x.shape[: x.ndim - axes]
        positions = self.xp.arange(prod(size), dtype=self.xp.int64).reshape(size)
        result = self.xp.empty((*leading, *output_size), dtype=x.dtype)
        indices = self.xp.empty((*leading, *output_size), dtype=self.xp.int64)
        for cell, window in _cells(size, output_size):
            values = x[last_axes(window)].reshape(*leading, -1)
            best = self._last_nan_or_first_maximum(values)
            picked = self.xp.take_along_axis(values, best[..., None], axis=-1)
            result[last_axes(cell)] = picked[..., 0]
            indices[last_axes(cell)] = positions[window].reshape(-1)[best]
        return self._laid_out(result, x, axes), self._laid_out(indices, x, axes)

    def _last_nan_or_first_maximum(self, values: Array) -> Array:
        """Index along the last axis of what the walk in order would pick."""
        wide = self.widen(values)
        reversed_nan = (wide != wide)[..., ::-1]
        last_nan = values.shape[-1] - 1 - reversed_nan.argmax(axis=-1)
        best: Array = self.xp.where(reversed_nan.any(axis=-1), last_nan, wide.argmax(axis=-1))
        return best

    # ------------------------------------------------------------------ average
    def avg_pool(
        self,
        x: Array,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array:
        """Return each window's sum over the count that the three last arguments choose."""
        axes = len(kernel_size)
        size = x.shape[x.ndim - axes :]
        once = (1,) * axes
        output = pool_output_size(size, kernel_size, stride, padding, once, ceil_mode)
        wide = self.widen(x)
        padded = pad_for_windows(self.xp, wide, kernel_size, stride, padding, once, output)
        total = self.xp.zeros((*x.shape[: x.ndim - axes], *output), dtype=wide.dtype)
        with self.quiet():
            for tap in taps(kernel_size):
                total += padded[tap_slices(tap, stride, once, output)]
            total = total / self._divisor(
                wide,
                size,
                kernel_size,
                stride,
                padding,
                output,
                count_include_pad,
                divisor_override,
            )
        return self._laid_out(self.finish(total, x.dtype), x, axes)

    def avg_pool_grad(
        self,
        grad: Array,
        input_shape: Ints,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array:
        """Return every window's share of ``grad``, added up where windows overlap."""
        size, output = input_shape[2:], grad.shape[2:]
        once = (1,) * len(kernel_size)
        wide = self.widen(grad)
        template = self.xp.zeros(input_shape, dtype=wide.dtype)
        padded = pad_for_windows(self.xp, template, kernel_size, stride, padding, once, output)
        with self.quiet():
            share = wide / self._divisor(
                wide,
                size,
                kernel_size,
                stride,
                padding,
                output,
                count_include_pad,
                divisor_override,
            )
            for tap in taps(kernel_size):
                padded[tap_slices(tap, stride, once, output)] += share
        inside = tuple(slice(p, p + n) for p, n in zip(padding, size, strict=True))
        return laid_out_like(self.xp, self.finish(padded[last_axes(inside)], grad.dtype), grad)

    def adaptive_avg_pool(self, x: Array, output_size: Ints) -> Array:
        """Return the means of ``output_size`` cells that cover the plane evenly."""
        axes = len(output_size)
        wide = self.widen(x)
        result = self.xp.empty((*x.shape[: x.ndim - axes], *output_size), dtype=wide.dtype)
        last = tuple(range(-axes, 0))
        with self.quiet():
            for cell, window in _cells(x.shape[x.ndim - axes :], output_size):
                result[last_axes(cell)] = wide[last_axes(window)].mean(axis=last)
        return self._laid_out(self.finish(result, x.dtype), x, axes)

    def adaptive_avg_pool_grad(self, grad: Array, input_shape: Ints) -> Array:
        """Return each cell's ``grad`` spread evenly over the cell."""
        wide = self.widen(grad)
        result = self.xp.zeros(input_shape, dtype=wide.dtype)
        axes = len(input_shape) - 2
        with self.quiet():
            for cell, window in _cells(input_shape[2:], grad.shape[2:]):
                count = prod(w.stop - w.start for w in window)
                value = wide[last_axes(cell)] / self.xp.asarray(count, dtype=wide.dtype)
                result[last_axes(window)] += value[last_axes((None,) * axes)]
        return laid_out_like(self.xp, self.finish(result, grad.dtype), grad)

    def _laid_out(self, result: Array, x: Array, axes: int) -> Array:
        """``result`` as ``x`` lies, where ``x`` has a batch axis and so may be channels last."""
        return laid_out_like(self.xp, result, x) if x.ndim == axes + 2 else result

    def _divisor(
        self,
        like: Array,
        size: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        output: Ints,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array:
        """What each window's sum is divided by, shaped as ``output``."""
        if divisor_override is not None:
            fixed: Array = self.xp.asarray(divisor_override, dtype=like.dtype)
            return fixed
        result = self.xp.ones((), dtype=like.dtype)
        for n, k, s, p, o in zip(size, kernel, stride, padding, output, strict=True):
            low = self.xp.arange(o) * s - p
            # A window of ceil_mode may leave even the padded plane; that part never counts.
            high = self.xp.minimum(low + k, n + p)
            if not count_include_pad:
                low, high = self.xp.maximum(low, 0), self.xp.minimum(high, n)
            result = result[..., None] * (high - low).astype(like.dtype)
        divisor: Array = result
        return divisor


def _cells(size: Ints, output: Ints) -> Iterator[tuple[Ints, tuple[slice, ...]]]:
    """Each output position and its window, ``[floor(i n / m), ceil((i + 1) n / m))`` per axis."""
    for cell in taps(output):
        axes = zip(cell, size, output, strict=True)
        yield cell, tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in axes)
