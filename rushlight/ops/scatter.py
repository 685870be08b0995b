"""Reductions into indexed places: `scatter_reduce` and `index_reduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .choose import where
from .common import check_apart, in_place, wrap_dim, write_out
from .gather import _as_int64, _check_index, _check_range, _check_ranks, gather, scatter_add

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["scatter_reduce", "index_reduce", "ScatterMethods"]

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


@primitive(name="ScatterReduce")
def _scatter_product(x: Array, indices: Array, source: Array, *, dim: int, reduce: str) -> Array:
    k = kernels(x)
    result = k.copy(x)
    if not indices.size:
        return result
    used = source[tuple(slice(n) for n in indices.shape)]
    target = result.reshape(-1) if x.ndim == 0 else result
    k.reduce_along_axis(target, indices.reshape(-1) if indices.ndim == 0 else indices,
                        used.reshape(-1) if used.ndim == 0 else used, dim, reduce)  # fmt: skip
    return result


@_scatter_product.derivative("x", "source")
def _scatter_product_grads(grad: Tensor, x: Tensor, indices: Tensor, source: Tensor,
                           result: Tensor, dim: int, reduce: str,
                           needs: tuple[bool, ...]) -> Any:  # fmt: skip
    if reduce in ("amax", "amin"):
        return _extremum_grads(grad, x, indices, source, result, dim)
    return _product_grads(grad, x, indices, source, result, dim)


def _extremum_grads(grad: Tensor, x: Tensor, indices: Tensor, source: Tensor, result: Tensor,
                    dim: int) -> Any:  # fmt: skip
    """All that attain the extremum of a place share its gradient evenly."""
    used = _corner(source, indices)
    from_x = (x == result).to(grad.dtype)
    from_source = (used == gather(result, dim, indices)).to(grad.dtype)
    count = scatter_add(from_x, dim, indices, from_source)
    share = grad / count
    return [share * from_x, _uncut(gather(share, dim, indices) * from_source, source)]


def _product_grads(grad: Tensor, x: Tensor, indices: Tensor, source: Tensor, result: Tensor,
                   dim: int) -> Any:  # fmt: skip
    """`grad · (product of the others)`: by division, and where one factor is 0, without it."""
    used = _corner(source, indices)
    masked_x = x.masked_fill(x == 0, 1)
    dx = grad * _scatter_product(masked_x, indices, used, dim=dim, reduce="prod") / masked_x
    zeros = scatter_add((x == 0).to(grad.dtype) * 0, dim, indices, (used == 0).to(grad.dtype))
    one_zero = (used == 0) & (gather(zeros, dim, indices) == 1)
    rest = where(one_zero, 1.0, used)
    others = gather(_scatter_product(x, indices, rest, dim=dim, reduce="prod"), dim, indices)
    plain = gather(grad * result, dim, indices) / used.masked_fill(used == 0, 1)
    dsource = where(one_zero, gather(grad, dim, indices) * others, plain)
    return [dx, _uncut(dsource, source)]


def _corner(source: Tensor, indices: Tensor) -> Tensor:
    """The part of the source that the indices use."""
    shape = indices._array.shape
    if source._array.shape == shape or not shape:
        return source
    return source[tuple(slice(n) for n in shape)]


def _uncut(grad: Tensor, source: Tensor) -> Tensor:
    from .gather import _fit

    return _fit(grad, source._array.shape)


def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *,
                   include_self: bool = True, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with the elements of `src` reduced into the places that `index` names.

    `reduce` is `"sum"`, `"prod"`, `"mean"`, `"amax"` or `"amin"`; with `include_self=False` the
    old elements of written places do not take part.

    >>> import rushlight as torch
    >>> x, i = torch.tensor([1., 2.]), torch.tensor([0, 0])
    >>> torch.scatter_reduce(x, 0, i, torch.tensor([3., 4.]), "amax")
    tensor([4., 2.])
    """
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    _check_index("scatter_reduce", index)
    d = wrap_dim(dim, input._array.ndim)
    _check_ranks(input, index, src)
    size = input._array.shape[d] if input._array.ndim else 1
    _check_range("scatter_reduce", index._array, size, d)
    if src._array.dtype != input._array.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    result = _reduced(input, d, _as_int64(index), src, reduce, include_self)
    return result if out is None else write_out(out, result, "scatter_reduce")


def _reduced(x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str,
             include_self: bool) -> Tensor:  # fmt: skip
    start = x
    if not include_self:
        start = x.scatter(dim, index, _neutral(x, reduce))
    if reduce in ("sum", "mean"):
        total = scatter_add(start, dim, index, src)
        if reduce == "sum":
            return total
        ones = x.new_ones(x._array.shape)
        if not include_self:
            ones = ones.scatter(dim, index, 0)
        count = scatter_add(ones, dim, index, src.new_ones(src._array.shape)).clamp(min=1)
        if x._array.dtype.kind in "fVc":
            return total / count
        return total.div(count, rounding_mode="floor")
    return _scatter_product(start, index, src, dim=dim, reduce=reduce)


def _neutral(x: Tensor, reduce: str) -> Any:
    """What does not change a reduction."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    kind = x._array.dtype.kind
    if kind in "fV":
        return float("-inf") if reduce == "amax" else float("inf")
    if kind == "b":
        return reduce == "amin"
    from ..dtypes import iinfo

    limits = iinfo(x.dtype)
    return limits.min if reduce == "amax" else limits.max


def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
                 include_self: bool = True, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with the parts of `source` reduced into the parts that `index` names.

    `reduce` is `"prod"`, `"mean"`, `"amax"` or `"amin"`.

    >>> import rushlight as torch
    >>> x, i = torch.ones(2, 2), torch.tensor([0, 0])
    >>> torch.index_reduce(x, 0, i, torch.tensor([[2., 3.], [4., 5.]]), "prod")
    tensor([[ 8., 15.],
            [ 1.,  1.]])
    """
    if reduce not in _REDUCTIONS[1:]:
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin "
            f"but got {reduce}."
        )
    from .index_select import _check_parts

    d = wrap_dim(dim, input._array.ndim)
    _check_parts("index_reduce", input, index, source, d)
    shape = [1] * max(source._array.ndim, 1)
    shape[d] = index._array.size
    where_to = index.reshape(shape).expand(source._array.shape or (1,))
    if not source._array.ndim:
        where_to = where_to.reshape(())
    result = scatter_reduce(input, d, where_to, source, reduce, include_self=include_self)
    return result if out is None else write_out(out, result, "index_reduce")


class ScatterMethods:
    """Reductions into indexed places as methods of `Tensor`."""

    scatter_reduce = scatter_reduce
    index_reduce = index_reduce
    scatter_reduce_ = in_place(scatter_reduce, check=check_apart)
    index_reduce_ = in_place(index_reduce, check=check_apart)
