"""Distances and similarities between vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .expand import broadcast_shapes, broadcast_tensors
from .spread import norm

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """`x1·x2 / (max(‖x1‖, eps) · max(‖x2‖, eps))` along `dim`.

    >>> import rushlight as torch
    >>> torch.cosine_similarity(torch.tensor([[1., 0.]]), torch.tensor([[1., 1.]]))
    tensor([0.7071])
    """
    for x in (x1, x2):
        if x._array.dtype.kind not in "fVc":
            raise RuntimeError(
                f"expected common dtype to be floating point, yet common dtype is {x.dtype}"
            )
    a, b = broadcast_tensors(x1, x2)
    if a._array.dtype != b._array.dtype:
        from ..dtypes import promote_types

        common = promote_types(a.dtype, b.dtype)
        a, b = a.to(common), b.to(common)
    # as in PyTorch, the bound is a constant: where it holds, the norm has no gradient
    left = a / norm(a, 2, dim, keepdim=True).clamp_min(eps)
    right = b / norm(b, 2, dim, keepdim=True).clamp_min(eps)
    return (left * right).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6,
                      keepdim: bool = False) -> Tensor:  # fmt: skip
    """`‖x1 - x2 + eps‖_p` along the last dim.

    >>> import rushlight as torch
    >>> torch.pairwise_distance(torch.zeros(1, 2), torch.tensor([[3., 4.]]))
    tensor([5.0000])
    """
    broadcast_shapes(x1._array.shape, x2._array.shape)
    return norm(x1 - x2 + eps, p, -1, keepdim=keepdim)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0,
          compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary") -> Tensor:  # fmt: skip
    """The p-norm distance of every row of `x1 (…, P, M)` to every row of `x2 (…, R, M)`.

    The result is `(…, P, R)`; the slope at distance 0 is 0.

    >>> import rushlight as torch
    >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3., 4.], [0., 1.]]))
    tensor([[5., 1.]])
    """
    a, b = x1._array, x2._array
    if a.ndim < 2 or b.ndim < 2:
        which, bad = ("X1", a) if a.ndim < 2 else ("X2", b)
        raise RuntimeError(f"cdist only supports at least 2D tensors, {which} got: {bad.ndim}D")
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    for name, x in (("X1", a), ("X2", b)):
        if x.dtype.kind not in "fV":
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in (None, "use_mm_for_euclid_dist_if_necessary",
                            "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):  # fmt: skip
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distance of every two rows of a matrix, `N·(N - 1)/2` of them in order.

    >>> import rushlight as torch
    >>> torch.pdist(torch.tensor([[0., 0.], [3., 4.], [0., 1.]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    if input._array.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input._array.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    from .create import triu_indices

    first, second = triu_indices(input._array.shape[0], input._array.shape[0], 1).unbind(0)
    return norm(input.index_select(0, first) - input.index_select(0, second), p, -1)
