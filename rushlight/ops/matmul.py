"""Products of matrices and vectors: `mm`, `bmm`, `matmul`, `dot`, `outer`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import TensorBase, check_tensor, dtype_of, type_name, write_out
from .shape import reshape
from .transpose import _t, _transpose

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["mm", "bmm", "matmul", "mv", "dot", "outer", "ger", "vdot", "MatmulMethods"]


def _same_dtype(op: str, x: Any, y: Any) -> None:
    a, b = x._array.dtype, y._array.dtype
    if a != b:
        raise RuntimeError(
            f"[{op}] expected m1 and m2 to have the same dtype, but got: "
            f"{type_name(dtype_of(x._array))} != {type_name(dtype_of(y._array))}; convert one of "
            "them with .to(other.dtype)"
        )


# ---- mm, bmm -------------------------------------------------------------------------------


@primitive(name="Mm", kernel="matmul")
def _mm(x: Array, y: Array) -> Array:
    return kernels(x).matmul(x, y)


# The two gradients of a product are products themselves, and so are their derivatives.


@primitive(name="Mm", kernel="matmul_right")
def _mm_right(g: Array, y: Array) -> Array:
    """`g yᴴ`, the gradient by `x`."""
    return kernels(g).matmul_right(g, y)


@primitive(name="Mm", kernel="matmul_left")
def _mm_left(g: Array, x: Array, *, strides: Shape = (0, 0)) -> Array:
    """`xᴴ g`, the gradient by `y`, laid out in memory as `y` with these strides is.

    So the gradient of a transposed matrix, such as the weight of a linear layer, need not be
    copied: transposed back, it reaches the weight in the weight's own layout.
    """
    return kernels(g).matmul_left(g, x, strides)


_mm.derive("x", _mm_right, "grad", "y")
_mm.derive("y", _mm_left, "grad", "x", strides="y_strides")
_mm_right.derive("g", _mm, "grad", "y")
_mm_right.derive("y", _mm_left, "g", "grad")
_mm_left.derive("g", _mm, "x", "grad")
_mm_left.derive("x", _mm_right, "g", "grad")


def _transposed(x: Tensor) -> Tensor:
    """The (conjugate) transpose of a matrix, a view."""
    return _t(x) if x._array.dtype.kind != "c" else _t(x).conj()


def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices, `(n, k) × (k, m) → (n, m)`.

    RuntimeError if the shapes do not fit.

    >>> import rushlight as torch
    >>> torch.mm(torch.ones(1, 2), torch.tensor([[1.], [2.]]))
    tensor([[3.]])
    """
    if not isinstance(mat2, TensorBase):
        check_tensor(mat2, "mm", "mat2", 2)
    x, y = input._array, mat2._array
    _check_matrices(x.shape, y.shape)
    if x.dtype is not y.dtype:
        _same_dtype("mm", input, mat2)
    result = _mm(input, mat2)
    return result if out is None else write_out(out, result, "mm")


@lru_cache(maxsize=1024)
def _check_matrices(x: Shape, y: Shape) -> None:
    if len(x) != 2:
        raise RuntimeError(f"[mm] self must be a matrix; got shape {list(x)}")
    if len(y) != 2:
        raise RuntimeError(f"[mm] mat2 must be a matrix; got shape {list(y)}")
    if x[1] != y[0]:
        raise RuntimeError(_mismatch("mm", x, y))


@primitive(name="IntMm", kernel="int_matmul")
def _int_product(x: Array, y: Array) -> Array:
    return kernels(x).int_matmul(x, y)


def _int_mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two int8 matrices in int32, `(n, k) × (k, m) → (n, m)`.

    RuntimeError unless both are int8 matrices that fit.

    >>> import rushlight as torch
    >>> torch._int_mm(torch.full((1, 2), 100, dtype=torch.int8), torch.full((2, 1), 100).char())
    tensor([[20000]], dtype=torch.int32)
    """
    x, y = input._array, mat2._array
    if x.dtype != "int8" or y.dtype != "int8":
        raise RuntimeError(
            f"[_int_mm] expected two int8 matrices, but got {type_name(dtype_of(x))} and "
            f"{type_name(dtype_of(y))}"
        )
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
        raise RuntimeError(
            f"[_int_mm] expected matrices (n, k) and (k, m), but got shapes {list(x.shape)} and "
            f"{list(y.shape)}"
        )
    return _int_product(input, mat2)


def _mismatch(op: str, a: Shape, b: Shape) -> str:
    return (
        f"[{op}] mat1 and mat2 shapes cannot be multiplied ({a[0]}x{a[1]} and {b[0]}x{b[1]}): the "
        f"{a[1]} columns of the first must equal the {b[0]} rows of the second"
    )


@primitive(name="Bmm", kernel="matmul")
def _bmm(x: Array, y: Array) -> Array:
    return kernels(x).matmul(x, y)


@_bmm.derivative("x")
def _bmm_dx(grad: Tensor, y: Tensor) -> Tensor:
    return _bmm(grad, _transpose(y, dim0=1, dim1=2).conj())


@_bmm.derivative("y")
def _bmm_dy(grad: Tensor, x: Tensor) -> Tensor:
    return _bmm(_transpose(x, dim0=1, dim1=2).conj(), grad)


def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of matrices in pairs, `(b, n, k) × (b, k, m) → (b, n, m)`.

    >>> import rushlight as torch
    >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).shape
    torch.Size([2, 1, 1])
    """
    x, y = input._array, mat2._array
    if x.ndim != 3 or y.ndim != 3:
        raise RuntimeError(
            f"[bmm] batch1 and batch2 must be 3D tensors; got {x.ndim}D and {y.ndim}D"
        )
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[1]:
        raise RuntimeError(
            f"[bmm] Expected size for first two dimensions of batch2 tensor to be: "
            f"[{x.shape[0]}, {x.shape[2]}] but got: [{y.shape[0]}, {y.shape[1]}]."
        )
    _same_dtype("bmm", input, mat2)
    result = _bmm(input, mat2)
    return result if out is None else write_out(out, result, "bmm")


