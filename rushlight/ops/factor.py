"""The older matrix functions of the top-level namespace, as `torch.cholesky_solve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import return_types
from .common import write_out
from .decomposition import qr as linalg_qr
from .decomposition import svd as linalg_svd
from .determinant import slogdet
from .linalg import adjoint, check_fit, check_matrices, inv
from .matrix import pinv
from .triangular import cholesky as linalg_cholesky
from .triangular import solve_triangular

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "inverse", "logdet", "orgqr", "pinverse",
    "qr", "svd", "triangular_solve", "FactorMethods",
]  # fmt: skip


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """As `torch.linalg.cholesky`."""
    return linalg_cholesky(input, upper=upper, out=out)


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False, *,
                   out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`X` with `A X = B`, from the Cholesky factor of A (`A = L Lᴴ`, or `Uᴴ U` with `upper`).

    >>> import rushlight as torch
    >>> L = torch.linalg.cholesky(torch.tensor([[4., 2.], [2., 5.]]))
    >>> torch.cholesky_solve(torch.tensor([[4.], [2.]]), L)
    tensor([[1.],
            [0.]])
    """
    check_matrices("cholesky_solve", L, square=True)
    check_fit("cholesky_solve", L, B, True)
    lower = adjoint(L) if upper else L
    half = solve_triangular(lower, B, upper=False)
    result = solve_triangular(adjoint(lower), half, upper=True)
    return result if out is None else write_out(out, result, "cholesky_solve")


def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """`A⁻¹` from the Cholesky factor of A."""
    from .create import eye

    check_matrices("cholesky_inverse", L, square=True)
    identity = eye(L._array.shape[-1], dtype=L.dtype).expand(L._array.shape)
    return cholesky_solve(identity, L, upper, out=out)


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As `torch.linalg.inv`."""
    return inv(input, out=out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """As `torch.linalg.pinv` with a relative bound `rcond`."""
    return pinv(input, rcond)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN if that is negative, -inf if 0.

    >>> import rushlight as torch
    >>> torch.logdet(torch.eye(2))
    tensor(0.)
    """
    sign, log = slogdet(input)
    if input._array.dtype.kind == "c":
        return sign.log() + log
    return log.masked_fill(sign.detach() == -1, float("nan"))


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """As `torch.linalg.qr`, complete unless `some`."""
    q, r = linalg_qr(input, "reduced" if some else "complete")
    result = return_types.qr(q, r)
    return result if out is None else write_out(out, result, "qr")


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """As `torch.linalg.svd`, but V is not transposed: `(U, S, V)`.

    >>> import rushlight as torch
    >>> torch.svd(torch.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    u, s, vh = linalg_svd(input, full_matrices=not some)
    v = adjoint(vh)
    if not compute_uv:
        rows, columns = input._array.shape[-2:]
        lead = input._array.shape[:-2]
        u, v = input.new_zeros((*lead, rows, rows)), input.new_zeros((*lead, columns, columns))
    result = return_types.svd(u, s, v)
    return result if out is None else write_out(out, result, "svd")


def triangular_solve(b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False,
                     unitriangular: bool = False, *, out: Any = None) -> Any:  # fmt: skip
    """`(X, A)` with `A X = b` for triangular A (or Aᵀ with `transpose`)."""
    check_matrices("triangular_solve", A, square=True)
    matrix = A.mT if transpose else A
    is_upper = upper != transpose
    result = return_types.triangular_solve(
        solve_triangular(matrix, b, upper=is_upper, unitriangular=unitriangular), A.clone()
    )
    return result if out is None else write_out(out, result, "triangular_solve")


def orgqr(input: Tensor, tau: Tensor) -> Tensor:
    """As `torch.linalg.householder_product`."""
    from .matrix import householder_product

    return householder_product(input, tau)


class FactorMethods:
    """Matrix functions as methods of `Tensor`."""

    cholesky = cholesky
    cholesky_solve = cholesky_solve
    cholesky_inverse = cholesky_inverse
    inverse = inverse
    pinverse = pinverse
    logdet = logdet
    qr = qr
    svd = svd
    triangular_solve = triangular_solve
    orgqr = orgqr

    def det(self: Any) -> Any:
        """The determinant of each square matrix."""
        from .determinant import det

        return det(self)

    def slogdet(self: Any) -> Any:
        """The sign and the logarithm of the size of the determinant."""
        return slogdet(self)

    def matrix_power(self: Any, n: int) -> Any:
        """Each square matrix to an integer power."""
        from .matrix import matrix_power

        return matrix_power(self, n)

    def matrix_exp(self: Any) -> Any:
        """The matrix exponential."""
        from .matrix import matrix_exp

        return matrix_exp(self)

    def lu_solve(self: Any, LU_data: Any, LU_pivots: Any) -> Any:
        """`X` with `A X = self`, from the factors of A."""
        from .triangular import lu_solve

        return lu_solve(LU_data, LU_pivots, self)
