"""Reductions: sums, means, extrema, norms, along some dims or all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import dtype as DType
from ..dtypes import int64
from ..types_ import Array, Shape
from .common import (
    as_float,
    cast,
    check_tensor,
    dtype_of,
    in_place,
    refuse,
    type_name,
    wrap_dim,
    wrap_dims,
    write_out,
)  # fmt: skip
from .shape import _expand

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "sum", "mean", "prod", "max", "min", "amax", "amin", "aminmax", "argmax", "argmin", "any",
    "all", "var", "std", "var_mean", "std_mean", "logsumexp", "norm", "vector_norm", "cumsum",
    "cumprod", "count_nonzero", "nansum", "nanmean", "dist", "ReduceMethods",
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


@primitive(name="Sum", suffix="Backward1")
def _sum(x: Array, *, dims: tuple[int, ...], keepdim: bool, dtype: DType | None = None) -> Array:
    return kernels(x).sum(_accumulable(x, dtype), dims, keepdim)


@_sum.derivative("x")
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
        result = _sum(input, dims=dims, keepdim=keepdim, dtype=dtype)
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


# ---- extrema -------------------------------------------------------------------------------


def _extremum_all(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array) -> Array:
        refuse(name.lower(), x, "c")
        if x.size == 0:
            raise RuntimeError(
                f"{name.lower()}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return getattr(kernels(x), kernel_name)(x, None, False)

    return Primitive(forward, name, suffix="Backward1")


_max_all, _min_all = _extremum_all("Max", "amax"), _extremum_all("Min", "amin")


@_max_all.derivative("x")
@_min_all.derivative("x")
def _extremum_all_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """Equal extrema share the gradient evenly."""
    where = _is_extremum(x, result)
    return where * (grad / where.sum())


def _is_extremum(x: Tensor, extremum: Tensor) -> Tensor:
    """Where `x` attains the extremum; a NaN extremum is attained by every NaN."""
    return (x == extremum) | (x.isnan() & extremum.isnan())


def _extremum_dim(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, *, dim: int, keepdim: bool) -> tuple[Array, Array]:
        k = kernels(x)
        refuse(name.lower(), x, "c")
        if x.ndim == 0:
            return x.copy(), k.full((), 0, int64.numpy)
        if x.shape[dim] == 0:
            raise IndexError(
                f"{name.lower()}(): Expected reduction dim {dim} to have non-zero size."
            )
        indices = getattr(k, kernel_name)(x, dim, True)
        values = k.take_along_axis(x, indices, dim)
        if keepdim:
            return values, indices
        shape = x.shape[:dim] + x.shape[dim + 1 :]
        return values.reshape(shape), indices.reshape(shape)

    return Primitive(forward, name, nondifferentiable=(1,))


_max_dim, _min_dim = _extremum_dim("Max", "argmax"), _extremum_dim("Min", "argmin")


@_max_dim.derivative("x")
@_min_dim.derivative("x")
def _extremum_dim_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int,
                     keepdim: bool) -> Tensor:  # fmt: skip
    return scatter_along(grad, results[1], x_shape, dim, keepdim)


def scatter_along(grad: Tensor, indices: Tensor, x_shape: Shape, dim: int, keepdim: bool) -> Tensor:
    """Zeros of shape `x_shape` with `grad` at `indices` along `dim`."""
    if not x_shape:
        return grad
    if not keepdim:
        grad, indices = grad.unsqueeze(dim), indices.unsqueeze(dim)
    return grad.new_zeros(x_shape).scatter(dim, indices, grad)


def _max_or_min(name: str, ops: tuple[Primitive, Primitive, Any], input: Any, dim: Any,
                keepdim: bool, out: Any) -> Any:  # fmt: skip
    check_tensor(input, name)
    if dim is None:
        result = ops[0](input)
        return result if out is None else write_out(out, result, name)
    if not isinstance(dim, int):
        return None
    result = ops[1](input, dim=wrap_dim(dim, input._array.ndim), keepdim=keepdim)
    return (ops[2](*result)) if out is None else ops[2](*write_out(out, result, name))


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None,
        other: Any = None) -> Any:  # fmt: skip
    """The largest element; along `dim`, the pair `(values, indices)`; of two tensors, `maximum`.

    NaN is the largest of all. Equal largest elements share the gradient of the full form evenly;
    with `dim`, the one at the returned index has it.

    >>> import rushlight as torch
    >>> torch.max(torch.tensor([[1, 4], [3, 2]]), dim=1)
    torch.return_types.max(
    values=tensor([4, 3]),
    indices=tensor([1, 0]))
    """
    pair = (_max_all, _max_dim, return_types.max)
    result = _max_or_min("max", pair, input, dim if other is None else other, keepdim, out)
    return result if result is not None else _binary("maximum", input, dim, other, out)


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None,
        other: Any = None) -> Any:  # fmt: skip
    """The smallest element; along `dim`, the pair `(values, indices)`; of two tensors, `minimum`.

    >>> import rushlight as torch
    >>> torch.min(torch.tensor([3., 1.]))
    tensor(1.)
    """
    pair = (_min_all, _min_dim, return_types.min)
    result = _max_or_min("min", pair, input, dim if other is None else other, keepdim, out)
    return result if result is not None else _binary("minimum", input, dim, other, out)


def _binary(name: str, x: Any, dim: Any, other: Any, out: Any) -> Any:
    from . import choose

    return getattr(choose, name)(x, dim if other is None else other, out=out)


def _amax_amin(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, *, dims: tuple[int, ...] | None, keepdim: bool) -> Array:
        refuse(name.lower(), x, "c")
        return getattr(kernels(x), kernel_name)(x, dims, keepdim)

    return Primitive(forward, name)


_amax, _amin = _amax_amin("Amax", "amax"), _amax_amin("Amin", "amin")


@_amax.derivative("x")
@_amin.derivative("x")
def _amax_dx(grad: Tensor, x: Tensor, result: Tensor, dims: Any, keepdim: bool) -> Tensor:
    shape = x._array.shape
    where = _is_extremum(x, _restore(result, shape, dims, keepdim))
    count = where.sum() if dims is None else sum(where, dims, keepdim=True)
    return where * (_restore(grad, shape, dims, keepdim) / count)


def amax(input: Tensor, dim: Dims = (), keepdim: bool = False, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The largest elements along `dim` (one or several); equal ones share the gradient evenly.

    >>> import rushlight as torch
    >>> torch.amax(torch.tensor([[1, 4], [3, 2]]), dim=1)
    tensor([4, 3])
    """
    result = _amax(input, dims=_nonempty_dims("amax", input, dim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "amax")


def amin(input: Tensor, dim: Dims = (), keepdim: bool = False, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The smallest elements along `dim` (one or several); equal ones share the gradient evenly."""
    result = _amin(input, dims=_nonempty_dims("amin", input, dim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "amin")


def _nonempty_dims(op: str, input: Tensor, dim: Dims) -> tuple[int, ...] | None:
    dims = wrap_dims(dim, input._array.ndim)
    if input._array.size == 0:
        if dims is None:
            raise RuntimeError(
                f"{op}(): Expected reduction dim to be specified for input.numel() "
                "== 0. Specify the reduction dim with the 'dim' argument."
            )
        for d in dims:
            if input._array.shape[d] == 0:
                raise IndexError(f"{op}(): Expected reduction dim {d} to have non-zero size.")
    return dims


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False,
            out: Any = None) -> Any:  # fmt: skip
    """The smallest and the largest element, `(min, max)`."""
    if dim is None and input._array.size == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the "
            "operation has no identity."
        )
    dims: Any = () if dim is None else dim
    result = return_types.aminmax(amin(input, dims, keepdim), amax(input, dims, keepdim))
    return result if out is None else write_out(out, result, "aminmax", exact=True)


def _index_of(name: str) -> Primitive:
    def forward(x: Array, *, dim: int | None, keepdim: bool) -> Array:
        k = kernels(x)
        refuse(name, x, "bc")
        if x.ndim == 0:
            return k.full((), 0, int64.numpy)
        size = x.size if dim is None else x.shape[dim]
        if size == 0:
            raise IndexError(f"{name}(): Expected reduction dim to have non-zero size.")
        return getattr(k, name)(x, dim, keepdim)

    return Primitive(forward, name)


_argmax, _argmin = _index_of("argmax"), _index_of("argmin")


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The index of the largest element (the first, if several), in the flattened input or `dim`.

    >>> import rushlight as torch
    >>> torch.argmax(torch.tensor([[1., 4.], [3., 2.]]), dim=1)
    tensor([1, 0])
    """
    dim = None if dim is None else wrap_dim(dim, input._array.ndim)
    result = _argmax(input, dim=dim, keepdim=keepdim)
    return result if out is None else write_out(out, result, "argmax")


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The index of the smallest element (the first, if several)."""
    dim = None if dim is None else wrap_dim(dim, input._array.ndim)
    result = _argmin(input, dim=dim, keepdim=keepdim)
    return result if out is None else write_out(out, result, "argmin")


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


# ---- spread --------------------------------------------------------------------------------


@primitive(name="Var")
def _var(x: Array, *, dims: tuple[int, ...] | None, correction: float, keepdim: bool) -> Array:
    return kernels(x).var(x, dims, correction, keepdim)


@_var.derivative("x")
def _var_dx(grad: Tensor, x: Tensor, dims: Any, correction: float, keepdim: bool) -> Tensor:
    shape = x._array.shape
    axes = range(len(shape)) if dims is None else dims
    freedom = math.prod(shape[d] for d in axes) - correction
    slope = 2 / freedom if freedom else math.nan
    return _restore(grad, shape, dims, keepdim) * slope * (x - mean(x, tuple(axes), keepdim=True))


@primitive(name="Std")
def _std(x: Array, *, dims: tuple[int, ...] | None, correction: float, keepdim: bool) -> Array:
    return kernels(x).sqrt(kernels(x).var(x, dims, correction, keepdim))


@_std.derivative("x")
def _std_dx(grad: Tensor, x: Tensor, result: Tensor, dims: Any, correction: float,
            keepdim: bool) -> Tensor:  # fmt: skip
    half = (grad / (result * 2)).masked_fill(result == 0, 0)
    return _var_dx(half, x, dims, correction, keepdim)


def _spread(op: Primitive, name: str, input: Any, dim: Any, unbiased: Any, correction: Any,
            keepdim: bool) -> Any:  # fmt: skip
    if isinstance(dim, bool):  # the older form var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if input._array.dtype.kind not in "fcV":
        raise RuntimeError(
            f"{name} and its like only support floating point and complex dtypes, got {input.dtype}"
        )
    dims = wrap_dims(dim, input._array.ndim)
    return op(input, dims=dims, correction=correction, keepdim=keepdim)


def var(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`Σ(x - mean)² / (n - correction)`; `correction` is 1 unless given.

    >>> import rushlight as torch
    >>> torch.var(torch.tensor([1., 2., 3., 4.]))
    tensor(1.6667)
    """
    result = _spread(_var, "var", input, dim, unbiased, correction, keepdim)
    return result if out is None else write_out(out, result, "var")


def std(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The square root of `var`.

    >>> import rushlight as torch
    >>> torch.std(torch.tensor([1., 2., 3., 4.]))
    tensor(1.2910)
    """
    result = _spread(_std, "std", input, dim, unbiased, correction, keepdim)
    return result if out is None else write_out(out, result, "std")


def var_mean(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False,
             *, correction: float | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The pair `(var, mean)`."""
    dims = None if isinstance(dim, bool) else dim
    spread = _spread(_var, "var_mean", input, dim, unbiased, correction, keepdim)
    return spread, mean(input, dims, keepdim)


def std_mean(input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False,
             *, correction: float | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The pair `(std, mean)`."""
    dims = None if isinstance(dim, bool) else dim
    spread = _spread(_std, "std_mean", input, dim, unbiased, correction, keepdim)
    return spread, mean(input, dims, keepdim)


@primitive(name="Logsumexp")
def _logsumexp(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return kernels(x).logsumexp(as_float(x), dims, keepdim)


@_logsumexp.derivative("x")
def _logsumexp_dx(grad: Tensor, x: Tensor, result: Tensor, dims: Any, keepdim: bool) -> Tensor:
    shape = x._array.shape
    weights = (x - _restore(result, shape, dims, keepdim)).exp().conj()
    return _restore(grad, shape, dims, keepdim) * weights


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False, *,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`log Σ exp(x)` along `dim`, without overflow.

    >>> import rushlight as torch
    >>> torch.logsumexp(torch.tensor([1000., 1000.]), dim=0)
    tensor(1000.6932)
    """
    dims = wrap_dims(dim, input._array.ndim)
    dims = tuple(range(input._array.ndim)) if dims is None else dims
    if input._array.dtype.kind == "c":
        top = amax(input.detach().real, dims, keepdim=True)
        result = sum((input - top).exp(), dims, keepdim=True).log() + top
        result = result if keepdim else result.squeeze(dims)
    else:
        result = _logsumexp(input, dims=dims, keepdim=keepdim)
    return result if out is None else write_out(out, result, "logsumexp")


# ---- norms ---------------------------------------------------------------------------------


@primitive(name="LinalgVectorNorm")
def _vector_norm(x: Array, *, p: float, dims: tuple[int, ...] | None, keepdim: bool) -> Array:
    return kernels(x).norm(x, p, dims, keepdim)


@_vector_norm.derivative("x")
def _vector_norm_dx(grad: Tensor, x: Tensor, result: Tensor, p: float, dims: Any,
                    keepdim: bool) -> Tensor:  # fmt: skip
    """`sgn(x) |x|^(p-1) / norm^(p-1)`, and 0 where the norm is 0."""
    shape = x._array.shape
    grad, norm = _restore(grad, shape, dims, keepdim), _restore(result, shape, dims, keepdim)
    if p == 0:
        return x * 0
    if p == 1:
        return grad * x.sgn()
    if p == 2:
        return grad * (x / norm).masked_fill(norm == 0, 0)
    if math.isinf(p):
        size = x.abs()
        where = size == norm
        count = where.sum() if dims is None else sum(where, dims, keepdim=True)
        return x.sgn() * where * (grad / count)
    slope = x.abs().pow(p - 1) / norm.pow(p - 1)
    return grad * x.sgn() * slope.masked_fill((norm == 0) | (x == 0), 0)


def vector_norm(x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *,
                dtype: DType | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`(Σ|x|^ord)^(1/ord)` over the elements, or along `dim` (`torch.linalg.vector_norm`)."""
    if dtype is not None:
        x = x.to(dtype)
    if x._array.dtype.kind not in "fcV":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as "
            f"input. Got {type_name(dtype_of(x._array))}"
        )
    dims = wrap_dims(dim, x._array.ndim)
    result = _vector_norm(x, p=float(ord), dims=dims, keepdim=keepdim)
    return result if out is None else write_out(out, result, "linalg.vector_norm")


def norm(input: Tensor, p: float | str | None = "fro", dim: Dims = None, keepdim: bool = False,
         out: Tensor | None = None, dtype: DType | None = None) -> Tensor:  # fmt: skip
    """The p-norm of the elements, or along `dim`; `"fro"` (default) is 2.

    >>> import rushlight as torch
    >>> torch.norm(torch.tensor([3., 4.]))
    tensor(5.)
    """
    if p == "nuc":
        from .matrix import matrix_norm

        pair = (0, 1) if dim is None else dim
        return matrix_norm(input, "nuc", pair, keepdim, dtype=dtype, out=out)
    order = 2.0 if p in ("fro", None) else float(p)
    return vector_norm(input, order, dim, keepdim, dtype=dtype, out=out)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of `input - other`."""
    return norm(input - other, p)


# ---- cumulative ----------------------------------------------------------------------------


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
    return result if out is None else write_out(out, result, "cumsum")


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
    return result if out is None else write_out(out, result, "cumprod")


class ReduceMethods:
    """Reductions as methods of `Tensor`."""

    sum = sum
    nansum = nansum
    mean = mean
    nanmean = nanmean
    prod = prod
    max = max
    min = min
    amax = amax
    amin = amin
    aminmax = aminmax
    argmax = argmax
    argmin = argmin
    any = any
    all = all
    var = var
    std = std
    logsumexp = logsumexp
    norm = norm
    dist = dist
    cumsum = cumsum
    cumprod = cumprod
    cumsum_ = in_place(cumsum)
    cumprod_ = in_place(cumprod)
    count_nonzero = count_nonzero
