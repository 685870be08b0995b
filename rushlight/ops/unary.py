"""Functions of one operand: exponentials, roots, trigonometry, rounding, sign."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array
from .common import as_float, cast, check_tensor, in_place, refuse, write_out

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "abs", "absolute", "acos", "acosh", "angle", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctanh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg2rad", "erf",
    "erfc", "erfinv", "exp", "exp2", "expm1", "fix", "floor", "frac", "lgamma", "log", "log10",
    "log1p", "log2", "logit", "digamma", "neg", "negative", "positive", "rad2deg", "reciprocal",
    "round", "rsqrt", "sgn", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square",
    "tan", "tanh", "trunc", "UnaryMethods",
]  # fmt: skip


# ---- sign and size -------------------------------------------------------------------------


@primitive(name="Neg")
def _neg(x: Array) -> Array:
    if x.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return kernels(x).neg(x)


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
    result = _neg(input)
    return result if out is None else write_out(out, result, "neg")


negative = neg


def positive(input: Tensor) -> Tensor:
    """`input` itself; RuntimeError for a bool tensor."""
    if input._array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@primitive(name="Abs")
def _abs(x: Array) -> Array:
    refuse("abs", x, "b")
    return kernels(x).abs(x)


@_abs.derivative("x")
def _abs_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * sgn(x)


def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`|input|`; the slope at 0 is 0. Of a complex tensor the (real) modulus.

    >>> import rushlight as torch
    >>> torch.abs(torch.tensor([-1, 2]))
    tensor([1, 2])
    """
    result = _abs(input)
    return result if out is None else write_out(out, result, "abs")


absolute = abs


@primitive(name="Sign")
def _sign(x: Array) -> Array:
    refuse("sign", x, "c")
    return kernels(x).sign(x)


@_sign.derivative("x")
def _sign_dx(grad: Tensor) -> Tensor:
    return grad * 0


def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1 after the sign of each element.

    >>> import rushlight as torch
    >>> torch.sign(torch.tensor([-2., 0., 3.]))
    tensor([-1.,  0.,  1.])
    """
    result = _sign(input)
    return result if out is None else write_out(out, result, "sign")


def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input / |input|`, and 0 at 0; for real tensors the same as `sign`.

    >>> import rushlight as torch
    >>> torch.sgn(torch.tensor([-2., 0.]))
    tensor([-1.,  0.])
    """
    if input._array.dtype.kind != "c":
        return sign(input, out=out)
    size = abs(input)
    result = input / size.masked_fill(size == 0, 1)
    return result if out is None else write_out(out, result, "sgn")


def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether each element's sign bit is set (so true for -0.0).

    >>> import rushlight as torch
    >>> torch.signbit(torch.tensor([-0., 1.]))
    tensor([ True, False])
    """
    result = _signbit(input)
    return result if out is None else write_out(out, result, "signbit")


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
    return (grad / size * 1j) * (x / size.masked_fill(size == 0, 1))


def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of each complex number; 0 or π for real ones.

    >>> import rushlight as torch
    >>> torch.angle(torch.tensor([1., -1.]))
    tensor([0.0000, 3.1416])
    """
    result = _angle(input)
    return result if out is None else write_out(out, result, "angle")


# ---- rounding: flat almost everywhere ------------------------------------------------------


@primitive(name="Floor")
def _floor(x: Array) -> Array:
    refuse("floor", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).floor(x)


@primitive(name="Ceil")
def _ceil(x: Array) -> Array:
    refuse("ceil", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).ceil(x)


@primitive(name="Trunc")
def _trunc(x: Array) -> Array:
    refuse("trunc", x, "bc")
    return x.copy() if x.dtype.kind in "iu" else kernels(x).trunc(x)


@primitive(name="Round")
def _round(x: Array, *, decimals: int = 0) -> Array:
    refuse("round", x, "bc")
    return x.copy() if x.dtype.kind in "iu" and decimals == 0 else kernels(x).round(x, decimals)


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
    result = _floor(input)
    return result if out is None else write_out(out, result, "floor")


