"""Reductions: sums, means, extrema, norms, along some dims or all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import dtype as DType
from ..dtypes import int64
from ..types_ import Array, Shape
from .common import cast, check_tensor, dtype_of, type_name, wrap_dims, write_out
from .expand import _expand

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "sum", "mean", "prod", "any", "all", "count_nonzero", "nansum", "nanmean", "ReduceMethods",
]  # fmt: skip

Dims = Any  # int | Sequence[int] | None


def _restore(grad: Tensor, x_shape: Shape, dims: tuple[int, ...] | None, keepdim: bool) -> Tensor:
    """`grad` of a reduction with the reduced dims put back, of size 1."""
    if keepdim or dims is None and grad._array.ndim == len(x_shape):
        return grad
    kept = range(len(x_shape)) if dims is None else dims
    shape = [1 if i in kept else size for i, size in enumerate(x_shape)]
    return grad.reshape(shape)


# ---- sum and mean --------------------------------------------------------------------------


@primitive(name="Sum")
def _sum_all(x: Array, *, dtype: DType | None = None) -> Array:
    return kernels(x).sum(_accumulable(x, dtype), None, False)


@_sum_all.derivative("x")
def _sum_all_dx(grad: Tensor, x_shape: Shape) -> Tensor:
    return _expand(grad, shape=x_shape)


@primitive(name="Sum", suffix="Backward1", kernel="sum")
def _sum(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return kernels(x).sum(x, dims, keepdim)


@primitive(name="Sum", suffix="Backward1")
def _sum_as(x: Array, *, dims: tuple[int, ...], keepdim: bool, dtype: DType | None) -> Array:
    """Sums in another dtype: the given one, or int64 for integers and bools."""
    return kernels(x).sum(_accumulable(x, dtype), dims, keepdim)


@_sum.derivative("x")
@_sum_as.derivative("x")
def _sum_dx(grad: Tensor, x_shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    return _restore(grad, x_shape, dims, keepdim).expand(x_shape)


def _accumulable(x: Array, dtype: DType | None) -> Array:
    """`x` in the dtype that a sum is computed in: integers and bools sum as int64."""
    if dtype is not None:
        return cast(x, dtype)
    return x if x.dtype.kind in "fcV" else cast(x, int64)


def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The sum of the elements, or along `dim` (one or several). Integers sum as int64.

    >>> import rushlight as torch
    >>> torch.sum(torch.tensor([[1, 2], [3, 4]]), dim=0)
    tensor([4, 6])
    """
    check_tensor(input, "sum")
    dims = wrap_dims(dim, input._array.ndim)
    if dims is None and not keepdim:
        result = _sum_all(input, dtype=dtype) if dtype is not None else _sum_all(input)
    else:
        dims = dims if dims is not None else tuple(range(input._array.ndim))
        if dtype is None and input._array.dtype.kind in "fcV":
            result = _sum(input, dims=dims, keepdim=keepdim)
        else:
            result = _sum_as(input, dims=dims, keepdim=keepdim, dtype=dtype)
    return result if out is None else write_out(out, result, "sum")


@primitive(name="Mean")
def _mean_all(x: Array, *, dtype: DType | None = None) -> Array:
    return kernels(x).mean(x if dtype is None else cast(x, dtype), None, False)


@_mean_all.derivative("x")
def _mean_all_dx(grad: Tensor, x_shape: Shape) -> Tensor:
    return _expand(grad / math.prod(x_shape), shape=x_shape) if x_shape else grad


@primitive(name="Mean", suffix="Backward1")
def _mean(x: Array, *, dims: tuple[int, ...], keepdim: bool, dtype: DType | None = None) -> Array:
    return kernels(x).mean(x if dtype is None else cast(x, dtype), dims, keepdim)


