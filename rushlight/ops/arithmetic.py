"""Sums, differences and products of two operands, with broadcasting; the operators of `Tensor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import agree, kernels
from ..backends.arrays import is_array
from ..types_ import Array, Number
from .common import NUMBERS, OPERANDS, compute_out, in_place, match
from .division import DivisionMethods, _div, floor_divide, remainder
from .operands import check_alpha, conj_of, number_of, operands_of
from .power import PowerMethods, pow

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "add", "sub", "subtract", "mul", "multiply", "rsub", "ArithmeticMethods",
]  # fmt: skip


# ---- add, sub ------------------------------------------------------------------------------


@primitive(name="Add", broadcast=True)
def _add(x: Array, y: Array, *, alpha: Number = 1, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    if alpha == 1:
        return kernels(x).add(x, y, out)
    return kernels(x).add_scaled(x, y, alpha, out)


@_add.derivative("x")
def _add_dx(grad: Tensor) -> Tensor:
    return grad


@_add.derivative("y")
def _add_dy(grad: Tensor, alpha: Number) -> Tensor:
    return grad if alpha == 1 else grad * alpha


def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input + alpha · other`, broadcast to a common shape and promoted to a common dtype.

    >>> import rushlight as torch
    >>> torch.add(torch.tensor([1, 2]), torch.tensor([10, 20]), alpha=2)
    tensor([21, 42])
    """
    input, other = operands_of("add", input, other)
    if alpha != 1:
        check_alpha("add", input, other, alpha)
        return compute_out(_add, "add", out, input, other, alpha=alpha)
    return compute_out(_add, "add", out, input, other)


def _is_bool(operand: Any) -> bool:
    return is_array(operand) and operand.dtype.kind == "b"


@primitive(name="Sub", broadcast=True)
def _sub(x: Array, y: Array, *, alpha: Number = 1, out: Array = None) -> Array:
    if _is_bool(y) and _is_bool(x):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if not agree(x, y):
        x, y = match(x, y)
    if alpha == 1:
        return kernels(x).sub(x, y, out)
    return kernels(x).add_scaled(x, y, -alpha, out)


@_sub.derivative("x")
def _sub_dx(grad: Tensor) -> Tensor:
    return grad


@_sub.derivative("y")
def _sub_dy(grad: Tensor, alpha: Number) -> Tensor:
    return -grad if alpha == 1 else grad * -alpha


def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input - alpha · other`, broadcast and promoted.

    >>> import rushlight as torch
    >>> torch.sub(torch.tensor([1., 2.]), 1)
    tensor([0., 1.])
    """
    input, other = operands_of("sub", input, other)
    if alpha != 1:
        check_alpha("sub", input, other, alpha)
        return compute_out(_sub, "sub", out, input, other, alpha=alpha)
    return compute_out(_sub, "sub", out, input, other)


subtract = sub


@primitive(name="Rsub", suffix="Backward1", broadcast=True)
def _rsub(x: Array, y: Array) -> Array:
    """`y - x` for a number `y`."""
    if not agree(x, y):
        x, y = match(x, y)
    return kernels(x).sub(kernels(x).full((), y, x.dtype), x)


@_rsub.derivative("x")
def _rsub_dx(grad: Tensor) -> Tensor:
    return -grad


def rsub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """`other - alpha · input`.

    >>> import rushlight as torch
    >>> torch.rsub(torch.tensor([1., 2.]), 1)
    tensor([ 0., -1.])
    """
    if alpha != 1:
        input = mul(input, alpha)
    return _rsub(input, other) if type(other) in NUMBERS else sub(other, input)  # type: ignore[arg-type]


# ---- mul -----------------------------------------------------------------------------------


@primitive(name="Mul", broadcast=True)
def _mul(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    return kernels(x).mul(x, y, out)


@_mul.derivative("x")
def _mul_dx(grad: Tensor, y: Tensor) -> Tensor:
    return grad * conj_of(y)


@_mul.derivative("y")
def _mul_dy(grad: Tensor, x: Tensor) -> Tensor:
    return grad * conj_of(x)


def mul(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input · other` elementwise, broadcast and promoted.

    >>> import rushlight as torch
    >>> torch.mul(torch.tensor([[1.], [2.]]), torch.tensor([3., 4.]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    input, other = operands_of("mul", input, other)
    return compute_out(_mul, "mul", out, input, other)


multiply = mul


class ArithmeticMethods(DivisionMethods, PowerMethods):
    """Arithmetic as methods and operators of `Tensor`."""

    add = add
    sub = subtract = sub
    mul = multiply = mul
    rsub = rsub
    add_ = in_place(add, _add)
    sub_ = subtract_ = in_place(sub, _sub)
    mul_ = multiply_ = in_place(mul, _mul)

    def __add__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _add(self, other)
        number = number_of(other)
        return number if number is NotImplemented else _add(self, number)

    __radd__ = __add__

    def __sub__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _sub(self, other)
        number = number_of(other)
        return number if number is NotImplemented else _sub(self, number)

    def __rsub__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS[0]):
            return _sub(other, self)
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else _rsub(self, number)

    def __mul__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _mul(self, other)
        number = number_of(other)
        return number if number is NotImplemented else _mul(self, number)

    __rmul__ = __mul__

    def __truediv__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _div(self, other)
        number = number_of(other)
        return number if number is NotImplemented else _div(self, number)

    def __rtruediv__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else self.reciprocal() * number

    def __floordiv__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else floor_divide(self, number)

    def __rfloordiv__(self: Any, other: Any) -> Any:
        number: Any = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else floor_divide(number, self)

    def __mod__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else remainder(self, number)

    def __rmod__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else remainder(number, self)

    def __pow__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else pow(self, number)

    def __rpow__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else number_of(other)
        return number if number is NotImplemented else pow(number, self)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = DivisionMethods.div_
    __ifloordiv__ = DivisionMethods.floor_divide_
    __imod__ = DivisionMethods.remainder_
    __ipow__ = PowerMethods.pow_
