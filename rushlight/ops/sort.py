"""Order: sorting, the largest k, medians, unique values, binary search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.layout import inverse
from ..types_ import Array, Shape
from .common import TensorBase, cast, refuse, wrap_dim, write_out
from .extrema import scatter_along
from .memory_format import memory_axes

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "sort", "argsort", "msort", "topk", "kthvalue", "median", "nanmedian", "mode", "unique",
    "unique_consecutive", "searchsorted", "bucketize", "bincount", "histc", "isin", "cummax",
    "cummin", "quantile", "SortMethods",
]  # fmt: skip


@primitive(name="Sort", nondifferentiable=(1,))
def _sort(x: Array, *, dim: int, descending: bool) -> tuple[Array, Array]:
    refuse("sort", x, "c")
    if x.ndim == 0:
        return x.copy(), kernels(x).zeros((), kernels(x).xp.dtype("int64"))
    axes = memory_axes(x)
    if axes is None:
        result: tuple[Array, Array] = kernels(x).sort(x, dim, descending)
        return result
    values, indices = kernels(x).sort(x.transpose(axes), axes.index(dim), descending)
    return values.transpose(inverse(axes)), indices.transpose(inverse(axes))


@_sort.derivative("x")
def _sort_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int) -> Tensor:
    return scatter_along(grad, results[1], x_shape, dim, True)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False, *,
         out: Any = None) -> Any:  # fmt: skip
    """`(values, indices)` in order along `dim`; equal elements keep their order, NaN is largest.

    >>> import rushlight as torch
    >>> torch.sort(torch.tensor([3., 1., 2.])).indices
    tensor([1, 2, 0])
    """
    d = wrap_dim(dim, input._array.ndim)
    result = return_types.sort(*_sort(input, dim=d, descending=bool(descending)))
    return result if out is None else write_out(out, result, "sort", input)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort `input` along `dim`."""
    return sort(input, dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """`input` sorted along its first dim."""
    return sort(input, 0).values


@primitive(name="Topk", nondifferentiable=(1,))
def _topk(x: Array, *, k: int, dim: int, largest: bool) -> tuple[Array, Array]:
    refuse("topk", x, "bc")
    if x.ndim == 0:
        return x.copy(), kernels(x).zeros((), kernels(x).xp.dtype("int64"))
    result: tuple[Array, Array] = kernels(x).topk(x, k, dim, largest)
    return result


@_topk.derivative("x")
def _topk_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int) -> Tensor:
    return scatter_along(grad, results[1], x_shape, dim, True)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *,
         out: Any = None) -> Any:  # fmt: skip
    """The `k` largest (or smallest) elements along `dim`, in order: `(values, indices)`.

    >>> import rushlight as torch
    >>> torch.topk(torch.tensor([1., 3., 2.]), 2).values
    tensor([3., 2.])
    """
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    result = return_types.topk(*_topk(input, k=k, dim=d, largest=largest))
    return result if out is None else write_out(out, result, "topk", input)


@primitive(name="Kthvalue", nondifferentiable=(1,))
def _kth(x: Array, *, k: int, dim: int, keepdim: bool) -> tuple[Array, Array]:
    refuse("kthvalue", x, "bc")
    if x.ndim == 0:
        return x.copy(), kernels(x).zeros((), kernels(x).xp.dtype("int64"))
    values, indices = kernels(x).sort(x, dim, False)
    place = (slice(None),) * dim + ((slice(k, k + 1) if keepdim else k), ...)
    return kernels(x).copy(values[place]), kernels(x).copy(indices[place])


@_kth.derivative("x")
def _kth_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int, keepdim: bool) -> Tensor:
    return scatter_along(grad, results[1], x_shape, dim, keepdim)