def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smallest integer not below each element.

    >>> import rushlight as torch
    >>> torch.ceil(torch.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    result = _ceil(input)
    return result if out is None else write_out(out, result, "ceil")


def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Each element without its fraction.

    >>> import rushlight as torch
    >>> torch.trunc(torch.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    result = _trunc(input)
    return result if out is None else write_out(out, result, "trunc")


fix = trunc


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Rounds to `decimals` places, halves to even.

    >>> import rushlight as torch
    >>> torch.round(torch.tensor([0.5, 1.5, -2.5]))
    tensor([ 0.,  2., -2.])
    """
    result = _round(input, decimals=decimals)
    return result if out is None else write_out(out, result, "round")


@primitive(name="Frac")
def _frac(x: Array) -> Array:
    refuse("frac", x, "biuc")
    return kernels(x).frac(x)


@_frac.derivative("x")
def _frac_dx(grad: Tensor) -> Tensor:
    return grad


def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The fraction of each element, with its sign: `input - trunc(input)`.

    >>> import rushlight as torch
    >>> torch.frac(torch.tensor([1.5, -1.25]))
    tensor([ 0.5000, -0.2500])
    """
    result = _frac(input)
    return result if out is None else write_out(out, result, "frac")


# ---- exponentials, roots, trigonometry -----------------------------------------------------


@primitive(name="Exp")
def _exp(x: Array) -> Array:
    return kernels(x).exp(as_float(x))


@_exp.derivative("x")
def _exp_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result)


def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`e ** input`.

    >>> import rushlight as torch
    >>> torch.exp(torch.tensor([0., 1.]))
    tensor([1.0000, 2.7183])
    """
    result = _exp(input)
    return result if out is None else write_out(out, result, "exp")


@primitive(name="Exp2")
def _exp2(x: Array) -> Array:
    return kernels(x).exp2(as_float(x))


@_exp2.derivative("x")
def _exp2_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result) * math.log(2)


def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`2 ** input`.

    >>> import rushlight as torch
    >>> torch.exp2(torch.tensor([0., 3.]))
    tensor([1., 8.])
    """
    result = _exp2(input)
    return result if out is None else write_out(out, result, "exp2")


@primitive(name="Expm1")
def _expm1(x: Array) -> Array:
    return kernels(x).expm1(as_float(x))


@_expm1.derivative("x")
def _expm1_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result + 1)


def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`e ** input - 1`, exact near 0.

    >>> import rushlight as torch
    >>> torch.expm1(torch.tensor([0., 1.]))
    tensor([0.0000, 1.7183])
    """
    result = _expm1(input)
    return result if out is None else write_out(out, result, "expm1")


@primitive(name="Log")
def _log(x: Array) -> Array:
    return kernels(x).log(as_float(x))


@_log.derivative("x")
def _log_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x)


def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The natural logarithm; NaN below 0, -inf at 0.

    >>> import rushlight as torch
    >>> torch.log(torch.tensor([1., 2.]))
    tensor([0.0000, 0.6931])
    """
    result = _log(input)
    return result if out is None else write_out(out, result, "log")


@primitive(name="Log2")
def _log2(x: Array) -> Array:
    return kernels(x).log2(as_float(x))


@_log2.derivative("x")
def _log2_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / (_conj(x) * math.log(2))


def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 2.

    >>> import rushlight as torch
    >>> torch.log2(torch.tensor([1., 8.]))
    tensor([0., 3.])
    """
    result = _log2(input)
    return result if out is None else write_out(out, result, "log2")


@primitive(name="Log10")
def _log10(x: Array) -> Array:
    return kernels(x).log10(as_float(x))


@_log10.derivative("x")
def _log10_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / (_conj(x) * math.log(10))


def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 10.

    >>> import rushlight as torch
    >>> torch.log10(torch.tensor([1., 100.]))
    tensor([0., 2.])
    """
    result = _log10(input)
    return result if out is None else write_out(out, result, "log10")


@primitive(name="Log1P")
def _log1p(x: Array) -> Array:
    return kernels(x).log1p(as_float(x))


@_log1p.derivative("x")
def _log1p_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x + 1)


def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`log(1 + input)`, exact near 0.

    >>> import rushlight as torch
    >>> torch.log1p(torch.tensor([0., 1.]))
    tensor([0.0000, 0.6931])
    """
    result = _log1p(input)
    return result if out is None else write_out(out, result, "log1p")


@primitive(name="Sqrt")
def _sqrt(x: Array) -> Array:
    return kernels(x).sqrt(as_float(x))


@_sqrt.derivative("x")
def _sqrt_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad / (2 * _conj(result))


def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The square root; NaN below 0.

    >>> import rushlight as torch
    >>> torch.sqrt(torch.tensor([4., 2.]))
    tensor([2.0000, 1.4142])
    """
    result = _sqrt(input)
    return result if out is None else write_out(out, result, "sqrt")


