"""Linear algebra: factorisations and solvers, differentiable (`torch.linalg`).

The derivatives are written with Gᴴ the conjugate transpose of a gradient. Where one needs several
factors, it factors its input again: the tape keeps no output that a caller may still change.
Sources: Giles, "An
extended collection of matrix derivative results" (2008); Walter and Lehmann, "Algorithmic
differentiation of linear algebra functions" (2010); Townsend, "Differentiating the singular value
decomposition" (2016).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import check_tensor, dtype_of, type_name, write_out
from .expand import broadcast_shapes
from .rearrange import diag_embed, diagonal
from .transpose import _permute

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "inv_ex", "lu", "lu_factor", "lu_solve", "qr", "slogdet", "solve", "solve_ex",
    "solve_triangular", "svd", "svdvals",
]  # fmt: skip


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


# ---- determinants --------------------------------------------------------------------------


@primitive(name="LinalgDet")
def _det(x: Array) -> Array:
    return kernels(x).determinant(x)


@_det.derivative("x")
def _det_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """`g · conj(det) · A⁻ᴴ`; of singular matrices, the cofactors from the singular values."""
    factor = (grad * result.conj()).unsqueeze(-1).unsqueeze(-1)
    if x._array.size == 0:
        return x * 0
    if bool((result != 0).all()):
        return factor * adjoint(_inv(x))
    from .reduce import _products_of_others

    u, s, vh = _svd(x, full_matrices=False)
    phase = (_det(u) * _det(vh)).conj() * grad
    others = _products_of_others(s, s._array.ndim - 1)
    return (u * (phase.unsqueeze(-1) * others).unsqueeze(-2)) @ vh


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of each square matrix.

    >>> import rushlight as torch
    >>> torch.linalg.det(torch.tensor([[2., 1.], [1., 3.]]))
    tensor(5.)
    """
    check_matrices("linalg.det", A, square=True)
    return _out(_det(A), out, "linalg.det")


@primitive(name="LinalgSlogdet")
def _slogdet(x: Array) -> tuple[Array, Array]:
    result: tuple[Array, Array] = kernels(x).slogdet(x)
    return result


