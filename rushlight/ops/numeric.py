"""Numerical recipes composed of other operations: differences, integrals, statistics, products."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import TensorBase, check_tensor, in_place, wrap_dim, write_out
from .expand import broadcast_shapes
from .parts import cat, stack, tensor_split
from .rearrange import diagonal
from .spread import norm

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "combinations", "corrcoef", "cov", "cross", "cumulative_trapezoid", "diff", "dsplit", "fill",
    "gradient", "hsplit", "logcumsumexp", "renorm", "trace", "trapezoid", "trapz", "unravel_index",
    "vander", "vsplit", "NumericMethods",
]  # fmt: skip


# ---- differences and integrals -------------------------------------------------------------


def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
         append: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The `n`-th differences `x[i + 1] - x[i]` along `dim`; of bools, whether they differ.

    >>> import rushlight as torch
    >>> torch.diff(torch.tensor([1, 3, 2]))
    tensor([ 2, -1])
    """
    if input._array.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, input._array.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    result = cat(parts, d) if len(parts) > 1 else input
    for _ in range(min(n, result._array.shape[d])):
        size = result._array.shape[d]
        high, low = result.narrow(d, 1, size - 1), result.narrow(d, 0, size - 1)
        result = high.logical_xor(low) if result._array.dtype.kind == "b" else high - low
    if n == 0:
        result = result.clone()
    return result if out is None else write_out(out, result, "diff")


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by the trapezoid rule, over points `x` or steps `dx` (1).

    >>> import rushlight as torch
    >>> torch.trapezoid(torch.tensor([1., 5., 10.]))
    tensor(10.5000)
    """
    areas, d = _trapezoids("trapezoid", y, x, dx, dim)
    return areas.sum(d)


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None,
                         dim: int = -1) -> Tensor:  # fmt: skip
    """The running integral of `y` by the trapezoid rule, one element shorter than `y`.

    >>> import rushlight as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1., 5., 10.]))
    tensor([ 3.0000, 10.5000])
    """
    areas, d = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(d)


def _trapezoids(op: str, y: Tensor, x: Tensor | None, dx: Any, dim: int) -> tuple[Any, int]:
    """The area between each two neighbours along `dim`, and that dim."""
    if x is not None and dx is not None:
        raise TypeError(f"{op}() received both x and dx; give one of them")
    d = wrap_dim(dim, y._array.ndim)
    size = y._array.shape[d]
    count = max(size - 1, 0)
    heights = (y.narrow(d, size - count, count) + y.narrow(d, 0, count)) / 2
    if x is None:
        return heights * (1 if dx is None else dx), d
    if x._array.ndim == 1:
        if x._array.shape[0] != size:
            raise RuntimeError(
                f"{op}: There must be one `x` value for each sample point; got "
                f"{x._array.shape[0]} for {size}"
            )
        steps = diff(x).reshape([-1 if i == d else 1 for i in range(y._array.ndim)])
    else:
        steps = diff(x, dim=d - y._array.ndim)
    return heights * steps, d


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None,
             edge_order: int = 1) -> tuple[Tensor, ...]:  # fmt: skip
    """The slope along each of `dim`, by central differences inside and one-sided ones at the ends.

    `spacing` is the distance between points: a number, one number per dim, or tensors of points.

    >>> import rushlight as torch
    >>> torch.gradient(torch.tensor([1., 4., 9., 16.]))
    (tensor([3., 4., 6., 7.]),)
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    ndim = input._array.ndim
    dims = range(ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [wrap_dim(d, ndim) for d in dims]
    each = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(each) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a "
            f"list with one entry per dim ({len(dims)}), but got {len(each)}"
        )
    for d in dims:
        if input._array.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    return tuple(_slopes(input, d, h, edge_order) for d, h in zip(dims, each))


