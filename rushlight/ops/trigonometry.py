"""Trigonometric, hyperbolic, error and gamma functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import as_float, compute_out, in_place, refuse
from .unary import _conj

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "arccos", "arcsin", "arctan", "arccosh", "arcsinh", "arctanh", "acos", "acosh", "asin",
    "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "erfinv", "lgamma", "digamma",
    "sin", "sinh", "tan", "TrigonometryMethods",
]  # fmt: skip


# ---- trigonometry ---------------------------------------------------------------------------


@primitive(name="Sin", kinds="fcV")
def _sin(x: Array, *, out: Array = None) -> Array:
    return kernels(x).sin(as_float(x), out)


@_sin.derivative("x")
def _sin_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.cos())


def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sine of an angle in radians.

    >>> import rushlight as torch
    >>> torch.sin(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8415])
    """
    return _sin(input) if out is None else compute_out(_sin, "sin", out, input)


@primitive(name="Cos", kinds="fcV")
def _cos(x: Array, *, out: Array = None) -> Array:
    return kernels(x).cos(as_float(x), out)


@_cos.derivative("x")
def _cos_dx(grad: Tensor, x: Tensor) -> Tensor:
    return -grad * _conj(x.sin())


def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The cosine of an angle in radians.

    >>> import rushlight as torch
    >>> torch.cos(torch.tensor([0., 1.]))
    tensor([1.0000, 0.5403])
    """
    return _cos(input) if out is None else compute_out(_cos, "cos", out, input)


@primitive(name="Tan", kinds="fcV")
def _tan(x: Array, *, out: Array = None) -> Array:
    return kernels(x).tan(as_float(x), out)


@_tan.derivative("x")
def _tan_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(1 + result.square())


def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The tangent of an angle in radians.

    >>> import rushlight as torch
    >>> torch.tan(torch.tensor([0., 1.]))
    tensor([0.0000, 1.5574])
    """
    return _tan(input) if out is None else compute_out(_tan, "tan", out, input)


@primitive(name="Asin", kinds="fcV")
def _asin(x: Array, *, out: Array = None) -> Array:
    return kernels(x).asin(as_float(x), out)


@_asin.derivative("x")
def _asin_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((1 - x * x).rsqrt())


def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose sine is `input`.

    >>> import rushlight as torch
    >>> torch.asin(torch.tensor([0., 1.]))
    tensor([0.0000, 1.5708])
    """
    return _asin(input) if out is None else compute_out(_asin, "asin", out, input)


@primitive(name="Acos", kinds="fcV")
def _acos(x: Array, *, out: Array = None) -> Array:
    return kernels(x).acos(as_float(x), out)


@_acos.derivative("x")
def _acos_dx(grad: Tensor, x: Tensor) -> Tensor:
    return -grad * _conj((1 - x * x).rsqrt())


def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose cosine is `input`.

    >>> import rushlight as torch
    >>> torch.acos(torch.tensor([1., 0.]))
    tensor([0.0000, 1.5708])
    """
    return _acos(input) if out is None else compute_out(_acos, "acos", out, input)


@primitive(name="Atan", kinds="fcV")
def _atan(x: Array, *, out: Array = None) -> Array:
    return kernels(x).atan(as_float(x), out)


@_atan.derivative("x")
def _atan_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x * x + 1)


def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle whose tangent is `input`.

    >>> import rushlight as torch
    >>> torch.atan(torch.tensor([0., 1.]))
    tensor([0.0000, 0.7854])
    """
    return _atan(input) if out is None else compute_out(_atan, "atan", out, input)


@primitive(name="Sinh", kinds="fcV")
def _sinh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).sinh(as_float(x), out)


@_sinh.derivative("x")
def _sinh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.cosh())


def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic sine.

    >>> import rushlight as torch
    >>> torch.sinh(torch.tensor([0., 1.]))
    tensor([0.0000, 1.1752])
    """
    return _sinh(input) if out is None else compute_out(_sinh, "sinh", out, input)


@primitive(name="Cosh", kinds="fcV")
def _cosh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).cosh(as_float(x), out)


@_cosh.derivative("x")
def _cosh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(x.sinh())


def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic cosine.

    >>> import rushlight as torch
    >>> torch.cosh(torch.tensor([0., 1.]))
    tensor([1.0000, 1.5431])
    """
    return _cosh(input) if out is None else compute_out(_cosh, "cosh", out, input)


@primitive(name="Asinh", kinds="fcV")
def _asinh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).asinh(as_float(x), out)


@_asinh.derivative("x")
def _asinh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((x * x + 1).rsqrt())


def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic sine.

    >>> import rushlight as torch
    >>> torch.asinh(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8814])
    """
    return _asinh(input) if out is None else compute_out(_asinh, "asinh", out, input)


