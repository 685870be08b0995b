"""Elementwise functions of two operands beyond plain arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import dtypes, return_types
from ..autograd.primitive import Primitive, primitive
from ..backends import agree, kernels
from ..types_ import Array, Number
from .choose import where
from .common import (
    TensorBase,
    as_float,
    check_tensor,
    compute_out,
    dtype_of,
    in_place,
    match,
    refuse,
    type_name,
    write_out,
)
from .operands import number_as_tensor
from .power import pow

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "arctan2", "atan2", "copysign", "float_power", "frexp", "gcd", "heaviside", "hypot", "lcm",
    "ldexp", "logaddexp", "logaddexp2", "nextafter", "xlogy", "PointwiseMethods",
]  # fmt: skip


# ---- angles and lengths --------------------------------------------------------------------


@primitive(name="Atan2", broadcast=True, kinds="fV")
def _atan2(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    refuse("atan2", x, "c")
    x, y = as_float(x), as_float(y)
    return kernels(x).atan2(x, y, out)


@_atan2.derivative("x")
def _atan2_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    square = x * x + y * y
    return grad * (y / square)._filled_where(square == 0, 0)


@_atan2.derivative("y")
def _atan2_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    square = x * x + y * y
    return grad * (-x / square)._filled_where(square == 0, 0)


def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle in (-π, π] of the vectors `(other, input)`; slope 0 at the origin.

    >>> import rushlight as torch
    >>> torch.atan2(torch.tensor([1., -1.]), torch.tensor([1., -1.]))
    tensor([ 0.7854, -2.3562])
    """
    check_tensor(other, "atan2", "other", 2)
    return compute_out(_atan2, "atan2", out, input, other)


arctan2 = atan2


