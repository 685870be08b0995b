"""Table look-up and its derivative: the reference kernels."""

from __future__ import annotations

from .base import Array, KernelBase


class EmbeddingKernels(KernelBase):
    """Rows of a table by number."""

    def embedding(self, weight: Array, indices: Array) -> Array:
        """``weight[indices]``; raises ``IndexError`` for a number that names no row."""
        if indices.size and not (0 <= indices.min() and indices.max() < weight.shape[0]):
            raise IndexError(
                f"[embedding] expected indices from 0 to {weight.shape[0] - 1}; got "
                f"{int(indices.min())} to {int(indices.max())}: index out of range in self; check "
                "num_embeddings against the vocabulary"
            )
        return self.finish(weight[indices], weight.dtype)

    def embedding_grad(
        self, grad: Array, indices: Array, num_weights: int, padding_idx: int
    ) -> Array:
        """Rows of ``grad`` added up at their indices; row ``padding_idx`` (-1 for none) is zero."""
        width = grad.shape[indices.ndim :]
        total = self.xp.zeros((num_weights, *width), dtype=self.widen(grad).dtype)
        self.xp.add.at(total, indices, self.widen(grad))
        if padding_idx >= 0:
            total[padding_idx] = 0
        return self.finish(total, grad.dtype)

    def add_rows(
        self, table: Array, source: Array, target: Array, scale: Array | None, count: int
    ) -> Array:
        """``out[target[i]] += scale[i] · table[source[i]]`` into ``count`` rows of zeros.

        ``table`` is ``(V, D)``, the others are ``(N,)``; ``scale`` None stands for ones.
        """
        rows = self.widen(table)[source]
        if scale is not None:
            rows = rows * self.widen(scale)[:, None]
        total = self.xp.zeros((count, table.shape[1]), dtype=rows.dtype)
        self.xp.add.at(total, target, rows)
        return self.finish(total, table.dtype)

    def first_maxima(self, rows: Array, bags: Array) -> tuple[Array, Array]:
        """Of each run of equal ``bags``: the index of its first largest row, ``(B, D)``; its bag.

        ``rows`` is ``(N, D)`` and ``bags`` ``(N,)`` ascending, neither empty. A NaN wins only where
        it comes first in its bag, as in PyTorch's ``embedding_bag``.
        """
        xp = self.xp
        is_start = xp.concatenate([xp.ones(1, bool), bags[1:] != bags[:-1]])
        starts = xp.flatnonzero(is_start)
        run = xp.cumsum(is_start) - 1
        values = self.widen(rows)
        values = xp.where((values != values) & ~is_start[:, None], -xp.inf, values)
        largest = xp.maximum.reduceat(values, starts, axis=0)[run]
        hit = (values == largest) | (values != values)
        places = xp.where(hit, xp.arange(len(rows))[:, None], len(rows))
        return xp.minimum.reduceat(places, starts, axis=0).astype(xp.int64), bags[starts]