def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """The `k`-th smallest element along `dim` (counting from 1): `(values, indices)`."""
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    result = return_types.kthvalue(*_kth(input, k=k - 1, dim=d, keepdim=keepdim))
    return result if out is None else write_out(out, result, "kthvalue")


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of all elements, or along `dim` as `(values, indices)`; NaN if one is.

    >>> import rushlight as torch
    >>> torch.median(torch.tensor([1., 3., 2.]))
    tensor(2.)
    """
    return _median(input, dim, keepdim, ignore_nan=False)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of the elements that are not NaN."""
    return _median(input, dim, keepdim, ignore_nan=True)


@primitive(name="Median", nondifferentiable=(1,))
def _median_dim(x: Array, *, dim: int, keepdim: bool, ignore_nan: bool) -> tuple[Array, Array]:
    refuse("median", x, "bc")
    k = kernels(x)
    if x.ndim == 0:
        return x.copy(), k.zeros((), k.xp.dtype("int64"))
    size = x.shape[dim]
    order = k.sort(x, dim, False)[1]
    if x.dtype.kind in "fV":
        missing = k.sum(k.cast(k.isnan(x), k.xp.dtype("int64")), (dim,), True)
    else:
        lines = [1 if i == dim else n for i, n in enumerate(x.shape)]
        missing = k.zeros(lines, k.xp.dtype("int64"))
    middle = (size - 1 - missing) // 2
    if not ignore_nan:  # the first NaN, if there is one
        middle = k.where(missing > 0, size - missing, middle)
    middle = k.clamp(middle, 0, size - 1)
    indices = k.take_along_axis(order, middle, dim)
    values = k.take_along_axis(x, indices, dim)
    if keepdim:
        return values, indices
    shape = x.shape[:dim] + x.shape[dim + 1 :]
    return values.reshape(shape), indices.reshape(shape)


@_median_dim.derivative("x")
def _median_dim_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int, keepdim: bool) -> Tensor:
    return scatter_along(grad, results[1], x_shape, dim, keepdim)