@primitive(name="Rsqrt")
def _rsqrt(x: Array) -> Array:
    return kernels(x).rsqrt(as_float(x))


@_rsqrt.derivative("x")
def _rsqrt_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result.pow(3)) * -0.5


def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / sqrt(input)`.

    >>> import rushlight as torch
    >>> torch.rsqrt(torch.tensor([4., 1.]))
    tensor([0.5000, 1.0000])
    """
    result = _rsqrt(input)
    return result if out is None else write_out(out, result, "rsqrt")


@primitive(name="Pow")
def _square(x: Array) -> Array:
    if x.dtype.kind == "b":
        x = cast(x, int64)
    return kernels(x).square(x)


@_square.derivative("x")
def _square_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(2 * x)


def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input · input`.

    >>> import rushlight as torch
    >>> torch.square(torch.tensor([-3., 2.]))
    tensor([9., 4.])
    """
    result = _square(input)
    return result if out is None else write_out(out, result, "square")


@primitive(name="Reciprocal")
def _reciprocal(x: Array) -> Array:
    return kernels(x).reciprocal(as_float(x))


@_reciprocal.derivative("x")
def _reciprocal_dx(grad: Tensor, result: Tensor) -> Tensor:
    return -grad * _conj(result * result)


def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / input`.

    >>> import rushlight as torch
    >>> torch.reciprocal(torch.tensor([2., 4.]))
    tensor([0.5000, 0.2500])
    """
    result = _reciprocal(input)
    return result if out is None else write_out(out, result, "reciprocal")


@primitive(name="Sin")
def _sin(x: Array) -> Array:
    return kernels(x).sin(as_float(x))


@_sin.derivative("x")
def _sin_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.cos())


def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sine of an angle in radians.

    >>> import rushlight as torch
    >>> torch.sin(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8415])
    """
    result = _sin(input)
    return result if out is None else write_out(out, result, "sin")


@primitive(name="Cos")
def _cos(x: Array) -> Array:
    return kernels(x).cos(as_float(x))


@_cos.derivative("x")
def _cos_dx(grad: Tensor, x: Tensor) -> Tensor:
    return -grad * _conj(x.sin())


def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The cosine of an angle in radians.

    >>> import rushlight as torch
    >>> torch.cos(torch.tensor([0., 1.]))
    tensor([1.0000, 0.5403])
    """
    result = _cos(input)
    return result if out is None else write_out(out, result, "cos")


@primitive(name="Tan")
def _tan(x: Array) -> Array:
    return kernels(x).tan(as_float(x))


@_tan.derivative("x")
def _tan_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(1 + result.square())


def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The tangent of an angle in radians.

    >>> import rushlight as torch
    >>> torch.tan(torch.tensor([0., 1.]))
    tensor([0.0000, 1.5574])
    """
    result = _tan(input)
    return result if out is None else write_out(out, result, "tan")


@primitive(name="Asin")
def _asin(x: Array) -> Array:
    return kernels(x).asin(as_float(x))


@_asin.derivative("x")
def _asin_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((1 - x * x).rsqrt())


def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose sine is `input`.

    >>> import rushlight as torch
    >>> torch.asin(torch.tensor([0., 1.]))
    tensor([0.0000, 1.5708])
    """
    result = _asin(input)
    return result if out is None else write_out(out, result, "asin")


@primitive(name="Acos")
def _acos(x: Array) -> Array:
    return kernels(x).acos(as_float(x))


@_acos.derivative("x")
def _acos_dx(grad: Tensor, x: Tensor) -> Tensor:
    return -grad * _conj((1 - x * x).rsqrt())


