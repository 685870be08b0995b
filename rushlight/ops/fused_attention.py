"""Attention as one operation that never forms the matrix of weights.

`attention.py` has the public function, its checks and the composed form, which serves everything
that this one does not: dropout, half and double precision, gradients of the mask, batches that
broadcast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["can_fuse", "fused_attention"]


@primitive(name="ScaledDotProductFlashAttentionForCpu", nondifferentiable=(1, 2),
           kernel="attention")  # fmt: skip
def _attention(query: Array, key: Array, value: Array, mask: Array | None, *, causal: bool,
               scale: float, keep: bool) -> tuple[Array, Array, Array | None]:  # fmt: skip
    """The result, the logarithm of each row's sum, and the weights if they are worth keeping."""
    return kernels(query).attention(query, key, value, mask, causal, scale, keep)


@primitive(name="ScaledDotProductFlashAttentionForCpuBackward")
def _attention_backward(g: Array, query: Array, key: Array, value: Array, mask: Array | None,
                        out: Array, lse: Array, weights: Array | None, *, causal: bool,
                        scale: float) -> tuple[Array, Array, Array]:  # fmt: skip
    return kernels(query).attention_grad(
        g, query, key, value, mask, causal, scale, out, lse, weights
    )


_attention.derive(("query", "key", "value"), _attention_backward, "grad", "query", "key", "value",
                  "mask", "result", "results[1]", "results[2]", causal="causal",
                  scale="scale")  # fmt: skip


@_attention_backward.derivative("g", "query", "key", "value")
def _attention_double(grads: list[Any], g: Tensor, query: Tensor, key: Tensor, value: Tensor,
                      mask: Tensor | None, causal: bool, scale: float) -> Any:  # fmt: skip
    """Second derivatives, through the composed form."""
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate
    from .attention import composed_attention

    with enable_grad():
        fresh = [t.detach().requires_grad_(True) for t in (g, query, key, value)]
        out = composed_attention(fresh[1], fresh[2], fresh[3], mask, causal, scale)
        first = differentiate(out, fresh[1:], fresh[0], create_graph=True)
        total: Any = 0
        for vector, gradient in zip(grads, first):
            if vector is not None:
                total = total + (vector.detach() * gradient).sum()
        return differentiate(total, fresh, allow_unused=True)


def can_fuse(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether `fused_attention` takes these: float32 `(N, H, L, E)` (or without N), not empty."""
    q, k, v = query._array, key._array, value._array
    if q.dtype.name != "float32" or q.ndim not in (3, 4) or not (q.size and k.size and v.size):
        return False
    if mask is not None and (mask._array.ndim > q.ndim or (state.enabled and mask.requires_grad)):
        return False
    return q.shape[:-2] == k.shape[:-2] == v.shape[:-2]


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool,
                    scale: float) -> Tensor:  # fmt: skip
    """`softmax(query @ keyᵀ · scale + mask) @ value` in blocks (Dao et al., 2022)."""
    without_batch = query._array.ndim == 3
    if without_batch:
        query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
    keep = state.enabled and (query.requires_grad or key.requires_grad or value.requires_grad)
    out = _attention(query, key, value, mask, causal=causal, scale=scale, keep=keep)[0]
    return out.squeeze(0) if without_batch else out
