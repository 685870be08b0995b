"""Triangular matrices: their equations, Cholesky and LU factors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .expand import broadcast_shapes
from .linalg import (
    LinAlgError,
    _eye_like,
    _int32,
    _out,
    _same,
    _turned,
    adjoint,
    check_fit,
    check_matrices,
)

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["cholesky", "cholesky_ex", "lu", "lu_factor", "lu_solve", "solve_triangular"]


# ---- Cholesky ------------------------------------------------------------------------------


@primitive(name="LinalgCholeskyEx")
def _cholesky(x: Array, *, upper: bool) -> Array:
    k = kernels(x)
    if upper:
        x = k.xp.conj(k.xp.swapaxes(x, -1, -2))
    try:
        lower = k.cholesky(x)
        return k.copy(k.xp.conj(k.xp.swapaxes(lower, -1, -2))) if upper else lower
    except k.linalg_error:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not "
            f"positive-definite (the leading minor of order {_failing_minor(x)} is not "
            "positive-definite)."
        ) from None


def _failing_minor(x: Array) -> int:
    """The order of the first leading minor, of any matrix in `x`, that has no factorisation."""
    k = kernels(x)
    for order in range(1, x.shape[-1] + 1):
        try:
            k.cholesky(x[..., :order, :order])
        except k.linalg_error:
            return order
    return x.shape[-1]


@_cholesky.derivative("x")
def _cholesky_dx(grad: Tensor, result: Tensor, upper: bool) -> Tensor:
    """`L⁻ᴴ S L⁻¹` with `S = (X + Xᴴ - diag X) / 2` and `X = tril(Lᴴ G)`."""
    turned = result if upper else adjoint(result)
    inner = (turned @ (adjoint(grad) if upper else grad)).tril()
    inner = (inner + adjoint(inner.tril(-1))) * 0.5
    left = _solve_triangular(turned, inner, upper=True, unitriangular=False)
    return adjoint(_solve_triangular(turned, adjoint(left), upper=True, unitriangular=False))


def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with `L Lᴴ = A` (or with `upper`, the U with `Uᴴ U = A`).

    Reads one triangle of A. LinAlgError if A is not positive-definite.

    >>> import rushlight as torch
    >>> torch.linalg.cholesky(torch.tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    check_matrices("linalg.cholesky", A, square=True)
    return _out(_cholesky(A, upper=upper), out, "linalg.cholesky")


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False,
                out: Any = None) -> Any:  # fmt: skip
    """`(L, info)`: `cholesky`, and 0 or the order of the minor that is not positive-definite.

    Without `check_errors` a failure leaves NaN in L.
    """
    from .create import zeros

    batch = A._array.shape[:-2]
    info = zeros(batch, dtype=_int32())
    try:
        factor = cholesky(A, upper=upper)
    except LinAlgError:
        if check_errors:
            raise
        factor = A.new_full(A._array.shape, math.nan)
        info = info + _failing_minor(A._array)
    return _out(return_types.linalg_cholesky_ex(factor, info), out, "linalg.cholesky_ex")


# ---- triangular systems --------------------------------------------------------------------


@primitive(name="LinalgSolveTriangular")
def _solve_triangular(x: Array, y: Array, *, upper: bool, unitriangular: bool) -> Array:
    k = kernels(x)
    mask = k.tri_mask(x.shape[-1], x.shape[-1], -1 if upper else 0)
    clean = k.xp.where(mask, 0, x) if upper else k.xp.where(mask, x, 0)
    if unitriangular:
        clean = k.xp.where(k.eye(x.shape[-1], x.shape[-1], k.xp.dtype(bool)), 1, clean)
    return k.solve_triangular(clean.astype(x.dtype), y, upper)


@_solve_triangular.derivative("x", "y")
def _solve_triangular_grads(grad: Tensor, x: Tensor, y_shape: Shape, result: Tensor, upper: bool,
                            unitriangular: bool, needs: tuple[bool, ...]) -> Any:  # fmt: skip
    to_y = _solve_triangular(adjoint(x), grad, upper=not upper, unitriangular=unitriangular)
    to_x = None
    if needs[0]:
        product = -(to_y @ adjoint(result))
        off = 1 if unitriangular else 0
        to_x = product.triu(off) if upper else product.tril(-off)
        to_x = to_x.sum_to_size(x._array.shape)
    return [to_x, to_y.sum_to_size(y_shape)]


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True,
                     unitriangular: bool = False, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`X` with `A X = B` (or `X A = B`) for triangular A, of which only one triangle is read.

    With `unitriangular` the diagonal counts as ones.

    >>> import rushlight as torch
    >>> A = torch.tensor([[2., 0.], [1., 1.]])
    >>> torch.linalg.solve_triangular(A, torch.tensor([[2.], [3.]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    check_matrices("linalg.solve_triangular", A, square=True)
    _same("linalg.solve_triangular", A, B)
    check_fit("linalg.solve_triangular", A, B, left)
    if left:
        result = _solve_triangular(A, B, upper=upper, unitriangular=unitriangular)
    else:
        result = _turned(_solve_triangular(_turned(A), _turned(B), upper=not upper,
                                           unitriangular=unitriangular))  # fmt: skip
    return _out(result, out, "linalg.solve_triangular")


# ---- LU ------------------------------------------------------------------------------------


@primitive(name="LinalgLuFactorEx")
def _lu_square(x: Array) -> Array:
    """L and U of square matrices whose rows are in pivot order already, packed in one matrix."""
    return kernels(x).lu(x, False)[0]


@_lu_square.derivative("x")
def _lu_square_dx(grad: Tensor, result: Tensor) -> Tensor:
    """`L⁻ᴴ (tril(Lᴴ Gl, -1) + triu(Gu Uᴴ)) U⁻ᴴ`."""
    lower = result.tril(-1) + _eye_like(result)
    upper = result.triu()
    inner = (adjoint(lower) @ grad.tril(-1)).tril(-1) + (grad.triu() @ adjoint(upper)).triu()
    left = _solve_triangular(adjoint(lower), inner, upper=True, unitriangular=True)
    return adjoint(_solve_triangular(upper, adjoint(left), upper=True, unitriangular=False))


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L (below the diagonal) and U in one matrix, and the row exchanges from 1: `(LU, pivots)`."""
    from ..autograd.variable import wrap
    from .common import cast
    from .parts import cat

    check_matrices("linalg.lu_factor", A)
    k = kernels(A._array)
    pivots = k.lu(A._array, pivot)[1]
    rows, columns = A._array.shape[-2:]
    x = _rows_in_order(A, pivots)
    count = min(rows, columns)
    head = _lu_square(x[..., :count, :count])
    if rows > columns:
        rest = solve_triangular(head.triu(), x[..., count:, :], upper=True, left=False)
        head = cat([head, rest], -2)
    elif columns > rows:
        rest = solve_triangular(head, x[..., count:], upper=False, unitriangular=True)
        head = cat([head, rest], -1)
    numbers = wrap(cast(pivots + 1, _int32()))
    return _out(return_types.linalg_lu_factor(head, numbers), out, "linalg.lu_factor")


