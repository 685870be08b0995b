"""Functions of matrices made of factorisations: norms, powers, pseudo-inverses, least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import dtype_of, type_name, wrap_dim, wrap_dims, write_out
from .decomposition import eigh, svdvals
from .linalg import adjoint, check_matrices, inv, solve
from .spread import vector_norm

if TYPE_CHECKING:
    from ..dtypes import dtype as DType
    from ..tensor import Tensor

__all__ = [
    "cond", "householder_product", "lstsq", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "tensorinv", "tensorsolve", "vecdot",
]  # fmt: skip


def _out(result: Any, out: Any, op: str) -> Any:
    return result if out is None else write_out(out, result, op)


# ---- norms ---------------------------------------------------------------------------------


def matrix_norm(A: Tensor, ord: float | str = "fro", dim: Any = (-2, -1), keepdim: bool = False, *,
                dtype: DType | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The norm of each matrix in two dims.

    `"fro"` √Σ|a|², `"nuc"` Σσ, `±2` the largest/smallest σ, `±1` the largest/smallest sum of a
    column, `±inf` of a row.

    >>> import rushlight as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[3., 0.], [0., 4.]]), "nuc")
    tensor(7.)
    """
    A = A if dtype is None else A.to(dtype)
    if A._array.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    if A._array.dtype.kind not in "fVc":
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as "
            f"input. Got {type_name(dtype_of(A._array))}"
        )
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {len(dim)} values")
    rows, columns = (wrap_dim(d, A._array.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        result = vector_norm(A, 2, (rows, columns), keepdim)
    elif ord in ("nuc", 2, -2):
        result = _spectral_norm(A, ord, rows, columns, keepdim)
    elif ord in (1, -1, math.inf, -math.inf):
        result = _sum_norm(A, float(ord), rows, columns, keepdim)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return _out(result, out, "linalg.matrix_norm")


def _spectral_norm(A: Tensor, ord: Any, rows: int, columns: int, keepdim: bool) -> Tensor:
    values = svdvals(A.movedim((rows, columns), (-2, -1)))
    if ord == "nuc":
        result = values.sum(-1)
    else:
        result = values.amax(-1) if ord > 0 else values.amin(-1)
    if keepdim:
        for d in sorted((rows, columns)):
            result = result.unsqueeze(d)
    return result


def _sum_norm(A: Tensor, ord: float, rows: int, columns: int, keepdim: bool) -> Tensor:
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, keepdim=True)
    result = sums.amax(compared, keepdim=True) if ord > 0 else sums.amin(compared, keepdim=True)
    return result if keepdim else result.squeeze((rows, columns))


def norm(A: Tensor, ord: float | str | None = None, dim: Any = None, keepdim: bool = False, *,
         dtype: DType | None = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The vector norm over one dim (all without `ord` and `dim`), the matrix norm over two.

    >>> import rushlight as torch
    >>> torch.linalg.norm(torch.tensor([3., 4.]))
    tensor(5.)
    """
    A = A if dtype is None else A.to(dtype)
    if A._array.dtype.kind not in "fVc":
        raise RuntimeError(
            "linalg.norm: Expected a floating point or complex tensor as input. Got "
            f"{type_name(dtype_of(A._array))}"
        )
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None and len(dim) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}"
        )
    if dim is None and ord is not None and A._array.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D "
            f"or 2D. Got {A._array.ndim}D."
        )
    as_matrix = isinstance(ord, str) or (
        ord is not None and (len(dim) == 2 if dim is not None else A._array.ndim == 2)
    )
    if as_matrix:
        assert ord is not None
        result = matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim)
    else:
        result = vector_norm(A, 2.0 if ord is None else float(ord), dim, keepdim)
    return _out(result, out, "linalg.norm")


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number: the ratio of the extreme singular values, or `‖A‖_p · ‖A⁻¹‖_p`."""
    check_matrices("linalg.cond", A)
    if p is None or p in (2, -2):
        values = svdvals(A)
        big, small = values[..., 0], values[..., -1]
        return _out(small / big if p == -2 else big / small, out, "linalg.cond")
    from .linalg import inv_ex

    result = matrix_norm(A, p) * matrix_norm(inv_ex(A).inverse, p)
    return _out(result, out, "linalg.cond")


# ---- rank, pseudo-inverse, least squares ---------------------------------------------------


def _threshold(top: Tensor, A: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Singular values up to this size count as 0: `max(atol, rtol · σ_max)`."""
    from .. import dtypes

    if rtol is None:
        real = dtypes.finfo(top.dtype).eps
        rtol = 0.0 if atol is not None and _is_positive(atol) else max(A._array.shape[-2:]) * real
    relative = top * rtol
    return relative if atol is None else _maximum(relative, atol)


def _is_positive(value: Any) -> bool:
    return bool((value > 0).any()) if hasattr(value, "_array") else value > 0


def _maximum(x: Tensor, y: Any) -> Tensor:
    return x.maximum(y.to(x.dtype)) if hasattr(y, "_array") else x.clamp(min=y)


def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None,
                rtol: Any = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The number of singular values above `max(atol, rtol · σ_max)`.

    >>> import rushlight as torch
    >>> torch.linalg.matrix_rank(torch.tensor([[1., 2.], [2., 4.]]))
    tensor(1)
    """
    check_matrices("linalg.matrix_rank", A, square=hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    A = A.detach()
    values = eigh(A).eigenvalues.abs() if hermitian else svdvals(A)
    if not values._array.shape[-1]:
        return A.new_zeros(A._array.shape[:-2]).long()
    bound = _threshold(values.amax(-1), A, atol, rtol)
    return _out((values > bound.unsqueeze(-1)).sum(-1), out, "linalg.matrix_rank")


def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None,
         rtol: Any = None, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The Moore-Penrose pseudo-inverse, singular values up to `max(atol, rtol · σ_max)` as zeros.

    >>> import rushlight as torch
    >>> torch.linalg.pinv(torch.tensor([[2.], [0.]]))
    tensor([[0.5000, 0.0000]])
    """
    check_matrices("linalg.pinv", A, square=hermitian)
    if rcond is not None:
        rtol = rcond
    if not A._array.size:
        shape = A._array.shape
        return A.reshape(*shape[:-2], shape[-1], shape[-2])
    known = A.detach()
    top = (eigh(known).eigenvalues.abs() if hermitian else svdvals(known)).amax(-1)
    result = _pinv(A, _threshold(top, A, atol, rtol), hermitian=hermitian)
    return _out(result, out, "linalg.pinv")


@primitive(name="LinalgPinv")
def _pinv(x: Array, bound: Array, *, hermitian: bool) -> Array:
    k = kernels(x)
    xp = k.xp
    if hermitian:
        s, u = k.eigh(x, True)
        vh = xp.conj(xp.swapaxes(u, -1, -2))
    else:
        u, s, vh = k.svd(x, False)
    with k.quiet():
        inverse = xp.where(xp.abs(s) > bound[..., None], 1 / s, 0).astype(s.dtype)
    left = xp.conj(xp.swapaxes(vh, -1, -2)) * inverse[..., None, :]
    return k.finish(xp.matmul(left, xp.conj(xp.swapaxes(u, -1, -2))), x.dtype)


@_pinv.derivative("x")
def _pinv_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """`-(P Gᴴ P)ᴴ + (I - A P) Gᴴ P Pᴴ + Pᴴ P Gᴴ (I - P A)` with P the pseudo-inverse
    (Golub and Pereyra, 1973).
    """
    g, h = adjoint(grad), adjoint(result)
    outside = g @ result @ h
    inside = h @ result @ g
    return (
        outside - x @ (result @ outside) + inside - (inside @ result) @ x
        - adjoint(result @ g @ result)
    )  # fmt: skip


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X of least `‖A X - B‖`: `(solution, residuals, rank, singular_values)`.

    Residuals are given for full-rank problems with more rows than columns.
    """
    check_matrices("linalg.lstsq", A)
    is_vector = A._array.ndim - 1 == B._array.ndim and A._array.shape[:-1] == B._array.shape
    rhs = B.unsqueeze(-1) if is_vector else B
    rows, columns = A._array.shape[-2:]
    if rhs._array.ndim < 2 or rhs._array.shape[-2] != rows:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    inverse = pinv(A, rtol=rcond)
    solution = inverse @ rhs
    values = svdvals(A.detach())
    rank = matrix_rank(A, rtol=rcond)
    residuals = A.new_empty((0,))
    if rows > columns and bool((rank == columns).all()):
        error = (A @ solution - rhs).detach()
        residuals = (error.abs() ** 2).sum(-2)
    if is_vector:
        solution = solution.squeeze(-1)
    used = values if driver in ("gelss", "gelsd") else A.new_empty((0,))
    return return_types.linalg_lstsq(solution, residuals, rank, used)


# ---- powers and products -------------------------------------------------------------------


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """Each square matrix to an integer power (a negative one by the inverse).

    >>> import rushlight as torch
    >>> torch.linalg.matrix_power(torch.tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    from .create import eye

    if A._array.ndim < 2 or A._array.shape[-1] != A._array.shape[-2]:
        raise RuntimeError(
            "linalg.matrix_power: A must be batches of square matrices, but they "
            f"are {list(A._array.shape)}"
        )
    base = inv(A) if n < 0 else A
    power, result = abs(n), None
    while power:
        if power & 1:
            result = base if result is None else result @ base
        power >>= 1
        base = base @ base if power else base
    if result is None:
        result = eye(A._array.shape[-1], dtype=A.dtype).expand(A._array.shape).clone()
    elif result is A:
        result = A.clone()
    return _out(result, out, "linalg.matrix_power")


def matrix_exp(A: Tensor) -> Tensor:
    """The matrix exponential `Σ Aᵏ/k!`, by scaling, a Taylor polynomial and squaring.

    >>> import rushlight as torch
    >>> torch.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    from .create import eye

    check_matrices("linalg.matrix_exp", A, square=True)
    identity = eye(A._array.shape[-1], dtype=A.dtype)
    if not A._array.size:
        return A.clone()
    top = float(matrix_norm(A.detach(), 1).max())
    squarings = max(0, math.ceil(math.log2(top)) + 1) if top > 0.5 and math.isfinite(top) else 0
    small = A / 2.0**squarings
    total = identity + small / 18
    for k in range(17, 0, -1):  # Horner's form: 1 + x/1 (1 + x/2 (1 + …))
        total = identity + (small @ total) / k
    for _ in range(squarings):
        total = total @ total
    return total


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of several matrices in the cheapest order; the first and last may be vectors.

    >>> import rushlight as torch
    >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
    tensor([12., 12.])
    """
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(parts)}")
    first, last = parts[0]._array.ndim == 1, parts[-1]._array.ndim == 1
    parts[0] = parts[0].unsqueeze(0) if first else parts[0]
    parts[-1] = parts[-1].unsqueeze(1) if last else parts[-1]
    for i, x in enumerate(parts):
        if x._array.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x._array.ndim}D")
        if i and parts[i - 1]._array.shape[1] != x._array.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i - 1} and {i} with shapes "
                f"{list(parts[i - 1]._array.shape)} and {list(x._array.shape)} cannot be multiplied"
            )
    sizes = [p._array.shape[0] for p in parts] + [parts[-1]._array.shape[1]]
    result = _chain(parts, _best_splits(sizes), 0, len(parts) - 1)
    result = result.squeeze(0) if first else result
    return _out(result.squeeze(-1) if last else result, out, "linalg.multi_dot")


def _best_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each chain i … j so that the fewest products are needed."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            options = {k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                       for k in range(i, j)}  # fmt: skip
            split[i, j] = min(options, key=options.__getitem__)
            cost[i, j] = options[split[i, j]]
    return split


def _chain(parts: list[Any], split: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return parts[i]
    k = split[i, j]
    return _chain(parts, split, i, k) @ _chain(parts, split, k + 1, j)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """`Σ conj(x) · y` along `dim`, broadcast.

    >>> import rushlight as torch
    >>> torch.linalg.vecdot(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
    tensor(11.)
    """
    return _out((x.conj() * y).sum(dim), out, "linalg.vecdot")


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of reflections `I - τ v vᴴ`, v below the diagonal of A."""
    from .create import eye

    rows, columns = A._array.shape[-2:]
    if rows < columns:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than "
            "or equal to input.shape[-1]"
        )
    unit = A.tril(-1) + eye(rows, columns, dtype=A.dtype)
    result: Any = eye(rows, columns, dtype=A.dtype).expand(A._array.shape)
    for i in reversed(range(tau._array.shape[-1])):
        v = unit[..., i : i + 1]
        result = result - tau[..., i, None, None] * (v @ (adjoint(v) @ result))
    return _out(result, out, "linalg.householder_product")


# ---- tensors as matrices -------------------------------------------------------------------


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `A` as a map from its last dims to its first `ind`."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    left, right = A._array.shape[:ind], A._array.shape[ind:]
    size = math.prod(left)
    if size != math.prod(right):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(right)} != {size}"
        )
    result = inv(A.reshape(size, size)).reshape(*right, *left)
    return _out(result, out, "linalg.tensorinv")


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The X with `tensordot(A, X, X.ndim) = B`; `dims` of A are moved to its end first."""
    if dims is not None:
        moved = wrap_dims(dims, A._array.ndim) or ()
        A = A.permute(*[d for d in range(A._array.ndim) if d not in moved], *moved)
    shape = A._array.shape[B._array.ndim :]
    size = math.prod(shape)
    if size != math.prod(A._array.shape[: B._array.ndim]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) "
            "== prod(self.shape[:other.ndim])"
        )
    result = solve(A.reshape(size, size), B.reshape(size)).reshape(shape)
    return _out(result, out, "linalg.tensorsolve")
