"""Padding the borders of a tensor: constant, reflected, replicated, circular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.layout import inverse, is_channels_last
from ..dtypes import int64
from ..types_ import Array, Shape
from .memory_format import channels_last_axes, copied

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["pad"]

Widths = tuple[tuple[int, int], ...]


@primitive(name="ConstantPadNd")
def _pad_constant(x: Array, *, widths: Widths, value: Any) -> Array:
    inner = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, x.shape))
    if not any(a > 0 or b > 0 for a, b in widths):
        return copied(x[inner])
    outer = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    part, k = x[inner], kernels(x)
    if part is not x and is_channels_last(x) and not is_channels_last(part):
        axes = channels_last_axes(x.ndim)
        outer = tuple(outer[axis] for axis in axes)
        return k.pad(part.transpose(axes), outer, "constant", value).transpose(inverse(axes))
    return k.pad(part, outer, "constant", value)


@_pad_constant.derivative("x")
def _pad_constant_dx(grad: Tensor, widths: Widths) -> Tensor:
    """Padding is cut off, and what was cut off is padded with zeros."""
    return _pad_constant(grad, widths=tuple((-a, -b) for a, b in widths), value=0)


@primitive(name="Pad")
def _pad_mirrored(x: Array, *, widths: Widths, mode: str) -> Array:
    if mode != "circular" and is_channels_last(x):
        axes = channels_last_axes(x.ndim)
        moved = tuple(widths[axis] for axis in axes)
        return _mirrored(x.transpose(axes), moved, mode).transpose(inverse(axes))
    return _mirrored(x, widths, mode)


def _mirrored(x: Array, widths: Widths, mode: str) -> Array:
    k = kernels(x)
    for dim, ((a, b), size) in enumerate(zip(widths, x.shape)):
        if a or b:
            x = k.take(x, _sources(k, size, a, b, mode), dim)
    return x


def _sources(k: Any, size: int, a: int, b: int, mode: str) -> Array:
    """From which positions of a line of `size` elements its padded form reads."""
    if mode == "circular":  # what is cut off is cut off first, then the rest is repeated
        first, rest = max(-a, 0), size - max(-a, 0) - max(-b, 0)
        around = k.arange(-max(a, 0), 1, rest + max(a, 0) + max(b, 0), int64.numpy)
        return around % max(rest, 1) + first
    line = k.arange(-a, 1, size + a + b, int64.numpy)
    if mode == "reflect":
        line = (size - 1) - k.abs((size - 1) - k.abs(line))
    return k.clamp(line, 0, max(size - 1, 0))


@_pad_mirrored.derivative("x")
def _pad_mirrored_dx(grad: Tensor, x_shape: Shape, widths: Widths, mode: str) -> Tensor:
    """Every element of the padded tensor returns its gradient to the place it was read from."""
    result = grad
    k = kernels(grad._array)
    for dim, ((a, b), size) in enumerate(zip(widths, x_shape)):
        if not a and not b:
            continue
        source = wrap(_sources(k, size, a, b, mode))
        shape = list(result._array.shape)
        shape[dim] = size
        result = grad.new_zeros(shape).index_add(dim, source, result)
    return result


_MODES = ("reflect", "replicate", "circular")


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with more (or, by negative numbers, fewer) elements at the borders.

    `pad` lists (before, after) pairs from the last dim backwards. `mode` is `"constant"` (filled
    with `value`, 0 unless given), `"reflect"`, `"replicate"` or `"circular"`.

    >>> import rushlight as torch
    >>> torch.nn.functional.pad(torch.tensor([1, 2]), (1, 2))
    tensor([0, 1, 2, 0, 0])
    """
    shape = input._array.shape
    numbers = [int(v) for v in pad]
    if len(numbers) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(numbers) // 2 > len(shape):
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(numbers)} and input of dimension {len(shape)}"
        )
    pairs = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    widths = ((0, 0),) * (len(shape) - len(pairs)) + tuple(reversed(pairs))
    for (a, b), n in zip(widths, shape):
        if n + a + b < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {a} and {b} resulted in a negative "
                "output size, which is invalid."
            )
    if mode == "constant":
        return _pad_constant(input, widths=widths, value=0 if value is None else value)
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    _check_mirror(shape, widths, mode)
    return _pad_mirrored(input, widths=widths, mode=mode)


def _check_mirror(shape: Shape, widths: Widths, mode: str) -> None:
    spatial = sum(1 for w in widths if w != (0, 0))
    if len(shape) - spatial < 1 and len(shape) > 0 and spatial:
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    for dim, ((a, b), n) in enumerate(zip(widths, shape)):
        if mode == "reflect" and (a >= n or b >= n) and (a or b):
            raise RuntimeError(
                f"Argument #4: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({a}, {b}) at dimension {dim} of input {list(shape)}"
            )
        if mode == "circular" and (a > n or b > n):
            raise RuntimeError("Padding value causes wrapping around more than once.")