def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose cosine is `input`.

    >>> import rushlight as torch
    >>> torch.acos(torch.tensor([1., 0.]))
    tensor([0.0000, 1.5708])
    """
    result = _acos(input)
    return result if out is None else write_out(out, result, "acos")


@primitive(name="Atan")
def _atan(x: Array) -> Array:
    return kernels(x).atan(as_float(x))


@_atan.derivative("x")
def _atan_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x * x + 1)


def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose tangent is `input`.

    >>> import rushlight as torch
    >>> torch.atan(torch.tensor([0., 1.]))
    tensor([0.0000, 0.7854])
    """
    result = _atan(input)
    return result if out is None else write_out(out, result, "atan")


@primitive(name="Sinh")
def _sinh(x: Array) -> Array:
    return kernels(x).sinh(as_float(x))


@_sinh.derivative("x")
def _sinh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.cosh())


def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic sine.

    >>> import rushlight as torch
    >>> torch.sinh(torch.tensor([0., 1.]))
    tensor([0.0000, 1.1752])
    """
    result = _sinh(input)
    return result if out is None else write_out(out, result, "sinh")


@primitive(name="Cosh")
def _cosh(x: Array) -> Array:
    return kernels(x).cosh(as_float(x))


@_cosh.derivative("x")
def _cosh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.sinh())


def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic cosine.

    >>> import rushlight as torch
    >>> torch.cosh(torch.tensor([0., 1.]))
    tensor([1.0000, 1.5431])
    """
    result = _cosh(input)
    return result if out is None else write_out(out, result, "cosh")


@primitive(name="Asinh")
def _asinh(x: Array) -> Array:
    return kernels(x).asinh(as_float(x))


@_asinh.derivative("x")
def _asinh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((x * x + 1).rsqrt())


def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic sine.

    >>> import rushlight as torch
    >>> torch.asinh(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8814])
    """
    result = _asinh(input)
    return result if out is None else write_out(out, result, "asinh")


@primitive(name="Acosh")
def _acosh(x: Array) -> Array:
    return kernels(x).acosh(as_float(x))


@_acosh.derivative("x")
def _acosh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((x - 1).rsqrt() * (x + 1).rsqrt())


def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic cosine; NaN below 1.

    >>> import rushlight as torch
    >>> torch.acosh(torch.tensor([1., 2.]))
    tensor([0.0000, 1.3170])
    """
    result = _acosh(input)
    return result if out is None else write_out(out, result, "acosh")


@primitive(name="Atanh")
def _atanh(x: Array) -> Array:
    return kernels(x).atanh(as_float(x))


@_atanh.derivative("x")
def _atanh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(1 - x * x)


def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic tangent; NaN outside [-1, 1].

    >>> import rushlight as torch
    >>> torch.atanh(torch.tensor([0., 0.5]))
    tensor([0.0000, 0.5493])
    """
    result = _atanh(input)
    return result if out is None else write_out(out, result, "atanh")


@primitive(name="Erf")
def _erf(x: Array) -> Array:
    refuse("erf", x, "c")
    return kernels(x).erf(as_float(x))


@_erf.derivative("x")
def _erf_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * (2 / math.sqrt(math.pi)) * (-x * x).exp()


def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The error function, `2/√π ∫₀ˣ exp(-t²) dt`.

    >>> import rushlight as torch
    >>> torch.erf(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8427])
    """
    result = _erf(input)
    return result if out is None else write_out(out, result, "erf")


@primitive(name="Erfc")
def _erfc(x: Array) -> Array:
    refuse("erfc", x, "c")
    return kernels(x).erfc(as_float(x))


@_erfc.derivative("x")
def _erfc_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * (-2 / math.sqrt(math.pi)) * (-x * x).exp()


