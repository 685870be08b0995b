"""Trigonometric, hyperbolic, error and gamma functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import as_float, in_place, refuse, write_out
from .unary import _conj

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "arccos", "arcsin", "arctan", "arccosh", "arcsinh", "arctanh", "acos", "acosh", "asin",
    "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "erfinv", "lgamma", "digamma",
    "sin", "sinh", "tan", "TrigonometryMethods",
]  # fmt: skip


# ---- trigonometry ---------------------------------------------------------------------------


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
    return result if out is None else write_out(out, result, "sin", input)


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
    return result if out is None else write_out(out, result, "cos", input)


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
    return result if out is None else write_out(out, result, "tan", input)


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
    return result if out is None else write_out(out, result, "asin", input)


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
    return result if out is None else write_out(out, result, "acos", input)


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
    return result if out is None else write_out(out, result, "atan", input)


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
    return result if out is None else write_out(out, result, "sinh", input)


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
    return result if out is None else write_out(out, result, "cosh", input)


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
    return result if out is None else write_out(out, result, "asinh", input)


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
    return result if out is None else write_out(out, result, "acosh", input)


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
    return result if out is None else write_out(out, result, "atanh", input)


# ---- error and gamma functions --------------------------------------------------------------


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
    return result if out is None else write_out(out, result, "erf", input)


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
    return result if out is None else write_out(out, result, "erfc", input)


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
    return result if out is None else write_out(out, result, "erfinv", input)


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
    return result if out is None else write_out(out, result, "lgamma", input)


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
    return result if out is None else write_out(out, result, "digamma", input)


arccos, arcsin, arctan = acos, asin, atan
arccosh, arcsinh, arctanh = acosh, asinh, atanh


class TrigonometryMethods:
    """Trigonometric, hyperbolic, error and gamma functions; methods."""

    sin = sin
    cos = cos
    tan = tan
    asin = arcsin = asin
    acos = arccos = acos
    atan = arctan = atan
    sinh = sinh
    cosh = cosh
    asinh = arcsinh = asinh
    acosh = arccosh = acosh
    atanh = arctanh = atanh
    erf = erf
    erfc = erfc
    erfinv = erfinv
    lgamma = lgamma
    digamma = digamma
    sin_ = in_place(sin)
    cos_ = in_place(cos)
    tan_ = in_place(tan)
    asin_ = arcsin_ = in_place(asin)
    acos_ = arccos_ = in_place(acos)
    atan_ = arctan_ = in_place(atan)
    sinh_ = in_place(sinh)
    cosh_ = in_place(cosh)
    asinh_ = arcsinh_ = in_place(asinh)
    acosh_ = arccosh_ = in_place(acosh)
    atanh_ = arctanh_ = in_place(atanh)
    erf_ = in_place(erf)
    erfc_ = in_place(erfc)
    erfinv_ = in_place(erfinv)
    lgamma_ = in_place(lgamma)
    digamma_ = in_place(digamma)
