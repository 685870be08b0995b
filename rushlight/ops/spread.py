"""How far numbers spread: variances, standard deviations, norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import dtype as DType
from ..types_ import Array
from .common import dtype_of, type_name, wrap_dims, write_out
from .reduce import Dims, _restore, mean, sum

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["var", "std", "var_mean", "std_mean", "norm", "vector_norm", "dist", "SpreadMethods"]


# ---- spread --------------------------------------------------------------------------------


@primitive(name="Var", kernel="var")
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
    half = (grad / (result * 2))._filled_where(result == 0, 0)
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


# ---- norms ---------------------------------------------------------------------------------


@primitive(name="LinalgVectorNorm", kernel="norm")
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
        return grad * (x / norm)._filled_where(norm == 0, 0)
    if math.isinf(p):
        size = x.abs()
        where = size == norm
        count = where.sum() if dims is None else sum(where, dims, keepdim=True)
        return x.sgn() * where * (grad / count)
    slope = x.abs().pow(p - 1) / norm.pow(p - 1)
    return grad * x.sgn() * slope._filled_where((norm == 0) | (x == 0), 0)


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


class SpreadMethods:
    """Variances and norms as methods of `Tensor`."""

    var = var
    std = std
    norm = norm
    dist = dist
