"""Arithmetic of two operands: `+ - * / // % **` and their like, with broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import agree, kernels
from ..backends.arrays import is_array
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
    write_out,
)

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "floor_divide",
    "remainder", "fmod", "pow", "rsub", "ArithmeticMethods",
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
    input, other = _operands("add", input, other)
    if alpha != 1:
        _check_alpha("add", input, other, alpha)
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
    input, other = _operands("sub", input, other)
    if alpha != 1:
        _check_alpha("sub", input, other, alpha)
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


# ---- mul, div ------------------------------------------------------------------------------


@primitive(name="Mul", broadcast=True)
def _mul(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    return kernels(x).mul(x, y, out)


@_mul.derivative("x")
def _mul_dx(grad: Tensor, y: Tensor) -> Tensor:
    return grad * _conj(y)


@_mul.derivative("y")
def _mul_dy(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x)


def mul(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input · other` elementwise, broadcast and promoted.

    >>> import rushlight as torch
    >>> torch.mul(torch.tensor([[1.], [2.]]), torch.tensor([3., 4.]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    input, other = _operands("mul", input, other)
    return compute_out(_mul, "mul", out, input, other)


multiply = mul


@primitive(name="Div", broadcast=True)
def _div(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    if x.dtype.kind not in "fcV":
        x = as_float(x)
        y = y if type(y) in NUMBERS else as_float(y)
    return kernels(x).div(x, y, out)


@_div.derivative("x")
def _div_dx(grad: Tensor, y: Tensor) -> Tensor:
    return grad / _conj(y)


@_div.derivative("y")
def _div_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return -grad * _conj((x / y) / y)


@primitive(name="Div", suffix="Backward1", broadcast=True)
def _div_rounded(x: Array, y: Array, *, rounding_mode: str) -> Array:
    """Division rounded towards minus infinity (`floor`) or zero (`trunc`); its slope is 0."""
    if not agree(x, y):
        x, y = match(x, y)
    refuse("div_" + rounding_mode, x, "bc")
    if rounding_mode == "floor":
        return kernels(x).floor_div(x, y)
    if x.dtype.kind in "fcV":
        return kernels(x).trunc(kernels(x).div(x, y))
    return kernels(x).trunc_div(x, y)


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
    input, other = _operands("div", input, other)
    if rounding_mode is None:
        return compute_out(_div, "div", out, input, other)
    if rounding_mode in ("floor", "trunc"):
        result = _div_rounded(input, other, rounding_mode=rounding_mode)
    else:
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    return result if out is None else write_out(out, result, "div", input, other)


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


# ---- remainder, fmod, pow ------------------------------------------------------------------


@primitive(name="Remainder", broadcast=True)
def _remainder(x: Array, y: Array) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("remainder", x, "bc")
    return kernels(x if type(y) in NUMBERS else y).remainder(x, y)


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
    input, other = _operands("remainder", input, other)
    result = _remainder(input, other)
    return result if out is None else write_out(out, result, "remainder", input, other)


@primitive(name="Fmod", broadcast=True)
def _fmod(x: Array, y: Array) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("fmod", x, "bc")
    return kernels(x).fmod(x, y)


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
    input, other = _operands("fmod", input, other)
    result = _fmod(input, other)
    return result if out is None else write_out(out, result, "fmod", input, other)


@primitive(name="Pow")
def _pow_number(x: Array, *, exponent: Any) -> Array:
    if not agree(x, exponent):
        x, exponent = match(x, exponent)
    if x.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if exponent == 2 and x.dtype.kind == "f":
        return kernels(x).square(x)
    return kernels(x).pow(x, exponent)


@_pow_number.derivative("x")
def _pow_number_dx(grad: Tensor, x: Tensor, exponent: Number) -> Tensor:
    if exponent == 0:
        return grad * 0
    if exponent == 1:
        return grad
    if exponent == 2:
        return grad * (x * 2) if x._array.dtype.kind != "c" else grad * _conj(x * 2)
    return grad * _conj(exponent * pow(x, exponent - 1))


@primitive(name="Pow", suffix="Backward1", broadcast=True)
def _pow(x: Array, y: Array) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("pow", y, "b")
    if type(x) in NUMBERS:  # a number, too, is raised in the array's dtype
        x, y = kernels(y).full((), x, y.dtype), kernels(y).contiguous(y)
    return kernels(y).pow(x, y)


@_pow.derivative("x")
def _pow_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    slope = _conj(y * pow(x, y - 1))
    return grad * slope._filled_where(y == 0, 0)


@_pow.derivative("y")
def _pow_dy(grad: Tensor, x: Tensor, y: Tensor, result: Tensor) -> Tensor:
    # 0**y is flat in y where it is defined, though log(0) is not
    if type(x) in NUMBERS:
        log_x = result.new_tensor(x).log()
        return grad * _conj(result * log_x) if x != 0 else (grad * result * 0)
    slope = _conj(result * x.log())
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
        result = _pow_number(input, exponent=exponent)
    elif isinstance(exponent, OPERANDS):
        result = _pow(input, exponent)
    else:
        raise TypeError(
            f"pow(): argument 'exponent' must be Tensor or Number, not {type(exponent).__name__}"
        )
    return result if out is None else write_out(out, result, "pow", input, exponent)


# ---- operands ------------------------------------------------------------------------------


def _conj(value: Any) -> Any:
    """The conjugate of a complex tensor or number; a real one is itself."""
    if type(value) in NUMBERS:
        return value.conjugate() if type(value) is complex else value
    return value.conj() if value._array.dtype.kind == "c" else value


def _operands(op: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Checks the operands of a public function; the tensor comes first where the order is free."""
    if not isinstance(x, OPERANDS[0]):
        if isinstance(x, OPERANDS) and isinstance(y, OPERANDS):
            return _as_tensor(x), y
        check_tensor(x, op)
    if not isinstance(y, OPERANDS):
        if hasattr(y, "item") and getattr(y, "ndim", None) == 0:  # a NumPy scalar
            return x, y.item()
        raise TypeError(
            f"{op}(): argument 'other' (position 2) must be Tensor or Number, not "
            f"{type(y).__name__}"
        )
    return x, y