def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 - erf(input)`, exact where it is small.

    >>> import rushlight as torch
    >>> torch.erfc(torch.tensor([0., 1.]))
    tensor([1.0000, 0.1573])
    """
    result = _erfc(input)
    return result if out is None else write_out(out, result, "erfc")


@primitive(name="Erfinv")
def _erfinv(x: Array) -> Array:
    refuse("erfinv", x, "c")
    return kernels(x).erfinv(as_float(x))


@_erfinv.derivative("x")
def _erfinv_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * (math.sqrt(math.pi) / 2) * result.square().exp()


def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The number whose error function is `input`.

    >>> import rushlight as torch
    >>> torch.erfinv(torch.tensor([0., 0.5]))
    tensor([0.0000, 0.4769])
    """
    result = _erfinv(input)
    return result if out is None else write_out(out, result, "erfinv")


@primitive(name="Lgamma")
def _lgamma(x: Array) -> Array:
    refuse("lgamma", x, "c")
    return kernels(x).lgamma(as_float(x))


@_lgamma.derivative("x")
def _lgamma_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * digamma(x)


def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the absolute gamma function.

    >>> import rushlight as torch
    >>> torch.lgamma(torch.tensor([1., 5.]))
    tensor([0.0000, 3.1781])
    """
    result = _lgamma(input)
    return result if out is None else write_out(out, result, "lgamma")


@primitive(name="Digamma")
def _digamma(x: Array) -> Array:
    refuse("digamma", x, "c")
    return kernels(x).digamma(as_float(x))


@_digamma.derivative("x")
def _digamma_dx(grad: Tensor, x: Tensor) -> Tensor:
    from .special import polygamma

    return grad * polygamma(1, x)


def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The derivative of `lgamma`.

    >>> import rushlight as torch
    >>> torch.digamma(torch.tensor([1., 2.]))
    tensor([-0.5772,  0.4228])
    """
    result = _digamma(input)
    return result if out is None else write_out(out, result, "digamma")


# ---- tanh and sigmoid: their gradients are kernels of their own -----------------------------


@primitive(name="Tanh")
def _tanh(x: Array) -> Array:
    return kernels(x).tanh(as_float(x))


@_tanh.derivative("x")
def _tanh_dx(grad: Tensor, result: Tensor) -> Tensor:
    if result._array.dtype.kind == "c":
        return grad * (1 - result * result).conj()
    return _tanh_backward(grad, result)


@primitive(name="TanhBackward")
def _tanh_backward(g: Array, y: Array) -> Array:
    """`g · (1 - y²)`"""
    return kernels(g).tanh_grad(g, y)


@_tanh_backward.derivative("g")
def _tanh_backward_dg(grad: Tensor, y: Tensor) -> Tensor:
    return grad * (1 - y * y)


@_tanh_backward.derivative("y")
def _tanh_backward_dy(grad: Tensor, g: Tensor, y: Tensor) -> Tensor:
    return grad * g * -2 * y


def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic tangent.

    >>> import rushlight as torch
    >>> torch.tanh(torch.tensor([0., 1.]))
    tensor([0.0000, 0.7616])
    """
    result = _tanh(input)
    return result if out is None else write_out(out, result, "tanh")


@primitive(name="Sigmoid")
def _sigmoid(x: Array) -> Array:
    return kernels(x).sigmoid(as_float(x))


@_sigmoid.derivative("x")
def _sigmoid_dx(grad: Tensor, result: Tensor) -> Tensor:
    if result._array.dtype.kind == "c":
        return grad * ((1 - result) * result).conj()
    return _sigmoid_backward(grad, result)


@primitive(name="SigmoidBackward")
def _sigmoid_backward(g: Array, y: Array) -> Array:
    """`g · y · (1 - y)`"""
    return kernels(g).sigmoid_grad(g, y)


@_sigmoid_backward.derivative("g")
def _sigmoid_backward_dg(grad: Tensor, y: Tensor) -> Tensor:
    return grad * (1 - y) * y


@_sigmoid_backward.derivative("y")
def _sigmoid_backward_dy(grad: Tensor, g: Tensor, y: Tensor) -> Tensor:
    return grad * g * (1 - 2 * y)


def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / (1 + exp(-input))`.

    >>> import rushlight as torch
    >>> torch.sigmoid(torch.tensor([0., 1.]))
    tensor([0.5000, 0.7311])
    """
    result = _sigmoid(input)
    return result if out is None else write_out(out, result, "sigmoid")


# ---- compositions --------------------------------------------------------------------------


def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """`log(p / (1 - p))`, the inverse of `sigmoid`; with `eps`, p is clamped to [eps, 1 - eps].

    >>> import rushlight as torch
    >>> torch.logit(torch.tensor([0.5, 0.7311]))
    tensor([0.0000, 1.0002])
    """
    refuse("logit", input._array, "c")
    p = input if eps is None else input.clamp(eps, 1 - eps)
    result = (p / (1 - p)).log()
    return result if out is None else write_out(out, result, "logit")


def sinc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`sin(πx) / (πx)`, and 1 at 0.

    >>> import rushlight as torch
    >>> torch.sinc(torch.tensor([0., 0.5]))
    tensor([1.0000, 0.6366])
    """
    angle = input * math.pi
    safe = angle.masked_fill(angle == 0, 1)
    result = (safe.sin() / safe).masked_fill(angle == 0, 1)
    return result if out is None else write_out(out, result, "sinc")


