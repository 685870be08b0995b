"""One of several numbers: `where`, `maximum`, `minimum`, `clamp`, `nan_to_num`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import agree, kernels
from ..backends.arrays import is_array
from ..dtypes import int64
from ..types_ import Array
from .common import (
    NUMBERS,
    TensorBase,
    as_float,
    cast,
    check_tensor,
    common_dtype,
    compute_out,
    in_place,
    match,
    refuse,
    write_out,
)
from .compare import _eq, _gt, _isfinite, _isnan, _lt

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "where", "maximum", "minimum", "fmax", "fmin", "clamp", "clip", "clamp_min", "clamp_max",
    "nan_to_num", "ChooseMethods",
]  # fmt: skip


@primitive(name="Where", suffix="Backward0", broadcast=True)
def _where(condition: Array, x: Array, y: Array) -> Array:
    if type(x) in NUMBERS or type(y) in NUMBERS:
        to = common_dtype(x, y)
        xp = kernels(condition)
        x, y = (xp.full((), v, to.numpy) if type(v) in NUMBERS else cast(v, to) for v in (x, y))
    else:
        x, y = match(x, y)
    return kernels(condition).where(condition, x, y)


@_where.derivative("x")
def _where_dx(grad: Tensor, condition: Tensor) -> Tensor:
    return _where(condition, grad, 0)


@_where.derivative("y")
def _where_dy(grad: Tensor, condition: Tensor) -> Tensor:
    return _where(condition, 0, grad)


def where(condition: Tensor, input: Any = None, other: Any = None, *,
          out: Tensor | None = None) -> Any:  # fmt: skip
    """`input` where `condition` holds, else `other`; of a condition alone, its nonzero indices.

    >>> import rushlight as torch
    >>> torch.where(torch.tensor([True, False]), torch.tensor([1., 2.]), 0.)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    kind = condition._array.dtype
    if kind.kind != "b":
        if kind != "uint8":
            raise RuntimeError(
                f"where expected condition to be a boolean tensor, but got a tensor "
                f"with dtype {condition.dtype}"
            )
        condition = condition.bool()
    result = _where(condition, input, other)
    return result if out is None else write_out(out, result, "where", condition, input, other)


def _extremum(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array, *, out: Array = None) -> Array:
        if not agree(x, y):
            x, y = match(x, y)
        refuse(kernel_name, x, "c")
        return getattr(kernels(x), kernel_name)(x, y, out)

    return Primitive(forward, name, broadcast=True)


_maximum, _minimum = _extremum("Maximum", "maximum"), _extremum("Minimum", "minimum")
_fmax, _fmin = _extremum("Fmax", "fmax"), _extremum("Fmin", "fmin")


def _extremum_rules(op: Primitive, wins: Callable[[Any, Any], Any]) -> None:
    """Equal operands share the gradient half and half."""

    @op.derivative("x")
    def dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _where(_eq(x, y), grad / 2, grad)._filled_where(wins(y, x), 0)

    @op.derivative("y")
    def dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _where(_eq(x, y), grad / 2, grad)._filled_where(wins(x, y), 0)


_extremum_rules(_maximum, _gt)
_extremum_rules(_minimum, _lt)


@_fmax.derivative("x")
def _fmax_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad._filled_where(~((x >= y) | _isnan(y)), 0)


@_fmax.derivative("y")
def _fmax_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad._filled_where((x >= y) | _isnan(y), 0)


@_fmin.derivative("x")
def _fmin_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad._filled_where(~((x <= y) | _isnan(y)), 0)


@_fmin.derivative("y")
def _fmin_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad._filled_where((x <= y) | _isnan(y), 0)


def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of two elements; NaN if either is. At a tie both get half the gradient.

    >>> import rushlight as torch
    >>> torch.maximum(torch.tensor([1., 5.]), torch.tensor([3., 2.]))
    tensor([3., 5.])
    """
    check_tensor(other, "maximum", "other", 2)
    return compute_out(_maximum, "maximum", out, input, other)


def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of two elements; NaN if either is. At a tie both get half the gradient.

    >>> import rushlight as torch
    >>> torch.minimum(torch.tensor([1., 5.]), torch.tensor([3., 2.]))
    tensor([1., 2.])
    """
    check_tensor(other, "minimum", "other", 2)
    return compute_out(_minimum, "minimum", out, input, other)