def _as_tensor(number: Any) -> Tensor:
    """A number as a 0-dim tensor of its own dtype."""
    from .from_data import tensor

    return tensor(number)


def _check_alpha(op: str, x: Any, y: Any, alpha: Any) -> None:
    operands = [t for t in (x, y) if isinstance(t, OPERANDS[0])]
    if isinstance(alpha, bool) and not all(t._array.dtype.kind == "b" for t in operands):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    fractional = any(t._array.dtype.kind in "fcV" for t in operands) or type(y) is float
    if isinstance(alpha, float) and not fractional:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )


def _number_of(value: Any) -> Any:
    """The Python number behind a NumPy scalar, or NotImplemented for anything else."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return NotImplemented


class ArithmeticMethods:
    """Arithmetic as methods and operators of `Tensor`."""

    add = add
    sub = subtract = sub
    mul = multiply = mul
    div = divide = div
    true_divide = true_divide
    floor_divide = floor_divide
    remainder = remainder
    fmod = fmod
    pow = pow
    rsub = rsub
    add_ = in_place(add, _add)
    sub_ = subtract_ = in_place(sub, _sub)
    mul_ = multiply_ = in_place(mul, _mul)
    div_ = divide_ = in_place(div, None)
    true_divide_ = in_place(true_divide)
    floor_divide_ = in_place(floor_divide)
    remainder_ = in_place(remainder)
    fmod_ = in_place(fmod)
    pow_ = in_place(pow)

    def __add__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _add(self, other)
        number = _number_of(other)
        return number if number is NotImplemented else _add(self, number)

    __radd__ = __add__

    def __sub__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _sub(self, other)
        number = _number_of(other)
        return number if number is NotImplemented else _sub(self, number)

    def __rsub__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS[0]):
            return _sub(other, self)
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else _rsub(self, number)

    def __mul__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _mul(self, other)
        number = _number_of(other)
        return number if number is NotImplemented else _mul(self, number)

    __rmul__ = __mul__

    def __truediv__(self: Any, other: Any) -> Any:
        if isinstance(other, OPERANDS):
            return _div(self, other)
        number = _number_of(other)
        return number if number is NotImplemented else _div(self, number)

    def __rtruediv__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else self.reciprocal() * number

    def __floordiv__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else floor_divide(self, number)

    def __rfloordiv__(self: Any, other: Any) -> Any:
        number: Any = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else floor_divide(number, self)

    def __mod__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else remainder(self, number)

    def __rmod__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else remainder(number, self)

    def __pow__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else pow(self, number)

    def __rpow__(self: Any, other: Any) -> Any:
        number = other if isinstance(other, OPERANDS) else _number_of(other)
        return number if number is NotImplemented else pow(number, self)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_
    __ifloordiv__ = floor_divide_
    __imod__ = remainder_
    __ipow__ = pow_
