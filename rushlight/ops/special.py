"""Special functions (`torch.special`): gamma, Bessel, error and information functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Number
from .choose import where
from .common import TensorBase, as_float, cast, common_dtype, in_place, write_out
from .operands import number_as_tensor
from .pointwise import times_log
from .trigonometry import digamma, lgamma

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "entr", "erfcx", "gammainc", "gammaincc", "i0", "i0e", "i1", "i1e", "igamma", "igammac",
    "log_ndtr", "multigammaln", "mvlgamma", "ndtr", "ndtri", "polygamma", "xlog1py", "zeta",
    "SpecialMethods",
]  # fmt: skip


def _out(result: Any, out: Any, op: str) -> Any:
    return result if out is None else write_out(out, result, op)


# ---- gamma ---------------------------------------------------------------------------------


@primitive(name="Polygamma")
def _polygamma(x: Array, *, n: int) -> Array:
    return kernels(x).polygamma(n, as_float(x))


@_polygamma.derivative("x")
def _polygamma_dx(grad: Tensor, x: Tensor, n: int) -> Tensor:
    return grad * _polygamma(x, n=n + 1)


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The `n`-th derivative of `digamma`.

    >>> import rushlight as torch
    >>> torch.polygamma(1, torch.tensor([1.]))
    tensor([1.6449])
    """
    if isinstance(n, TensorBase):  # the method's order: x.polygamma(n)
        n, input = input, n  # type: ignore[assignment]
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    result = digamma(input) if n == 0 else _polygamma(input, n=n)
    return _out(result, out, "polygamma")


def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension `p`.

    `p(p - 1)/4 · log π + Σ_i lgamma(x - i/2)`, i = 0 … p - 1.

    >>> import rushlight as torch
    >>> torch.mvlgamma(torch.tensor([2.]), 2)
    tensor([0.4516])
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    x = input if input._array.dtype.kind in "fV" else input.to(_default())
    x = x.unsqueeze(-1) - x.new_tensor([i / 2 for i in range(p)])
    result = lgamma(x).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)
    return _out(result, out, "mvlgamma")


def _default() -> Any:
    from .. import dtypes

    return dtypes.get_default_dtype()


multigammaln = mvlgamma


@primitive(name="SpecialZeta", broadcast=True)
def _zeta(x: Array, y: Array) -> Array:
    x, y = _pair(x, y)
    return kernels(x).zeta(x, y)


def _pair(x: Array, y: Array) -> tuple[Array, Array]:
    """Both in their common dtype, at least a float."""
    to = common_dtype(x, y)
    return as_float(cast(x, to)), as_float(cast(y, to))


@_zeta.derivative("y")
def _zeta_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad * -x * _zeta(x + 1, y)