# ---- vectors -------------------------------------------------------------------------------


@primitive(name="Dot")
def _dot(x: Array, y: Array) -> Array:
    return kernels(x).matmul(x[None, :], y[:, None]).reshape(())


@_dot.derivative("x")
def _dot_dx(grad: Tensor, y: Tensor) -> Tensor:
    return grad * y.conj()


@_dot.derivative("y")
def _dot_dy(grad: Tensor, x: Tensor) -> Tensor:
    return grad * x.conj()


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The dot product of two vectors.

    >>> import rushlight as torch
    >>> torch.dot(torch.tensor([2, 3]), torch.tensor([2, 1]))
    tensor(7)
    """
    x, y = input._array, tensor._array
    if x.ndim != 1 or y.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    if x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] to "
            f"have the same number of elements, but got {x.shape[0]} and {y.shape[0]} elements "
            "respectively"
        )
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found "
            f"{type_name(dtype_of(x))} and {type_name(dtype_of(y))}"
        )
    result = _dot(input, tensor)
    return result if out is None else write_out(out, result, "dot")


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """`dot(conj(input), other)`."""
    return dot(input.conj(), other)


@primitive(name="Mv")
def _mv(x: Array, v: Array) -> Array:
    return kernels(x).matmul(x, v[:, None])[:, 0]


@_mv.derivative("x")
def _mv_dx(grad: Tensor, v: Tensor) -> Tensor:
    return outer(grad, v.conj())


@_mv.derivative("v")
def _mv_dv(grad: Tensor, x: Tensor) -> Tensor:
    return _mv(_transposed(x), grad)


def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of a matrix and a vector, `(n, k) × (k,) → (n,)`.

    >>> import rushlight as torch
    >>> torch.mv(torch.ones(2, 2), torch.tensor([1., 2.]))
    tensor([3., 3.])
    """
    x, v = input._array, vec._array
    if x.ndim != 2 or v.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {x.ndim}, {v.ndim}")
    if x.shape[1] != v.shape[0]:
        raise RuntimeError(
            f"[mv] size mismatch, got input ({x.shape[0]}x{x.shape[1]}), vec ({v.shape[0]})"
        )
    _same_dtype("mv", input, vec)
    result = _mv(input, vec)
    return result if out is None else write_out(out, result, "mv")


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The outer product of two vectors, `(n,) × (m,) → (n, m)`.

    >>> import rushlight as torch
    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if input._array.ndim != 1 or vec2._array.ndim != 1:
        raise RuntimeError(
            f"outer: Expected 1-D argument, but got {input._array.ndim}-D and {vec2._array.ndim}-D"
        )
    result = input.unsqueeze(1) * vec2
    return result if out is None else write_out(out, result, "outer")


ger = outer


# ---- matmul --------------------------------------------------------------------------------


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product with PyTorch's rules: vectors, matrices, and broadcast batches of them.

    >>> import rushlight as torch
    >>> torch.matmul(torch.ones(2, 3), torch.ones(3)).shape
    torch.Size([2])
    """
    check_tensor(other, "matmul", "other", 2)
    n, m = input._array.ndim, other._array.ndim
    if n == 2 and m == 2:
        result = mm(input, other)
    elif n == 1 and m == 1:
        result = dot(input, other)
    elif n == 2 and m == 1:
        result = mv(input, other)
    elif n == 1 and m == 2:
        result = mm(input.unsqueeze(0), other).squeeze(0)
    elif n == 0 or m == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {n}D and {m}D"
        )
    else:
        result = _batched(input, other)
    return result if out is None else write_out(out, result, "matmul")


def _batched(x: Tensor, y: Tensor) -> Tensor:
    """At least one operand has more than two dims."""
    a, b = x._array, y._array
    if b.ndim <= 2 and a.ndim >= 3:  # one matrix for all: fold the batch into the rows
        rows = reshape(x, math.prod(a.shape[:-1]), a.shape[-1])
        if b.ndim == 1:
            return reshape(mv(rows, y), a.shape[:-1])
        return reshape(mm(rows, y), (*a.shape[:-1], b.shape[1]))
    if a.ndim == 1:
        return _batched(x.unsqueeze(0), y).squeeze(-2)
    if b.ndim == 1:
        return _batched(x, y.unsqueeze(1)).squeeze(-1)
    from .expand import broadcast_shapes

    batch = tuple(broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    left = x.expand(*batch, *a.shape[-2:])
    right = y.expand(*batch, *b.shape[-2:])
    left = reshape(left, math.prod(batch), *a.shape[-2:]) if len(batch) != 1 else left
    right = reshape(right, math.prod(batch), *b.shape[-2:]) if len(batch) != 1 else right
    result = bmm(left, right)
    return reshape(result, (*batch, a.shape[-2], b.shape[-1])) if len(batch) != 1 else result


class MatmulMethods:
    """Matrix products as methods and operators of `Tensor`."""

    mm = mm
    bmm = bmm
    matmul = matmul
    mv = mv
    dot = dot
    vdot = vdot
    outer = ger = outer

    def __matmul__(self: Any, other: Any) -> Any:
        if not isinstance(other, TensorBase):
            return NotImplemented
        if self._array.ndim == 2 and other._array.ndim == 2:
            return mm(self, other)
        return matmul(self, other)

    def __rmatmul__(self: Any, other: Any) -> Any:
        return matmul(other, self) if hasattr(other, "_array") else NotImplemented
