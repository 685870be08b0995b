"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .common import dtype_of, type_name
from .dropout import dropout
from .fused_attention import can_fuse, fused_attention
from .softmax import softmax

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor,
                                 attn_mask: Tensor | None = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None,
                                 enable_gqa: bool = False) -> Tensor:  # fmt: skip
    """`softmax(query @ keyᵀ · scale + mask) @ value` (Vaswani et al., 2017).

    `query (…, L, E)`, `key (…, S, E)`, `value (…, S, Ev)` → `(…, L, Ev)`; `scale` is `1/√E` unless
    given. A bool mask is true where attention is allowed; a row that is masked altogether gives
    zeros. A float mask is added to the scores. `is_causal` lets position i see positions up to i.
    With `enable_gqa` the heads (dim -3) of key and value are repeated to those of the query.
    `dropout_p` is applied always: pass 0 when not training.

    >>> import rushlight as torch
    >>> q = torch.ones(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True).shape
    torch.Size([1, 2, 4])
    """
    _check(query, key, value, attn_mask, is_causal)
    dtype = query.dtype
    if dtype.itemsize < 4:  # half precision: computed in float32, rounded once
        query, key, value = query.float(), key.float(), value.float()
        if attn_mask is not None and attn_mask._array.dtype.kind != "b":
            attn_mask = attn_mask.float()
    if enable_gqa:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    factor = 1.0 / math.sqrt(max(query._array.shape[-1], 1)) if scale is None else scale
    if dropout_p == 0.0 and can_fuse(query, key, value, attn_mask):
        result = fused_attention(query, key, value, attn_mask, is_causal, factor)
    else:
        result = composed_attention(query, key, value, attn_mask, is_causal, factor, dropout_p)
    return result if result.dtype == dtype else result.to(dtype)


def composed_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
                       causal: bool, scale: float, dropout_p: float = 0.0) -> Tensor:  # fmt: skip
    """The definition, written with differentiable operations."""
    # half of the scale on each side keeps the scores in range
    half = math.sqrt(abs(scale))
    left = query * math.copysign(half, scale)
    scores = left @ (key * half).transpose(-2, -1)
    weights = _masked_softmax(scores, _causal_mask(query, key) if causal else mask)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p, True)
    return weights @ value


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> None:
    op = "scaled_dot_product_attention"
    q, k, v = query._array, key._array, value._array
    if not q.dtype == k.dtype == v.dtype:
        raise RuntimeError(
            f"[{op}] Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    if q.ndim < 2 or k.ndim < 2 or v.ndim < 2:
        raise RuntimeError(
            f"[{op}] Expected query, key, and value to all be at least 2 dimensional, but got "
            f"query.dim: {q.ndim}, key.dim: {k.ndim} and value.dim: {v.ndim} instead."
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise RuntimeError(
            f"[{op}] query {list(q.shape)}, key {list(k.shape)} and value {list(v.shape)} do not "
            "fit: expected (…, L, E), (…, S, E) and (…, S, Ev)"
        )
    if mask is not None and causal:
        raise RuntimeError(f"[{op}] Explicit attn_mask should not be set when is_causal=True")
    if mask is not None and mask._array.dtype.kind != "b" and mask._array.dtype != q.dtype:
        raise RuntimeError(
            f"[{op}] Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {type_name(dtype_of(mask._array))} and query.dtype: "
            f"{type_name(dtype_of(q))} instead."
        )


def _repeat_heads(query: Tensor, x: Tensor) -> Tensor:
    """Each head of `x` repeated to serve a group of the query's heads."""
    heads, groups = query._array.shape[-3], x._array.shape[-3]
    if heads % groups:
        raise RuntimeError(
            f"[scaled_dot_product_attention] Number of heads in key and value must divide the "
            f"number of heads in query; got {groups} and {heads}"
        )
    return x if heads == groups else x.repeat_interleave(heads // groups, -3)


def _causal_mask(query: Tensor, key: Tensor) -> Tensor:
    size = query._array.shape[-2], key._array.shape[-2]
    return query.detach().new_ones(size).bool().tril()


def _masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last dim; rows without any allowed position are zeros."""
    if mask is None:
        return softmax(scores, -1)
    if mask._array.dtype.kind != "b":
        scores = scores + mask
        hidden = scores.detach() == -math.inf
    else:
        hidden = ~mask
        scores = scores.masked_fill(hidden, -math.inf)
    empty = hidden.all(-1, keepdim=True)
    if not bool(empty.any()):
        return softmax(scores, -1)
    # a row of -inf would give NaN: it becomes a row of zeros, in the result and its gradient
    return softmax(scores.masked_fill(empty, 0.0), -1).masked_fill(empty, 0.0)
