"""Matrix products, and the linear layer, which is one."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Number, Shape
from .common import TensorBase, check_tensor, dtype_of, in_place, type_name, write_out
from .reduce import _sum
from .shape import _t, _transpose, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "mm", "bmm", "matmul", "mv", "dot", "inner", "outer", "ger", "vdot", "addmm", "addmv", "addbmm",
    "baddbmm", "addr", "linear", "bilinear", "einsum", "tensordot", "kron", "chain_matmul",
    "MatmulMethods",
]  # fmt: skip


def _same_dtype(op: str, x: Any, y: Any) -> None:
    a, b = x._array.dtype, y._array.dtype
    if a != b:
        raise RuntimeError(
            f"[{op}] expected m1 and m2 to have the same dtype, but got: "
            f"{type_name(dtype_of(x._array))} != {type_name(dtype_of(y._array))}; convert one of "
            "them with .to(other.dtype)"
        )


# ---- mm, bmm -------------------------------------------------------------------------------


@primitive(name="Mm")
def _mm(x: Array, y: Array) -> Array:
    return kernels(x).matmul(x, y)


@_mm.derivative("x")
def _mm_dx(grad: Tensor, y: Tensor) -> Tensor:
    return _mm(grad, _transposed(y))


@_mm.derivative("y")
def _mm_dy(grad: Tensor, x: Tensor, y_strides: Shape) -> Tensor:
    return _left_gradient(grad, x, y_strides)


def _left_gradient(grad: Tensor, x: Tensor, y_strides: Shape) -> Tensor:
    """The gradient `xᵀ grad` of `y` in `x @ y`, laid out in memory as `y` is.

    If `y` is a transposed matrix, as the weight of a linear layer, that is `(gradᵀ x)ᵀ`: transposed
    back, it reaches the weight in the weight's own layout and need not be copied.
    """
    if y_strides[0] < y_strides[1] and x._array.dtype.kind != "c":
        return _t(_mm(_t(grad), x))
    return _mm(_transposed(x), grad)


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


@primitive(name="IntMm")
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


@primitive(name="Bmm")
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


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of products over the last dim of both."""
    if input._array.ndim == 0 or other._array.ndim == 0:
        result = input * other
    else:
        if input._array.shape[-1] != other._array.shape[-1]:
            raise RuntimeError(
                f"inner() the last dimension must match on both input tensors but got shapes "
                f"{list(input._array.shape)} and {list(other._array.shape)}"
            )
        result = tensordot(input, other, dims=([-1], [-1]))
    return result if out is None else write_out(out, result, "inner")


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
    from .shape import broadcast_shapes

    batch = tuple(broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    left = x.expand(*batch, *a.shape[-2:])
    right = y.expand(*batch, *b.shape[-2:])
    left = reshape(left, math.prod(batch), *a.shape[-2:]) if len(batch) != 1 else left
    right = reshape(right, math.prod(batch), *b.shape[-2:]) if len(batch) != 1 else right
    result = bmm(left, right)
    return reshape(result, (*batch, a.shape[-2], b.shape[-1])) if len(batch) != 1 else result


# ---- addmm and linear ----------------------------------------------------------------------


@primitive(name="Addmm")
def _addmm(bias: Array, x: Array, y: Array, *, beta: Number = 1, alpha: Number = 1,
           relu: bool = False) -> Array:  # fmt: skip
    return kernels(x).addmm(bias, x, y, beta, alpha, relu)


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
    product = _mm(grad, _transposed(y))
    return product if alpha == 1 else product * alpha.conjugate()


@_addmm.derivative("y")
def _addmm_dy(grad: Tensor, x: Tensor, y_strides: Shape, alpha: Number) -> Tensor:
    product = _left_gradient(grad, x, y_strides)
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
        return _addmm(bias, input, _t(weight))
    if x.ndim == 1 and bias is not None:
        return _addmm(bias, input.unsqueeze(0), _t(weight)).squeeze(0)
    rows = reshape(input, -1, x.shape[-1])
    flat = _mm(rows, _t(weight)) if bias is None else _addmm(bias, rows, _t(weight))
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


# ---- compositions --------------------------------------------------------------------------


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, *, out: Tensor | None = None) -> Tensor:
    """Products summed over several dims: the last `dims` of `a` and the first of `b`, or two lists.

    >>> import rushlight as torch
    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape
    torch.Size([2, 4])
    """
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        left, right = list(range(a._array.ndim - dims, a._array.ndim)), list(range(dims))
    else:
        left, right = ([int(d) for d in side] for side in dims)
    left = [d % a._array.ndim for d in left]
    right = [d % b._array.ndim for d in right]
    for i, j in zip(left, right):
        n, m = a._array.shape[i], b._array.shape[j]
        if n != m and n == 1:  # a size of 1 stands for any: the other operand is summed first
            b = b.sum(j, keepdim=True)
        elif n != m and m == 1:
            a = a.sum(i, keepdim=True)
        elif n != m:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._array.shape[i]} in "
                f"dim {i} and second has size {b._array.shape[j]} in dim {j}"
            )
    rows = [d for d in range(a._array.ndim) if d not in left]
    columns = [d for d in range(b._array.ndim) if d not in right]
    n, m = [a._array.shape[d] for d in rows], [b._array.shape[d] for d in columns]
    size = math.prod(a._array.shape[d] for d in left)
    x = reshape(a.permute(*rows, *left) if a._array.ndim else a, math.prod(n), size)
    y = reshape(b.permute(*right, *columns) if b._array.ndim else b, size, math.prod(m))
    result = reshape(mm(x, y), n + m)
    return result if out is None else write_out(out, result, "tensordot")


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product."""
    n = max(input._array.ndim, other._array.ndim)
    a = (1,) * (n - input._array.ndim) + input._array.shape
    b = (1,) * (n - other._array.ndim) + other._array.shape
    left = reshape(input, [v for s in a for v in (s, 1)])
    right = reshape(other, [v for s in b for v in (1, s)])
    return reshape(left * right, [s * r for s, r in zip(a, b)])


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, left to right."""
    result = matrices[0]
    for m in matrices[1:]:
        result = mm(result, m)
    return result


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products named by letters, as `"bij,bjk->bik"`; `...` stands for batch dims.

    Operands are contracted from left to right, each step as one batched matrix product.

    >>> import rushlight as torch
    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = _parse_einsum(equation, operands)
    terms = [_take_diagonals(x, list(letters)) for x, letters in zip(operands, inputs)]
    x, letters = terms[0]
    for i, (y, others) in enumerate(terms[1:], 1):
        later = set(output).union(*[t[1] for t in terms[i + 1 :]])
        x, letters = _contract(x, letters, y, others, later)
    extra = [letters.index(c) for c in letters if c not in output]
    if extra:
        x = x.sum(extra)
        letters = [c for c in letters if c in output]
    return x.permute([letters.index(c) for c in output]) if output else x


