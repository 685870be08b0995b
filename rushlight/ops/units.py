"""Activations with constants: leaky, exponential and hard units, and their in-place forms.

An in-place form must give its gradient without the input. Where the result tells the slope (leaky
and exponential units that grow) a primitive of its own keeps the result, as PyTorch does; elsewhere
a copy of the input is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..types_ import Array, Number
from .choose import where
from .common import in_place, refuse

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "celu", "celu_", "elu", "elu_", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "mish", "relu6", "selu", "selu_", "threshold", "threshold_",
]  # fmt: skip


def _writing(op: Primitive) -> Any:
    """The in-place method of a primitive itself."""
    return in_place(op, op)


# ---- leaky relu ----------------------------------------------------------------------------


def _leaky(suffix: str) -> Primitive:
    def leaky_relu(x: Array, *, slope: Number, out: Array = None) -> Array:
        return kernels(x).leaky_relu(x, slope, out)

    return Primitive(leaky_relu, "LeakyRelu", suffix=suffix, kinds="fV", kernel="leaky_relu")


@primitive(name="LeakyReluBackward", kernel="leaky_relu_grad")
def _leaky_backward(g: Array, x: Array, *, slope: Number, out: Array | None = None) -> Array:
    """`g` where `x` is positive, else `slope · g`."""
    return kernels(g).leaky_relu_grad(g, x, slope, out)


_leaky_relu, _leaky_relu_of_result = _leaky("Backward0"), _leaky("Backward1")
_leaky_relu.derive("x", _leaky_backward, "grad", "x", slope="slope", out="spare")
_leaky_relu_of_result.derive("x", _leaky_backward, "grad", "result", slope="slope", out="spare")
_leaky_backward.derive("g", _leaky_backward, "grad", "x", slope="slope")
_leaky_into, _leaky_copied = _writing(_leaky_relu_of_result), _writing(_leaky_relu)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, else `negative_slope · input`.

    >>> import rushlight as torch
    >>> torch.nn.functional.leaky_relu(torch.tensor([-1., 2.]))
    tensor([-0.0100,  2.0000])
    """
    if inplace:
        return leaky_relu_(input, negative_slope)
    refuse("leaky_relu", input._array, "biuc")
    return _leaky_relu(input, slope=negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place version of :func:`leaky_relu`."""
    refuse("leaky_relu", input._array, "biuc")
    write = _leaky_into if negative_slope >= 0 else _leaky_copied
    return write(input, slope=negative_slope)


# ---- exponential units ---------------------------------------------------------------------


def _exponential(name: str, of_result: bool) -> Primitive:
    def elu(x: Array, *, alpha: float, scale: float, slope: float, out: Array = None) -> Array:
        return kernels(x).elu(x, alpha, scale, slope, out)

    suffix = "Backward1" if of_result else "Backward0"
    op = Primitive(elu, name, suffix=suffix, kinds="fV", kernel="elu")
    op.derive("x", _elu_backward, "grad", "result" if of_result else "x", alpha="alpha",
              scale="scale", slope="slope", of_result=of_result, out="spare")  # fmt: skip
    return op


@primitive(name="EluBackward", kernel="elu_grad")
def _elu_backward(g: Array, x: Array, *, alpha: float, scale: float, slope: float,
                  of_result: bool, out: Array | None = None) -> Array:  # fmt: skip
    return kernels(g).elu_grad(g, x, alpha, scale, slope, of_result, out)


_elu_backward.derive("g", _elu_backward, "grad", "x", alpha="alpha", scale="scale", slope="slope",
                     of_result="of_result")  # fmt: skip


@_elu_backward.derivative("x")
def _elu_backward_dx(grad: Tensor, g: Tensor, x: Tensor, alpha: float, scale: float,
                     slope: float, of_result: bool) -> Tensor:  # fmt: skip
    if of_result:
        return (grad * g * slope)._filled_where(~(x < 0), 0)
    below = (x.clamp(max=0) * slope).exp() * (slope * slope * alpha * scale)
    return (grad * g * below)._filled_where(~(x < 0), 0)


def _forms(name: str) -> tuple[Any, Any, Any]:
    """The unit out of place; in place where the result tells the slope, and where it does not."""
    op = _exponential(name, False)
    return op, _writing(_exponential(name, True)), _writing(op)


_elu, _celu = _forms("Elu"), _forms("Celu")
_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


def _apply_elu(forms: tuple[Any, Any, Any], x: Tensor, alpha: float, scale: float, slope: float,
               inplace: bool) -> Tensor:  # fmt: skip
    """`scale · x` above 0, `scale · alpha · (exp(slope · x) - 1)` below."""
    refuse("elu", x._array, "biuc")
    out_of_place, growing, copied = forms
    op = out_of_place if not inplace else growing if alpha >= 0 else copied
    return op(x, alpha=alpha, scale=scale, slope=slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, else `alpha · (exp(input) - 1)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.elu(torch.tensor([-1., 2.]))
    tensor([-0.6321,  2.0000])
    """
    return _apply_elu(_elu, input, alpha, 1.0, 1.0, inplace)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`elu`."""
    return elu(input, alpha, True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising unit (Klambauer et al., 2017), a scaled ELU."""
    return _apply_elu(_elu, input, *_SELU, inplace)


def selu_(input: Tensor) -> Tensor:
    """In-place version of :func:`selu`."""
    return selu(input, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`max(0, x) + min(0, alpha · (exp(x / alpha) - 1))`."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _apply_elu(_celu, input, alpha, 1.0, 1.0 / alpha, inplace)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`celu`."""
    return celu(input, alpha, True)


# ---- mish ----------------------------------------------------------------------------------


@primitive(name="Mish", kinds="fV", kernel="mish")
def _mish(x: Array, *, out: Array = None) -> Array:
    return kernels(x).mish(x, out)


@primitive(name="MishBackward", kernel="mish_grad")
def _mish_backward(g: Array, x: Array, *, out: Array | None = None) -> Array:
    return kernels(g).mish_grad(g, x, out)


_mish.derive("x", _mish_backward, "grad", "x", out="spare")
_mish_backward.derive("g", _mish_backward, "grad", "x")


@_mish_backward.derivative("x")
def _mish_backward_dx(grad: Tensor, g: Tensor, x: Tensor) -> Tensor:
    """With t = tanh(log(1 + exp(x))), s = sigmoid(x): t' = (1 - t²) s."""
    s = x.sigmoid()
    t = _mish_gate(x)
    slope = (1 - t * t) * s
    return grad * g * (2 * slope + x * slope * ((1 - s) - 2 * t * s))


def _mish_gate(x: Tensor) -> Tensor:
    e = x.clamp(max=20).exp()
    return (e * (e + 2)) / (e * (e + 2) + 2)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · tanh(softplus(x))`."""
    refuse("mish", input._array, "biuc")
    return _mish_into(input) if inplace else _mish(input)


_mish_into = _writing(_mish)


# ---- hard units ----------------------------------------------------------------------------


@primitive(name="Threshold", kinds="fV", kernel="threshold")
def _threshold(x: Array, *, threshold: float, value: float, out: Array = None) -> Array:
    return kernels(x).threshold(x, threshold, value, out)


@primitive(name="ThresholdBackward", kernel="threshold_grad")
def _threshold_backward(g: Array, x: Array, *, threshold: float,
                        out: Array | None = None) -> Array:  # fmt: skip
    return kernels(g).threshold_grad(g, x, threshold, out)


_threshold.derive("x", _threshold_backward, "grad", "x", threshold="threshold", out="spare")
_threshold_backward.derive("g", _threshold_backward, "grad", "x", threshold="threshold")
_threshold_into = _writing(_threshold)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it exceeds `threshold`, else `value`."""
    if inplace:
        return threshold_(input, threshold, value)
    if input._array.dtype.kind not in "fV":
        return where(~(input <= threshold), input, value)
    return _threshold(input, threshold=threshold, value=value)


_threshold_of_any = in_place(threshold)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place version of :func:`threshold`."""
    if input._array.dtype.kind in "fV":
        return _threshold_into(input, threshold=threshold, value=value)
    return _threshold_of_any(input, threshold, value)


@primitive(name="Hardtanh", kinds="fV", kernel="clamp")
def _hardtanh(x: Array, *, low: float, high: float, out: Array = None) -> Array:
    return kernels(x).clamp(x, low, high, out)


@primitive(name="HardtanhBackward", kernel="hardtanh_grad")
def _hardtanh_backward(g: Array, x: Array, *, low: float, high: float,
                       out: Array | None = None) -> Array:  # fmt: skip
    """The slope is 0 at both bounds (unlike clamp's)."""
    return kernels(g).hardtanh_grad(g, x, low, high, out)


_hardtanh.derive("x", _hardtanh_backward, "grad", "x", low="low", high="high", out="spare")
_hardtanh_backward.derive("g", _hardtanh_backward, "grad", "x", low="low", high="high")
_hardtanh_into = _writing(_hardtanh)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0,
             inplace: bool = False) -> Tensor:  # fmt: skip
    """`input` clamped to `[min_val, max_val]`; the slope at the bounds is 0.

    >>> import rushlight as torch
    >>> torch.nn.functional.hardtanh(torch.tensor([-2., 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    op: Any = _hardtanh_into if inplace else _hardtanh
    return op(input, low=min_val, high=max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place version of :func:`hardtanh`."""
    return hardtanh(input, min_val, max_val, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`min(max(input, 0), 6)`."""
    return hardtanh(input, 0.0, 6.0, inplace)


@primitive(name="Hardsigmoid", kinds="fV", kernel="hardsigmoid")
def _hardsigmoid(x: Array, *, out: Array = None) -> Array:
    return kernels(x).hardsigmoid(x, out)


@primitive(name="HardsigmoidBackward", kernel="hardsigmoid_grad")
def _hardsigmoid_backward(g: Array, x: Array, *, out: Array | None = None) -> Array:
    return kernels(g).hardsigmoid_grad(g, x, out)


_hardsigmoid.derive("x", _hardsigmoid_backward, "grad", "x", out="spare")
_hardsigmoid_backward.derive("g", _hardsigmoid_backward, "grad", "x")
_hardsigmoid_into = _writing(_hardsigmoid)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`clamp(x + 3, 0, 6) / 6`; the slope at the bounds is 0."""
    refuse("hardsigmoid", input._array, "biuc")
    return _hardsigmoid_into(input) if inplace else _hardsigmoid(input)


@primitive(name="Hardswish", kinds="fV", kernel="hardswish")
def _hardswish(x: Array, *, out: Array = None) -> Array:
    return kernels(x).hardswish(x, out)


@primitive(name="HardswishBackward", kernel="hardswish_grad")
def _hardswish_backward(g: Array, x: Array, *, out: Array | None = None) -> Array:
    return kernels(g).hardswish_grad(g, x, out)


_hardswish.derive("x", _hardswish_backward, "grad", "x", out="spare")
_hardswish_backward.derive("g", _hardswish_backward, "grad", "x")


@_hardswish_backward.derivative("x")
def _hardswish_backward_dx(grad: Tensor, g: Tensor, x: Tensor) -> Tensor:
    return (grad * g / 3)._filled_where(~((x > -3) & (x < 3)), 0)


_hardswish_into = _writing(_hardswish)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x · clamp(x + 3, 0, 6) / 6`."""
    refuse("hardswish", input._array, "biuc")
    return _hardswish_into(input) if inplace else _hardswish(input)
