"""`torch.linalg`: linear algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.ops.decomposition import eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from rushlight.ops.determinant import det, slogdet
from rushlight.ops.linalg import LinAlgError, inv, inv_ex, solve, solve_ex
from rushlight.ops.matmul import matmul
from rushlight.ops.matrix import (
    cond,
    householder_product,
    lstsq,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    multi_dot,
    norm,
    pinv,
    tensorinv,
    tensorsolve,
    vecdot,
)  # fmt: skip
from rushlight.ops.numeric import cross as _cross
from rushlight.ops.numeric import vander as _vander
from rushlight.ops.parts import stack
from rushlight.ops.rearrange import diagonal as _diagonal
from rushlight.ops.spread import vector_norm
from rushlight.ops.triangular import (
    cholesky,
    cholesky_ex,
    lu,
    lu_factor,
    lu_solve,
    solve_triangular,
)  # fmt: skip

if TYPE_CHECKING:
    from rushlight.tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh",
    "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "lstsq", "lu", "lu_factor",
    "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot",
    "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of size 3 along `dim`, the last unless given."""
    return _cross(input, other, dim, out=out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the last two dims; a view."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The matrix of ascending powers of the elements of each vector.

    >>> import rushlight as torch
    >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    if x._array.ndim == 1:
        return _vander(x, N, increasing=True)
    rows = [_vander(row, N, increasing=True) for row in x.reshape(-1, x._array.shape[-1]).unbind(0)]
    return stack(rows).reshape(*x._array.shape, rows[0]._array.shape[1])