def _order(pivots: Array, rows: int) -> Array:
    """The order of rows that a list of exchanges leads to."""
    xp = kernels(pivots).xp
    count = math.prod(pivots.shape[:-1])
    order = xp.tile(xp.arange(rows), (count, 1))
    each = xp.arange(count)
    for i, chosen in enumerate(pivots.reshape(count, pivots.shape[-1]).T):
        kept = order[each, chosen].copy()
        order[each, chosen] = order[:, i]
        order[:, i] = kept
    return order.reshape((*pivots.shape[:-1], rows))


def _rows_in_order(A: Tensor, pivots: Array) -> Tensor:
    from ..autograd.variable import wrap

    order = wrap(_order(pivots, A._array.shape[-2]))
    return A.gather(-2, order.unsqueeze(-1).expand(A._array.shape))


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """`(P, L, U)` with `A = P L U`: a permutation, a unit lower and an upper triangular matrix."""
    from ..autograd.variable import wrap
    from .create import eye

    packed, pivots = lu_factor(A, pivot=pivot)
    rows, columns = A._array.shape[-2:]
    count = min(rows, columns)
    lower = packed[..., :count].tril(-1) + eye(rows, count, dtype=A.dtype)
    upper = packed[..., :count, :].triu()
    order = wrap(_order(pivots._array - 1, rows))
    permutation = eye(rows, dtype=A.dtype)[order].transpose(-2, -1).contiguous()
    return _out(return_types.linalg_lu(permutation, lower, upper), out, "linalg.lu")


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False,
             out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`X` with `A X = B` from the factors that `lu_factor(A)` gave.

    `left=False` solves `X A = B`; `adjoint` uses Aᴴ in place of A.
    """
    _same("linalg.lu_solve", LU, B)
    if not left:  # X A = B is Aᴴ Xᴴ = Bᴴ
        turned = lu_solve(LU, pivots, B.mH, adjoint=not adjoint)
        return _out(turned.mH, out, "linalg.lu_solve")
    from ..autograd.variable import wrap

    batch = broadcast_shapes(LU._array.shape[:-2], B._array.shape[:-2])
    steps = pivots._array.shape[-1]
    exchanges = kernels(LU._array).broadcast_to(pivots._array - 1, (*batch, steps))
    rhs = B.expand(*batch, *B._array.shape[-2:])
    if not adjoint:
        half = solve_triangular(LU, _rows_in_order(rhs, exchanges), upper=False, unitriangular=True)
        return _out(solve_triangular(LU, half, upper=True), out, "linalg.lu_solve")
    half = solve_triangular(LU.mH, rhs, upper=False)
    whole = solve_triangular(LU.mH, half, upper=True, unitriangular=True)
    k = kernels(LU._array)
    back = wrap(k.xp.argsort(_order(exchanges, LU._array.shape[-1]), -1))
    result = whole.gather(-2, back.unsqueeze(-1).expand(whole._array.shape))
    return _out(result, out, "linalg.lu_solve")
