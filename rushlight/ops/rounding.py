"""Sign, size and rounding of each element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import as_float, check_tensor, compute_out, in_place, refuse, write_out

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "abs", "absolute", "angle", "ceil", "fix", "floor", "frac", "neg", "negative", "positive",
    "round", "sgn", "sign", "signbit", "trunc", "RoundingMethods",
]  # fmt: skip


# ---- sign and size -------------------------------------------------------------------------


@primitive(name="Neg")
def _neg(x: Array, *, out: Array = None) -> Array:
    if x.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return kernels(x).neg(x, out)


@_neg.derivative("x")
def _neg_dx(grad: Tensor) -> Tensor:
    return -grad


def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`-input`.

    >>> import rushlight as torch
    >>> torch.neg(torch.tensor([1., -2.]))
    tensor([-1.,  2.])
    """
    check_tensor(input, "neg")
    return _neg(input) if out is None else compute_out(_neg, "neg", out, input)


negative = neg


def positive(input: Tensor) -> Tensor:
    """`input` itself; RuntimeError for a bool tensor."""
    if input._array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@primitive(name="Abs", kinds="iufV")
def _abs(x: Array, *, out: Array = None) -> Array:
    refuse("abs", x, "b")
    return kernels(x).abs(x, out)


@_abs.derivative("x")
def _abs_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * sgn(x)


def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`|input|`; the slope at 0 is 0. Of a complex tensor the (real) modulus.

    >>> import rushlight as torch
    >>> torch.abs(torch.tensor([-1, 2]))
    tensor([1, 2])
    """
    return _abs(input) if out is None else compute_out(_abs, "abs", out, input)


absolute = abs


@primitive(name="Sign")
def _sign(x: Array, *, out: Array = None) -> Array:
    refuse("sign", x, "c")
    return kernels(x).sign(x, out)


@_sign.derivative("x")
def _sign_dx(grad: Tensor) -> Tensor:
    return grad * 0


def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1 after the sign of each element.

    >>> import rushlight as torch
    >>> torch.sign(torch.tensor([-2., 0., 3.]))
    tensor([-1.,  0.,  1.])
    """
    return _sign(input) if out is None else compute_out(_sign, "sign", out, input)


def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input / |input|`, and 0 at 0; for real tensors the same as `sign`.

    >>> import rushlight as torch
    >>> torch.sgn(torch.tensor([-2., 0.]))
    tensor([-1.,  0.])
    """
    if input._array.dtype.kind != "c":
        return sign(input, out=out)
    size = abs(input)
    result = input / size._filled_where(size == 0, 1)
    return result if out is None else write_out(out, result, "sgn", input)


def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether each element's sign bit is set (so true for -0.0).

    >>> import rushlight as torch
    >>> torch.signbit(torch.tensor([-0., 1.]))
    tensor([ True, False])
    """
    result = _signbit(input)
    return result if out is None else write_out(out, result, "signbit", input)


@primitive(name="Signbit")
def _signbit(x: Array) -> Array:
    refuse("signbit", x, "c")
    return kernels(x).signbit(x)


@primitive(name="Angle")
def _angle(x: Array) -> Array:
    return kernels(x).angle(as_float(x))


@_angle.derivative("x")
def _angle_dx(grad: Tensor, x: Tensor) -> Tensor:
    if x._array.dtype.kind != "c":
        return grad * 0
    size = abs(x)
    return (grad / size * 1j) * (x / size._filled_where(size == 0, 1))


def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of each complex number; 0 or π for real ones.

    >>> import rushlight as torch
    >>> torch.angle(torch.tensor([1., -1.]))
    tensor([0.0000, 3.1416])
    """
    result = _angle(input)
    return result if out is None else write_out(out, result, "angle", input)


# ---- rounding: flat almost everywhere ------------------------------------------------------


@primitive(name="Floor", kinds="fV")
def _floor(x: Array, *, out: Array = None) -> Array:
    refuse("floor", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).floor(x, out)


@primitive(name="Ceil", kinds="fV")
def _ceil(x: Array, *, out: Array = None) -> Array:
    refuse("ceil", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).ceil(x, out)


@primitive(name="Trunc", kinds="fV")
def _trunc(x: Array, *, out: Array = None) -> Array:
    refuse("trunc", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).trunc(x, out)


@primitive(name="Round", kinds="fV")
def _round(x: Array, *, decimals: int = 0, out: Array = None) -> Array:
    refuse("round", x, "bc")
    return (
        x.copy() if x.dtype.kind in "iu" and decimals == 0 else kernels(x).round(x, decimals, out)
    )


@_floor.derivative("x")
@_ceil.derivative("x")
@_trunc.derivative("x")
@_round.derivative("x")
def _rounding_dx(grad: Tensor) -> Tensor:
    return grad * 0


def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The largest integer not above each element.

    >>> import rushlight as torch
    >>> torch.floor(torch.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return _floor(input) if out is None else compute_out(_floor, "floor", out, input)


def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smallest integer not below each element.

    >>> import rushlight as torch
    >>> torch.ceil(torch.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return _ceil(input) if out is None else compute_out(_ceil, "ceil", out, input)


def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Each element without its fraction.

    >>> import rushlight as torch
    >>> torch.trunc(torch.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return _trunc(input) if out is None else compute_out(_trunc, "trunc", out, input)


fix = trunc


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Rounds to `decimals` places, halves to even.

    >>> import rushlight as torch
    >>> torch.round(torch.tensor([0.5, 1.5, -2.5]))
    tensor([ 0.,  2., -2.])
    """
    if out is None:
        return _round(input, decimals=decimals)
    return compute_out(_round, "round", out, input, decimals=decimals)


@primitive(name="Frac", kinds="fV")
def _frac(x: Array, *, out: Array = None) -> Array:
    refuse("frac", x, "biuc")
    return kernels(x).frac(x, out)


@_frac.derivative("x")
def _frac_dx(grad: Tensor) -> Tensor:
    return grad


def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The fraction of each element, with its sign: `input - trunc(input)`.

    >>> import rushlight as torch
    >>> torch.frac(torch.tensor([1.5, -1.25]))
    tensor([ 0.5000, -0.2500])
    """
    return _frac(input) if out is None else compute_out(_frac, "frac", out, input)


_abs_ = in_place(abs, _abs)


class RoundingMethods:
    """Sign, size and rounding of each element; methods."""

    neg = negative = neg
    positive = positive
    abs = absolute = abs
    sign = sign
    sgn = sgn
    signbit = signbit
    angle = angle
    floor = floor
    ceil = ceil
    trunc = fix = trunc
    round = round
    frac = frac
    neg_ = negative_ = in_place(neg, _neg)
    sign_ = in_place(sign, _sign)
    sgn_ = in_place(sgn, _sign)
    floor_ = in_place(floor, _floor)
    ceil_ = in_place(ceil, _ceil)
    trunc_ = fix_ = in_place(trunc, _trunc)
    round_ = in_place(round, _round)
    frac_ = in_place(frac, _frac)

    def abs_(self: Any) -> Any:
        """In-place `abs`; RuntimeError for complex tensors, whose modulus is real."""
        if self._array.dtype.kind == "c":
            raise RuntimeError("In-place abs is not supported for complex tensors.")
        return _abs_(self)

    absolute_ = abs_

    def __neg__(self: Any) -> Any:
        return _neg(self)

    def __pos__(self: Any) -> Any:
        return positive(self)

    def __abs__(self: Any) -> Any:
        return _abs(self)
