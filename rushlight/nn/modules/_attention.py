"""Multi-head attention (Vaswani et al., 2017)."""

from __future__ import annotations

import math
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.nn import functional as F
from rushlight.nn import init
from rushlight.nn.modules.linear import NonDynamicallyQuantizableLinear
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter


class MultiheadAttention(Module):
    """Attention in `num_heads` projections of the inputs at once.

        head_i = softmax(Q W_i^Q (K W_i^K)ᵀ / √d + mask) V W_i^V,   d = embed_dim / num_heads
        output = concat(head_1, …) W^O + b^O

    Shapes: query `(L, N, E)`, key and value `(S, N, ·)` (`(N, L, E)` with `batch_first`; without N
    for a single sequence); `key_padding_mask` `(N, S)` and `attn_mask` `(L, S)` or
    `(N·heads, L, S)`, True or −inf where attention is forbidden. Returns the output and, with
    `need_weights`, the attention weights (their mean over heads unless `average_attn_weights` is
    False), else None.

    >>> import rushlight as torch
    >>> attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = torch.ones(3, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))
    """

    __constants__ = ["batch_first"]
    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self._make_projections(bias, device, dtype)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        self.bias_k = self.bias_v = None
        if add_bias_kv:
            shape = (1, 1, embed_dim)
            self.bias_k = Parameter(rushlight.empty(shape, device=device, dtype=dtype))
            self.bias_v = Parameter(rushlight.empty(shape, device=device, dtype=dtype))
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _make_projections(self, bias: bool, device: Any, dtype: Any) -> None:
        """One matrix for query, key and value together if their sizes agree, else three."""

        def matrix(rows: int, columns: int) -> Parameter:
            return Parameter(rushlight.empty((rows, columns), device=device, dtype=dtype))

        size = self.embed_dim
        if self._qkv_same_embed_dim:
            self.in_proj_weight = matrix(3 * size, size)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = matrix(size, size)
            self.k_proj_weight = matrix(size, self.kdim)
            self.v_proj_weight = matrix(size, self.vdim)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = Parameter(rushlight.empty(3 * size, device=device, dtype=dtype))
        else:
            self.register_parameter("in_proj_bias", None)

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            init.xavier_uniform_(self.q_proj_weight)
            init.xavier_uniform_(self.k_proj_weight)
            init.xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            if self.out_proj.bias is not None:
                init.constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
        if self.bias_v is not None:
            init.xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Returns `(output, weights)`; see the class."""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        is_batched = self._check_shapes(query, key, value, key_padding_mask)
        if not is_batched:
            query, key, value = (x.unsqueeze(1) for x in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        output, weights = self._attend(
            query,
            key,
            value,
            _as_float_mask(key_padding_mask, query.dtype, "key_padding_mask"),
            _as_float_mask(attn_mask, query.dtype, "attn_mask"),
            need_weights,
        )
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not is_batched:
            return output.squeeze(1), None if weights is None else weights.squeeze(0)
        return (output.transpose(0, 1) if self.batch_first else output), weights

    def _check_shapes(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None
    ) -> bool:
        """True if the inputs have a batch dimension; AssertionError for shapes that do not fit."""
        if query.dim() not in (2, 3):
            raise AssertionError(
                f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D "
                "query tensor"
            )
        kind = "batched 3-D" if query.dim() == 3 else "unbatched 2-D"
        if key.dim() != query.dim() or value.dim() != query.dim():
            raise AssertionError(
                f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D but found "
                f"{key.dim()}-D and {value.dim()}-D tensors respectively"
            )
        if key_padding_mask is not None and key_padding_mask.dim() != query.dim() - 1:
            raise AssertionError(
                f"For {kind} `query`, expected `key_padding_mask` to be `None` or "
                f"{query.dim() - 1}-D but found {key_padding_mask.dim()}-D tensor instead"
            )
        if query.size(-1) != self.embed_dim:
            raise AssertionError(
                f"was expecting embedding dimension of {self.embed_dim}, but got {query.size(-1)}"
            )
        if key.shape[:-1] != value.shape[:-1]:
            raise AssertionError(
                f"key's sequence and batch dims {tuple(key.shape[:-1])} do not match value's "
                f"{tuple(value.shape[:-1])}"
            )
        return query.dim() == 3

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Attention of `(L, N, E)` over `(S, N, ·)`; weights `(N, heads, L, S)` or None."""
        length, batch, size = query.shape
        q, k, v = self._project(query, key, value)
        if self.bias_k is not None and self.bias_v is not None:
            k = rushlight.cat([k, self.bias_k.expand(1, batch, size)])
            v = rushlight.cat([v, self.bias_v.expand(1, batch, size)])
            padding_mask, attn_mask = _widened(padding_mask), _widened(attn_mask)
        q, k, v = self._split_heads(q), self._split_heads(k), self._split_heads(v)
        if self.add_zero_attn:
            zeros = k.new_zeros((batch, self.num_heads, 1, self.head_dim))
            k, v = rushlight.cat([k, zeros], 2), rushlight.cat([v, zeros], 2)
            padding_mask, attn_mask = _widened(padding_mask), _widened(attn_mask)
        mask = self._joined_mask(padding_mask, attn_mask, batch)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1.0 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
            weights = F.softmax(scores if mask is None else scores + mask, dim=-1)
            if dropout > 0.0:
                weights = F.dropout(weights, p=dropout)
            attended = weights @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        joined = attended.permute(2, 0, 1, 3).reshape(length * batch, size)
        output = F.linear(joined, self.out_proj.weight, self.out_proj.bias)
        return output.view(length, batch, size), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self._qkv_same_embed_dim:
            if query is key and key is value:
                q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
                return q, k, v
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        return q, k, v

    def _split_heads(self, x: Tensor) -> Tensor:
        """`(L, N, E)` → `(N, heads, L, d)`."""
        length, batch, _ = x.shape
        return x.reshape(length, batch, self.num_heads, self.head_dim).permute(1, 2, 0, 3)

    def _joined_mask(
        self, padding_mask: Tensor | None, attn_mask: Tensor | None, batch: int
    ) -> Tensor | None:
        """Both masks as one that broadcasts to `(N, heads, L, S)`."""
        if attn_mask is not None:
            if attn_mask.dim() not in (2, 3):
                raise RuntimeError(f"attn_mask's dimension {attn_mask.dim()} is not supported")
            if attn_mask.dim() == 3:
                expected = batch * self.num_heads
                if attn_mask.size(0) != expected:
                    raise RuntimeError(
                        f"The shape of the 3D attn_mask is {tuple(attn_mask.shape)}, but should "
                        f"be {(expected, *attn_mask.shape[1:])}."
                    )
                attn_mask = attn_mask.view(batch, self.num_heads, *attn_mask.shape[1:])
        if padding_mask is None:
            return attn_mask
        padding_mask = padding_mask[:, None, None, :]
        return padding_mask if attn_mask is None else attn_mask + padding_mask

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Joins both masks to one `(N, heads, L, L)` and says which kind was given (0, 1 or 2)."""
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        if attn_mask.dim() == 3:
            merged = attn_mask.view(batch, -1, length, length)
        else:
            merged = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is None:
            return (attn_mask, 0) if attn_mask.dim() == 2 else (merged, 2)
        return merged + key_padding_mask.view(batch, 1, 1, length), 2


def _as_float_mask(mask: Tensor | None, dtype: Any, name: str) -> Tensor | None:
    """A mask to be added to the scores: −inf where a boolean mask is True."""
    if mask is None:
        return None
    if mask.dtype == rushlight.bool:
        return rushlight.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return mask


def _widened(mask: Tensor | None) -> Tensor | None:
    """The mask with one more key at the end, which every query may see."""
    return None if mask is None else F.pad(mask, (0, 1))