@primitive(name="Acosh", kinds="fcV")
def _acosh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).acosh(as_float(x), out)


@_acosh.derivative("x")
def _acosh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj((x - 1).rsqrt() * (x + 1).rsqrt())


def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic cosine; NaN below 1.

    >>> import rushlight as torch
    >>> torch.acosh(torch.tensor([1., 2.]))
    tensor([0.0000, 1.3170])
    """
    return _acosh(input) if out is None else compute_out(_acosh, "acosh", out, input)


@primitive(name="Atanh", kinds="fcV")
def _atanh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).atanh(as_float(x), out)


@_atanh.derivative("x")
def _atanh_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(1 - x * x)


def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse hyperbolic tangent; NaN outside [-1, 1].

    >>> import rushlight as torch
    >>> torch.atanh(torch.tensor([0., 0.5]))
    tensor([0.0000, 0.5493])
    """
    return _atanh(input) if out is None else compute_out(_atanh, "atanh", out, input)


# ---- error and gamma functions --------------------------------------------------------------


@primitive(name="Erf", kinds="fV")
def _erf(x: Array, *, out: Array = None) -> Array:
    refuse("erf", x, "c")
    return kernels(x).erf(as_float(x), out)


@_erf.derivative("x")
def _erf_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * (2 / math.sqrt(math.pi)) * (-x * x).exp()


def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The error function, `2/√π ∫₀ˣ exp(-t²) dt`.

    >>> import rushlight as torch
    >>> torch.erf(torch.tensor([0., 1.]))
    tensor([0.0000, 0.8427])
    """
    return _erf(input) if out is None else compute_out(_erf, "erf", out, input)


@primitive(name="Erfc", kinds="fV")
def _erfc(x: Array, *, out: Array = None) -> Array:
    refuse("erfc", x, "c")
    return kernels(x).erfc(as_float(x), out)


@_erfc.derivative("x")
def _erfc_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * (-2 / math.sqrt(math.pi)) * (-x * x).exp()


def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 - erf(input)`, exact where it is small.

    >>> import rushlight as torch
    >>> torch.erfc(torch.tensor([0., 1.]))
    tensor([1.0000, 0.1573])
    """
    return _erfc(input) if out is None else compute_out(_erfc, "erfc", out, input)


@primitive(name="Erfinv", kinds="fV")
def _erfinv(x: Array, *, out: Array = None) -> Array:
    refuse("erfinv", x, "c")
    return kernels(x).erfinv(as_float(x), out)


@_erfinv.derivative("x")
def _erfinv_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * (math.sqrt(math.pi) / 2) * result.square().exp()


def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The number whose error function is `input`.

    >>> import rushlight as torch
    >>> torch.erfinv(torch.tensor([0., 0.5]))
    tensor([0.0000, 0.4769])
    """
    return _erfinv(input) if out is None else compute_out(_erfinv, "erfinv", out, input)


@primitive(name="Lgamma", kinds="fV")
def _lgamma(x: Array, *, out: Array = None) -> Array:
    refuse("lgamma", x, "c")
    return kernels(x).lgamma(as_float(x), out)


@_lgamma.derivative("x")
def _lgamma_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * digamma(x)


def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the absolute gamma function.

    >>> import rushlight as torch
    >>> torch.lgamma(torch.tensor([1., 5.]))
    tensor([0.0000, 3.1781])
    """
    return _lgamma(input) if out is None else compute_out(_lgamma, "lgamma", out, input)


@primitive(name="Digamma", kinds="fV")
def _digamma(x: Array, *, out: Array = None) -> Array:
    refuse("digamma", x, "c")
    return kernels(x).digamma(as_float(x), out)


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
    return _digamma(input) if out is None else compute_out(_digamma, "digamma", out, input)


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
    sin_ = in_place(sin, _sin)
    cos_ = in_place(cos, _cos)
    tan_ = in_place(tan, _tan)
    asin_ = arcsin_ = in_place(asin, _asin)
    acos_ = arccos_ = in_place(acos, _acos)
    atan_ = arctan_ = in_place(atan, _atan)
    sinh_ = in_place(sinh, _sinh)
    cosh_ = in_place(cosh, _cosh)
    asinh_ = arcsinh_ = in_place(asinh, _asinh)
    acosh_ = arccosh_ = in_place(acosh, _acosh)
    atanh_ = arctanh_ = in_place(atanh, _atanh)
    erf_ = in_place(erf, _erf)
    erfc_ = in_place(erfc, _erfc)
    erfinv_ = in_place(erfinv, _erfinv)
    lgamma_ = in_place(lgamma, _lgamma)
    digamma_ = in_place(digamma, _digamma)
