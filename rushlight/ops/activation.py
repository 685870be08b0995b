"""Activation functions (see `units.py` for those with constants)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import float64
from ..types_ import Array
from .choose import where
from .common import TensorBase, check_tensor, in_place, refuse
from .create import empty, ones_like
from .unary import sigmoid, tanh
from .units import leaky_relu, leaky_relu_

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "gelu", "glu", "hardshrink", "logsigmoid", "prelu", "relu", "relu_", "rrelu", "rrelu_", "silu",
    "softplus", "softshrink", "softsign", "tanhshrink", "ActivationMethods",
]  # fmt: skip


# ---- relu: slope 0 at 0 --------------------------------------------------------------------


@primitive(name="Relu", kinds="iufV", kernel="relu")
def _relu(x: Array, *, out: Array = None) -> Array:
    return kernels(x).relu(x, out)


@primitive(name="ThresholdBackward", kernel="relu_grad")
def _relu_backward(g: Array, y: Array, *, out: Array | None = None) -> Array:
    """`g` where the result was positive, else 0."""
    return kernels(g).relu_grad(g, y, out)


_relu_backward.derive("g", _relu_backward, "grad", "y")
_relu.derive("x", _relu_backward, "grad", "result", out="spare")


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(input, 0)`; NaN stays NaN, the slope at 0 is 0.

    >>> import rushlight as torch
    >>> torch.relu(torch.tensor([-1., 2.]))
    tensor([0., 2.])
    """
    if not isinstance(input, TensorBase):
        check_tensor(input, "relu")
    if inplace:
        return input.relu_()
    kind = input._array.dtype.kind
    if kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    if kind == "c":
        refuse("relu", input._array, "c")
    return _relu(input)


relu_ = in_place(relu, _relu)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`input` where positive, else `weight · input`; one weight, or one per channel (dim 1)."""
    w = weight
    if weight._array.size > 1:
        channels = input._array.shape[1] if input._array.ndim > 1 else 1
        if weight._array.size != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight._array.size} and channel size = {channels}."
            )
        w = weight.reshape(1, -1, *[1] * (input._array.ndim - 2))
    elif input._array.ndim == 0:
        w = weight.reshape(())
    return where(input > 0, input, w * input)


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
          inplace: bool = False) -> Tensor:  # fmt: skip
    """Leaky ReLU whose slope is drawn from `[lower, upper]` in training and is their mean else."""
    if inplace:
        return rrelu_(input, lower, upper, training)
    input = input.contiguous()  # as PyTorch's result is
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    return input * _random_slopes(input, lower, upper)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3,
           training: bool = False) -> Tensor:  # fmt: skip
    """In-place version of :func:`rrelu`."""
    if not training:
        return leaky_relu_(input, (lower + upper) / 2)
    return input.mul_(_random_slopes(input.contiguous(), lower, upper))


def _random_slopes(x: Tensor, lower: float, upper: float) -> Tensor:
    """1 where `x` is positive, else a number drawn from `[lower, upper]`."""
    falls = x.detach() <= 0
    slopes = empty(int(falls.sum()), dtype=float64).uniform_(lower, upper).to(x.dtype)
    return ones_like(x).masked_scatter(falls, slopes)


# ---- gelu, silu ----------------------------------------------------------------------------


@primitive(name="Gelu", kernel="gelu")
def _gelu(x: Array, *, approximate: str) -> Array:
    return kernels(x).gelu(x, approximate)


@primitive(name="GeluBackward", kernel="gelu_grad")
def _gelu_backward(g: Array, x: Array, *, approximate: str, out: Array | None = None) -> Array:
    return kernels(g).gelu_grad(g, x, approximate, out)


_gelu.derive("x", _gelu_backward, "grad", "x", approximate="approximate", out="spare")
_gelu_backward.derive("g", _gelu_backward, "grad", "x", approximate="approximate")


@_gelu_backward.derivative("x")
def _gelu_backward_dx(grad: Tensor, g: Tensor, x: Tensor, approximate: str) -> Tensor:
    return grad * g * _gelu_curvature(x, approximate)


def _gelu_curvature(x: Tensor, approximate: str) -> Tensor:
    """The second derivative of gelu."""
    if approximate == "none":
        density = (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
        return density * (2 - x * x)
    k, c = math.sqrt(2 / math.pi), 0.044715
    u = k * (x + c * x.pow(3))
    du, ddu = k * (1 + 3 * c * x * x), 6 * k * c * x
    t = u.tanh()
    s = 1 - t * t
    return s * du + 0.5 * x * s * (ddu - 2 * t * du * du)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`x · Φ(x)` with the normal distribution function Φ; `approximate="tanh"` is Hendrycks' form.

    >>> import rushlight as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1., 2.]))
    tensor([-0.1587,  1.9545])
    """
    refuse("gelu", input._array, "biuc")
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _gelu(input, approximate=approximate)


@primitive(name="Silu", kinds="fcV", kernel="silu")
def _silu(x: Array, *, out: Array = None) -> Array:
    return kernels(x).silu(x, out)


@primitive(name="SiluBackward", kernel="silu_grad")
def _silu_backward(g: Array, x: Array, *, out: Array | None = None) -> Array:
    return kernels(g).silu_grad(g, x, out)


_silu.derive("x", _silu_backward, "grad", "x", out="spare")
_silu_backward.derive("g", _silu_backward, "grad", "x")