def deg2rad(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Degrees to radians.

    >>> import rushlight as torch
    >>> torch.deg2rad(torch.tensor([180.]))
    tensor([3.1416])
    """
    refuse("deg2rad", input._array, "c")
    result = input * (math.pi / 180)
    return result if out is None else write_out(out, result, "deg2rad")


def rad2deg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Radians to degrees.

    >>> import rushlight as torch
    >>> torch.rad2deg(torch.tensor([3.1416]))
    tensor([180.0004])
    """
    refuse("rad2deg", input._array, "c")
    result = input * (180 / math.pi)
    return result if out is None else write_out(out, result, "rad2deg")


def _conj(value: Any) -> Any:
    return value.conj() if value._array.dtype.kind == "c" else value


arccos, arcsin, arctan = acos, asin, atan
arccosh, arcsinh, arctanh = acosh, asinh, atanh


_abs_ = in_place(abs)


class UnaryMethods:
    """Unary functions as methods of `Tensor`."""

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
    exp = exp
    exp2 = exp2
    expm1 = expm1
    log = log
    log2 = log2
    log10 = log10
    log1p = log1p
    sqrt = sqrt
    rsqrt = rsqrt
    square = square
    reciprocal = reciprocal
    sin = sin
    cos = cos
    tan = tan
    asin = arcsin = asin
    acos = arccos = acos
    atan = arctan = atan
    sinh = sinh
    cosh = cosh
    tanh = tanh
    asinh = arcsinh = asinh
    acosh = arccosh = acosh
    atanh = arctanh = atanh
    sigmoid = sigmoid
    erf = erf
    erfc = erfc
    erfinv = erfinv
    lgamma = lgamma
    digamma = digamma
    logit = logit
    sinc = sinc
    deg2rad = deg2rad
    rad2deg = rad2deg

    def abs_(self: Any) -> Any:
        """In-place `abs`; RuntimeError for complex tensors, whose modulus is real."""
        if self._array.dtype.kind == "c":
            raise RuntimeError("In-place abs is not supported for complex tensors.")
        return _abs_(self)

    absolute_ = abs_
    neg_ = negative_ = in_place(neg)
    sign_ = in_place(sign)
    sgn_ = in_place(sgn)
    floor_ = in_place(floor)
    ceil_ = in_place(ceil)
    trunc_ = fix_ = in_place(trunc)
    round_ = in_place(round)
    frac_ = in_place(frac)
    exp_ = in_place(exp)
    exp2_ = in_place(exp2)
    expm1_ = in_place(expm1)
    log_ = in_place(log)
    log2_ = in_place(log2)
    log10_ = in_place(log10)
    log1p_ = in_place(log1p)
    sqrt_ = in_place(sqrt)
    rsqrt_ = in_place(rsqrt)
    square_ = in_place(square)
    reciprocal_ = in_place(reciprocal)
    sin_ = in_place(sin)
    cos_ = in_place(cos)
    tan_ = in_place(tan)
    asin_ = arcsin_ = in_place(asin)
    acos_ = arccos_ = in_place(acos)
    atan_ = arctan_ = in_place(atan)
    sinh_ = in_place(sinh)
    cosh_ = in_place(cosh)
    tanh_ = in_place(tanh)
    asinh_ = arcsinh_ = in_place(asinh)
    acosh_ = arccosh_ = in_place(acosh)
    atanh_ = arctanh_ = in_place(atanh)
    sigmoid_ = in_place(sigmoid)
    erf_ = in_place(erf)
    erfc_ = in_place(erfc)
    erfinv_ = in_place(erfinv)
    lgamma_ = in_place(lgamma)
    digamma_ = in_place(digamma)
    logit_ = in_place(logit)
    sinc_ = in_place(sinc)
    deg2rad_ = in_place(deg2rad)
    rad2deg_ = in_place(rad2deg)

    def __neg__(self: Any) -> Any:
        return _neg(self)

    def __pos__(self: Any) -> Any:
        return positive(self)

    def __abs__(self: Any) -> Any:
        return _abs(self)
