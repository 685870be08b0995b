"""Quotients and remainders: `/ // %`, true, floored and truncated."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ..autograd.primitive import primitive
from ..autograd.twin import native
from ..backends import agree, kernels
from ..types_ import Array, Number
from .common import (
    NUMBERS,
    OPERANDS,
    as_float,
    check_tensor,
    compute_out,
    in_place,
    match,
    refuse,
)
from .operands import conj_of, operands_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "div", "divide", "true_divide", "floor_divide", "remainder", "fmod", "DivisionMethods",
]  # fmt: skip


# ---- quotients -----------------------------------------------------------------------------


@primitive(name="Div", broadcast=True, kinds="fcV")
def _div(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    if x.dtype.kind not in "fcV":
        x = as_float(x)
        y = y if type(y) in NUMBERS else as_float(y)
    return kernels(x).div(x, y, out)


@_div.derivative("x")
def _div_dx(grad: Tensor, y: Tensor) -> Tensor:
    return grad / conj_of(y)


@_div.derivative("y")
def _div_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -grad * conj_of((x / y) / y)


@primitive(name="Div", suffix="Backward1", broadcast=True, kinds="iufV")
def _div_rounded(x: Array, y: Array, *, rounding_mode: str, out: Array = None) -> Array:
    """Division rounded towards minus infinity (`floor`) or zero (`trunc`); its slope is 0."""
    if not agree(x, y):
        x, y = match(x, y)
    refuse("div_" + rounding_mode, x, "bc")
    if rounding_mode == "floor":
        return kernels(x).floor_div(x, y, out)
    return kernels(x).trunc_div(x, y, out)


@_div_rounded.derivative("x")
def _div_rounded_dx(grad: Tensor) -> Tensor:
    return grad * 0


@_div_rounded.derivative("y")
def _div_rounded_dy(grad: Tensor) -> Tensor:
    return grad * 0


def div(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input / other`; with `rounding_mode` `"floor"` or `"trunc"` the rounded quotient.

    Integers divide to the default floating-point dtype unless rounded.

    >>> import rushlight as torch
    >>> torch.div(torch.tensor([7, -7]), 2)
    tensor([ 3.5000, -3.5000])
    >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """
    input, other = operands_of("div", input, other)
    if rounding_mode is None:
        return compute_out(_div, "div", out, input, other)
    if rounding_mode in ("floor", "trunc"):
        return compute_out(_div_rounded, "div", out, input, other, rounding_mode=rounding_mode)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


divide = div


def true_divide(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """Alias of `div` without rounding.

    >>> import rushlight as torch
    >>> torch.true_divide(torch.tensor([1]), 2)
    tensor([0.5000])
    """
    return div(input, other, out=out)


def floor_divide(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`floor(input / other)`, of integers exactly.

    >>> import rushlight as torch
    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return div(input, other, rounding_mode="floor", out=out)


# ---- remainders ----------------------------------------------------------------------------


@primitive(name="Remainder", broadcast=True)
def _remainder(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("remainder", x, "bc")
    return kernels(x if type(y) in NUMBERS else y).remainder(x, y, out)


@_remainder.derivative("x")
def _remainder_dx(grad: Tensor) -> Tensor:
    return grad


@_remainder.derivative("y")
def _remainder_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -grad * div(x, y, rounding_mode="floor")


def remainder(input: Tensor | Number, other: Tensor | Number, *,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input - other · floor(input / other)`: the result has the divisor's sign.

    >>> import rushlight as torch
    >>> torch.remainder(torch.tensor([-3., 3.]), 2)
    tensor([1., 1.])
    """
    if not isinstance(other, OPERANDS[0]):
        check_tensor(input, "remainder")
    input, other = operands_of("remainder", input, other)
    return compute_out(_remainder, "remainder", out, input, other)


@primitive(name="Fmod", broadcast=True)
def _fmod(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("fmod", x, "bc")
    return kernels(x).fmod(x, y, out)


@_fmod.derivative("x")
def _fmod_dx(grad: Tensor) -> Tensor:
    return grad


@_fmod.derivative("y")
def _fmod_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -grad * div(x, y, rounding_mode="trunc")


def fmod(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input - other · trunc(input / other)`: the result has the dividend's sign, as C's `fmod`.

    >>> import rushlight as torch
    >>> torch.fmod(torch.tensor([-3., 3.]), 2)
    tensor([-1.,  1.])
    """
    input, other = operands_of("fmod", input, other)
    return compute_out(_fmod, "fmod", out, input, other)


_true_div_ = in_place(div, _div)
_div_rounded_ = in_place(div, _div_rounded)


def _div_(self: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """In-place version of :func:`div`."""
    if rounding_mode not in ("floor", "trunc"):
        return _true_div_(self, other, rounding_mode=rounding_mode)
    return _div_rounded_(self, other, rounding_mode=rounding_mode)


if native is not None:  # quotients that are not rounded need no Python
    _compiled_div_ = native.InPlaceMethod(_div_, _div, "div_", frozenset(), 1)
    _div_ = functools.update_wrapper(_compiled_div_, _div_)


def _floor_divide_(self: Tensor, other: Tensor | Number) -> Tensor:
    """In-place version of :func:`floor_divide`."""
    return _div_rounded_(self, other, rounding_mode="floor")


class DivisionMethods:
    """Quotients and remainders as methods of `Tensor`."""

    div = divide = div
    true_divide = true_divide
    floor_divide = floor_divide
    remainder = remainder
    fmod = fmod
    div_ = divide_ = _div_
    true_divide_ = in_place(true_divide, _div)
    floor_divide_ = _floor_divide_
    remainder_ = in_place(remainder, _remainder)
    fmod_ = in_place(fmod, _fmod)
