"""Running sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..autograd.primitive import primitive
from ..backends import kernels
from ..dtypes import dtype as DType
from ..types_ import Array
from .common import in_place, wrap_dim, write_out
from .reduce import _accumulable, _cat

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["cumsum", "cumprod", "CumulativeMethods"]


@primitive(name="Cumsum")
def _cumsum(x: Array, *, dim: int) -> Array:
    return kernels(x).cumsum(_accumulable(x, None), dim) if x.ndim else _accumulable(x, None).copy()


@_cumsum.derivative("x")
def _cumsum_dx(grad: Tensor, dim: int) -> Tensor:
    return grad.flip(dim).cumsum(dim).flip(dim) if grad._array.ndim else grad


def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Running sums along `dim`.

    >>> import rushlight as torch
    >>> torch.cumsum(torch.tensor([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    x = input if dtype is None else input.to(dtype)
    result = _cumsum(x, dim=wrap_dim(dim, x._array.ndim))
    result = result if dtype is None else result.to(dtype)
    return result if out is None else write_out(out, result, "cumsum", input)


@primitive(name="Cumprod")
def _cumprod(x: Array, *, dim: int) -> Array:
    x = _accumulable(x, None)
    return kernels(x).cumprod(x, dim) if x.ndim else x.copy()


@_cumprod.derivative("x")
def _cumprod_dx(grad: Tensor, x: Tensor, result: Tensor, dim: int) -> Tensor:
    """`Σ_j≥i grad_j · result_j / x_i`; with zeros, term by term."""
    if not x._array.ndim:
        return grad
    if not bool((x == 0).any()):
        return (grad * result.conj()).flip(dim).cumsum(dim).flip(dim) / x.conj()
    size = x._array.shape[dim]
    slopes = []
    for i in range(size):
        head = x.narrow(dim, 0, i).prod(dim, keepdim=True) if i else x.narrow(dim, 0, 1) * 0 + 1
        tail = x.narrow(dim, i, size - i)
        others = _cat([head, tail.narrow(dim, 1, size - i - 1)], dim).cumprod(dim)
        slopes.append((grad.narrow(dim, i, size - i) * others.conj()).sum(dim, keepdim=True))
    return _cat(slopes, dim)


def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Running products along `dim`.

    >>> import rushlight as torch
    >>> torch.cumprod(torch.tensor([1, 2, 3]), dim=0)
    tensor([1, 2, 6])
    """
    x = input if dtype is None else input.to(dtype)
    result = _cumprod(x, dim=wrap_dim(dim, x._array.ndim))
    result = result if dtype is None else result.to(dtype)
    return result if out is None else write_out(out, result, "cumprod", input)


class CumulativeMethods:
    """Running sums and products as methods of `Tensor`."""

    cumsum = cumsum
    cumprod = cumprod
    cumsum_ = in_place(cumsum)
    cumprod_ = in_place(cumprod)
