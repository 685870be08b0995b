"""Products with a sum: `addmm` and its like, and the linear layer, which is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Number, Shape
from .common import TensorBase, check_tensor, in_place, write_out
from .einsum import einsum
from .matmul import _mismatch, _mm, _mm_left, _mm_right, _same_dtype, bmm, matmul, mv, outer
from .reduce import _sum
from .shape import reshape
from .transpose import _t

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["addmm", "addmv", "addbmm", "baddbmm", "addr", "linear", "bilinear", "LinearMethods"]


@primitive(name="Addmm", kernel="addmm")
def _addmm(bias: Array, x: Array, y: Array, *, beta: Number = 1, alpha: Number = 1,
           relu: bool = False) -> Array:  # fmt: skip
    return kernels(x).addmm(bias, x, y, beta, alpha, relu)


@primitive(name="Addmm", kernel="addmm")
def _affine(bias: Array, x: Array, y: Array, *, beta: int = 1, alpha: int = 1,
            relu: bool = False) -> Array:  # fmt: skip
    """`addmm` with a row as bias, as linear layers have it: `x @ y + bias`."""
    return kernels(x).addmm(bias, x, y, beta, alpha, relu)


_affine.derive("bias", _sum, "grad", dims=(0,), keepdim=False)
_affine.derive("x", _mm_right, "grad", "y")
_affine.derive("y", _mm_left, "grad", "x", strides="y_strides")


@_addmm.derivative("bias")
def _addmm_dbias(grad: Tensor, bias_shape: Shape, beta: Number) -> Tensor:
    if beta != 1:
        grad = grad * beta.conjugate()
    shape = grad._array.shape
    if shape == bias_shape:
        return grad
    if shape[1:] == bias_shape:  # one row for all, as in a linear layer
        return _sum(grad, dims=(0,), keepdim=False)
    return grad.sum_to_size(bias_shape)


@_addmm.derivative("x")
def _addmm_dx(grad: Tensor, y: Tensor, alpha: Number) -> Tensor:
    product = _mm_right(grad, y)
    return product if alpha == 1 else product * alpha.conjugate()


@_addmm.derivative("y")
def _addmm_dy(grad: Tensor, x: Tensor, y_strides: Shape, alpha: Number) -> Tensor:
    product = _mm_left(grad, x, strides=y_strides)
    return product if alpha == 1 else product * alpha.conjugate()


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`beta · input + alpha · (mat1 @ mat2)`; `input` broadcasts.

    >>> import rushlight as torch
    >>> torch.addmm(torch.tensor([1., 2.]), torch.ones(1, 2), torch.ones(2, 2))
    tensor([[3., 4.]])
    """
    x, y = mat1._array, mat2._array
    if x.ndim != 2 or y.ndim != 2:
        raise RuntimeError(f"[addmm] mat1 and mat2 must be matrices, got {x.ndim}-D and {y.ndim}-D")
    if x.shape[1] != y.shape[0]:
        raise RuntimeError(_mismatch("addmm", x.shape, y.shape))
    _same_dtype("addmm", mat1, mat2)
    _same_dtype("addmm", input, mat1)
    shape = (x.shape[0], y.shape[1])
    if input._array.shape not in (shape, shape[1:], ()):
        input = input.expand(shape)
    result = _addmm(input, mat1, mat2, beta=beta, alpha=alpha)
    return result if out is None else write_out(out, result, "addmm")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`: `(…, in)`, `(out, in)`, `(out,)` → `(…, out)`.

    RuntimeError if the last dim of `input` is not `in`. The graph is PyTorch's: `addmm` of the
    bias, the input and the transposed weight.

    >>> import rushlight as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.tensor([[1., 2.]]), torch.tensor([3.]))
    tensor([[6.]])
    """
    if not isinstance(input, TensorBase):
        check_tensor(input, "linear")
    x, w = input._array, weight._array
    if x.ndim == 0 or w.ndim == 0 or x.shape[-1] != w.shape[-1]:
        _explain_linear(x, w)
    if x.dtype != w.dtype:
        _same_dtype("linear", input, weight)
    if w.ndim == 1:
        result = matmul(input, weight)
        return result if bias is None else result + bias
    if x.ndim == 2:
        if bias is None:
            return _mm(input, _t(weight))
        if bias._array.dtype != x.dtype:
            _same_dtype("linear", input, bias)
        add = _affine if bias._array.shape == w.shape[:1] else _addmm
        return add(bias, input, _t(weight))
    if x.ndim == 1 and bias is not None:
        return linear(input.unsqueeze(0), weight, bias).squeeze(0)
    flat = linear(reshape(input, -1, x.shape[-1]), weight, bias)
    return reshape(flat, (*x.shape[:-1], w.shape[0]))


def _explain_linear(x: Array, w: Array) -> None:
    rows = 1
    for n in x.shape[:-1]:
        rows *= n
    columns = x.shape[-1] if x.ndim else 0
    transposed = f"{w.shape[1]}x{w.shape[0]}" if w.ndim == 2 else f"{w.shape}"
    raise RuntimeError(
        f"[linear] mat1 and mat2 shapes cannot be multiplied ({rows}x{columns} and {transposed}): "
        f"the last dimension of the input {list(x.shape)} is {columns}, but the weight "
        f"{list(w.shape)} (out_features, in_features) expects {w.shape[-1] if w.ndim else 0}; "
        "change in_features or reshape the input"
    )


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x1ᵀ W_o x2 + bias_o` for every output o: `weight` is `(out, in1, in2)`.

    >>> import rushlight as torch
    >>> w = torch.ones(1, 2, 2)
    >>> torch.nn.functional.bilinear(torch.ones(1, 2), torch.ones(1, 2), w)
    tensor([[4.]])
    """
    lead = input1._array.shape[:-1]
    x1 = reshape(input1, -1, input1._array.shape[-1])
    x2 = reshape(input2, -1, input2._array.shape[-1])
    result = einsum("bi,oij,bj->bo", x1, weight, x2)
    if bias is not None:
        result = result + bias
    return reshape(result, (*lead, weight._array.shape[0]))


def addmv(
    input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """`beta · input + alpha · (mat @ vec)`."""
    product = mv(mat, vec) * alpha if alpha != 1 else mv(mat, vec)
    return product if beta == 0 else (input * beta if beta != 1 else input) + product


def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """`beta · input + alpha · (vec1 ⊗ vec2)`."""
    product = outer(vec1, vec2) * alpha if alpha != 1 else outer(vec1, vec2)
    return product if beta == 0 else (input * beta if beta != 1 else input) + product


def _whole(value: Number, like: Tensor) -> Number:
    """A factor of an integer product loses its fraction, as in PyTorch."""
    return int(value) if like._array.dtype.kind in "iu" else value  # type: ignore[arg-type]


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1,
            out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`beta · input + alpha · bmm(batch1, batch2)`."""
    beta, alpha = _whole(beta, batch1), _whole(alpha, batch1)
    product = bmm(batch1, batch2) * alpha if alpha != 1 else bmm(batch1, batch2)
    result = product if beta == 0 else (input * beta if beta != 1 else input) + product
    return result if out is None else write_out(out, result, "baddbmm")


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1,
           alpha: Number = 1) -> Tensor:  # fmt: skip
    """`beta · input + alpha · Σ bmm(batch1, batch2)` over the batch."""
    product = bmm(batch1, batch2).sum(0)
    product = product * alpha if alpha != 1 else product
    return product if beta == 0 else (input * beta if beta != 1 else input) + product


class LinearMethods:
    """Products with a sum as methods of `Tensor`."""

    addmm = addmm
    addmv = addmv
    addr = addr
    addbmm = addbmm
    baddbmm = baddbmm
    addmm_ = in_place(addmm, check=None)
    addmv_ = in_place(addmv, check=None)
    addr_ = in_place(addr, check=None)
    baddbmm_ = in_place(baddbmm, check=None)
    addbmm_ = in_place(addbmm, check=None)