def fmax(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As `maximum`, but a NaN loses against a number; at a tie the first gets the gradient."""
    return compute_out(_fmax, "fmax", out, input, other)


def fmin(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As `minimum`, but a NaN loses against a number; at a tie the first gets the gradient."""
    return compute_out(_fmin, "fmin", out, input, other)


@primitive(name="Clamp", suffix="Backward1", kinds="fV")
def _clamp(x: Array, *, min: Any, max: Any, out: Array = None) -> Array:
    if x.dtype.kind in "bc":
        refuse("clamp", x, "c")
        x = cast(x, int64)  # the bounds are numbers: no result is a bool
    for bound in (min, max):
        if type(bound) is float and x.dtype.kind not in "fcV":
            x = as_float(x)
    return kernels(x).clamp(x, min, max, out)


@primitive(name="ClampBackward")
def _clamp_backward(g: Array, x: Array, *, min: Any, max: Any) -> Array:
    """The slope is 1 inside and at the bounds, 0 outside."""
    k = kernels(x)
    inside = None
    if min is not None:
        inside = k.ge(x, min)
    if max is not None:
        below = k.le(x, max)
        inside = below if inside is None else k.logical_and(inside, below)
    return k.where(inside, g, k.full((), 0, g.dtype))


# With whole bounds integers stay integers.
_clamp_whole = Primitive(_clamp.forward, "Clamp", suffix="Backward1", kinds="iufV")
for _each in (_clamp, _clamp_whole):
    _each.derive("x", _clamp_backward, "grad", "x", min="min", max="max")
_clamp_backward.derive("g", _clamp_backward, "grad", "x", min="min", max="max")


NO_BOUND = "torch.clamp: At least one of 'min' or 'max' must not be None"


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Elements below `min` become `min`, above `max` become `max` (numbers, or tensors).

    The slope is 1 at the bounds themselves.

    >>> import rushlight as torch
    >>> torch.clamp(torch.tensor([-1., 0.5, 2.]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError(NO_BOUND)
    if isinstance(min, TensorBase) or isinstance(max, TensorBase):
        return compute_out(_clamp_between, "clamp", out, input, *_bounds_of(min, max))
    return compute_out(_clamp, "clamp", out, input, min=min, max=max)


clip = clamp


def _bounds_of(min: Any, max: Any) -> tuple[Any, Any]:
    return -math.inf if min is None else min, math.inf if max is None else max


@primitive(name="Clamp", broadcast=True, kinds="fV")
def _clamp_between(x: Array, low: Array, high: Array, *, out: Array = None) -> Array:
    """The bounds are arrays or numbers; -inf below and inf above stand for none."""
    refuse("clamp", x, "c")
    low, high = _bound(low, -math.inf), _bound(high, math.inf)
    if not (_agrees(x, low) and _agrees(x, high)):
        to = common_dtype(*[v for v in (x, low, high) if v is not None])
        x, low, high = (cast(v, to) if is_array(v) else v for v in (x, low, high))
    return kernels(x).clamp(x, low, high, out)


def _bound(value: Any, none: float) -> Any:
    return None if type(value) is float and value == none else value


def _agrees(x: Array, bound: Any) -> bool:
    return bound is None or agree(x, bound)


@_clamp_between.derivative("x")
def _clamp_between_dx(grad: Tensor, x: Tensor, low: Any, high: Any) -> Tensor:
    return grad._filled_where(~((x >= low) & (x <= high)), 0)


@_clamp_between.derivative("low")
def _clamp_between_dlow(grad: Tensor, x: Tensor, low: Any, high: Any) -> Tensor:
    return grad._filled_where(~((x < low) & (low < high)), 0)


@_clamp_between.derivative("high")
def _clamp_between_dhigh(grad: Tensor, x: Tensor, low: Any, high: Any) -> Tensor:
    return grad._filled_where(~((x > high) | (high < low)), 0)


_clamp_numbers_ = in_place(clamp, _clamp)
_clamp_whole_ = in_place(clamp, _clamp_whole)
_clamp_between_ = in_place(_clamp_between, _clamp_between)
_BOUNDS = frozenset((float, int, type(None)))


def _clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
    """In-place version of :func:`clamp`."""
    if type(min) in _BOUNDS and type(max) in _BOUNDS and (min is not None or max is not None):
        write = _clamp_numbers_ if float in (type(min), type(max)) else _clamp_whole_
        return write(self, min=min, max=max)
    if min is None and max is None:
        raise RuntimeError(NO_BOUND)
    return _clamp_between_(self, *_bounds_of(min, max))


def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """`clamp` with a lower bound only."""
    return clamp(input, min=min, out=out)


def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """`clamp` with an upper bound only."""
    return clamp(input, max=max, out=out)


@primitive(name="NanToNum", kernel="nan_to_num")
def _nan_to_num(x: Array, *, nan: float, posinf: Any, neginf: Any, out: Array = None) -> Array:
    return kernels(x).nan_to_num(x, nan, posinf, neginf, out)


@_nan_to_num.derivative("x")
def _nan_to_num_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad._filled_where(~_isfinite(x), 0)


def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None,
               neginf: float | None = None, *, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """NaN becomes `nan` (0), infinities become `posinf`, `neginf` (the dtype's limits).

    >>> import rushlight as torch
    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.]))
    tensor([0., 1.])
    """
    return compute_out(_nan_to_num, "nan_to_num", out, input, nan=nan or 0.0, posinf=posinf,
                       neginf=neginf)  # fmt: skip


_nan_to_num_into = in_place(_nan_to_num, _nan_to_num)


def _nan_to_num_(self: Any, nan: float | None = None, posinf: float | None = None,
                 neginf: float | None = None) -> Any:  # fmt: skip
    """In-place version of :func:`nan_to_num`."""
    return _nan_to_num_into(self, nan=nan or 0.0, posinf=posinf, neginf=neginf)


class ChooseMethods:
    """Choices as methods of `Tensor`."""

    maximum = maximum
    minimum = minimum
    fmax = fmax
    fmin = fmin
    clamp = clip = clamp
    clamp_min = clamp_min
    clamp_max = clamp_max
    nan_to_num = nan_to_num
    clamp_ = clip_ = _clamp_
    nan_to_num_ = _nan_to_num_

    def clamp_min_(self: Any, min: Any) -> Any:
        """In-place version of :func:`clamp_min`."""
        return _clamp_(self, min)

    def clamp_max_(self: Any, max: Any) -> Any:
        """In-place version of :func:`clamp_max`."""
        return _clamp_(self, None, max)

    def where(self: Any, condition: Any, other: Any) -> Any:
        """`self` where `condition` holds, else `other`."""
        return where(condition, self, other)