@_slogdet.derivative("x")
def _slogdet_dx(grads: list[Any], x: Tensor) -> Tensor:
    """The phase of the determinant turns as its logarithm's imaginary part."""
    g = grads[0].real * 0 if grads[1] is None else grads[1]
    if x._array.dtype.kind == "c" and grads[0] is not None:
        g = g - (grads[0].conj() * _slogdet(x)[0]).imag * 1j
    return g.unsqueeze(-1).unsqueeze(-1) * adjoint(_inv(x))


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The sign and the logarithm of the absolute value of each determinant: `(sign, logabsdet)`.

    >>> import rushlight as torch
    >>> torch.linalg.slogdet(torch.tensor([[2., 0.], [0., -1.]])).sign
    tensor(-1.)
    """
    check_matrices("linalg.slogdet", A, square=True)
    return _out(return_types.linalg_slogdet(*_slogdet(A)), out, "linalg.slogdet")


# ---- QR ------------------------------------------------------------------------------------


@primitive(name="LinalgQr")
def _qr(x: Array, *, mode: str) -> tuple[Array, Array]:
    result: tuple[Array, Array] = kernels(x).qr(x, mode == "complete")
    return result


@_qr.derivative("x")
def _qr_dx(grads: list[Any], x: Tensor, mode: str) -> Tensor:
    rows, columns = x._array.shape[-2:]
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    q, r = _qr(x, mode="reduced")
    gq, gr = grads
    if rows >= columns:
        return _tall_qr_grad(gq, gr, q, r)
    # the first columns give Q and R1; the others are R2 = Qᴴ A2
    gr2 = None if gr is None else gr[..., rows:]
    gr1 = None if gr is None else gr[..., :rows]
    if gr2 is not None:
        through_q = x[..., rows:] @ adjoint(gr2)
        gq = through_q if gq is None else gq + through_q
    first = _tall_qr_grad(gq, gr1, q, r[..., :rows])
    second = x[..., rows:] * 0 if gr2 is None else q @ gr2
    from .parts import cat

    return cat([first, second], -1)


def _tall_qr_grad(gq: Any, gr: Any, q: Tensor, r: Tensor) -> Tensor:
    """`(Gq + Q S) R⁻ᴴ` with S Hermitian, of upper triangle `Gr Rᴴ - Qᴴ Gq`."""
    inner: Any = 0
    if gr is not None:
        inner = gr @ adjoint(r)
    if gq is not None:
        inner = inner - adjoint(q) @ gq
    upper = inner.triu()
    half = diag_embed(diagonal(upper, 0, -2, -1).real) * 0.5
    symmetric = upper + adjoint(upper) - half - half
    total = q @ symmetric
    if gq is not None:
        total = total + gq
    # X Rᴴ = total, that is R Xᴴ = totalᴴ
    return adjoint(_solve_triangular(r, adjoint(total), upper=True, unitriangular=False))


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """`A = Q R` with orthonormal columns in Q and an upper triangular R: `(Q, R)`.

    `mode` is `"reduced"`, `"complete"` (Q is square) or `"r"` (Q is empty).

    >>> import rushlight as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3., 1.], [4., 2.]]))
    >>> torch.allclose(Q @ R, torch.tensor([[3., 1.], [4., 2.]]))
    True
    """
    check_matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
            "(default), 'r', or 'complete'"
        )
    q, r = _qr(A, mode=mode)
    if mode == "r":
        q = A.new_empty((0,))
        if A.requires_grad and r._grad_fn is not None:
            r = r * 1
    return _out(return_types.linalg_qr(q, r), out, "linalg.qr")


# ---- singular values -----------------------------------------------------------------------


@primitive(name="LinalgSvd")
def _svd(x: Array, *, full_matrices: bool) -> tuple[Array, Array, Array]:
    result: tuple[Array, Array, Array] = kernels(x).svd(x, full_matrices)
    return result


@_svd.derivative("x")
def _svd_dx(grads: list[Any], x: Tensor, full_matrices: bool) -> Tensor:
    u, s, vh = _svd(x, full_matrices=False)
    gu, gs, gvh = grads
    count = s._array.shape[-1]
    if full_matrices:  # the vectors of the null spaces have no gradient of their own
        gu = None if gu is None else gu[..., :count]
        gvh = None if gvh is None else gvh[..., :count, :]
    return _svd_backward(gu, gs, gvh, u, s, vh)


def _svd_backward(gu: Any, gs: Any, gvh: Any, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    """`U (E⁻¹∘skew(Uᴴ Gu) Σ + Σ E⁻¹∘skew(Vᴴ Gv) + Gσ) Vᴴ` and what leaves the spaces of U and V.

    `E_jk = σ_k² - σ_j²`; infinite where two singular values are equal.
    """
    if not _is_given(gu, gvh):
        return (u * gs.unsqueeze(-2)) @ vh
    rows, columns, count = u._array.shape[-2], vh._array.shape[-1], s._array.shape[-1]
    squares = s * s
    gaps = squares.unsqueeze(-2) - squares.unsqueeze(-1)
    gaps = gaps + _eye_like(gaps)
    row, column = s.unsqueeze(-2), s.unsqueeze(-1)
    inner: Any = 0
    if gu is not None:
        skew = adjoint(u) @ gu
        skew = skew - adjoint(skew)
        inner = inner + skew / gaps * row
        if u._array.dtype.kind == "c":
            inner = (
                inner
                + diag_embed(diagonal(skew, 0, -2, -1) / (2 * s))
                - diag_embed(diagonal(skew, 0, -2, -1) * s)
            )
    if gvh is not None:
        skew = adjoint(vh @ adjoint(gvh))
        skew = adjoint(skew) - skew
        inner = inner + skew / gaps * column
        if u._array.dtype.kind == "c":
            inner = inner - diag_embed(diagonal(skew, 0, -2, -1) * s)
    if gs is not None:
        inner = inner + diag_embed(gs)
    result = u @ inner @ vh
    if gu is not None and rows > count:
        scaled = gu / row
        result = result + (scaled - u @ (adjoint(u) @ scaled)) @ vh
    if gvh is not None and columns > count:
        scaled = gvh / column
        result = result + u @ (scaled - (scaled @ adjoint(vh)) @ vh)
    return result


def _eye_like(x: Tensor) -> Tensor:
    from .create import eye

    return eye(x._array.shape[-1], dtype=x.dtype)


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None,
        out: Any = None) -> Any:  # fmt: skip
    """`A = U diag(S) Vh` with orthonormal U and Vh and S ≥ 0 in descending order: `(U, S, Vh)`.

    Gradients through U and Vh are infinite where singular values are equal (or zero).

    >>> import rushlight as torch
    >>> torch.linalg.svd(torch.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    check_matrices("linalg.svd", A)
    result = return_types.linalg_svd(*_svd(A, full_matrices=full_matrices))
    return _out(result, out, "linalg.svd")


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values, in descending order.

    >>> import rushlight as torch
    >>> torch.linalg.svdvals(torch.tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """
    check_matrices("linalg.svdvals", A)
    return _out(_svd(A, full_matrices=False)[1], out, "linalg.svdvals")


# ---- eigenvalues ---------------------------------------------------------------------------


@primitive(name="LinalgEigh")
def _eigh(x: Array, *, lower: bool) -> tuple[Array, Array]:
    result: tuple[Array, Array] = kernels(x).eigh(x, lower)
    return result


@_eigh.derivative("x")
def _eigh_dx(grads: list[Any], x: Tensor, lower: bool) -> Tensor:
    """`V (diag(Gλ) + Vᴴ Gv / (λ_j - λ_i)) Vᴴ`."""
    values, vectors = _eigh(x, lower=lower)
    g_values, g_vectors = grads
    h = adjoint(vectors)
    if g_vectors is None:
        return (vectors * g_values.unsqueeze(-2)) @ h
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
    inner = (h @ g_vectors) / (gaps + _eye_like(gaps))
    inner = inner - diag_embed(diagonal(inner, 0, -2, -1))
    if g_values is not None:
        inner = inner + diag_embed(g_values)
    result = vectors @ inner @ h
    return (result + adjoint(result)) * 0.5


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues (ascending) and orthonormal eigenvectors (columns) of a Hermitian matrix.

    Reads the lower triangle, or the upper with `UPLO="U"`.

    >>> import rushlight as torch
    >>> torch.linalg.eigh(torch.tensor([[2., 0.], [0., 1.]])).eigenvalues
    tensor([1., 2.])
    """
    check_matrices("linalg.eigh", A, square=True)
    result = return_types.linalg_eigh(*_eigh(A, lower=_is_lower("linalg.eigh", UPLO)))
    return _out(result, out, "linalg.eigh")


def _is_lower(op: str, uplo: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    return uplo.upper() == "L"


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of a Hermitian matrix, ascending."""
    check_matrices("linalg.eigvalsh", A, square=True)
    result = _eigh(A, lower=_is_lower("linalg.eigvalsh", UPLO))[0]
    return _out(result, out, "linalg.eigvalsh")


@primitive(name="LinalgEig")
def _eig(x: Array) -> tuple[Array, Array]:
    k = kernels(x)
    if not bool(k.xp.isfinite(x).all()):
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    result: tuple[Array, Array] = k.eig(x)
    return result


@_eig.derivative("x")
def _eig_dx(grads: list[Any], x: Tensor) -> Tensor:
    """`V⁻ᴴ (diag(Gλ) + (Vᴴ Gv - Vᴴ V diag(Re Vᴴ Gv)) / conj(λ_j - λ_i)) Vᴴ`."""
    values, vectors = _eig(x)
    g_values, g_vectors = grads
    h = adjoint(vectors)
    inner: Any = 0
    if g_vectors is not None:
        product = h @ g_vectors
        spread = (h @ vectors) * diagonal(product, 0, -2, -1).real.unsqueeze(-2)
        gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
        inner = (product - spread) / (gaps.conj() + _eye_like(gaps))
        inner = inner - diag_embed(diagonal(inner, 0, -2, -1))
    if g_values is not None:
        inner = inner + diag_embed(g_values)
    result = _solve(h, inner @ h)
    return result if x._array.dtype.kind == "c" else result.real


def eig(A: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors (columns of length 1) of a square matrix, always complex."""
    check_matrices("linalg.eig", A, square=True)
    return _out(return_types.linalg_eig(*_eig(A)), out, "linalg.eig")


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of a square matrix, always complex."""
    check_matrices("linalg.eigvals", A, square=True)
    return _out(_eig(A)[0], out, "linalg.eigvals")


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