def zeta(input: Tensor | Number, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz's zeta function `Σ (other + k)^-input` over k = 0, 1, …

    >>> import rushlight as torch
    >>> torch.special.zeta(torch.tensor([2.]), 1)
    tensor([1.6449])
    """
    x, y = (v if isinstance(v, TensorBase) else number_as_tensor(v) for v in (input, other))
    return _out(_zeta(x, y), out, "special_zeta")


@primitive(name="Igamma", broadcast=True)
def _gammainc(a: Array, x: Array) -> Array:
    a, x = _pair(a, x)
    return kernels(a).gammainc(a, x)


@primitive(name="Igammac", broadcast=True)
def _gammaincc(a: Array, x: Array) -> Array:
    a, x = _pair(a, x)
    return kernels(a).gammaincc(a, x)


def _gamma_density(a: Tensor, x: Tensor) -> Tensor:
    """`x^(a-1) e^-x / Γ(a)`, the derivative of the lower function by its upper limit."""
    return ((a - 1) * x.log() - x - lgamma(a)).exp()


@_gammainc.derivative("x")
def _gammainc_dx(grad: Tensor, a: Tensor, x: Tensor) -> Tensor:
    return grad * _gamma_density(a, x)


@_gammaincc.derivative("x")
def _gammaincc_dx(grad: Tensor, a: Tensor, x: Tensor) -> Tensor:
    return -grad * _gamma_density(a, x)


def gammainc(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The regularised lower incomplete gamma function `1/Γ(a) ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt`, a = `input`.

    Differentiable with respect to `other` (x) only, as in PyTorch.

    >>> import rushlight as torch
    >>> torch.special.gammainc(torch.tensor([4.]), torch.tensor([3., 4.]))
    tensor([0.3528, 0.5665])
    """
    return _out(_gammainc(input, other), out, "gammainc")


def gammaincc(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The regularised upper incomplete gamma function, `1 - gammainc`."""
    return _out(_gammaincc(input, other), out, "gammaincc")


igamma, igammac = gammainc, gammaincc


# ---- modified Bessel functions -------------------------------------------------------------


@primitive(name="I0")
def _i0(x: Array) -> Array:
    return kernels(x).bessel_i(as_float(x), 0, False)


@_i0.derivative("x")
def _i0_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * i1(x)


@primitive(name="SpecialI0E")
def _i0e(x: Array) -> Array:
    return kernels(x).bessel_i(as_float(x), 0, True)


@_i0e.derivative("x")
def _i0e_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    return grad * (i1e(x) - x.sgn() * result)


@primitive(name="SpecialI1")
def _i1(x: Array) -> Array:
    return kernels(x).bessel_i(as_float(x), 1, False)


@_i1.derivative("x")
def _i1_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """`I0(x) - I1(x)/x`, which is 1/2 at 0."""
    safe = x._filled_where(x == 0, 1)
    return grad * (i0(x) - result / safe - 0.5 * (x == 0).to(grad.dtype))


@primitive(name="SpecialI1E")
def _i1e(x: Array) -> Array:
    return kernels(x).bessel_i(as_float(x), 1, True)


@_i1e.derivative("x")
def _i1e_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    safe = x._filled_where(x == 0, 1)
    return grad * (i0e(x) - result * (x.sgn() + 1 / safe) - 0.5 * (x == 0).to(grad.dtype))


def i0(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The modified Bessel function of the first kind, order 0.

    >>> import rushlight as torch
    >>> torch.special.i0(torch.tensor([0., 1.]))
    tensor([1.0000, 1.2661])
    """
    return _out(_i0(input), out, "i0")


def i0e(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`exp(-|x|) · i0(x)`."""
    return _out(_i0e(input), out, "special_i0e")


def i1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The modified Bessel function of the first kind, order 1."""
    return _out(_i1(input), out, "special_i1")


def i1e(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`exp(-|x|) · i1(x)`."""
    return _out(_i1e(input), out, "special_i1e")


# ---- normal distribution -------------------------------------------------------------------

ROOT_TWO_PI = math.sqrt(2 * math.pi)


@primitive(name="SpecialNdtr")
def _ndtr(x: Array) -> Array:
    return kernels(x).ndtr(as_float(x))


@_ndtr.derivative("x")
def _ndtr_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * (x * x * -0.5).exp() / ROOT_TWO_PI


@primitive(name="SpecialLogNdtr")
def _log_ndtr(x: Array) -> Array:
    return kernels(x).log_ndtr(as_float(x))


@_log_ndtr.derivative("x")
def _log_ndtr_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    return grad * (x * x * -0.5 - result).exp() / ROOT_TWO_PI


@primitive(name="SpecialNdtri")
def _ndtri(x: Array) -> Array:
    return kernels(x).ndtri(as_float(x))


@_ndtri.derivative("x")
def _ndtri_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * ROOT_TWO_PI * (result * result * 0.5).exp()


@primitive(name="SpecialErfcx")
def _erfcx(x: Array) -> Array:
    return kernels(x).erfcx(as_float(x))


@_erfcx.derivative("x")
def _erfcx_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    return grad * (2 * x * result - 2 / math.sqrt(math.pi))


def ndtr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The distribution function of the standard normal distribution.

    >>> import rushlight as torch
    >>> torch.special.ndtr(torch.tensor([-1., 0., 1.]))
    tensor([0.1587, 0.5000, 0.8413])
    """
    return _out(_ndtr(input), out, "special_ndtr")


def log_ndtr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`log(ndtr(input))`, exact far below 0."""
    return _out(_log_ndtr(input), out, "special_log_ndtr")


def ndtri(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `ndtr`."""
    return _out(_ndtri(input), out, "special_ndtri")


def erfcx(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`exp(x²) · erfc(x)`."""
    return _out(_erfcx(input), out, "special_erfcx")


# ---- information ---------------------------------------------------------------------------


def entr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The entropy `-x · log(x)`; 0 at 0 and -inf below.

    >>> import rushlight as torch
    >>> torch.special.entr(torch.tensor([-1., 0., 0.5]))
    tensor([  -inf, 0.0000, 0.3466])
    """
    x = input if input._array.dtype.kind in "fV" else input.to(_default())
    safe = x._filled_where(x <= 0, 1)
    result = where(x < 0, -math.inf, 0 - x._filled_where(x <= 0, 0) * safe.log())
    result = where(x == x, result, x)
    return _out(result, out, "special_entr")


def xlog1py(input: Tensor | Number, other: Tensor | Number, *,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input · log1p(other)`; 0 where `input` is 0 and `other` not NaN."""
    return _out(times_log(input, other, 1.0), out, "special_xlog1py")


class SpecialMethods:
    """Special functions as methods of `Tensor`."""

    mvlgamma = mvlgamma
    i0 = i0
    igamma = igamma
    igammac = igammac
    mvlgamma_ = in_place(mvlgamma)
    i0_ = in_place(i0)
    igamma_ = in_place(igamma)
    igammac_ = in_place(igammac)

    def polygamma(self: Any, n: int) -> Any:
        """The `n`-th derivative of `digamma`."""
        return polygamma(n, self)
