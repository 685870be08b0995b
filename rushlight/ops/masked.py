"""Masks: what they fill, pick and scatter, and where they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Number, Shape
from .common import TensorBase, as_element, check_apart, in_place, write_out, write_over
from .expand import broadcast_shapes, expand
from .parts import cat

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "masked_fill", "masked_select", "masked_scatter", "nonzero", "argwhere", "MaskedMethods",
]  # fmt: skip


# ---- masks ---------------------------------------------------------------------------------


@primitive(name="MaskedFill", broadcast=True, kernel="masked_fill")
def _masked_fill(x: Array, mask: Array, *, value: Number, out: Array = None) -> Array:
    return kernels(x).masked_fill(x, mask, value, out)


@_masked_fill.derivative("x")
def _masked_fill_dx(grad: Tensor, mask: Tensor) -> Tensor:
    return _masked_fill(grad, mask, value=0)


@primitive(name="MaskedFill", broadcast=True)
def _masked_fill_contiguous(x: Array, mask: Array, *, value: Number) -> Array:
    k = kernels(x)
    shape = k.xp.broadcast_shapes(x.shape, mask.shape)
    return k.masked_fill(x, mask, value, k.empty(shape, x.dtype))


@_masked_fill_contiguous.derivative("x")
def _masked_fill_contiguous_dx(grad: Tensor, mask: Tensor) -> Tensor:
    return _masked_fill(grad, mask, value=0)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` where `mask` holds, else `input`; contiguous, as PyTorch's result is.

    >>> import rushlight as torch
    >>> torch.masked_fill(torch.tensor([1., 2.]), torch.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    value = _fill_value(input, mask, value)
    if isinstance(value, TensorBase):
        from .choose import where

        return where(mask, value.to(input.dtype), input)
    if input._array.flags.c_contiguous:
        return _masked_fill(input, mask, value=value)
    return _masked_fill_contiguous(input, mask, value=value)


def _filled_where(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """As `masked_fill`, but laid out in memory as `input`."""
    return _masked_fill(input, mask, value=_fill_value(input, mask, value))


def _masked_fill_(self: Any, mask: Tensor, value: Any) -> Any:
    """In-place version of :func:`masked_fill`."""
    value = _fill_value(self, mask, value)
    if isinstance(value, TensorBase) or mask._array.shape != self._array.shape:
        return _masked_fill_copied_(self, mask, value)
    return write_over(_masked_fill, "masked_fill_", self, mask, value=value)


_masked_fill_copied_ = in_place(masked_fill)


def _fill_value(input: Tensor, mask: Tensor, value: Any) -> Any:
    """Checks the arguments of `masked_fill`; the value as a number unless it wants a gradient."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise RuntimeError(
                f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        if value.requires_grad:
            return value
        value = value.item()
    return as_element(value, input._array.dtype)


@primitive(name="MaskedSelect")
def _masked_select(x: Array, mask: Array) -> Array:
    k = kernels(x)
    if x.shape != mask.shape:
        shape = k.xp.broadcast_shapes(x.shape, mask.shape)
        x, mask = k.broadcast_to(x, shape), k.broadcast_to(mask, shape)
    return k.masked_select(x, mask)


@_masked_select.derivative("x")
def _masked_select_dx(grad: Tensor, x_shape: Shape, mask: Tensor) -> Tensor:
    shape = broadcast_shapes(x_shape, mask._array.shape)
    result = masked_scatter(grad.new_zeros(shape), expand(mask, shape), grad)
    return result.sum_to_size(x_shape)


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where `mask` holds, as one dim.

    >>> import rushlight as torch
    >>> torch.masked_select(torch.tensor([1, 2, 3]), torch.tensor([True, False, True]))
    tensor([1, 3])
    """
    if mask._array.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if out is not None and out._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"masked_select(): self and result must have the same scalar type; got "
            f"{input.dtype} and {out.dtype}"
        )
    if out is not None:
        check_apart(out, (input, mask), "masked_select")
    result = _masked_select(input, mask)
    return result if out is None else write_out(out, result, "masked_select")


@primitive(name="MaskedScatter")
def _masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    k = kernels(x)
    shape = k.xp.broadcast_shapes(x.shape, mask.shape)
    result = k.copy(k.broadcast_to(x, shape))
    where = k.broadcast_to(mask, shape)
    count = int(where.sum())
    if source.size < count:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes and the "
            f"source to have at least {count} elements, but it has {source.size}"
        )
    result[where] = source.reshape(-1)[:count]
    return result


@_masked_scatter.derivative("x")
def _masked_scatter_dx(grad: Tensor, mask: Tensor, x_shape: Shape) -> Tensor:
    return masked_fill(grad, mask, 0).sum_to_size(x_shape)


@_masked_scatter.derivative("source")
def _masked_scatter_dsource(grad: Tensor, mask: Tensor, source_shape: Shape) -> Tensor:
    picked = masked_select(grad, mask)
    total = 1
    for s in source_shape:
        total *= s
    missing = total - picked._array.size
    if missing:
        picked = cat([picked, grad.new_zeros(missing)])
    return picked.reshape(source_shape)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of `source`, in order, where `mask` holds."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got "
            f"{input.dtype} and {source.dtype}"
        )
    return _masked_scatter(input, mask, source)


# ---- positions -----------------------------------------------------------------------------


@primitive(name="Nonzero", kernel="nonzero")
def _nonzero(x: Array) -> Array:
    return kernels(x).nonzero(x)


def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """The indices of the nonzero elements, one row each; with `as_tuple`, one tensor per dim.

    >>> import rushlight as torch
    >>> torch.nonzero(torch.tensor([0, 3, 0, 5]))
    tensor([[1],
            [3]])
    """
    if as_tuple:
        x = input.reshape(1) if input._array.ndim == 0 else input
        return _nonzero(x).unbind(1)
    result = _nonzero(input)
    return result if out is None else write_out(out, result, "nonzero")


def argwhere(input: Tensor) -> Tensor:
    """The indices of the nonzero elements, one row each."""
    return _nonzero(input)


class MaskedMethods:
    """Masks as methods of `Tensor`."""

    masked_fill = masked_fill
    _filled_where = _filled_where
    masked_select = masked_select
    masked_scatter = masked_scatter
    nonzero = nonzero
    argwhere = argwhere
    masked_fill_ = _masked_fill_
    masked_scatter_ = in_place(masked_scatter, check=None)
