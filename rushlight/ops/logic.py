"""Logic and bits: `logical_and`, `bitwise_or`, shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import Primitive, primitive
from ..backends import agree, kernels
from ..types_ import Array, Number
from .common import OPERANDS, TensorBase, check_tensor, compute_out, in_place, match

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or",
    "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift", "LogicMethods",
]  # fmt: skip


def _logical(kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array, *, out: Array = None) -> Array:
        return getattr(kernels(x), kernel_name)(x, y, out)

    return Primitive(forward, kernel_name, kinds="?")


_logical_and, _logical_or = _logical("logical_and"), _logical("logical_or")
_logical_xor = _logical("logical_xor")


@primitive(name="LogicalNot", kinds="?", kernel="logical_not")
def _logical_not(x: Array, *, out: Array = None) -> Array:
    return kernels(x).logical_not(x, out)


def logical_and(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether both are nonzero.

    >>> import rushlight as torch
    >>> torch.logical_and(torch.tensor([0, 1]), torch.tensor([2, 2]))
    tensor([False,  True])
    """
    check_tensor(other, "logical_and", "other", 2)
    return compute_out(_logical_and, "logical_and", out, input, other)


def logical_or(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether at least one is nonzero."""
    check_tensor(other, "logical_or", "other", 2)
    return compute_out(_logical_or, "logical_or", out, input, other)


def logical_xor(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether exactly one is nonzero."""
    check_tensor(other, "logical_xor", "other", 2)
    return compute_out(_logical_xor, "logical_xor", out, input, other)


def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether each element is zero."""
    return compute_out(_logical_not, "logical_not", out, input)


def _bitwise(kernel_name: str) -> Primitive:
    def forward(x: Array, y: Array, *, out: Array = None) -> Array:
        if not agree(x, y):
            x, y = match(x, y)
        if x.dtype.kind not in "biu" or type(y) is float:
            raise RuntimeError(
                f'"{kernel_name}_cpu" not implemented for floating-point tensors; '
                "convert them to integers or bools first"
            )
        return getattr(kernels(x), kernel_name)(x, y, out)

    return Primitive(forward, kernel_name, kinds="biu")


_and, _or, _xor = (_bitwise("bitwise_" + n) for n in ("and", "or", "xor"))
_left_shift, _right_shift = _bitwise("left_shift"), _bitwise("right_shift")


@primitive(name="BitwiseNot", kinds="biu")
def _bitwise_not(x: Array, *, out: Array = None) -> Array:
    if x.dtype.kind not in "biu":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return kernels(x).bitwise_not(x, out)


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
    return compute_out(op, name, out, x, y)


def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All bits flipped; of bools, logical not."""
    return compute_out(_bitwise_not, "bitwise_not", out, input)


class LogicMethods:
    """Logic and bits as methods of `Tensor`."""

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
    logical_and_ = in_place(logical_and, _logical_and)
    logical_or_ = in_place(logical_or, _logical_or)
    logical_xor_ = in_place(logical_xor, _logical_xor)
    logical_not_ = in_place(logical_not, _logical_not)
    bitwise_and_ = in_place(bitwise_and, _and)
    bitwise_or_ = in_place(bitwise_or, _or)
    bitwise_xor_ = in_place(bitwise_xor, _xor)
    bitwise_not_ = in_place(bitwise_not, _bitwise_not)
    bitwise_left_shift_ = in_place(bitwise_left_shift, _left_shift)
    bitwise_right_shift_ = in_place(bitwise_right_shift, _right_shift)

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