def _parse_einsum(equation: str, operands: Any) -> tuple[list[list[str]], list[str]]:
    """Letters of each operand and of the result; dims of `...` become digits-like symbols."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise RuntimeError(
            f"einsum(): more operands were provided than specified in the equation "
            f"or fewer ({len(operands)} for {len(parts)})"
        )
    batch = 0
    for part, x in zip(parts, operands):
        if "..." in part:
            batch = max(batch, x._array.ndim - len(part.replace("...", "")))
    inputs = []
    sizes: dict[str, int] = {}
    for k, (part, x) in enumerate(zip(parts, operands)):
        n = x._array.ndim - len(part.replace("...", ""))
        if (n != 0 and "..." not in part) or n < 0:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(part)}) does not match "
                f"the number of dimensions ({x._array.ndim}) for operand {k} and no ellipsis was "
                "given"
            )
        head, _, tail = part.partition("...")
        dots = [f".{i}" for i in range(batch - n, batch)] if "..." in part else []
        letters = [*head, *dots, *tail]
        for c, s in zip(letters, x._array.shape):
            if sizes.setdefault(c, s) != s:
                if sizes[c] == 1:
                    sizes[c] = s
                elif s != 1:
                    raise RuntimeError(
                        f"einsum(): subscript {c} has size {s} for operand {k} which does not "
                        f"broadcast with previously seen size {sizes[c]}"
                    )
        inputs.append(letters)
    if arrow:
        head, _, tail = right.partition("...")
        output = [*head, *([f".{i}" for i in range(batch)] if "..." in right else []), *tail]
    else:
        flat = [c for letters in inputs for c in letters]
        once = sorted(c for c in set(flat) if not c.startswith(".") and flat.count(c) == 1)
        output = [f".{i}" for i in range(batch)] + once
    for c in output:
        if c not in sizes:
            raise RuntimeError(
                f"einsum(): output subscript {c} does not appear in the "
                f"equation for "
                "any input operand"
            )
    return inputs, output


def _take_diagonals(x: Any, letters: list[str]) -> tuple[Any, list[str]]:
    """A letter that stands twice in one operand means its diagonal."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = x.diagonal(0, i, j)
            letters = [v for k, v in enumerate(letters) if k not in (i, j)] + [c]
    return x, letters


def _contract(x: Any, a: list[str], y: Any, b: list[str], later: set[str]) -> tuple[Any, list[str]]:
    """One product of two operands, summed over the letters that nobody needs later."""
    shared = [c for c in a if c in b]
    batch = [c for c in shared if c in later]
    summed = [c for c in shared if c not in later]
    rows = [c for c in a if c not in b]
    columns = [c for c in b if c not in a]
    xs, ys = x._array.shape, y._array.shape
    size = {c: xs[a.index(c)] for c in a}
    for c in b:
        size[c] = max(size.get(c, 1), ys[b.index(c)])
    x = x.permute([a.index(c) for c in batch + rows + summed])
    y = y.permute([b.index(c) for c in batch + summed + columns])
    x = x.expand([size[c] for c in batch + rows + summed])
    y = y.expand([size[c] for c in batch + summed + columns])

    def total(letters: list[str]) -> int:
        count = 1
        for c in letters:
            count *= size[c]
        return count

    x = reshape(x, (total(batch), total(rows), total(summed)))
    y = reshape(y, (total(batch), total(summed), total(columns)))
    order = batch + rows + columns
    return reshape(bmm(x, y), [size[c] for c in order]), order


class MatmulMethods:
    """Matrix products as methods and operators of `Tensor`."""

    mm = mm
    bmm = bmm
    matmul = matmul
    mv = mv
    dot = dot
    vdot = vdot
    inner = inner
    outer = ger = outer
    addmm = addmm
    addmv = addmv
    addr = addr
    addbmm = addbmm
    baddbmm = baddbmm
    kron = kron
    addmm_ = in_place(addmm)
    addmv_ = in_place(addmv)
    addr_ = in_place(addr)
    baddbmm_ = in_place(baddbmm)
    addbmm_ = in_place(addbmm)

    def __matmul__(self: Any, other: Any) -> Any:
        if not isinstance(other, TensorBase):
            return NotImplemented
        if self._array.ndim == 2 and other._array.ndim == 2:
            return mm(self, other)
        return matmul(self, other)

    def __rmatmul__(self: Any, other: Any) -> Any:
        return matmul(other, self) if hasattr(other, "_array") else NotImplemented
