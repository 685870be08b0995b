"""Comparisons, and tests of what a number is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive
from ..backends import agree, kernels
from ..types_ import Array, Number
from .common import OPERANDS, check_tensor, compute_out, in_place, match, refuse

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "equal", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal",
    "isclose", "allclose", "CompareMethods",
]  # fmt: skip


def _comparison(kernel_name: str) -> Primitive:
    """A primitive that calls the comparison kernel of that name."""

    is_order = kernel_name not in ("eq", "ne")

    def forward(x: Array, y: Array, *, out: Array = None) -> Array:
        if not agree(x, y):
            x, y = _match_exactly(x, y)
        if is_order:
            refuse(kernel_name, x, "c")
        return getattr(kernels(x), kernel_name)(x, y, out)

    return Primitive(forward, kernel_name.capitalize(), kinds="?")


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
    return op(x, y) if out is None else compute_out(op, name, out, x, y)


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


def _foreign(function: Callable[..., Any], self: Any, other: Any) -> Any:
    """A comparison with a NumPy scalar; with anything else Python decides."""
    if getattr(other, "ndim", None) == 0 and hasattr(other, "item"):
        return function(self, other.item())
    return NotImplemented


class CompareMethods:
    """Comparisons as methods and operators of `Tensor`."""

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
    eq_ = in_place(eq, _eq)
    ne_ = not_equal_ = in_place(ne, _ne)
    lt_ = less_ = in_place(lt, _lt)
    le_ = less_equal_ = in_place(le, _le)
    gt_ = greater_ = in_place(gt, _gt)
    ge_ = greater_equal_ = in_place(ge, _ge)

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
