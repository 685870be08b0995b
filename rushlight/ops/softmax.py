"""Softmax and its logarithm."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..dtypes import dtype as DType
from ..types_ import Array
from .common import TensorBase, check_tensor, wrap_dim, write_out

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["softmax", "log_softmax", "softmin", "gumbel_softmax", "SoftmaxMethods"]


@primitive(name="Softmax", kernel="softmax")
def _softmax(x: Array, *, dim: int) -> Array:
    return kernels(x).softmax(x, dim)


@primitive(name="SoftmaxBackwardData", kernel="softmax_grad")
def _softmax_backward(g: Array, y: Array, *, dim: int) -> Array:
    """`y · (g - Σ g·y)`"""
    return kernels(g).softmax_grad(g, y, dim)


_softmax.derive("x", _softmax_backward, "grad", "result", dim="dim")
_softmax_backward.derive("g", _softmax_backward, "grad", "y", dim="dim")


@_softmax_backward.derivative("y")
def _softmax_backward_dy(grad: Tensor, g: Tensor, y: Tensor, dim: int) -> Tensor:
    total = (g * y).sum(dim, keepdim=True)
    return grad * (g - total) - g * (grad * y).sum(dim, keepdim=True)


@primitive(name="LogSoftmax", kernel="log_softmax")
def _log_softmax(x: Array, *, dim: int) -> Array:
    return kernels(x).log_softmax(x, dim)


@primitive(name="LogSoftmaxBackwardData", kernel="log_softmax_grad")
def _log_softmax_backward(g: Array, y: Array, *, dim: int) -> Array:
    """`g - exp(y) · Σ g`"""
    return kernels(g).log_softmax_grad(g, y, dim)


_log_softmax.derive("x", _log_softmax_backward, "grad", "result", dim="dim")


@_log_softmax_backward.derivative("g")
def _log_softmax_backward_dg(grad: Tensor, y: Tensor, dim: int) -> Tensor:
    return grad - (grad * y.exp()).sum(dim, keepdim=True)


@_log_softmax_backward.derivative("y")
def _log_softmax_backward_dy(grad: Tensor, g: Tensor, y: Tensor, dim: int) -> Tensor:
    return -grad * y.exp() * g.sum(dim, keepdim=True)


def _prepared(op: str, input: Any, dim: int | None, dtype: DType | None) -> tuple[Any, int]:
    if not isinstance(input, TensorBase):
        check_tensor(input, op)
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {op} has been deprecated. Change the call to include "
            "dim=X as an argument.", stacklevel=3,
        )  # fmt: skip
        dim = 0 if input._array.ndim in (0, 1, 3) else 1
    if dtype is not None:
        input = input.to(dtype)
    if input._array.dtype.kind not in "fV":
        raise RuntimeError(
            f'"{op}_lastdim_kernel_impl" not implemented for {input.dtype}; convert the input with '
            ".float()"
        )
    return input, wrap_dim(dim, input._array.ndim)


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: DType | None = None, *,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`exp(x) / Σ exp(x)` along `dim`, computed without overflow.

    >>> import rushlight as torch
    >>> torch.softmax(torch.tensor([1., 2., 3.]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    if isinstance(_stacklevel, DType):  # torch.softmax(input, dim, dtype)
        dtype = _stacklevel
    input, d = _prepared("softmax", input, dim, dtype)
    result = _softmax(input, dim=d) if input._array.ndim else input * 0 + 1
    return result if out is None else write_out(out, result, "softmax")


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
                dtype: DType | None = None, *, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`x - log Σ exp(x)` along `dim`, computed without overflow.

    >>> import rushlight as torch
    >>> torch.log_softmax(torch.tensor([1., 2., 3.]), dim=0)
    tensor([-2.4076, -1.4076, -0.4076])
    """
    if isinstance(_stacklevel, DType):
        dtype = _stacklevel
    input, d = _prepared("log_softmax", input, dim, dtype)
    result = _log_softmax(input, dim=d) if input._array.ndim else input * 0
    return result if out is None else write_out(out, result, "log_softmax")


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
            dtype: DType | None = None) -> Tensor:  # fmt: skip
    """`softmax(-input)`."""
    return softmax(-input, dim, _stacklevel, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10,
                   dim: int = -1) -> Tensor:  # fmt: skip
    """A differentiable draw from categories: `softmax((logits + Gumbel noise) / tau)` along `dim`.

    With `hard` the result is one-hot, with the gradient of the soft one (Jang et al., 2017).

    >>> import rushlight as torch
    >>> torch.nn.functional.gumbel_softmax(torch.zeros(2, 3), hard=True).sum(-1)
    tensor([1., 1.])
    """
    noise = -logits.detach().clone().exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one_hot = soft.new_zeros(soft._array.shape).scatter(dim, index, 1.0)
    return one_hot - soft.detach() + soft


class SoftmaxMethods:
    """Softmax as methods of `Tensor`."""

    def softmax(self: Any, dim: int, dtype: DType | None = None) -> Any:
        """`exp(x) / Σ exp(x)` along `dim`."""
        return softmax(self, dim, dtype=dtype)

    def log_softmax(self: Any, dim: int, dtype: DType | None = None) -> Any:
        """`x - log Σ exp(x)` along `dim`."""
        return log_softmax(self, dim, dtype=dtype)
