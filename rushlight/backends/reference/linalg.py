"""Matrix products: plain definitions that every backend's fast ones must agree with."""

from __future__ import annotations

from .base import Array, KernelBase, Scalar


class LinalgKernels(KernelBase):
    """``matmul``, and ``addmm`` and ``linear`` written with it; ``int_matmul``."""

    def matmul(self, a: Array, b: Array) -> Array:
        """Return NumPy's batched product; vectors count as a row on the left, a column right."""
        with self.quiet():
            return self.finish(self.xp.matmul(self.widen(a), self.widen(b)), a.dtype)

    def matmul_right(self, grad: Array, b: Array) -> Array:
        """Return ``grad @ b^H``, the gradient of ``a`` in ``a @ b``, both matrices."""
        return self.matmul(grad, self._conjugate(b).T)

    def matmul_left(self, grad: Array, a: Array, strides: tuple[int, ...]) -> Array:
        """Return ``a^H @ grad``, the gradient of ``b`` in ``a @ b``, both matrices.

        It is laid out as ``b``, whose ``strides`` are given: by columns if they rise.
        """
        a = self._conjugate(a)
        if strides[0] < strides[1]:
            return self.matmul(grad.T, a).T
        return self.matmul(a.T, grad)

    @staticmethod
    def _conjugate(x: Array) -> Array:
        return x.conj() if x.dtype.kind == "c" else x

    def int_matmul(self, a: Array, b: Array) -> Array:
        """Return the product of two int8 matrices in int32."""
        return self.finish(self.xp.matmul(a, b, dtype=self.xp.int32), self.xp.dtype("int32"))

    def addmm(
        self, bias: Array, a: Array, b: Array, beta: Scalar, alpha: Scalar, relu: bool = False
    ) -> Array:
        """Return ``beta * bias + alpha * (a @ b)``; with ``beta == 0`` the bias is not read.

        With ``relu`` negative results become zero.
        """
        with self.quiet():
            result = self.matmul(self.widen(a), self.widen(b))
            if alpha != 1:
                result = result * self._factor(alpha, result)
            if beta != 0:
                scaled = self.widen(bias)
                result = result + (scaled if beta == 1 else scaled * self._factor(beta, result))
            if relu:
                result = self.rectified(result)
            return self.finish(result, a.dtype)

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Return ``x @ weight.T + bias`` for ``x (..., K)``, ``weight (N, K)``, ``bias (N,)``."""
        with self.quiet():
            result = self.matmul(self.widen(x), self.widen(weight).T)
            if bias is not None:
                result = result + self.widen(bias)
            return self.finish(result, x.dtype)

    def _factor(self, value: Scalar, like: Array) -> Array:
        """``value`` in the result's type, so that it does not take part in type promotion."""
        factor: Array = self.xp.asarray(value, dtype=like.dtype)
        return factor