@_mean.derivative("x")
def _mean_dx(grad: Tensor, x_shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    count = math.prod(x_shape[d] for d in dims)
    return _restore(grad, x_shape, dims, keepdim).expand(x_shape) / count


def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The mean of the elements, or along `dim`. RuntimeError for integers unless `dtype` is given.

    >>> import rushlight as torch
    >>> torch.mean(torch.tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([1.5000, 3.5000])
    """
    check_tensor(input, "mean")
    kind = (input._array.dtype if dtype is None else dtype.numpy).kind
    if kind not in "fcV":
        which = "Input dtype" if dtype is None else "Optional dtype"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} must be either a floating point or "
            f"complex dtype. Got: {type_name(dtype or dtype_of(input._array))}"
        )
    dims = wrap_dims(dim, input._array.ndim)
    if dims is None and not keepdim:
        result = _mean_all(input) if dtype is None else _mean_all(input, dtype=dtype)
    else:
        dims = dims if dims is not None else tuple(range(input._array.ndim))
        result = _mean(input, dims=dims, keepdim=keepdim, dtype=dtype)
    return result if out is None else write_out(out, result, "mean")


def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The sum in which NaN counts as 0."""
    numbers = input.masked_fill(input.isnan(), 0) if input._array.dtype.kind in "fV" else input
    return sum(numbers, dim, keepdim, dtype=dtype, out=out)


def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *,
            dtype: DType | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The mean of the elements that are not NaN."""
    result = nansum(input, dim, keepdim, dtype=dtype) / sum(~input.isnan(), dim, keepdim)
    return result if out is None else write_out(out, result, "nanmean")


# ---- product -------------------------------------------------------------------------------


@primitive(name="Prod")
def _prod(x: Array, *, dims: tuple[int, ...] | None, keepdim: bool,
          dtype: DType | None = None) -> Array:  # fmt: skip
    result = kernels(x).prod(_accumulable(x, None), dims, keepdim)
    return result if dtype is None else cast(result, dtype)


@_prod.derivative("x")
def _prod_dx(grad: Tensor, x: Tensor, result: Tensor, dims: tuple[int, ...] | None,
             keepdim: bool) -> Tensor:  # fmt: skip
    """`grad · result / x`; where x is 0, the product of all others."""
    shape = x._array.shape
    if not shape:
        return grad
    if not bool((x == 0).any()):
        return _restore((grad * result.conj()), shape, dims, keepdim) / x.conj()
    if dims is None:
        flat = x.reshape(-1)
        return (grad * _products_of_others(flat, 0).conj()).reshape(shape)
    return _restore(grad, shape, dims, keepdim) * _products_of_others(x, dims[0]).conj()


def _products_of_others(x: Tensor, dim: int) -> Tensor:
    """For each element along `dim`, the product of all the others (no division)."""
    size = x._array.shape[dim]
    if size == 1:
        return x * 0 + 1
    ones = x.narrow(dim, 0, 1) * 0 + 1
    before = ones
    parts = [ones]
    for i in range(size - 1):
        before = before * x.narrow(dim, i, 1)
        parts.append(before)
    after = ones
    for i in range(size - 1, 0, -1):
        after = after * x.narrow(dim, i, 1)
        parts[i - 1] = parts[i - 1] * after
    return _cat(parts, dim)


def _cat(parts: list[Tensor], dim: int) -> Tensor:
    from .parts import cat

    return cat(parts, dim)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
         dtype: DType | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The product of the elements, or along `dim`. Integers multiply as int64.

    >>> import rushlight as torch
    >>> torch.prod(torch.tensor([2., 3., 4.]))
    tensor(24.)
    """
    x = input if dtype is None else input.to(dtype)
    dims = None if dim is None else wrap_dims(dim, x._array.ndim)
    result = _prod(x, dims=dims, keepdim=keepdim, dtype=dtype)
    return result if out is None else write_out(out, result, "prod")


# ---- truth ---------------------------------------------------------------------------------


def _truth(name: str) -> Primitive:
    def forward(x: Array, *, dims: tuple[int, ...] | None, keepdim: bool) -> Array:
        result = getattr(kernels(x), name)(x, dims, keepdim)
        return kernels(x).cast(result, x.dtype) if x.dtype.char == "B" else result

    return Primitive(forward, name)


_any, _all = _truth("any"), _truth("all")


def any(input: Tensor, dim: Dims = None, keepdim: bool = False, *,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Whether any element (along `dim`) is nonzero.

    >>> import rushlight as torch
    >>> torch.any(torch.tensor([False, True]))
    tensor(True)
    """
    result = _any(input, dims=wrap_dims(dim, input._array.ndim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "any")


def all(input: Tensor, dim: Dims = None, keepdim: bool = False, *,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Whether all elements (along `dim`) are nonzero.

    >>> import rushlight as torch
    >>> torch.all(torch.tensor([False, True]))
    tensor(False)
    """
    result = _all(input, dims=wrap_dims(dim, input._array.ndim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "all")


def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """The number of nonzero elements (along `dim`)."""
    return sum(input != 0, dim)


class ReduceMethods:
    """Reductions as methods of `Tensor`."""

    sum = sum
    nansum = nansum
    mean = mean
    nanmean = nanmean
    prod = prod
    any = any
    all = all
    count_nonzero = count_nonzero