def _slopes(x: Tensor, d: int, spacing: Any, edge_order: int) -> Tensor:
    size = x._array.shape[d]
    rises = diff(x, dim=d)
    if isinstance(spacing, TensorBase):
        steps = diff(spacing).reshape([-1 if i == d else 1 for i in range(x._array.ndim)])
    else:
        steps = x.new_full([size - 1 if i == d else 1 for i in range(x._array.ndim)], spacing)
    slopes = rises / steps
    left, right = slopes.narrow(d, 0, size - 2), slopes.narrow(d, 1, size - 2)
    a, b = steps.narrow(d, 0, size - 2), steps.narrow(d, 1, size - 2)
    inner = (left * b + right * a) / (a + b)
    first, last = slopes.narrow(d, 0, 1), slopes.narrow(d, size - 2, 1)
    if edge_order == 2:
        bend = (right - left) / (a + b)
        first = first - bend.narrow(d, 0, 1) * steps.narrow(d, 0, 1)
        last = last + bend.narrow(d, size - 3, 1) * steps.narrow(d, size - 2, 1)
    return cat([first, inner, last], d)


# ---- running log-sum-exp -------------------------------------------------------------------


@primitive(name="Logcumsumexp")
def _logcumsumexp(x: Array, *, dim: int) -> Array:
    k = kernels(x)
    if not x.ndim:
        return k.copy(x)
    with k.quiet():
        return k.finish(k.xp.logaddexp.accumulate(k.widen(x), dim), x.dtype)


@_logcumsumexp.derivative("x")
def _logcumsumexp_dx(grad: Tensor, x: Tensor, result: Tensor, dim: int) -> Tensor:
    """`Σ_j≥i grad_j exp(x_i - result_j)`, positive and negative gradients apart, in logarithms."""
    if not x._array.ndim:
        return grad

    # nothing but -inf so far: no element has a part in the sum, whatever is subtracted
    total = result.masked_fill(result == -math.inf, 0.0)

    def part(sign: float) -> Tensor:
        signed = grad * sign
        size = signed.masked_fill(signed <= 0, 1.0).log().masked_fill(signed <= 0, -math.inf)
        return (logcumsumexp((size - total).flip(dim), dim).flip(dim) + x).exp()

    return part(1.0) - part(-1.0)


