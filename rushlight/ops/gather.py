"""Elements along one dim by number: `gather`, `scatter`, `scatter_add`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.arrays import is_array
from ..types_ import Array, Number, Shape
from .common import TensorBase, cast, check_apart, in_place, wrap_dim, write_out, write_over
from .expand import broadcast_shapes, expand
from .index import _INT64

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["gather", "scatter", "scatter_add", "take_along_dim", "GatherMethods"]


def _check_index(op: str, index: Tensor) -> None:
    if index._array.dtype is _INT64 or not index._array.size:
        return
    if index._array.dtype.kind not in "iu" or index._array.dtype.itemsize < 4:
        raise RuntimeError(f"{op}(): Expected dtype int64 for index")


@primitive(name="Gather")
def _gather(x: Array, indices: Array, *, dim: int, checked: bool = False) -> Array:
    k = kernels(x)
    if not indices.size:
        return k.empty(indices.shape, x.dtype)
    if x.ndim == 0 or indices.ndim == 0:
        return k.take_along_axis(x.reshape(-1), indices.reshape(-1), 0).reshape(indices.shape)
    return k.take_along_axis(x, indices, dim, checked)


@_gather.derivative("x")
def _gather_dx(grad: Tensor, x_shape: Shape, indices: Tensor, dim: int) -> Tensor:
    return scatter_add(grad.new_zeros(x_shape), dim, indices, grad)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`out[i][j] = input[index[i][j]][j]` for dim 0, and likewise for others.

    >>> import rushlight as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    _check_index("gather", index)
    d = wrap_dim(dim, input._array.ndim)
    x, i = input._array, index._array
    _check_same_rank("gather", "index", x, i, d)
    _check_range("gather", i, x.shape[d] if x.ndim else 1, d)
    if out is not None:
        check_apart(out, (input, index), "gather")
    index = _as_int64(index)
    result = _gather(input, index, dim=d, checked=True)
    return result if out is None else write_out(out, result, "gather", exact=True)


def _as_int64(index: Tensor) -> Tensor:
    return index if index._array.dtype is _INT64 else wrap(cast(index._array, dtypes.int64))


def _check_same_rank(op: str, what: str, x: Array, i: Array, dim: int) -> None:
    if x.shape == i.shape:
        return
    if max(x.ndim, 1) != max(i.ndim, 1) and i.size:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for d in range(min(x.ndim, i.ndim)):
        if d != dim and i.shape[d] > x.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected {what} {list(i.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {dim}"
            )


def _check_range(op: str, i: Array, size: int, dim: int) -> None:
    if not kernels(i).within(i, 0, size):
        low, high = int(i.min()), int(i.max())
        bad = low if low < 0 else high
        raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


@primitive(name="Scatter")
def _scatter(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    return _scatter_into(x, indices, source, dim, False, out)


def _scatter_into(x: Array, indices: Array, source: Any, dim: int, add: bool,
                  out: Array | None) -> Array:  # fmt: skip
    """Writes or adds `source` into a copy of `x`, or into `out`, which is `x` itself.

    The indices have been checked when they were first used.
    """
    k = kernels(x)
    result = k.copy(x) if out is None else out
    if indices.size == 0:
        return result
    if is_array(source) and source.shape != indices.shape:
        source = source[tuple([slice(n) for n in indices.shape])]
    target = result.reshape(-1) if x.ndim == 0 else result
    where = indices.reshape(-1) if indices.ndim == 0 else indices
    write = k.add_along_axis if add else k.put_along_axis
    write(target, where, source, dim, out is not None)
    return result


@_scatter.derivative("x")
def _scatter_dx(grad: Tensor, indices: Tensor, dim: int) -> Tensor:
    return _scatter_fill(grad, indices, dim=dim, value=0)


@_scatter.derivative("source")
def _scatter_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _fit(_gather(grad, indices, dim=dim), source_shape)


def _fit(grad: Tensor, shape: Shape) -> Tensor:
    """`grad` of the used corner of a larger source, zero elsewhere."""
    if grad._array.shape == tuple(shape):
        return grad
    full = grad.new_zeros(shape)
    full[tuple(slice(n) for n in grad._array.shape)] = grad
    return full


@primitive(name="Scatter", suffix="Backward1")
def _scatter_fill(x: Array, indices: Array, *, dim: int, value: Number,
                  out: Array = None) -> Array:  # fmt: skip
    return _scatter_into(x, indices, value, dim, False, out)


@_scatter_fill.derivative("x")
def _scatter_fill_dx(grad: Tensor, indices: Tensor, dim: int) -> Tensor:
    return _scatter_fill(grad, indices, dim=dim, value=0)


@primitive(name="ScatterAdd")
def _scatter_add(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    return _scatter_into(x, indices, source, dim, True, out)


@_scatter_add.derivative("x")
def _scatter_add_dx(grad: Tensor) -> Tensor:
    return grad


@_scatter_add.derivative("source")
def _scatter_add_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _fit(_gather(grad, indices, dim=dim), source_shape)


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
            reduce: str | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `src` (a tensor or number) at `index` along `dim`.

    >>> import rushlight as torch
    >>> torch.scatter(torch.zeros(3), 0, torch.tensor([2]), 1.)
    tensor([0., 0., 1.])
    """
    src = value if src is None else src
    d, index = _scatter_place("scatter", input, dim, index, src)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if not isinstance(src, TensorBase):
            src = expand(input.new_tensor(src), index._array.shape)
        if reduce == "add":
            result = _scatter_add(input, index, src, dim=d)
        else:
            from .scatter import scatter_reduce

            result = scatter_reduce(input, d, index, src, "prod")
        return result if out is None else write_out(out, result, "scatter")
    if isinstance(src, TensorBase):
        _check_same_dtype("scatter", input, src)
        result = _scatter(input, index, src, dim=d)
    else:
        result = _scatter_fill(input, index, dim=d, value=src)
    return result if out is None else write_out(out, result, "scatter")


