"""Elementwise functions of three operands: scaled products and quotients added, and `lerp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..backends.arrays import is_array
from ..types_ import Array, Number
from .arithmetic import add
from .common import TensorBase, cast, compute_out, dtype_of, in_place, write_out
from .operands import conj_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["addcdiv", "addcmul", "lerp", "TernaryMethods"]


# ---- sums of scaled products ---------------------------------------------------------------


@primitive(name="Addcmul", broadcast=True, kernel="addcmul")
def _addcmul(x: Array, y: Array, z: Array, *, value: Number = 1, out: Array = None) -> Array:
    return kernels(x).addcmul(x, y, z, value, out)


@_addcmul.derivative("x")
def _addcmul_dx(grad: Tensor) -> Tensor:
    return grad


@_addcmul.derivative("y")
def _addcmul_dy(grad: Tensor, z: Tensor, value: Number) -> Tensor:
    return grad * conj_of(z * value)


@_addcmul.derivative("z")
def _addcmul_dz(grad: Tensor, y: Tensor, value: Number) -> Tensor:
    return grad * conj_of(y * value)


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input + value · tensor1 · tensor2`, broadcast.

    >>> import rushlight as torch
    >>> torch.addcmul(torch.zeros(2), torch.tensor([1., 2.]), torch.tensor([3., 4.]), value=2)
    tensor([ 6., 16.])
    """
    _check_factor("addcmul", value, input, tensor1, tensor2)
    if _are_alike(input, tensor1, tensor2):
        return compute_out(_addcmul, "addcmul", out, input, tensor1, tensor2, value=value)
    return add(input, tensor1 * tensor2, alpha=value, out=out)


@primitive(name="Addcdiv", broadcast=True, kernel="addcdiv")
def _addcdiv(x: Array, y: Array, z: Array, *, value: Number = 1, out: Array = None) -> Array:
    return kernels(x).addcdiv(x, y, z, value, out)


@_addcdiv.derivative("x")
def _addcdiv_dx(grad: Tensor) -> Tensor:
    return grad


@_addcdiv.derivative("y")
def _addcdiv_dy(grad: Tensor, z: Tensor, value: Number) -> Tensor:
    return grad * conj_of(value / z)


@_addcdiv.derivative("z")
def _addcdiv_dz(grad: Tensor, y: Tensor, z: Tensor, value: Number) -> Tensor:
    return -grad * conj_of(value * y / (z * z))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input + value · tensor1 / tensor2`, broadcast; RuntimeError for two integer tensors.

    >>> import rushlight as torch
    >>> torch.addcdiv(torch.zeros(2), torch.tensor([1., 2.]), torch.tensor([2., 4.]))
    tensor([0.5000, 0.5000])
    """
    _check_quotient(tensor1, tensor2)
    _check_factor("addcdiv", value, input, tensor1, tensor2)
    if _are_alike(input, tensor1, tensor2):
        return compute_out(_addcdiv, "addcdiv", out, input, tensor1, tensor2, value=value)
    return add(input, tensor1 / tensor2, alpha=value, out=out)


def _are_alike(*tensors: Tensor) -> bool:
    """Whether all have one dtype, in which sums of products may be computed in one pass."""
    dtype = tensors[0]._array.dtype
    return dtype.kind != "b" and all(t._array.dtype == dtype for t in tensors[1:])


def _check_quotient(tensor1: Tensor, tensor2: Tensor) -> None:
    if tensor1._array.dtype.kind in "biu" and tensor2._array.dtype.kind in "biu":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future release addcdiv "
            "will perform a true division of tensor1 and tensor2; convert one of them with .float()"
        )


def _check_factor(op: str, value: Number, *tensors: Tensor) -> None:
    """A fractional factor needs a fractional tensor."""
    if isinstance(value, float) and all(t._array.dtype.kind in "biu" for t in tensors):
        raise RuntimeError(
            f"[{op}] For integral input tensors, argument value must not be a "
            "floating point number."
        )


@primitive(name="Lerp", broadcast=True, kernel="lerp")
def _lerp_number(x: Array, end: Array, *, weight: Number, out: Array = None) -> Array:
    return kernels(x).lerp(x, end, weight, out)


@_lerp_number.derivative("x")
def _lerp_number_dx(grad: Tensor, weight: Number) -> Tensor:
    return grad * (1 - weight.conjugate())


@_lerp_number.derivative("end")
def _lerp_number_dend(grad: Tensor, weight: Number) -> Tensor:
    return grad * weight.conjugate()


@primitive(name="Lerp", suffix="Backward1", broadcast=True)
def _lerp(x: Array, end: Array, weight: Array, *, out: Array = None) -> Array:
    if is_array(weight):  # the in-place form brings numbers, too
        weight = cast(weight, dtype_of(x))
    return kernels(x).lerp(x, end, weight, out)


@_lerp.derivative("x")
def _lerp_dx(grad: Tensor, weight: Tensor) -> Tensor:
    return grad * conj_of(1 - weight)


@_lerp.derivative("end")
def _lerp_dend(grad: Tensor, weight: Tensor) -> Tensor:
    return grad * conj_of(weight)


@_lerp.derivative("weight")
def _lerp_dweight(grad: Tensor, x: Tensor, end: Tensor) -> Tensor:
    return grad * conj_of(end - x)


def lerp(input: Tensor, end: Tensor, weight: Tensor | float, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input + weight · (end - input)`; from the middle on counted back from `end`.

    >>> import rushlight as torch
    >>> torch.lerp(torch.tensor([1., 2.]), torch.tensor([10., 10.]), 0.5)
    tensor([5.5000, 6.0000])
    """
    if input._array.dtype != end._array.dtype:
        raise RuntimeError(f"expected dtype {input.dtype} for `end` but got dtype {end.dtype}")
    if isinstance(weight, TensorBase):
        if weight._array.dtype != input._array.dtype and weight._array.ndim:
            raise RuntimeError(
                f"expected dtype {input.dtype} for `weight` but got dtype {weight.dtype}"
            )
        result = _lerp(input, end, weight)
        return result if out is None else write_out(out, result, "lerp", input, end, weight)
    return compute_out(_lerp_number, "lerp", out, input, end, weight=weight)


# ---- in place ------------------------------------------------------------------------------


_addcmul_unchecked_ = in_place(addcmul, _addcmul)
_addcdiv_unchecked_ = in_place(addcdiv, _addcdiv)


def _addcmul_(self: Any, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Any:
    """In-place version of :func:`addcmul`."""
    _check_factor("addcmul", value, self, tensor1, tensor2)
    return _addcmul_unchecked_(self, tensor1, tensor2, value=value)


def _addcdiv_(self: Any, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Any:
    """In-place version of :func:`addcdiv`."""
    _check_quotient(tensor1, tensor2)
    _check_factor("addcdiv", value, self, tensor1, tensor2)
    return _addcdiv_unchecked_(self, tensor1, tensor2, value=value)


class TernaryMethods:
    """Elementwise functions of three operands as methods of `Tensor`."""

    addcmul = addcmul
    addcdiv = addcdiv
    lerp = lerp
    addcmul_ = _addcmul_
    addcdiv_ = _addcdiv_
    lerp_ = in_place(lerp, _lerp)
