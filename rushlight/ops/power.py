"""Powers of tensors and numbers: `**`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import agree, kernels
from ..types_ import Array, Number
from .common import (
    NUMBERS,
    OPERANDS,
    check_tensor,
    compute_out,
    in_place,
    match,
    refuse,
    write_out,
)
from .operands import conj_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["pow", "PowerMethods"]


# As in PyTorch: the root of -0 is -0, and that of -infinity NaN.
_SIMPLER = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


@primitive(name="Pow", kinds="fcV")
def _pow_number(x: Array, *, exponent: Any, out: Array = None) -> Array:
    if not agree(x, exponent):
        x, exponent = match(x, exponent)
    if x.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if x.dtype.kind == "f" and exponent in _SIMPLER:
        simpler: Array = getattr(kernels(x), _SIMPLER[exponent])(x, out)
        return simpler
    return kernels(x).pow(x, exponent, out)


@_pow_number.derivative("x")
def _pow_number_dx(grad: Tensor, x: Tensor, exponent: Number) -> Tensor:
    if exponent == 0:
        return grad * 0
    if exponent == 1:
        return grad
    if exponent == 2:
        return grad * (x * 2) if x._array.dtype.kind != "c" else grad * conj_of(x * 2)
    return grad * conj_of(exponent * pow(x, exponent - 1))


@primitive(name="Pow", suffix="Backward1", broadcast=True)
def _pow(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("pow", y, "b")
    if type(x) in NUMBERS:  # a number, too, is raised in the array's dtype
        x, y = kernels(y).full((), x, y.dtype), kernels(y).contiguous(y)
    return kernels(y).pow(x, y, out)


@_pow.derivative("x")
def _pow_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    slope = conj_of(y * pow(x, y - 1))
    return grad * slope._filled_where(y == 0, 0)


@_pow.derivative("y")
def _pow_dy(grad: Tensor, x: Tensor, y: Tensor, result: Tensor) -> Tensor:
    # 0**y is flat in y where it is defined, though log(0) is not
    if type(x) in NUMBERS:
        log_x = result.new_tensor(x).log()
        return grad * conj_of(result * log_x) if x != 0 else (grad * result * 0)
    slope = conj_of(result * x.log())
    power = y.real if y._array.dtype.kind == "c" else y
    return grad * slope._filled_where((x == 0) & (power >= 0), 0)


def pow(input: Tensor | Number, exponent: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input ** exponent` elementwise; at least one of the two is a tensor.

    Raises RuntimeError for an integer tensor with a negative integer exponent.

    >>> import rushlight as torch
    >>> torch.pow(torch.tensor([2., 3.]), 2), torch.pow(2, torch.tensor([3, 4]))
    (tensor([4., 9.]), tensor([ 8, 16]))
    """
    if type(exponent) in NUMBERS:
        check_tensor(input, "pow")
        if out is None or type(exponent) is not complex:
            return compute_out(_pow_number, "pow", out, input, exponent=exponent)
        return write_out(out, _pow_number(input, exponent=exponent), "pow", input)
    if isinstance(exponent, OPERANDS):
        return compute_out(_pow, "pow", out, input, exponent)
    raise TypeError(
        f"pow(): argument 'exponent' must be Tensor or Number, not {type(exponent).__name__}"
    )


_pow_number_ = in_place(pow, _pow_number)
_pow_tensor_ = in_place(pow, _pow)


def _pow_(self: Any, exponent: Any) -> Any:
    """In-place version of :func:`pow`."""
    if type(exponent) is complex or type(exponent) not in NUMBERS:
        return _pow_tensor_(self, exponent)
    return _pow_number_(self, exponent=exponent)


class PowerMethods:
    """Powers as methods of `Tensor`."""

    pow = pow
    pow_ = _pow_
