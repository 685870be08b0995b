"""Comparisons, logic, bits, and choosing between operands (`where`, `maximum`, `clamp`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array, Number
from .common import (
    NUMBERS,
    OPERANDS,
    TensorBase,
    as_float,
    cast,
    check_tensor,
    common_dtype,
    in_place,
    match,
    refuse,
    write_out,
)  # fmt: skip

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "equal", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal",
    "isclose", "allclose", "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and",
    "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift",
    "where", "maximum", "minimum", "fmax", "fmin", "clamp", "clip", "clamp_min", "clamp_max",
    "nan_to_num", "CompareMethods",
]  # fmt: skip


# ---- comparisons: bool results, no gradient ------------------------------------------------


def _comparison(kernel_name: str) -> Primitive:
    """A primitive that calls the comparison kernel of that name."""

    is_order = kernel_name not in ("eq", "ne")

    def forward(x: Array, y: Array) -> Array:
        x, y = _match_exactly(x, y)
        if is_order:
            refuse(kernel_name, x, "c")
        return getattr(kernels(x), kernel_name)(x, y)

    return Primitive(forward, kernel_name.capitalize())


def _match_exactly(x: Array, y: Any) -> tuple[Array, Any]:
    """As `match`, but an integer beyond the array's range is not wrapped."""
    if type(y) is int and x.dtype.kind in "iu":
        bits = x.dtype.itemsize * 8 - (x.dtype.kind == "i")
        low = -(1 << bits) if x.dtype.kind == "i" else 0
        if not low <= y < (1 << bits):
            return kernels(x).cast(x, kernels(x).xp.dtype("float64")), float(y)
        return x, y
    return match(x, y)


_eq, _ne = _comparison("eq"), _comparison("ne")
_lt, _le, _gt, _ge = (_comparison(n) for n in ("lt", "le", "gt", "ge"))


def _compare(op: Primitive, name: str, x: Any, y: Any, out: Any) -> Any:
    check_tensor(x, name)
    if not isinstance(y, OPERANDS):
        y = y.item() if getattr(y, "ndim", None) == 0 else y
        if not isinstance(y, OPERANDS):
            raise TypeError(
                f"{name}(): argument 'other' (position 2) must be Tensor or Number, "
                f"not {type(y).__name__}"
            )
    result = op(x, y)
    return result if out is None else write_out(out, result, name)


