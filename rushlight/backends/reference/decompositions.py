"""Reference kernels of matrix decompositions and solvers, over the namespace's `linalg`.

All take stacks of matrices in the last two axes. What cannot be factored raises the namespace's
`linalg.LinAlgError`.
"""

from __future__ import annotations

from .base import Array, KernelBase

__all__ = ["DecompositionKernels"]


class DecompositionKernels(KernelBase):
    """Cholesky, QR, LU, eigenvalues, singular values, determinants, inverses, solvers."""

    @property
    def linalg_error(self) -> type[Exception]:
        """What the namespace raises for a matrix that cannot be factored."""
        error: type[Exception] = self.xp.linalg.LinAlgError
        return error

    def cholesky(self, a: Array) -> Array:
        """Lower triangular `L` with `L Lᴴ = a`, from the lower triangle of `a`."""
        return self.finish(self.xp.linalg.cholesky(a), a.dtype)

    def inverse(self, a: Array) -> Array:
        return self.finish(self.xp.linalg.inv(a), a.dtype)

    def solve(self, a: Array, b: Array) -> Array:
        """`x` with `a x = b`; both are stacks of matrices that broadcast."""
        return self.finish(self.xp.linalg.solve(a, b), a.dtype)

    def solve_triangular(self, a: Array, b: Array, upper: bool) -> Array:
        """`x` with `a x = b` for a triangular `a`; a zero on the diagonal gives infinities."""
        xp = self.xp
        if not upper:  # turned upside down, a lower triangle is an upper one
            turned = self.solve_triangular(a[..., ::-1, ::-1], b[..., ::-1, :], True)
            return self.finish(turned[..., ::-1, :], b.dtype)
        diagonal = xp.diagonal(a, 0, -2, -1)
        if a.shape[-1] and (diagonal != 0).all() and xp.isfinite(a).all():
            # elimination finds nothing to do in an upper triangle: this is back substitution
            return self.finish(xp.linalg.solve(a, b), b.dtype)
        shape = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        x = xp.zeros((*shape, *b.shape[-2:]), b.dtype)
        with self.quiet():
            for i in reversed(range(a.shape[-1])):
                known = xp.matmul(a[..., i : i + 1, i + 1 :], x[..., i + 1 :, :])
                x[..., i : i + 1, :] = (b[..., i : i + 1, :] - known) / a[..., i : i + 1, i : i + 1]
        return x

    def qr(self, a: Array, complete: bool) -> tuple[Array, Array]:
        q, r = self.xp.linalg.qr(a, "complete" if complete else "reduced")
        return self.finish(q, a.dtype), self.finish(r, a.dtype)

    def svd(self, a: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
        u, s, vh = self.xp.linalg.svd(a, full_matrices=full_matrices)
        return self.finish(u, a.dtype), self.finish(s, s.dtype), self.finish(vh, a.dtype)

    def eigh(self, a: Array, lower: bool) -> tuple[Array, Array]:
        values, vectors = self.xp.linalg.eigh(a, "L" if lower else "U")
        return self.finish(values, values.dtype), self.finish(vectors, a.dtype)

    def eig(self, a: Array) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of a general matrix, always complex."""
        dtype = "complex128" if a.dtype in ("float64", "complex128") else "complex64"
        values, vectors = self.xp.linalg.eig(a)
        return self.finish(values, dtype), self.finish(vectors, dtype)

    def determinant(self, a: Array) -> Array:
        with self.quiet():
            return self.finish(self.xp.asarray(self.xp.linalg.det(a)), a.dtype)

    def slogdet(self, a: Array) -> tuple[Array, Array]:
        """The sign (or phase) and the logarithm of the size of the determinant."""
        with self.quiet():
            sign, log = self.xp.linalg.slogdet(a)
        sign, log = self.xp.asarray(sign), self.xp.asarray(log)
        return self.finish(sign, a.dtype), self.finish(log, log.dtype)

    def lu(self, a: Array, pivot: bool) -> tuple[Array, Array]:
        """L below and U on and above the diagonal of one matrix, and the row exchanges.

        In step i row i was exchanged with row `pivots[i]`.
        """
        xp = self.xp
        rows, columns = a.shape[-2:]
        steps = min(rows, columns)
        if a.dtype.kind == "c":  # LAPACK compares complex pivots by |re| + |im|

            def size(x: Array) -> Array:
                return xp.abs(x.real) + xp.abs(x.imag)
        else:
            size = xp.abs
        packed = a.copy("C").reshape(self._stack_size(a), rows, columns)
        pivots = xp.zeros((packed.shape[0], steps), xp.int64)
        with self.quiet():
            for i in range(steps):
                best = size(packed[:, i:, i]).argmax(1) + i if pivot else xp.full(
                    packed.shape[0], i)  # fmt: skip
                pivots[:, i] = best
                each = xp.arange(packed.shape[0])
                exchanged = packed[each, best]
                packed[each, best] = packed[:, i]
                packed[:, i] = exchanged
                head = packed[:, i, i, None]
                factors = xp.where(head == 0, packed[:, i + 1 :, i], packed[:, i + 1 :, i] / head)
                packed[:, i + 1 :, i] = factors
                packed[:, i + 1 :, i + 1 :] -= factors[:, :, None] * packed[:, None, i, i + 1 :]
        return packed.reshape(a.shape), pivots.reshape((*a.shape[:-2], steps))

    def _stack_size(self, a: Array) -> int:
        """How many matrices a stack holds."""
        count = 1
        for n in a.shape[:-2]:
            count *= n
        return count