def _scatter_(self: Any, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
              reduce: str | None = None) -> Any:  # fmt: skip
    """In-place version of :func:`scatter`."""
    if reduce is not None:
        return _scatter_and_reduce_(self, dim, index, src, value=value, reduce=reduce)
    src = value if src is None else src
    d, index = _scatter_place("scatter", self, dim, index, src)
    if not isinstance(src, TensorBase):
        return write_over(_scatter_fill, "scatter_", self, index, dim=d, value=src)
    _check_same_dtype("scatter", self, src)
    return write_over(_scatter, "scatter_", self, index, src, dim=d)


_scatter_and_reduce_ = in_place(scatter, check=check_apart)


def _scatter_place(op: str, input: Tensor, dim: int, index: Tensor,
                   src: Any) -> tuple[int, Tensor]:  # fmt: skip
    """Checks the arguments of a scatter; the dim and the int64 indices."""
    _check_index(op, index)
    ndim = input._array.ndim
    d = wrap_dim(dim, ndim)
    _check_ranks(input, index, src)
    index = _as_int64(index)
    _check_range(op, index._array, input._array.shape[d] if ndim else 1, d)
    return d, index


def _check_same_dtype(op: str, input: Tensor, src: Tensor) -> None:
    if src._array.dtype != input._array.dtype:
        raise RuntimeError(f"{op}(): Expected self.dtype to be equal to src.dtype")


def _check_ranks(input: Tensor, index: Tensor, src: Any) -> None:
    """Input, index and source of a scatter have the same number of dims, 0 counting as 1."""
    i = index._array
    if not i.size:
        return
    if isinstance(src, TensorBase) and i.ndim == input._array.ndim and i.shape == src._array.shape:
        return
    for name, x in (("self", input), ("src", src)):
        if isinstance(x, TensorBase):
            if max(x._array.ndim, 1) != max(i.ndim, 1):
                raise RuntimeError(
                    f"Index tensor must have the same number of dimensions as {name} tensor"
                )
            if name == "src" and any(m > n for m, n in zip(i.shape, x._array.shape)):
                raise RuntimeError(
                    f"Expected index {list(i.shape)} to be no larger than src "
                    f"{list(x._array.shape)}; cut the index or enlarge the source"
                )


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor, *,
                out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `src` added at `index` along `dim`; repeated indices add up.

    >>> import rushlight as torch
    >>> torch.scatter_add(torch.zeros(2), 0, torch.tensor([1, 1]), torch.tensor([2., 3.]))
    tensor([0., 5.])
    """
    _check_same_dtype("scatter_add", input, src)
    d, index = _scatter_place("scatter_add", input, dim, index, src)
    result = _scatter_add(input, index, src, dim=d)
    return result if out is None else write_out(out, result, "scatter_add")


def _scatter_add_(self: Any, dim: int, index: Tensor, src: Tensor) -> Any:
    """In-place version of :func:`scatter_add`."""
    _check_same_dtype("scatter_add", self, src)
    d, index = _scatter_place("scatter_add", self, dim, index, src)
    return write_over(_scatter_add, "scatter_add_", self, index, src, dim=d)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *,
                   out: Tensor | None = None) -> Tensor:  # fmt: skip
    """As `gather`, with broadcasting; without `dim`, of the flattened input."""
    if dim is None:
        flat = input.reshape(-1)
        indices = _wrapped_indices(indices.reshape(-1), flat._array.shape[0])
        return gather(flat, 0, indices, out=out)
    if input._array.ndim != indices._array.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input._array.ndim} dimensions for input, and {indices._array.ndim} "
            "dimensions for indices"
        )
    d = wrap_dim(dim, input._array.ndim)
    indices = _wrapped_indices(indices, input._array.shape[d])

    def others(shape: Shape) -> list[int]:
        return [1 if i == d else s for i, s in enumerate(shape)]

    shape = broadcast_shapes(others(input._array.shape), others(indices._array.shape))
    x_shape, i_shape = list(shape), list(shape)
    x_shape[d], i_shape[d] = input._array.shape[d], indices._array.shape[d]
    return gather(expand(input, x_shape), d, expand(indices, i_shape), out=out)


def _wrapped_indices(indices: Tensor, size: int) -> Tensor:
    """Negative indices counted from the end."""
    i = indices._array
    if i.size and i.dtype.kind == "i" and int(i.min()) < 0:
        return wrap(kernels(i).xp.where(i < 0, i + size, i))
    return indices


class GatherMethods:
    """Gathering and scattering as methods of `Tensor`."""

    gather = gather
    scatter = scatter
    scatter_add = scatter_add
    take_along_dim = take_along_dim
    scatter_ = _scatter_
    scatter_add_ = _scatter_add_
