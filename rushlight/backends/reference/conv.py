"""Convolution over any number of spatial axes, as a matrix product with unfolded windows.

``columns`` of one sample holds in column ``p`` the numbers that output pixel ``p`` looks at, so the
convolution is ``weight @ columns`` per group, and its two derivatives are products with the
transposed factors. One sample at a time keeps the memory at one sample's columns.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .base import Array
from .linalg import LinalgKernels
from .windows import (
    Ints,
    conv_output_size,
    laid_out_like,
    last_axes,
    pad_for_windows,
    tap_slices,
    taps,
)


class ConvKernels(LinalgKernels):
    """``conv`` and its derivatives with respect to input, weight and bias."""

    def conv(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
        relu: bool = False,
    ) -> Array:
        """Return the cross-correlation of ``x (N, C, *S)`` with ``weight (O, C/groups, *K)``.

        With ``relu`` negative results become zero.
        """
        kernel = weight.shape[2:]
        output = conv_output_size(x.shape[2:], kernel, stride, padding, dilation)
        wide, kernels = self.widen(x), self._by_group(self.widen(weight), groups)
        result = self.xp.empty((x.shape[0], weight.shape[0], *output), dtype=wide.dtype)
        with self.quiet():
            for sample, out in zip(wide, result, strict=True):
                columns = self._columns(sample, kernel, stride, padding, dilation, output, groups)
                out[...] = self.matmul(kernels, columns).reshape(out.shape)
            if bias is not None:
                result += self.widen(bias).reshape(-1, *(1,) * len(output))
            if relu:
                result = self.rectified(result)
        return laid_out_like(self.xp, self.finish(result, x.dtype), x, weight)

    def conv_input_grad(
        self,
        grad: Array,
        weight: Array,
        input_shape: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        """Return the derivative by the input: every product goes back to where it was read.

        Of complex weights the conjugates are taken.
        """
        kernel, output, size = weight.shape[2:], grad.shape[2:], input_shape[2:]
        wide = self.widen(grad)
        transposed = self._by_group(self.widen(weight).conj(), groups).swapaxes(1, 2)
        reach = tuple(
            max(n + 2 * p, (o - 1) * s + d * (k - 1) + 1)
            for n, p, o, s, d, k in zip(
                size, padding, output, stride, dilation, kernel, strict=True
            )
        )
        padded = self.xp.zeros((*input_shape[:2], *reach), dtype=wide.dtype)
        with self.quiet():
            for sample, target in zip(wide, padded, strict=True):
                columns = self.matmul(transposed, sample.reshape(groups, -1, prod(output)))
                columns = columns.reshape(input_shape[1], *kernel, *output)
                for tap in taps(kernel):
                    of_tap: tuple[Any, ...] = (slice(None), *tap)
                    target[tap_slices(tap, stride, dilation, output)] += columns[of_tap]
        inside = tuple(slice(p, p + n) for p, n in zip(padding, size, strict=True))
        result = self.finish(padded[last_axes(inside)], grad.dtype)
        return laid_out_like(self.xp, result, grad, weight)

    def conv_weight_grad(
        self,
        grad: Array,
        x: Array,
        weight_shape: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        """Return the derivative by the weight, summed over the batch.

        Of a complex input the conjugate is taken.
        """
        kernel, output = weight_shape[2:], grad.shape[2:]
        wide, wide_grad = self.widen(x).conj(), self.widen(grad)
        rows = weight_shape[0] // groups
        result = self.xp.zeros((groups, rows, prod(weight_shape[1:])), dtype=wide.dtype)
        with self.quiet():
            for sample, sample_grad in zip(wide, wide_grad, strict=True):
                columns = self._columns(sample, kernel, stride, padding, dilation, output, groups)
                flat = sample_grad.reshape(groups, rows, -1)
                result += self.matmul(flat, columns.swapaxes(1, 2))
        return self.finish(result.reshape(weight_shape), grad.dtype)

    def conv_bias_grad(self, grad: Array) -> Array:
        """Return the sum over all axes but the channels'."""
        axes = (0, *range(2, grad.ndim))
        with self.quiet():
            return self.finish(self.widen(grad).sum(axis=axes), grad.dtype)

    def _by_group(self, weight: Array, groups: int) -> Array:
        """The weight as ``(groups, O/groups, C/groups * K)``."""
        return weight.reshape(groups, weight.shape[0] // groups, prod(weight.shape[1:]))

    def _columns(
        self,
        sample: Array,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        output: Ints,
        groups: int,
    ) -> Array:
        """The windows of one sample ``(C, *S)`` as ``(groups, C/groups * K, output pixels)``."""
        padded = pad_for_windows(self.xp, sample, kernel, stride, padding, dilation, output)
        steps = padded.strides[1:]
        windows = self.xp.lib.stride_tricks.as_strided(
            padded,
            (padded.shape[0], *kernel, *output),
            (
                padded.strides[0],
                *(step * d for step, d in zip(steps, dilation, strict=True)),
                *(step * s for step, s in zip(steps, stride, strict=True)),
            ),
        )
        rows = sample.shape[0] // groups * prod(kernel)
        columns: Array = windows.reshape(groups, rows, prod(output))
        return columns
