"""QR, singular values and eigenvalues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .linalg import _eye_like, _is_given, _out, _solve, adjoint, check_matrices
from .rearrange import diag_embed, diagonal
from .triangular import _solve_triangular

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]


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
