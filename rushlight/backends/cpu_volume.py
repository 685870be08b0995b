"""Convolution over three axes by the native kernels for two.

A volume is a stack of planes, and the window's taps along depth are planes, too: the result is the
sum, over these taps, of two-dimensional convolutions of all planes that the tap reads, the planes
being the batch. Planes come to lie side by side by one copy, (N, C, D, H, W) to (D, N, C, H, W), so
that the planes of a tap are one slice of it, whatever stride and dilation along depth.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy

from .cpu_linalg import NativeLinalg
from .reference.base import Array
from .reference.windows import Ints

__all__ = ["NativeVolume"]


class NativeVolume(NativeLinalg):
    """float32 volumes; everything else goes on to the kernels of planes and the reference."""

    def conv(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Array:
        window = (stride, padding, dilation, groups)
        if not _are_volumes(x, weight):
            return super().conv(x, weight, bias, *window)
        depth, taps = x.shape[2], weight.shape[2]
        outputs = (depth + 2 * padding[0] - dilation[0] * (taps - 1) - 1) // stride[0] + 1
        planes, total = _planes(x), None
        for tap, read, written in _taps(taps, depth, outputs, *window[:3]):
            part = super().conv(
                _batch(planes[read]), weight[:, :, tap].copy(), None,
                stride[1:], padding[1:], dilation[1:], groups,
            )  # fmt: skip
            if total is None:
                total = numpy.zeros((outputs, len(x), *part.shape[1:]), part.dtype)
            target = total[written]
            self.add(target, part.reshape(target.shape), target)
        if total is None:  # the window reads nothing but padding
            return super().conv(x, weight, bias, *window)
        if bias is not None:
            self.add(total, bias[:, None, None], total)
        return _volumes(total)

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
        window = (stride, padding, dilation, groups)
        if not _are_volumes(grad, weight):
            return super().conv_input_grad(grad, weight, input_shape, *window)
        n, channels, depth, *plane = input_shape
        grads = _planes(grad)
        total = numpy.zeros((depth, n, channels, *plane), grad.dtype)
        for tap, written, read in _taps(weight.shape[2], depth, grad.shape[2], *window[:3]):
            source = _batch(grads[read])
            part = super().conv_input_grad(
                source, weight[:, :, tap].copy(), (len(source), channels, *plane),
                stride[1:], padding[1:], dilation[1:], groups,
            )  # fmt: skip
            target = total[written]
            self.add(target, part.reshape(target.shape), target)
        return _volumes(total)

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
        window = (stride, padding, dilation, groups)
        if not _are_volumes(grad, x):
            return super().conv_weight_grad(grad, x, weight_shape, *window)
        grads, planes = _planes(grad), _planes(x)
        result = numpy.zeros(weight_shape, grad.dtype)
        for tap, read, summed in _taps(weight_shape[2], x.shape[2], grad.shape[2], *window[:3]):
            result[:, :, tap] = super().conv_weight_grad(
                _batch(grads[summed]), _batch(planes[read]), (*weight_shape[:2], *weight_shape[3:]),
                stride[1:], padding[1:], dilation[1:], groups,
            )  # fmt: skip
        return result


def _are_volumes(*arrays: Array) -> bool:
    return all(a.ndim == 5 and a.dtype == numpy.float32 and a.size for a in arrays)


def _planes(volumes: Array) -> Array:
    """(N, C, D, H, W) as (D, N, C, H, W)."""
    return numpy.ascontiguousarray(volumes.transpose(2, 0, 1, 3, 4))


def _volumes(planes: Array) -> Array:
    return numpy.ascontiguousarray(planes.transpose(1, 2, 0, 3, 4))


def _batch(planes: Array) -> Array:
    """The planes (D', N, C, H, W) of one tap as one batch."""
    return numpy.ascontiguousarray(planes).reshape(-1, *planes.shape[2:])


def _taps(
    kernel: int, depth: int, outputs: int, stride: Ints, padding: Ints, dilation: Ints
) -> Iterator[tuple[int, slice, slice]]:
    """For each tap along depth that reads any plane: (tap, input planes, output planes)."""
    step = stride[0]
    for tap in range(kernel):
        offset = tap * dilation[0] - padding[0]  # output d reads input d * step + offset
        first = max(0, -(offset // step))
        last = min(outputs - 1, (depth - 1 - offset) // step)
        if first <= last:
            start = first * step + offset
            read = slice(start, start + (last - first) * step + 1, step)
            yield tap, read, slice(first, last + 1)
