"""Sliding windows: the arithmetic that convolution and pooling share.

Element ``k`` of window ``o`` along an axis sits at ``o * stride + k * dilation - padding``. A
"tap" is one position of the kernel, a tuple of one index per axis; looking at one tap at a time
turns a window operation into a strided slice of the padded input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from .base import Array

Ints = tuple[int, ...]


def taps(kernel_size: Ints) -> Iterator[Ints]:
    """Every position of the kernel, in row-major order."""
    return product(*map(range, kernel_size))


def conv_output_size(size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    """How many windows fit along each axis."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def pool_output_size(
    size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    """As for convolution; ``ceil_mode`` admits a last window that runs over the right edge,
    unless it would start in the right padding."""
    if not ceil_mode:
        return conv_output_size(size, kernel, stride, padding, dilation)
    result = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        windows = -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1
        result.append(windows - 1 if (windows - 1) * s >= n + p else windows)
    return tuple(result)


def pad_for_windows(
    xp: Any,
    x: Array,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    output: Ints,
    value: Any = 0,
) -> Array:
    """``x`` with its last axes padded so that every window lies inside; ``x`` itself if it fits."""
    axes = len(kernel)
    widths = [(0, 0)] * (x.ndim - axes)
    shape = zip(x.shape[x.ndim - axes :], kernel, stride, padding, dilation, output, strict=True)
    for n, k, s, p, d, o in shape:
        widths.append((p, max(0, (o - 1) * s + (k - 1) * d + 1 - n - p)))
    if not any(map(any, widths)):
        return x
    padded: Array = xp.pad(x, widths, constant_values=value)
    return padded


def tap_slices(tap: Ints, stride: Ints, dilation: Ints, output: Ints) -> tuple[Any, ...]:
    """Index of what tap ``tap`` sees in the padded input: one element per window."""
    axes = zip(tap, stride, dilation, output, strict=True)
    return last_axes(slice(k * d, k * d + (o - 1) * s + 1, s) for k, s, d, o in axes)


def last_axes(index: Iterable[Any]) -> tuple[Any, ...]:
    """``index`` applied to the last axes, all of the axes before them being kept."""
    return (Ellipsis, *index)


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation of axes that undoes this one."""
    return sorted(range(len(order)), key=order.__getitem__)


def is_channels_last(x: Array) -> bool:
    """Whether ``x (N, C, *S)`` with two or three axes ``S`` lies in memory as ``(N, *S, C)``."""
    if x.ndim not in (4, 5) or not x.size or x.flags.c_contiguous:
        return False
    order = (0, *range(2, x.ndim), 1)
    contiguous: bool = x.transpose(order).flags.c_contiguous
    return contiguous


def laid_out_like(xp: Any, result: Array, *operands: Array) -> Array:
    """``result (N, C, *S)``, channels last if one of the operands is."""
    if not any(is_channels_last(x) for x in operands):
        return result
    last = xp.ascontiguousarray(xp.moveaxis(result, 1, -1))
    moved: Array = xp.moveaxis(last, -1, 1)
    return moved
