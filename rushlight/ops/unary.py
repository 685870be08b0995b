"""Exponentials, logarithms, roots, and the sigmoid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array
from .common import as_float, cast, compute_out, in_place, refuse, write_out

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "deg2rad", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "logit", "rad2deg",
    "reciprocal", "rsqrt", "sigmoid", "sinc", "sqrt", "square", "tanh", "UnaryMethods",
]  # fmt: skip


# ---- exponentials and roots --------------------------------------------------------------


@primitive(name="Exp", kinds="fcV")
def _exp(x: Array, *, out: Array = None) -> Array:
    return kernels(x).exp(as_float(x), out)


@_exp.derivative("x")
def _exp_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result)


def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`e ** input`.

    >>> import rushlight as torch
    >>> torch.exp(torch.tensor([0., 1.]))
    tensor([1.0000, 2.7183])
    """
    return _exp(input) if out is None else compute_out(_exp, "exp", out, input)


@primitive(name="Exp2", kinds="fcV")
def _exp2(x: Array, *, out: Array = None) -> Array:
    return kernels(x).exp2(as_float(x), out)


@_exp2.derivative("x")
def _exp2_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result) * math.log(2)


def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`2 ** input`.

    >>> import rushlight as torch
    >>> torch.exp2(torch.tensor([0., 3.]))
    tensor([1., 8.])
    """
    return _exp2(input) if out is None else compute_out(_exp2, "exp2", out, input)


@primitive(name="Expm1", kinds="fcV")
def _expm1(x: Array, *, out: Array = None) -> Array:
    return kernels(x).expm1(as_float(x), out)


@_expm1.derivative("x")
def _expm1_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result + 1)


def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`e ** input - 1`, exact near 0.

    >>> import rushlight as torch
    >>> torch.expm1(torch.tensor([0., 1.]))
    tensor([0.0000, 1.7183])
    """
    return _expm1(input) if out is None else compute_out(_expm1, "expm1", out, input)


@primitive(name="Log", kinds="fcV")
def _log(x: Array, *, out: Array = None) -> Array:
    return kernels(x).log(as_float(x), out)


@_log.derivative("x")
def _log_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x)


def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The natural logarithm; NaN below 0, -inf at 0.

    >>> import rushlight as torch
    >>> torch.log(torch.tensor([1., 2.]))
    tensor([0.0000, 0.6931])
    """
    return _log(input) if out is None else compute_out(_log, "log", out, input)


@primitive(name="Log2", kinds="fcV")
def _log2(x: Array, *, out: Array = None) -> Array:
    return kernels(x).log2(as_float(x), out)


@_log2.derivative("x")
def _log2_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / (_conj(x) * math.log(2))


def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 2.

    >>> import rushlight as torch
    >>> torch.log2(torch.tensor([1., 8.]))
    tensor([0., 3.])
    """
    return _log2(input) if out is None else compute_out(_log2, "log2", out, input)


@primitive(name="Log10", kinds="fcV")
def _log10(x: Array, *, out: Array = None) -> Array:
    return kernels(x).log10(as_float(x), out)


@_log10.derivative("x")
def _log10_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / (_conj(x) * math.log(10))


def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The logarithm to base 10.

    >>> import rushlight as torch
    >>> torch.log10(torch.tensor([1., 100.]))
    tensor([0., 2.])
    """
    return _log10(input) if out is None else compute_out(_log10, "log10", out, input)


@primitive(name="Log1P", kinds="fcV")
def _log1p(x: Array, *, out: Array = None) -> Array:
    return kernels(x).log1p(as_float(x), out)


@_log1p.derivative("x")
def _log1p_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad / _conj(x + 1)


def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`log(1 + input)`, exact near 0.

    >>> import rushlight as torch
    >>> torch.log1p(torch.tensor([0., 1.]))
    tensor([0.0000, 0.6931])
    """
    return _log1p(input) if out is None else compute_out(_log1p, "log1p", out, input)


@primitive(name="Sqrt", kinds="fcV")
def _sqrt(x: Array, *, out: Array = None) -> Array:
    return kernels(x).sqrt(as_float(x), out)


@_sqrt.derivative("x")
def _sqrt_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad / (2 * _conj(result))


def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The square root; NaN below 0.

    >>> import rushlight as torch
    >>> torch.sqrt(torch.tensor([4., 2.]))
    tensor([2.0000, 1.4142])
    """
    return _sqrt(input) if out is None else compute_out(_sqrt, "sqrt", out, input)


@primitive(name="Rsqrt", kinds="fcV")
def _rsqrt(x: Array, *, out: Array = None) -> Array:
    return kernels(x).rsqrt(as_float(x), out)


@_rsqrt.derivative("x")
def _rsqrt_dx(grad: Tensor, result: Tensor) -> Tensor:
    return grad * _conj(result.pow(3)) * -0.5


def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / sqrt(input)`.

    >>> import rushlight as torch
    >>> torch.rsqrt(torch.tensor([4., 1.]))
    tensor([0.5000, 1.0000])
    """
    return _rsqrt(input) if out is None else compute_out(_rsqrt, "rsqrt", out, input)


@primitive(name="Pow", kinds="iufcV")
def _square(x: Array, *, out: Array = None) -> Array:
    if x.dtype.kind == "b":
        x = cast(x, int64)
    return kernels(x).square(x, out)


