"""Inverses and solutions of linear equations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import check_tensor, dtype_of, type_name, write_out
from .expand import broadcast_shapes
from .transpose import _permute

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["LinAlgError", "inv", "inv_ex", "solve", "solve_ex"]


class LinAlgError(RuntimeError):
    """A matrix cannot be factored or inverted."""


# ---- helpers -------------------------------------------------------------------------------


def check_matrices(op: str, x: Any, square: bool = False) -> None:
    """RuntimeError unless `x` holds (square) matrices of fractions in its last two dims."""
    check_tensor(x, op)
    array = x._array
    if array.dtype.kind not in "fcV":
        raise RuntimeError(
            f"{op}: Expected a floating point or complex tensor as input. Got "
            f"{type_name(dtype_of(array))}"
        )
    if array.dtype.kind == "V" or array.dtype == "float16":
        raise RuntimeError(
            f"{op}: Low precision dtypes not supported. Got {type_name(dtype_of(array))}"
        )
    if array.ndim < 2:
        raise RuntimeError(f"{op}: The input tensor A must have at least 2 dimensions.")
    if square and array.shape[-1] != array.shape[-2]:
        raise RuntimeError(
            f"{op}: A must be batches of square matrices, but they are "
            f"{array.shape[-2]} by {array.shape[-1]} matrices"
        )


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of each matrix."""
    n = x._array.ndim
    turned = _permute(x, dims=(*range(n - 2), n - 1, n - 2))
    return turned.conj() if x._array.dtype.kind == "c" else turned


def _out(result: Any, out: Any, op: str) -> Any:
    return result if out is None else write_out(out, result, op)


def _column(values: Tensor) -> Tensor:
    return values.unsqueeze(-1)


def _is_given(*grads: Any) -> bool:
    return any(g is not None for g in grads)


def _int32() -> Any:
    from .. import dtypes

    return dtypes.int32


# ---- inverse and solution ------------------------------------------------------------------


@primitive(name="LinalgInvEx")
def _inv(x: Array) -> Array:
    k = kernels(x)
    try:
        return k.inverse(x)
    except k.linalg_error:
        raise LinAlgError(
            f"linalg.inv: The diagonal element {_zero_pivot(x)} is zero, the inversion could not "
            "be completed because the input matrix is singular."
        ) from None


def _zero_pivot(x: Array) -> int:
    """The number (from 1) of the first zero on the diagonal of U of any matrix in `x`."""
    k = kernels(x)
    packed = k.lu(x, True)[0]
    zero = k.nonzero(k.xp.diagonal(packed, 0, -2, -1) == 0)
    return int(zero[0, -1]) + 1 if len(zero) else x.shape[-1]


@_inv.derivative("x")
def _inv_dx(grad: Tensor, result: Tensor) -> Tensor:
    h = adjoint(result)
    return -(h @ grad @ h)


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of each square matrix; LinAlgError if one is singular.

    >>> import rushlight as torch
    >>> torch.linalg.inv(torch.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    check_matrices("linalg.inv", A, square=True)
    return _out(_inv(A), out, "linalg.inv")


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """`inv` with `info`, 0 or the number of the zero pivot: `(inverse, info)`."""
    from .create import zeros

    info = zeros(A._array.shape[:-2], dtype=_int32())
    try:
        result = inv(A)
    except LinAlgError:
        if check_errors:
            raise
        result = A.new_full(A._array.shape, math.inf)
        info = info + _zero_pivot(A._array)
    return _out(return_types.linalg_inv_ex(result, info), out, "linalg.inv_ex")


@primitive(name="LinalgSolveEx")
def _solve(x: Array, y: Array) -> Array:
    k = kernels(x)
    try:
        return k.solve(x, y)
    except k.linalg_error:
        raise LinAlgError("torch.linalg.solve: The solver failed because the input matrix is "
                          "singular.") from None  # fmt: skip


@_solve.derivative("x", "y")
def _solve_grads(grad: Tensor, x: Tensor, y_shape: Shape, result: Tensor,
                 needs: tuple[bool, ...]) -> Any:  # fmt: skip
    """With `Y = A⁻ᴴ G`: the gradient of B is Y, that of A is `-Y Xᴴ`."""
    to_y = _solve(adjoint(x), grad)
    to_x = -(to_y @ adjoint(result)) if needs[0] else None
    return [None if to_x is None else to_x.sum_to_size(x._array.shape), to_y.sum_to_size(y_shape)]


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """`X` with `A X = B` (or `X A = B` without `left`); LinAlgError if A is singular.

    `A (…, n, n)`; `B (…, n, k)`, or `(…, n)` if that is one vector for each matrix of A.

    >>> import rushlight as torch
    >>> torch.linalg.solve(torch.tensor([[2., 0.], [0., 4.]]), torch.tensor([2., 2.]))
    tensor([1.0000, 0.5000])
    """
    check_matrices("linalg.solve", A, square=True)
    _same("linalg.solve", A, B)
    a, b = A._array, B._array
    is_vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and a.shape[:-1] == b.shape)
    if is_vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not "
            "supported "
            "for left=False. In this case linalg.solve is equivalent to B / "
            "A.squeeze(-1)"
        )
    rhs = _column(B) if is_vector else B
    check_fit("linalg.solve", A, rhs, left)
    if left:
        result = _solve(A, rhs)
    else:
        result = _turned(_solve(_turned(A), _turned(rhs)))
    return _out(result.squeeze(-1) if is_vector else result, out, "linalg.solve")


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False,
             out: Any = None) -> Any:  # fmt: skip
    """`solve` with `info`, 0 or the number of the zero pivot: `(result, info)`."""
    from .create import zeros

    info = zeros(A._array.shape[:-2], dtype=_int32())
    try:
        result = solve(A, B, left=left)
    except LinAlgError:
        if check_errors:
            raise
        result = B.new_full(B._array.shape, math.nan)
        info = info + _zero_pivot(A._array)
    return _out(return_types.linalg_solve_ex(result, info), out, "linalg.solve_ex")


def _turned(x: Tensor) -> Tensor:
    """The transpose of each matrix, not conjugated."""
    n = x._array.ndim
    return _permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _same(op: str, a: Tensor, b: Tensor) -> None:
    if a._array.dtype != b._array.dtype:
        raise RuntimeError(
            f"{op}: Expected A and B to have the same dtype, but found A of type "
            f"{type_name(dtype_of(a._array))} and B of type "
            f"{type_name(dtype_of(b._array))} instead"
        )


def check_fit(op: str, A: Tensor, B: Tensor, left: bool) -> None:
    """RuntimeError unless the shapes of `A X = B` (or `X A = B`) fit."""
    a, b = A._array.shape, B._array.shape
    if len(b) < 2:
        raise RuntimeError(f"{op}: The input tensor B must have at least 2 dimensions.")
    if a[-1] != b[-2 if left else -1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{op}: Incompatible shapes of A and B for the equation {equation} "
            f"({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})"
        )
    broadcast_shapes(a[:-2], b[:-2])


def _eye_like(x: Tensor) -> Tensor:
    from .create import eye

    return eye(x._array.shape[-1], dtype=x.dtype)
