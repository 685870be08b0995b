"""Slices along one dim by number: `index_select`, `index_add` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Number, Shape
from .common import check_apart, in_place, wrap_dim, write_out, write_over
from .gather import _as_int64, _check_range
from .index import _as_value, _check_bounds, _index_put

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["index_select", "index_add", "index_copy", "index_fill", "IndexSelectMethods"]


@primitive(name="IndexSelect")
def _index_select(x: Array, indices: Array, *, dim: int) -> Array:
    if x.ndim == 0:
        return x.copy()
    return kernels(x).take(x, indices.reshape(-1), dim)


@_index_select.derivative("x")
def _index_select_dx(grad: Tensor, x_shape: Shape, indices: Tensor, dim: int) -> Tensor:
    return index_add(grad.new_zeros(x_shape), dim, indices, grad)


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The parts of `input` at the given indices of `dim`, copied.

    >>> import rushlight as torch
    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1]))
    tensor([[2],
            [4]])
    """
    if index._array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._array.dtype.kind != "i" or index._array.dtype.itemsize < 4:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    i = index._array
    if not kernels(i).within(i, 0, size):
        raise IndexError("index out of range in self")
    if out is not None:
        check_apart(out, (input, index), "index_select")
    result = _index_select(input, index, dim=d)
    return result if out is None else write_out(out, result, "index_select")


@primitive(name="IndexAdd")
def _index_add(x: Array, indices: Array, source: Array, *, dim: int, out: Array = None) -> Array:
    k = kernels(x)
    result = k.copy(x) if out is None else out
    if x.ndim == 0:
        k.index_add(result.reshape(1), indices.reshape(-1), source.reshape(-1))
    else:
        place = (slice(None),) * dim + (indices.reshape(-1),)
        k.index_add(result, place, source, out is not None)
    return result


@_index_add.derivative("x")
def _index_add_dx(grad: Tensor) -> Tensor:
    return grad


@_index_add.derivative("source")
def _index_add_dsource(grad: Tensor, indices: Tensor, source_shape: Shape, dim: int) -> Tensor:
    return _index_select(grad, indices, dim=dim).reshape(source_shape)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """A copy of `input` with `alpha · source` added at the indices of `dim`; repeats add up.

    >>> import rushlight as torch
    >>> torch.index_add(torch.zeros(2), 0, torch.tensor([1, 1]), torch.tensor([2., 3.]))
    tensor([0., 5.])
    """
    d = _index_add_dim(input, dim, index, source)
    result = _index_add(input, index, source * alpha if alpha != 1 else source, dim=d)
    return result if out is None else write_out(out, result, "index_add")


def _index_add_(self: Any, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Any:
    """In-place version of :func:`index_add`."""
    d = _index_add_dim(self, dim, index, source)
    source = source * alpha if alpha != 1 else source
    return write_over(_index_add, "index_add_", self, _as_int64(index), source, dim=d)


def _index_add_dim(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """Checks the arguments of `index_add`; the dim as a non-negative number."""
    d = wrap_dim(dim, input._array.ndim)
    size = input._array.shape[d] if input._array.ndim else 1
    _check_range("index_add", index._array, size, d)
    _check_parts("index_add", input, index, source, d)
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"index_add_(): self ({input.dtype}) and source ({source.dtype}) must "
            "have the same scalar type"
        )
    return d


def _check_parts(op: str, input: Tensor, index: Tensor, source: Tensor, dim: int) -> None:
    """The source holds one part for each index and fits the input in all other dims."""
    x, s = input._array.shape, source._array.shape
    if index._array.ndim > 1:
        raise IndexError(
            f"{op}_(): Index is supposed to be a vector, but got dim: {index._array.ndim}"
        )
    if x and (x[:dim] + x[dim + 1 :] != s[:dim] + s[dim + 1 :] or len(x) != len(s)):
        if not (len(x) == 1 and not s):
            raise RuntimeError(
                "source tensor shape must match self tensor shape, excluding the specified "
                f"dimension. Got self.shape = {list(x)} source.shape = {list(s)}"
            )
    if index._array.size != (s[dim] if s else 1):
        raise RuntimeError(
            f"{op}_(): Number of indices ({index._array.size}) should be equal to "
            f"source.size(dim): ({s[dim] if s else 1}), for dim: {dim}"
        )


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with the parts at the indices of `dim` replaced by `source`."""
    d = _index_copy_dim(input, dim, index, source)
    if input._array.ndim == 0:
        return source.reshape(()) + input * 0 if input.requires_grad else source.reshape(()).clone()
    places = (d,)
    return _index_put(input.contiguous(), source, _vector(index), places=places, accumulate=False)


def _index_copy_(self: Any, dim: int, index: Tensor, source: Tensor) -> Any:
    """In-place version of :func:`index_copy`."""
    d = _index_copy_dim(self, dim, index, source)
    if self._array.ndim == 0:
        return _index_copy_copied_(self, dim, index, source)
    return write_over(_index_put, "index_copy_", self, source, _vector(index), places=(d,),
                      accumulate=False)  # fmt: skip


_index_copy_copied_ = in_place(index_copy, check=check_apart)


def _index_copy_dim(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """Checks the arguments of `index_copy`; the dim as a non-negative number."""
    d = wrap_dim(dim, input._array.ndim)
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but "
            f"got (self) {input.dtype} and (source) {source.dtype}"
        )
    if input._array.ndim:
        _check_bounds(index._array, input._array.shape[d], d)
    return d


def _vector(index: Tensor) -> Tensor:
    return index.reshape(-1) if index._array.ndim != 1 else index


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of `input` with `value` at the indices of `dim`.

    >>> import rushlight as torch
    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([1]), 5)
    tensor([0., 5., 0.])
    """
    d, value = _index_fill_place(input, dim, index, value)
    if input._array.ndim == 0:
        return input * 0 + value
    return _index_put(input, value, _vector(index), places=(d,), accumulate=False)


def _index_fill_(self: Any, dim: int, index: Tensor, value: Any) -> Any:
    """In-place version of :func:`index_fill`."""
    d, value = _index_fill_place(self, dim, index, value)
    if self._array.ndim == 0:
        return _index_fill_copied_(self, dim, index, value)
    return write_over(_index_put, "index_fill_", self, value, _vector(index), places=(d,),
                      accumulate=False)  # fmt: skip


_index_fill_copied_ = in_place(index_fill)


def _index_fill_place(input: Tensor, dim: int, index: Tensor, value: Any) -> tuple[int, Tensor]:
    """Checks the arguments of `index_fill`; the dim and the value as a 0-dim tensor."""
    d = wrap_dim(dim, input._array.ndim)
    value = _as_value(input, value)
    if value._array.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got "
            f"tensor with {value._array.ndim} dimension(s)."
        )
    if input._array.ndim:
        _check_bounds(index._array, input._array.shape[d], d)
    return d, value


class IndexSelectMethods:
    """Slices by number as methods of `Tensor`."""

    index_select = index_select
    index_add = index_add
    index_copy = index_copy
    index_fill = index_fill
    index_add_ = _index_add_
    index_copy_ = _index_copy_
    index_fill_ = _index_fill_