@_square.derivative("x")
def _square_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad * _conj(2 * x)


def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`input · input`.

    >>> import rushlight as torch
    >>> torch.square(torch.tensor([-3., 2.]))
    tensor([9., 4.])
    """
    return _square(input) if out is None else compute_out(_square, "square", out, input)


@primitive(name="Reciprocal", kinds="fcV")
def _reciprocal(x: Array, *, out: Array = None) -> Array:
    return kernels(x).reciprocal(as_float(x), out)


@_reciprocal.derivative("x")
def _reciprocal_dx(grad: Tensor, result: Tensor) -> Tensor:
    return -grad * _conj(result * result)


def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / input`.

    >>> import rushlight as torch
    >>> torch.reciprocal(torch.tensor([2., 4.]))
    tensor([0.5000, 0.2500])
    """
    return _reciprocal(input) if out is None else compute_out(_reciprocal, "reciprocal", out, input)


# ---- tanh and sigmoid: their gradients are kernels of their own -----------------------------


@primitive(name="Tanh", kinds="fcV")
def _tanh(x: Array, *, out: Array = None) -> Array:
    return kernels(x).tanh(as_float(x), out)


@_tanh.derivative("x")
def _tanh_dx(grad: Tensor, result: Tensor, spare: Array | None) -> Tensor:
    if result._array.dtype.kind == "c":
        return grad * (1 - result * result).conj()
    return _tanh_backward(grad, result, out=spare)


@primitive(name="TanhBackward", kernel="tanh_grad")
def _tanh_backward(g: Array, y: Array, *, out: Array | None = None) -> Array:
    """`g · (1 - y²)`"""
    return kernels(g).tanh_grad(g, y, out)


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
    return _tanh(input) if out is None else compute_out(_tanh, "tanh", out, input)


@primitive(name="Sigmoid", kinds="fcV")
def _sigmoid(x: Array, *, out: Array = None) -> Array:
    return kernels(x).sigmoid(as_float(x), out)


@_sigmoid.derivative("x")
def _sigmoid_dx(grad: Tensor, result: Tensor, spare: Array | None) -> Tensor:
    if result._array.dtype.kind == "c":
        return grad * ((1 - result) * result).conj()
    return _sigmoid_backward(grad, result, out=spare)


@primitive(name="SigmoidBackward", kernel="sigmoid_grad")
def _sigmoid_backward(g: Array, y: Array, *, out: Array | None = None) -> Array:
    """`g · y · (1 - y)`"""
    return kernels(g).sigmoid_grad(g, y, out)


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
    return _sigmoid(input) if out is None else compute_out(_sigmoid, "sigmoid", out, input)


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
    return result if out is None else write_out(out, result, "logit", input)


def sinc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`sin(πx) / (πx)`, and 1 at 0.

    >>> import rushlight as torch
    >>> torch.sinc(torch.tensor([0., 0.5]))
    tensor([1.0000, 0.6366])
    """
    angle = input * math.pi
    safe = angle._filled_where(angle == 0, 1)
    result = (safe.sin() / safe)._filled_where(angle == 0, 1)
    return result if out is None else write_out(out, result, "sinc", input)


def deg2rad(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Degrees to radians.

    >>> import rushlight as torch
    >>> torch.deg2rad(torch.tensor([180.]))
    tensor([3.1416])
    """
    refuse("deg2rad", input._array, "c")
    result = input * (math.pi / 180)
    return result if out is None else write_out(out, result, "deg2rad", input)


def rad2deg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Radians to degrees.

    >>> import rushlight as torch
    >>> torch.rad2deg(torch.tensor([3.1416]))
    tensor([180.0004])
    """
    refuse("rad2deg", input._array, "c")
    result = input * (180 / math.pi)
    return result if out is None else write_out(out, result, "rad2deg", input)


def _conj(value: Any) -> Any:
    return value.conj() if value._array.dtype.kind == "c" else value


class UnaryMethods:
    """Unary functions as methods of `Tensor`."""

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
    tanh = tanh
    sigmoid = sigmoid
    logit = logit
    sinc = sinc
    deg2rad = deg2rad
    rad2deg = rad2deg

    exp_ = in_place(exp, _exp)
    exp2_ = in_place(exp2, _exp2)
    expm1_ = in_place(expm1, _expm1)
    log_ = in_place(log, _log)
    log2_ = in_place(log2, _log2)
    log10_ = in_place(log10, _log10)
    log1p_ = in_place(log1p, _log1p)
    sqrt_ = in_place(sqrt, _sqrt)
    rsqrt_ = in_place(rsqrt, _rsqrt)
    square_ = in_place(square, _square)
    reciprocal_ = in_place(reciprocal, _reciprocal)
    tanh_ = in_place(tanh, _tanh)
    sigmoid_ = in_place(sigmoid, _sigmoid)
    logit_ = in_place(logit)
    sinc_ = in_place(sinc)

    def deg2rad_(self: Any) -> Any:
        """In-place version of :func:`deg2rad`."""
        refuse("deg2rad", self._array, "c")
        return self.mul_(math.pi / 180)

    def rad2deg_(self: Any) -> Any:
        """In-place version of :func:`rad2deg`."""
        refuse("rad2deg", self._array, "c")
        return self.mul_(180 / math.pi)