def eq(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input == other` elementwise.

    >>> import rushlight as torch
    >>> torch.eq(torch.tensor([1, 2]), 2)
    tensor([False,  True])
    """
    return _compare(_eq, "eq", input, other, out)


def ne(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input != other` elementwise.

    >>> import rushlight as torch
    >>> torch.ne(torch.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return _compare(_ne, "ne", input, other, out)


def lt(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input < other` elementwise.

    >>> import rushlight as torch
    >>> torch.lt(torch.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return _compare(_lt, "lt", input, other, out)


def le(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input <= other` elementwise.

    >>> import rushlight as torch
    >>> torch.le(torch.tensor([1, 3]), 2)
    tensor([ True, False])
    """
    return _compare(_le, "le", input, other, out)


def gt(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input > other` elementwise.

    >>> import rushlight as torch
    >>> torch.gt(torch.tensor([1, 3]), 2)
    tensor([False,  True])
    """
    return _compare(_gt, "gt", input, other, out)


def ge(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """`input >= other` elementwise.

    >>> import rushlight as torch
    >>> torch.ge(torch.tensor([1, 2]), 2)
    tensor([False,  True])
    """
    return _compare(_ge, "ge", input, other, out)


not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both tensors have the same shape and elements.

    >>> import rushlight as torch
    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    if input._array.shape != other._array.shape:
        return False
    return bool(_eq(input, other)._array.all())


def _predicate(kernel_name: str) -> Primitive:
    def forward(x: Array) -> Array:
        return getattr(kernels(x), kernel_name)(x)

    return Primitive(forward, kernel_name.capitalize())


_isnan, _isinf, _isfinite = _predicate("isnan"), _predicate("isinf"), _predicate("isfinite")


def isnan(input: Tensor) -> Tensor:
    """Which elements are NaN.

    >>> import rushlight as torch
    >>> torch.isnan(torch.tensor([1., float("nan")]))
    tensor([False,  True])
    """
    return _isnan(input)


def isinf(input: Tensor) -> Tensor:
    """Which elements are infinite.

    >>> import rushlight as torch
    >>> torch.isinf(torch.tensor([1., float("-inf")]))
    tensor([False,  True])
    """
    return _isinf(input)


def isfinite(input: Tensor) -> Tensor:
    """Which elements are neither infinite nor NaN.

    >>> import rushlight as torch
    >>> torch.isfinite(torch.tensor([1., float("nan")]))
    tensor([ True, False])
    """
    return _isfinite(input)


def isposinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Which elements are +inf."""
    refuse("isposinf", input._array, "c")
    return eq(input, float("inf"), out=out)


def isneginf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Which elements are -inf."""
    refuse("isneginf", input._array, "c")
    return eq(input, float("-inf"), out=out)


def isreal(input: Tensor) -> Tensor:
    """Which elements have no imaginary part."""
    if input._array.dtype.kind == "c":
        return eq(input.imag, 0)
    return eq(input, input) | True


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> Tensor:  # fmt: skip
    """`|input - other| <= atol + rtol · |other|` elementwise.

    >>> import rushlight as torch
    >>> torch.isclose(torch.tensor([1., 2.]), torch.tensor([1., 2.1]))
    tensor([ True, False])
    """
    if input._array.dtype != other._array.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    close = _eq(input, other)
    if equal_nan:
        close = close | (_isnan(input) & _isnan(other))
    if input._array.dtype.kind in "fcV":
        finite = _isfinite(input) & _isfinite(other)
        near = (input - other).abs() <= atol + (rtol * other).abs()
    else:
        finite = _eq(input, input)
        near = (input.double() - other.double()).abs() <= atol + (rtol * other.double()).abs()
    return close | (finite & near)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08,
             equal_nan: bool = False) -> bool:  # fmt: skip
    """Whether `isclose` holds for all elements.

    >>> import rushlight as torch
    >>> torch.allclose(torch.tensor([1.]), torch.tensor([1.0000001]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


# ---- logic and bits ------------------------------------------------------------------------


def _logical(kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array) -> Array:
        return getattr(kernels(x), kernel_name)(x, y)

    return Primitive(forward, kernel_name)


_logical_and, _logical_or = _logical("logical_and"), _logical("logical_or")
_logical_xor = _logical("logical_xor")


@primitive(name="LogicalNot")
def _logical_not(x: Array) -> Array:
    return kernels(x).logical_not(x)


def logical_and(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether both are nonzero.

    >>> import rushlight as torch
    >>> torch.logical_and(torch.tensor([0, 1]), torch.tensor([2, 2]))
    tensor([False,  True])
    """
    check_tensor(other, "logical_and", "other", 2)
    result = _logical_and(input, other)
    return result if out is None else write_out(out, result, "logical_and")


def logical_or(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether at least one is nonzero."""
    check_tensor(other, "logical_or", "other", 2)
    result = _logical_or(input, other)
    return result if out is None else write_out(out, result, "logical_or")


def logical_xor(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether exactly one is nonzero."""
    check_tensor(other, "logical_xor", "other", 2)
    result = _logical_xor(input, other)
    return result if out is None else write_out(out, result, "logical_xor")


def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether each element is zero."""
    result = _logical_not(input)
    return result if out is None else write_out(out, result, "logical_not")


def _bitwise(kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array) -> Array:
        x, y = match(x, y)
        if x.dtype.kind not in "biu" or type(y) is float:
            raise RuntimeError(
                f'"{kernel_name}_cpu" not implemented for floating-point tensors; '
                "convert them to integers or bools first"
            )
        return getattr(kernels(x), kernel_name)(x, y)

    return Primitive(forward, kernel_name)


_and, _or, _xor = (_bitwise("bitwise_" + n) for n in ("and", "or", "xor"))
_left_shift, _right_shift = _bitwise("left_shift"), _bitwise("right_shift")


@primitive(name="BitwiseNot")
def _bitwise_not(x: Array) -> Array:
    if x.dtype.kind not in "biu":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return kernels(x).bitwise_not(x)


def bitwise_and(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The bits set in both; of bools, logical and."""
    return _bits(_and, "bitwise_and", input, other, out)


def bitwise_or(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The bits set in either; of bools, logical or."""
    return _bits(_or, "bitwise_or", input, other, out)


def bitwise_xor(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """The bits set in one only; of bools, logical exclusive or."""
    return _bits(_xor, "bitwise_xor", input, other, out)


def bitwise_left_shift(input: Tensor, other: Tensor | Number, *,
                       out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input << other`."""
    return _bits(_left_shift, "bitwise_left_shift", input, other, out)


def bitwise_right_shift(input: Tensor, other: Tensor | Number, *,
                        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input >> other`, with the sign."""
    return _bits(_right_shift, "bitwise_right_shift", input, other, out)


def _bits(op: Primitive, name: str, x: Any, y: Any, out: Any) -> Any:
    if not isinstance(x, TensorBase):
        x = y.new_tensor(x, dtype=None)
    result = op(x, y)
    return result if out is None else write_out(out, result, name)


def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All bits flipped; of bools, logical not."""
    result = _bitwise_not(input)
    return result if out is None else write_out(out, result, "bitwise_not")


# ---- choosing ------------------------------------------------------------------------------


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
    return result if out is None else write_out(out, result, "where")


def _extremum(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array) -> Array:
        x, y = match(x, y)
        refuse(kernel_name, x, "c")
        return getattr(kernels(x), kernel_name)(x, y)

    return Primitive(forward, name, broadcast=True)


_maximum, _minimum = _extremum("Maximum", "maximum"), _extremum("Minimum", "minimum")
_fmax, _fmin = _extremum("Fmax", "fmax"), _extremum("Fmin", "fmin")


def _extremum_rules(op: Primitive, wins: Callable[[Any, Any], Any]) -> None:
    """Equal operands share the gradient half and half."""

    @op.derivative("x")
    def dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _where(_eq(x, y), grad / 2, grad).masked_fill(wins(y, x), 0)

    @op.derivative("y")
    def dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _where(_eq(x, y), grad / 2, grad).masked_fill(wins(x, y), 0)


_extremum_rules(_maximum, _gt)
_extremum_rules(_minimum, _lt)


@_fmax.derivative("x")
def _fmax_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad.masked_fill(~((x >= y) | _isnan(y)), 0)


@_fmax.derivative("y")
def _fmax_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad.masked_fill((x >= y) | _isnan(y), 0)


@_fmin.derivative("x")
def _fmin_dx(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad.masked_fill(~((x <= y) | _isnan(y)), 0)


@_fmin.derivative("y")
def _fmin_dy(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return grad.masked_fill((x <= y) | _isnan(y), 0)


def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of two elements; NaN if either is. At a tie both get half the gradient.

    >>> import rushlight as torch
    >>> torch.maximum(torch.tensor([1., 5.]), torch.tensor([3., 2.]))
    tensor([3., 5.])
    """
    check_tensor(other, "maximum", "other", 2)
    result = _maximum(input, other)
    return result if out is None else write_out(out, result, "maximum")


def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of two elements; NaN if either is. At a tie both get half the gradient.

    >>> import rushlight as torch
    >>> torch.minimum(torch.tensor([1., 5.]), torch.tensor([3., 2.]))
    tensor([1., 2.])
    """
    check_tensor(other, "minimum", "other", 2)
    result = _minimum(input, other)
    return result if out is None else write_out(out, result, "minimum")


def fmax(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As `maximum`, but a NaN loses against a number; at a tie the first gets the gradient."""
    result = _fmax(input, other)
    return result if out is None else write_out(out, result, "fmax")


def fmin(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As `minimum`, but a NaN loses against a number; at a tie the first gets the gradient."""
    result = _fmin(input, other)
    return result if out is None else write_out(out, result, "fmin")


@primitive(name="Clamp", suffix="Backward1")
def _clamp(x: Array, *, min: Any, max: Any, out: Array = None) -> Array:
    if x.dtype.kind in "bc":
        refuse("clamp", x, "c")
        x = cast(x, int64)  # the bounds are numbers: no result is a bool
    for bound in (min, max):
        if type(bound) is float and x.dtype.kind not in "fcV":
            x = as_float(x)
    return kernels(x).clamp(x, min, max, out)


@_clamp.derivative("x")
def _clamp_dx(grad: Tensor, x: Tensor, min: Any, max: Any) -> Tensor:
    """The slope is 1 inside and at the bounds, 0 outside."""
    return _clamp_backward(grad, x, min=min, max=max)


@primitive(name="ClampBackward")
def _clamp_backward(g: Array, x: Array, *, min: Any, max: Any) -> Array:
    k = kernels(x)
    inside = None
    if min is not None:
        inside = k.ge(x, min)
    if max is not None:
        below = k.le(x, max)
        inside = below if inside is None else k.logical_and(inside, below)
    return k.where(inside, g, k.full((), 0, g.dtype))


@_clamp_backward.derivative("g")
def _clamp_backward_dg(grad: Tensor, x: Tensor, min: Any, max: Any) -> Tensor:
    return _clamp_backward(grad, x, min=min, max=max)


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Elements below `min` become `min`, above `max` become `max` (numbers, or tensors).

    The slope is 1 at the bounds themselves.

    >>> import rushlight as torch
    >>> torch.clamp(torch.tensor([-1., 0.5, 2.]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, TensorBase) or isinstance(max, TensorBase):
        result = _clamp_tensors(input, min, max)
    else:
        result = _clamp(input, min=min, max=max)
    return result if out is None else write_out(out, result, "clamp")


clip = clamp


def _clamp_tensors(input: Tensor, min: Any, max: Any) -> Tensor:
    """The bounds are tensors: at a bound the input gets the gradient."""
    result = input
    if min is not None:
        min = min if isinstance(min, TensorBase) else input.new_tensor(min, dtype=None)
        result = where(~(result < min) & ~_isnan(min), result, min)
    if max is not None:
        max = max if isinstance(max, TensorBase) else input.new_tensor(max, dtype=None)
        result = where(~(result > max) & ~_isnan(max), result, max)
    return result


def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """`clamp` with a lower bound only."""
    return clamp(input, min=min, out=out)


def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """`clamp` with an upper bound only."""
    return clamp(input, max=max, out=out)


@primitive(name="NanToNum")
def _nan_to_num(x: Array, *, nan: float, posinf: Any, neginf: Any) -> Array:
    return kernels(x).nan_to_num(x, nan, posinf, neginf)


@_nan_to_num.derivative("x")
def _nan_to_num_dx(grad: Tensor, x: Tensor) -> Tensor:
    return grad.masked_fill(~_isfinite(x), 0)


def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None,
               neginf: float | None = None, *, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """NaN becomes `nan` (0), infinities become `posinf`, `neginf` (the dtype's limits).

    >>> import rushlight as torch
    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.]))
    tensor([0., 1.])
    """
    result = _nan_to_num(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)
    return result if out is None else write_out(out, result, "nan_to_num")


class CompareMethods:
    """Comparisons and choices as methods and operators of `Tensor`."""

    eq = eq
    ne = not_equal = ne
    lt = less = lt
    le = less_equal = le
    gt = greater = gt
    ge = greater_equal = ge
    equal = equal
    isnan = isnan
    isinf = isinf
    isfinite = isfinite
    isposinf = isposinf
    isneginf = isneginf
    isreal = isreal
    isclose = isclose
    allclose = allclose
    logical_and = logical_and
    logical_or = logical_or
    logical_xor = logical_xor
    logical_not = logical_not
    bitwise_and = bitwise_and
    bitwise_or = bitwise_or
    bitwise_xor = bitwise_xor
    bitwise_not = bitwise_not
    bitwise_left_shift = bitwise_left_shift
    bitwise_right_shift = bitwise_right_shift
    maximum = maximum
    minimum = minimum
    fmax = fmax
    fmin = fmin
    clamp = clip = clamp
    clamp_min = clamp_min
    clamp_max = clamp_max
    nan_to_num = nan_to_num
    clamp_ = clip_ = in_place(clamp)
    clamp_min_ = in_place(clamp_min)
    clamp_max_ = in_place(clamp_max)
    nan_to_num_ = in_place(nan_to_num)
    eq_ = in_place(eq)
    ne_ = not_equal_ = in_place(ne)
    lt_ = less_ = in_place(lt)
    le_ = less_equal_ = in_place(le)
    gt_ = greater_ = in_place(gt)
    ge_ = greater_equal_ = in_place(ge)
    logical_and_ = in_place(logical_and)
    logical_or_ = in_place(logical_or)
    logical_xor_ = in_place(logical_xor)
    logical_not_ = in_place(logical_not)
    bitwise_and_ = in_place(bitwise_and)
    bitwise_or_ = in_place(bitwise_or)
    bitwise_xor_ = in_place(bitwise_xor)
    bitwise_not_ = in_place(bitwise_not)
    bitwise_left_shift_ = in_place(bitwise_left_shift)
    bitwise_right_shift_ = in_place(bitwise_right_shift)

    def where(self: Any, condition: Any, other: Any) -> Any:
        """`self` where `condition` holds, else `other`."""
        return where(condition, self, other)

    def __eq__(self: Any, other: Any) -> Any:
        return _eq(self, other) if isinstance(other, OPERANDS) else _foreign(eq, self, other)

    def __ne__(self: Any, other: Any) -> Any:
        return _ne(self, other) if isinstance(other, OPERANDS) else _foreign(ne, self, other)

    def __lt__(self: Any, other: Any) -> Any:
        return _lt(self, other) if isinstance(other, OPERANDS) else _foreign(lt, self, other)

    def __le__(self: Any, other: Any) -> Any:
        return _le(self, other) if isinstance(other, OPERANDS) else _foreign(le, self, other)

    def __gt__(self: Any, other: Any) -> Any:
        return _gt(self, other) if isinstance(other, OPERANDS) else _foreign(gt, self, other)

    def __ge__(self: Any, other: Any) -> Any:
        return _ge(self, other) if isinstance(other, OPERANDS) else _foreign(ge, self, other)

    __hash__ = object.__hash__

    def __and__(self: Any, other: Any) -> Any:
        return _and(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __or__(self: Any, other: Any) -> Any:
        return _or(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __xor__(self: Any, other: Any) -> Any:
        return _xor(self, other) if isinstance(other, OPERANDS) else NotImplemented

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self: Any, other: Any) -> Any:
        return _left_shift(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __rshift__(self: Any, other: Any) -> Any:
        return _right_shift(self, other) if isinstance(other, OPERANDS) else NotImplemented

    def __invert__(self: Any) -> Any:
        return _bitwise_not(self)

    __iand__ = bitwise_and_
    __ior__ = bitwise_or_
    __ixor__ = bitwise_xor_
    __ilshift__ = bitwise_left_shift_
    __irshift__ = bitwise_right_shift_


def _foreign(function: Callable[..., Any], self: Any, other: Any) -> Any:
    """A comparison with a NumPy scalar; with anything else Python decides."""
    if getattr(other, "ndim", None) == 0 and hasattr(other, "item"):
        return function(self, other.item())
    return NotImplemented
