"""Native attention: float32, in blocks, with the reference behind it."""

from __future__ import annotations

from . import _native
from .reference import Kernels
from .reference.base import Array


class NativeAttention(Kernels):
    """Results lie in memory as q, k and v do, so that splitting and joining heads stay views."""

    def _rows(self, x: Array) -> Array:
        """``x`` with numbers side by side along its last axis, which is what the kernels read."""
        return x if x.strides[-1] == x.itemsize else self.xp.ascontiguousarray(x)

    def _whole_mask(self, mask: Array | None, q: Array, k: Array) -> Array | None:
        if mask is None:
            return None
        return self.xp.broadcast_to(mask, (*q.shape[:-1], k.shape[-2]))

    def attention(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        causal: bool,
        scale: float,
        keep: bool,
    ) -> tuple[Array, Array, Array | None]:
        rows = self._rows(q), self._rows(k), self._rows(v)
        result = _native.attention(*rows, self._whole_mask(mask, q, k), causal, scale, keep)
        if result is NotImplemented:
            return super().attention(q, k, v, mask, causal, scale, keep)
        return result

    def attention_grad(
        self,
        grad: Array,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        causal: bool,
        scale: float,
        out: Array,
        lse: Array,
        weights: Array | None,
    ) -> tuple[Array, Array, Array]:
        rows = self._rows(grad), self._rows(q), self._rows(k), self._rows(v)
        whole_mask = self._whole_mask(mask, q, k)
        kept = self._rows(out), lse, weights
        result = _native.attention_grad(*rows, whole_mask, causal, scale, *kept)
        if result is NotImplemented:
            return super().attention_grad(grad, q, k, v, mask, causal, scale, out, lse, weights)
        return result