def _median(input: Any, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    if dim is None:
        if not input._array.size:
            return input.new_full((), float("nan"))
        return _median_dim(input.reshape(-1), dim=0, keepdim=False, ignore_nan=ignore_nan)[0]
    d = wrap_dim(dim, input._array.ndim)
    pair = _median_dim(input, dim=d, keepdim=keepdim, ignore_nan=ignore_nan)
    kind = return_types.nanmedian if ignore_nan else return_types.median
    return kind(*pair)


@primitive(name="Mode", nondifferentiable=(1,))
def _mode(x: Array, *, dim: int, keepdim: bool) -> tuple[Array, Array]:
    """The longest run in sorted order; the smallest value wins a tie, its last index is given."""
    refuse("mode", x, "c")
    k = kernels(x)
    if x.ndim == 0:
        return x.copy(), k.zeros((), k.xp.dtype("int64"))
    xp = k.xp
    values, order = k.sort(x, dim, False)
    moved, places = xp.moveaxis(values, dim, -1), xp.moveaxis(order, dim, -1)
    size = moved.shape[-1]
    rows = moved.reshape(-1, size)
    best = [_longest_run_end(row.tolist()) for row in rows]
    at = xp.asarray(best, xp.int64).reshape((*moved.shape[:-1], 1))
    found = [xp.moveaxis(xp.take_along_axis(a, at, -1), -1, dim) for a in (moved, places)]
    if keepdim:
        return k.copy(found[0]), k.copy(found[1])
    shape = x.shape[:dim] + x.shape[dim + 1 :]
    return k.copy(found[0]).reshape(shape), k.copy(found[1]).reshape(shape)


def _longest_run_end(row: list[Any]) -> int:
    best, best_end, start = 0, 0, 0
    for i in range(1, len(row) + 1):
        if i == len(row) or row[i] != row[start]:
            if i - start > best:
                best, best_end = i - start, i - 1
            start = i
    return best_end


@_mode.derivative("x")
def _mode_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int, keepdim: bool) -> Tensor:
    return scatter_along(grad, results[1], x_shape, dim, keepdim)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along `dim` (the smallest of several): `(values, indices)`."""
    d = wrap_dim(dim, input._array.ndim)
    return return_types.mode(*_mode(input, dim=d, keepdim=keepdim))


@primitive(name="Cummax", nondifferentiable=(1,))
def _cumulative_extremum(x: Array, *, dim: int, largest: bool) -> tuple[Array, Array]:
    refuse("cummax" if largest else "cummin", x, "c")
    k = kernels(x)
    xp = k.xp
    if x.ndim == 0:
        return x.copy(), k.zeros((), xp.dtype("int64"))
    lines = xp.moveaxis(x, dim, 0)
    values, indices = xp.empty_like(lines), xp.empty(lines.shape, xp.int64)
    for i in range(lines.shape[0]):
        if i == 0:
            values[0], indices[0] = lines[0], 0
            continue
        beats = lines[i] >= values[i - 1] if largest else lines[i] <= values[i - 1]
        beats = beats | (lines[i] != lines[i])
        beats = beats & ~((values[i - 1] != values[i - 1]) & (lines[i] == lines[i]))
        values[i] = xp.where(beats, lines[i], values[i - 1])
        indices[i] = xp.where(beats, i, indices[i - 1])
    return k.copy(xp.moveaxis(values, 0, dim)), k.copy(xp.moveaxis(indices, 0, dim))


@_cumulative_extremum.derivative("x")
def _cumulative_extremum_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int) -> Tensor:
    if not x_shape:
        return grad
    return grad.new_zeros(x_shape).scatter_add(dim, results[1], grad)


def cummax(input: Tensor, dim: int) -> Any:
    """The largest element so far along `dim`: `(values, indices)`."""
    d = wrap_dim(dim, input._array.ndim)
    return return_types.cummax(*_cumulative_extremum(input, dim=d, largest=True))


def cummin(input: Tensor, dim: int) -> Any:
    """The smallest element so far along `dim`: `(values, indices)`."""
    d = wrap_dim(dim, input._array.ndim)
    return return_types.cummin(*_cumulative_extremum(input, dim=d, largest=False))


def quantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> Tensor:  # fmt: skip
    """The `q`-quantiles (0 … 1) along `dim`, interpolated between neighbours."""
    modes = ("linear", "lower", "higher", "midpoint", "nearest")
    if interpolation not in modes:
        raise RuntimeError(
            f"quantile() interpolation must be one of {', '.join(modes)}, but got {interpolation}"
        )
    levels = q if isinstance(q, TensorBase) else input.new_tensor(q)
    if bool(((levels < 0) | (levels > 1)).any()):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    x = input.reshape(-1) if dim is None else input
    d = 0 if dim is None else wrap_dim(dim, x._array.ndim)
    ordered = sort(x, d).values.movedim(d, -1)
    size = ordered._array.shape[-1]
    rank = levels.reshape(-1).double() * (size - 1)
    low, high = rank.floor().long(), rank.ceil().long()
    if interpolation == "nearest":
        low = high = rank.round().long()
    a, b = ordered.index_select(-1, low), ordered.index_select(-1, high)
    weight = {"lower": rank * 0, "higher": rank * 0 + 1, "midpoint": rank * 0 + 0.5}.get(
        interpolation, rank - rank.floor()
    )
    result = a + (b - a) * weight.to(input.dtype)
    result = result.movedim(-1, 0)  # (levels, other dims)
    if keepdim:
        result = result.unsqueeze(d + 1) if dim is not None else result.reshape(
            -1, *[1] * input._array.ndim)  # fmt: skip
    return result.squeeze(0) if levels._array.ndim == 0 else result


# ---- sets ----------------------------------------------------------------------------------


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False,
           return_counts: bool = False, dim: int | None = None) -> Any:  # fmt: skip
    """The distinct elements in order (or distinct slices of `dim`), with inverse and counts.

    >>> import rushlight as torch
    >>> torch.unique(torch.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    refuse("unique", input._array, "c")
    k = kernels(input._array)
    if dim is None:
        values, inverse, counts = k.unique(input._array)
    else:
        d = wrap_dim(dim, input._array.ndim)
        rows, inverse, counts = k.unique_rows(k.xp.moveaxis(input._array, d, 0))
        values = k.copy(k.xp.moveaxis(rows, 0, d))
    return _chosen(values, inverse, counts, return_inverse, return_counts)


def _chosen(values: Any, inverse: Any, counts: Any, want_inverse: bool, want_counts: bool) -> Any:
    found = [wrap(values)]
    found += [wrap(inverse)] if want_inverse else []
    found += [wrap(counts)] if want_counts else []
    return found[0] if len(found) == 1 else tuple(found)


def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any:  # fmt: skip
    """The elements without those that equal their predecessor."""
    k = kernels(input._array)
    xp = k.xp
    x = input._array.reshape(-1) if dim is None else xp.moveaxis(input._array, dim, 0)
    size = x.shape[0]
    differs = x[1:] != x[:-1]
    if x.ndim > 1:
        differs = differs.reshape(max(size - 1, 0), -1).any(1)
    first = xp.concatenate([xp.ones(min(size, 1), bool), differs])
    starts = xp.nonzero(first)[0]
    inverse = xp.cumsum(first) - 1
    counts = xp.diff(xp.concatenate([starts, xp.asarray([size])]))
    values = x[starts]
    if dim is None:
        inverse = inverse.reshape(input._array.shape)
    else:
        values = k.copy(xp.moveaxis(values, 0, dim))
    return _chosen(values, inverse.astype("int64"), counts.astype("int64"), return_inverse,
                   return_counts)  # fmt: skip


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False,
         invert: bool = False, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Which `elements` are among `test_elements`."""
    from .from_data import as_tensor

    a, b = as_tensor(elements)._array, as_tensor(test_elements)._array
    result = wrap(kernels(a).xp.asarray(kernels(a).xp.isin(a, b, invert=invert)))
    return result if out is None else write_out(out, result, "isin")


def searchsorted(sorted_sequence: Tensor, values: Any, *, out_int32: bool = False,
                 right: bool = False, side: str | None = None, sorter: Tensor | None = None,
                 out: Tensor | None = None) -> Tensor:  # fmt: skip
    """Where `values` belong in a sorted sequence: before equal ones, or after if `right`.

    >>> import rushlight as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 4]))
    tensor([1, 2])
    """
    from ..dtypes import int32
    from .from_data import as_tensor

    if sorter is not None:
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    wanted = as_tensor(values)
    k = kernels(sorted_sequence._array)
    after = right or side == "right"
    found = k.searchsorted(sorted_sequence._array, wanted._array, after)
    result = wrap(cast(found, int32) if out_int32 else found)
    return result if out is None else write_out(out, result, "searchsorted")


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False,
              right: bool = False, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The number of the bucket between sorted `boundaries` that each element falls into."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative integer occurs (or the sum of its weights)."""
    x = input._array
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and int(x.min()) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    k = kernels(x)
    result = k.bincount(x, None if weights is None else weights._array, minlength)
    if weights is not None and weights._array.dtype == "float32":
        result = result.astype("float32")
    return wrap(result)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """Counts of the elements in `bins` equal bins from `min` to `max` (or the data's limits)."""
    x = input._array
    refuse("histc", x, "biuc")
    xp = kernels(x).xp
    low, high = float(min), float(max)
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1, high + 1
    return wrap(xp.histogram(x, bins, (low, high))[0].astype(x.dtype))


class SortMethods:
    """Order as methods of `Tensor`."""

    sort = sort
    argsort = argsort
    msort = msort
    topk = topk
    kthvalue = kthvalue
    median = median
    nanmedian = nanmedian
    mode = mode
    cummax = cummax
    cummin = cummin
    quantile = quantile
    unique = unique
    unique_consecutive = unique_consecutive
    bincount = bincount
    histc = histc