@_silu_backward.derivative("x")
def _silu_backward_dx(grad: Tensor, g: Tensor, x: Tensor) -> Tensor:
    s = x.sigmoid()
    return grad * g * s * (1 - s) * (2 + x * (1 - 2 * s))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · sigmoid(x)`, also called swish.

    >>> import rushlight as torch
    >>> torch.nn.functional.silu(torch.tensor([-1., 2.]))
    tensor([-0.2689,  1.7616])
    """
    refuse("silu", input._array, "biu")
    return _silu_in_place(input) if inplace else _silu(input)


_silu_in_place = in_place(silu, _silu)


# ---- soft units ----------------------------------------------------------------------------


@primitive(name="Softplus", kinds="fV", kernel="softplus")
def _softplus(x: Array, *, beta: float, threshold: float, out: Array = None) -> Array:
    return kernels(x).softplus(x, beta, threshold, out)


@primitive(name="SoftplusBackward", kernel="softplus_grad")
def _softplus_backward(g: Array, x: Array, *, beta: float, threshold: float,
                       out: Array | None = None) -> Array:  # fmt: skip
    """The slope is `sigmoid(beta · x)`, or 1 where `beta · x` exceeds the threshold."""
    return kernels(g).softplus_grad(g, x, beta, threshold, out)


_softplus.derive("x", _softplus_backward, "grad", "x", beta="beta", threshold="threshold",
                 out="spare")  # fmt: skip
_softplus_backward.derive("g", _softplus_backward, "grad", "x", beta="beta",
                          threshold="threshold")  # fmt: skip


@_softplus_backward.derivative("x")
def _softplus_backward_dx(grad: Tensor, g: Tensor, x: Tensor, beta: float,
                          threshold: float) -> Tensor:  # fmt: skip
    s = (x * beta).sigmoid()
    return (grad * g * s * (1 - s) * beta)._filled_where(x * beta > threshold, 0)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """`log(1 + exp(beta · x)) / beta`; x itself where `beta · x > threshold`.

    >>> import rushlight as torch
    >>> torch.nn.functional.softplus(torch.tensor([0., 30.]))
    tensor([ 0.6931, 30.0000])
    """
    refuse("softplus", input._array, "biuc")
    return _softplus(input, beta=beta, threshold=threshold)


def softsign(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


@primitive(name="Softshrink", kinds="fV", kernel="softshrink")
def _softshrink(x: Array, *, lambd: float, out: Array = None) -> Array:
    return kernels(x).softshrink(x, lambd, out)


@primitive(name="Hardshrink", kinds="fV", kernel="hardshrink")
def _hardshrink(x: Array, *, lambd: float, out: Array = None) -> Array:
    return kernels(x).hardshrink(x, lambd, out)


def _shrink_backward(name: str) -> Primitive:
    def shrink_backward(g: Array, x: Array, *, lambd: float, out: Array | None = None) -> Array:
        """The slope is 0 in `[-lambd, lambd]`, 1 outside."""
        return kernels(g).shrink_grad(g, x, lambd, out)

    return Primitive(shrink_backward, name, kernel="shrink_grad")


for _unit in (_softshrink, _hardshrink):
    _backward = _shrink_backward(_unit.name + "Backward")
    _unit.derive("x", _backward, "grad", "x", lambd="lambd", out="spare")
    _backward.derive("g", _backward, "grad", "x", lambd="lambd")


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`x ∓ lambd` outside `[-lambd, lambd]`, 0 inside."""
    refuse("softshrink", input._array, "biuc")
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _softshrink(input, lambd=lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`x` outside `[-lambd, lambd]`, 0 inside."""
    refuse("hardshrink", input._array, "biuc")
    return _hardshrink(input, lambd=lambd)


def tanhshrink(input: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return input - tanh(input)


@primitive(name="LogSigmoid", kinds="fV", kernel="logsigmoid")
def _logsigmoid(x: Array, *, out: Array = None) -> Array:
    return kernels(x).logsigmoid(x, out)


@primitive(name="LogSigmoidBackward", kernel="logsigmoid_grad")
def _logsigmoid_backward(g: Array, x: Array, *, out: Array | None = None) -> Array:
    """The slope is `sigmoid(-x)`."""
    return kernels(g).logsigmoid_grad(g, x, out)


_logsigmoid.derive("x", _logsigmoid_backward, "grad", "x", out="spare")
_logsigmoid_backward.derive("g", _logsigmoid_backward, "grad", "x")


@_logsigmoid_backward.derivative("x")
def _logsigmoid_backward_dx(grad: Tensor, g: Tensor, x: Tensor) -> Tensor:
    s = x.sigmoid()
    return -grad * g * s * (1 - s)


def logsigmoid(input: Tensor) -> Tensor:
    """`log(sigmoid(x))`, without overflow."""
    refuse("logsigmoid", input._array, "biuc")
    return _logsigmoid(input.contiguous())  # as PyTorch's result is


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of `dim` times the sigmoid of the second."""
    if input._array.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    a, b = input.split(size // 2, dim)
    return a * sigmoid(b)


class ActivationMethods:
    """Activations as methods of `Tensor`."""

    def relu(self: Any) -> Any:
        """`max(self, 0)`."""
        return relu(self)

    relu_ = relu_

    def prelu(self: Any, weight: Any) -> Any:
        """`self` where positive, else `weight · self`."""
        return prelu(self, weight)

    def hardshrink(self: Any, lambd: float = 0.5) -> Any:
        """`self` outside `[-lambd, lambd]`, 0 inside."""
        return hardshrink(self, lambd)