def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the running sums of `exp(input)` along `dim`.

    >>> import rushlight as torch
    >>> torch.logcumsumexp(torch.tensor([1000., 1000.]), 0)
    tensor([1000.0000, 1000.6932])
    """
    if input._array.dtype.kind not in "fV":
        raise RuntimeError(
            f"[logcumsumexp] not implemented for {input.dtype}; convert with .float()"
        )
    result = _logcumsumexp(input, dim=wrap_dim(dim, input._array.ndim))
    return result if out is None else write_out(out, result, "logcumsumexp", input)


# ---- vectors and matrices ------------------------------------------------------------------


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    >>> import rushlight as torch
    >>> torch.trace(torch.tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    if input._array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    return diagonal(input).sum()


def cross(input: Tensor, other: Tensor, dim: int | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The cross product of vectors of size 3 along `dim` (by default the first dim of size 3).

    >>> import rushlight as torch
    >>> torch.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if input._array.ndim != other._array.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    shape = broadcast_shapes(input._array.shape, other._array.shape)
    if dim is None:
        if 3 not in shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = shape.index(3)
    d = wrap_dim(dim, len(shape))
    if input._array.shape[d] != 3 or other._array.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{input._array.shape[d]} and {other._array.shape[d]}"
        )
    a, b = input.expand(shape), other.expand(shape)
    first, second = a.roll(-1, d), a.roll(-2, d)
    result = (first * b.roll(-2, d) - second * b.roll(-1, d)).contiguous()
    return result if out is None else write_out(out, result, "cross")


def renorm(input: Tensor, p: float, dim: int, maxnorm: float, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The parts along `dim` with a p-norm above `maxnorm` shrunk to it.

    >>> import rushlight as torch
    >>> torch.renorm(torch.tensor([[3., 4.], [0., 1.]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if input._array.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input._array.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = wrap_dim(dim, input._array.ndim)
    others = [i for i in range(input._array.ndim) if i != d]
    size = norm(input, p, others, keepdim=True)
    shrink = (maxnorm / (size + 1e-7)).masked_fill(size <= maxnorm, 1.0)
    result = (input * shrink).contiguous()
    return result if out is None else write_out(out, result, "renorm")


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix of powers of the elements of a vector, highest first unless `increasing`.

    >>> import rushlight as torch
    >>> torch.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x._array.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x._array.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    powers = range(count) if increasing else range(count - 1, -1, -1)
    dtype = x.dtype if x._array.dtype.kind in "fVc" else dtypes.int64
    if not count:
        return x.new_empty((x._array.shape[0], 0), dtype=dtype)
    values = x.to(dtype)
    return stack([values.pow(i) for i in powers], 1)


# ---- statistics ----------------------------------------------------------------------------


def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
        aweights: Tensor | None = None) -> Tensor:  # fmt: skip
    """The covariance matrix of variables (rows) observed together (columns).

    `fweights` counts repetitions of the columns, `aweights` gives their importance.

    >>> import rushlight as torch
    >>> torch.cov(torch.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input._array.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an "
            f"input with {input._array.ndim} dimensions"
        )
    if input._array.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if input._array.ndim == 2 else input.reshape(1, -1)
    if x._array.dtype.kind in "iu":
        x = x.to(dtypes.get_default_dtype())
    weight = fweights
    if aweights is not None:
        weight = aweights if fweights is None else fweights * aweights
    count = x._array.shape[1]
    total: Any = count if weight is None else weight.sum()
    mean = x.mean(1, keepdim=True) if weight is None else (x * weight).sum(1, keepdim=True) / total
    if weight is None or aweights is None or correction == 0:
        freedom = total - correction
    else:
        freedom = total - correction * (weight * aweights).sum() / total
    centered = x - mean
    freedom = max(freedom, 0) if not isinstance(freedom, TensorBase) else freedom.clamp(min=0)
    scaled = centered if weight is None else centered * weight
    result = scaled @ centered.t().conj() / freedom
    return result if input._array.ndim == 2 and input._array.shape[0] != 1 else result.squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """The matrix of Pearson's correlation coefficients of variables (rows).

    >>> import rushlight as torch
    >>> torch.corrcoef(torch.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c._array.ndim == 0:
        return c / c
    deviation = diagonal(c).real.sqrt()
    result = c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    return result if result._array.dtype.kind == "c" else result.clamp(-1, 1)


# ---- parts and numbers of elements ---------------------------------------------------------


def _split_along(op: str, input: Tensor, sections: Any, dim: int, least: int) -> Any:
    if input._array.ndim < least:
        raise RuntimeError(
            f"torch.{op} requires a tensor with at least {least} dimension, but got "
            f"a tensor with {input._array.ndim} dimensions!"
        )
    size = input._array.shape[dim]
    if isinstance(sections, int) and (sections == 0 or size % sections):
        raise RuntimeError(
            f"torch.{op} attempted to split along dimension {dim}, but the size of "
            f"the dimension {size} is not divisible by the split_size {sections}!"
        )
    return tensor_split(input, sections, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts, or parts between indices, along dim 1 (dim 0 of a vector); views."""
    dim = 0 if input._array.ndim == 1 else 1
    return _split_along("hsplit", input, indices_or_sections, dim, 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts, or parts between indices, along dim 0; views."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts, or parts between indices, along dim 2; views."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of the given shape, of positions in the flattened one.

    >>> import rushlight as torch
    >>> torch.unravel_index(torch.tensor([4, 1]), (3, 2))
    (tensor([2, 0]), tensor([0, 1]))
    """
    if indices._array.dtype.kind not in "iu":
        raise ValueError(
            f"unravel_index(): expected indices to be an integer dtype, got {indices.dtype}"
        )
    sizes = [shape] if isinstance(shape, int) else [int(s) for s in shape]
    coordinates, rest = [], indices
    for size in reversed(sizes):
        coordinates.append(rest % size)
        rest = rest.div(size, rounding_mode="floor")
    return tuple(reversed(coordinates))


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of `r` elements of a vector, one a row.

    >>> import rushlight as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input._array.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._array.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._array.shape[0]), r))
    if not rows or not r:
        return input.new_empty((0,) if not r else (0, r))
    picked = input.new_tensor(rows, dtype=dtypes.int64)
    return input[picked]


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` in which every element is `value` (a number or 0-dim tensor).

    >>> import rushlight as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    check_tensor(input, "fill")
    return input.clone().fill_(value)


class NumericMethods:
    """Numerical recipes as methods of `Tensor`."""

    diff = diff
    trace = trace
    cross = cross
    renorm = renorm
    cov = cov
    corrcoef = corrcoef
    logcumsumexp = logcumsumexp
    hsplit = hsplit
    vsplit = vsplit
    dsplit = dsplit
    renorm_ = in_place(renorm)