@primitive(name="Hypot", broadcast=True, kinds="fV")
def _hypot(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    return kernels(x).hypot(x, y, out)


@_hypot.derivative("x")
def _hypot_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    return grad * (x / result)


@_hypot.derivative("y")
def _hypot_dy(grad: Tensor, y: Tensor, result: Tensor) -> Tensor:
    return grad * (y / result)


def hypot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`sqrt(input² + other²)`, without overflow.

    >>> import rushlight as torch
    >>> torch.hypot(torch.tensor([3.]), torch.tensor([4.]))
    tensor([5.])
    """
    _fractional("hypot", input, other)
    return compute_out(_hypot, "hypot", out, input, other)


def _fractional(op: str, *tensors: Tensor) -> None:
    for x in tensors:
        refuse(op, x._array, "biu")


# ---- logarithms of sums --------------------------------------------------------------------


def logaddexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`log(exp(input) + exp(other))`, without overflow.

    >>> import rushlight as torch
    >>> torch.logaddexp(torch.tensor([1000.]), torch.tensor([1000.]))
    tensor([1000.6932])
    """
    _fractional("logaddexp", input, other)
    result = _log_add(_logaddexp, input, other)
    return result if out is None else write_out(out, result, "logaddexp", input, other)


def logaddexp2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`log2(2**input + 2**other)`, without overflow."""
    _fractional("logaddexp2", input, other)
    result = _log_add(_logaddexp2, input, other)
    return result if out is None else write_out(out, result, "logaddexp2", input, other)


def _log_add(op: Primitive, x: Tensor, y: Tensor) -> Tensor:
    if x._array.dtype.kind == "c" or y._array.dtype.kind == "c":
        raise NotImplementedError("[logaddexp] complex tensors are not in rushlight yet")
    return op(x, y)


def _log_sum(name: str, function: str, base: float) -> Primitive:
    def forward(x: Array, y: Array) -> Array:
        if not agree(x, y):
            x, y = match(x, y)
        return kernels(x).float_function(function, x, y)

    op = Primitive(forward, name, broadcast=True)
    scale = math.log(base)

    @op.derivative("x")
    def dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
        return grad * ((x - result) * scale).exp()._filled_where(x == result, 1)

    @op.derivative("y")
    def dy(grad: Tensor, y: Tensor, result: Tensor) -> Tensor:
        return grad * ((y - result) * scale).exp()._filled_where(y == result, 1)

    return op


_logaddexp = _log_sum("Logaddexp", "logaddexp", math.e)
_logaddexp2 = _log_sum("Logaddexp2", "logaddexp2", 2.0)


def xlogy(input: Tensor | Number, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input · log(other)`; 0 where `input` is 0 and `other` not NaN.

    >>> import rushlight as torch
    >>> torch.xlogy(torch.tensor([0., 2.]), torch.tensor([0., 1.]))
    tensor([0., 0.])
    """
    if not isinstance(input, TensorBase) and not isinstance(other, TensorBase):
        raise TypeError("xlogy(): at least one of 'input' and 'other' must be a Tensor")
    for operand in (input, other):
        refuse("xlogy", getattr(operand, "_array", None), "c")
    return compute_out(_xlogy, "xlogy", out, input, other)


@primitive(name="Xlogy", broadcast=True, kinds="fV")
def _xlogy(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
        if not hasattr(x, "dtype"):
            x = kernels(y).full((), x, y.dtype)
        x, y = as_float(x), as_float(y) if hasattr(y, "dtype") else y
    return kernels(x).xlogy(x, y, out)


@_xlogy.derivative("x")
def _xlogy_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`log(y)`; 0 where the product is void."""
    return grad * _xlogy(x != 0, y)


@_xlogy.derivative("y")
def _xlogy_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad * (x / y)


def times_log(x: Any, y: Any, shift: float) -> Tensor:
    """`x · log(y + shift)`, and 0 where x is 0 and y is a number."""
    if not isinstance(x, TensorBase) and not isinstance(y, TensorBase):
        raise TypeError("xlogy(): at least one of 'input' and 'other' must be a Tensor")
    x = x if isinstance(x, TensorBase) else number_as_tensor(x)
    y = y if isinstance(y, TensorBase) else number_as_tensor(y)
    for v in (x, y):
        refuse("xlogy", v._array, "c")
    ignored = (x == 0) & (y == y)
    if y._array.dtype.kind not in "fVc":
        kind = x.dtype if x._array.dtype.kind in "fVc" else dtypes.get_default_dtype()
        y = y.to(kind)
    safe = where(ignored, 1 - shift, y)
    return x * (safe.log1p() if shift else safe.log())


# ---- parts of numbers ----------------------------------------------------------------------


def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = None) -> Tensor:
    """0 below 0, 1 above, and `values` at 0.

    >>> import rushlight as torch
    >>> torch.heaviside(torch.tensor([-1., 0., 2.]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    if input._array.dtype != values._array.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if input._array.dtype.kind == "c":
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return compute_out(_heaviside, "heaviside", out, input, values)


@primitive(name="Heaviside", broadcast=True, kinds="biufV")
def _heaviside(x: Array, y: Array, *, out: Array = None) -> Array:
    return kernels(x).heaviside(x, y, out)


@_heaviside.derivative("y")
def _heaviside_dy(grad: Tensor, x: Tensor) -> Tensor:
    return grad._filled_where(x != 0, 0)


@primitive(name="Copysign", broadcast=True, kinds="fV")
def _copysign(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
        x, y = as_float(x), as_float(y) if hasattr(y, "dtype") else y
    return kernels(x).copysign(x, y, out)


@_copysign.derivative("x")
def _copysign_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    return grad * (result / x)._filled_where(x == 0, 0)


@_copysign.derivative("y")
def _copysign_dy(grad: Tensor) -> Tensor:
    return grad * 0


def copysign(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The size of `input` with the sign of `other`.

    >>> import rushlight as torch
    >>> torch.copysign(torch.tensor([1., 2.]), torch.tensor([-0., 3.]))
    tensor([-1.,  2.])
    """
    return compute_out(_copysign, "copysign", out, input, other)


@primitive(name="Nextafter", kinds="fV")
def _nextafter(x: Array, y: Array, *, out: Array = None) -> Array:
    if not agree(x, y):
        x, y = match(x, y)
    return kernels(x).nextafter(x, y, out)


def nextafter(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The next number that the dtype can hold from `input` towards `other`."""
    _fractional("nextafter", input, other)
    return compute_out(_nextafter, "nextafter", out, input, other)


def float_power(input: Tensor | Number, exponent: Tensor | Number, *,
                out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input ** exponent` in double precision.

    >>> import rushlight as torch
    >>> torch.float_power(torch.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    kinds = [v._array.dtype.kind if isinstance(v, TensorBase) else "c" if isinstance(v, complex)
             else "f" for v in (input, exponent)]  # fmt: skip
    kind = dtypes.complex128 if "c" in kinds else dtypes.float64
    base, power = (v.to(kind) if isinstance(v, TensorBase) else v for v in (input, exponent))
    result = pow(base, power)
    if out is not None and out.dtype is not kind:
        raise RuntimeError(
            f"the output given to float_power has dtype {out.dtype} but the "
            f"operation's result requires dtype {kind}"
        )
    return result if out is None else write_out(out, result, "float_power", input, exponent)


def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input · 2**other`."""
    result = input * pow(2.0, other)
    return result if out is None else write_out(out, result, "ldexp", input, other)


@primitive(name="Frexp", nondifferentiable=(1,))
def _frexp(x: Array) -> tuple[Array, Array]:
    k = kernels(x)
    mantissa, exponent = k.xp.frexp(k.widen(x))
    return k.cast(k.xp.asarray(mantissa), x.dtype), k.xp.asarray(exponent).astype(k.xp.int32)


@_frexp.derivative("x")
def _frexp_dx(grad: Tensor, results: Any) -> Tensor:
    return grad / pow(2.0, results[1]).to(grad.dtype)


def frexp(input: Tensor, *, out: Any = None) -> Any:
    """`input = mantissa · 2**exponent` with a mantissa in [0.5, 1): `(mantissa, exponent)`."""
    if input._array.dtype.kind not in "fV":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    result = return_types.frexp(*_frexp(input))
    return result if out is None else write_out(out, result, "frexp", input)


def _integers(name: str) -> Primitive:
    def forward(x: Array, y: Array, *, out: Array = None) -> Array:
        if not agree(x, y):
            x, y = match(x, y)
        if x.dtype.kind not in "iu":
            raise RuntimeError(
                f"\"{name}_cpu\" not implemented for '{type_name(dtype_of(x))}'; it takes integers"
            )
        return getattr(kernels(x), name)(x, y, out)

    return Primitive(forward, name.capitalize(), kinds="iu")


_gcd, _lcm = _integers("gcd"), _integers("lcm")


def gcd(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The greatest common divisor of integers; non-negative, `gcd(0, 0) = 0`.

    >>> import rushlight as torch
    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([8, 0]))
    tensor([4, 7])
    """
    return compute_out(_gcd, "gcd", out, input, other)


def lcm(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The least common multiple of integers.

    >>> import rushlight as torch
    >>> torch.lcm(torch.tensor([4]), torch.tensor([6]))
    tensor([12])
    """
    return compute_out(_lcm, "lcm", out, input, other)


class PointwiseMethods:
    """Elementwise functions of two operands as methods of `Tensor`."""

    atan2 = arctan2 = atan2
    hypot = hypot
    logaddexp = logaddexp
    logaddexp2 = logaddexp2
    xlogy = xlogy
    heaviside = heaviside
    copysign = copysign
    nextafter = nextafter
    float_power = float_power
    ldexp = ldexp
    frexp = frexp
    gcd = gcd
    lcm = lcm
    atan2_ = arctan2_ = in_place(atan2, _atan2)
    hypot_ = in_place(hypot, _hypot)
    xlogy_ = in_place(xlogy, _xlogy)
    heaviside_ = in_place(heaviside, _heaviside)
    copysign_ = in_place(copysign, _copysign)
    nextafter_ = in_place(nextafter, _nextafter)
    float_power_ = in_place(float_power)
    gcd_ = in_place(gcd, _gcd)
    lcm_ = in_place(lcm, _lcm)

    def ldexp_(self: Any, other: Tensor) -> Any:
        """In-place version of :func:`ldexp`."""
        return self.mul_(pow(2.0, other))
