"""Looking up rows by number: embeddings and one-hot codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..types_ import Array, Shape
from .common import check_tensor, dtype_of, type_name

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["embedding", "one_hot"]


@primitive(name="Embedding")
def _embedding(weight: Array, indices: Array, *, padding_idx: int | None,
               by_frequency: bool = False) -> Array:  # fmt: skip
    return kernels(weight).embedding(weight, indices)


@_embedding.derivative("weight")
def _embedding_dweight(grad: Tensor, weight_shape: Shape, indices: Tensor,
                       padding_idx: int | None, by_frequency: bool) -> Tensor:  # fmt: skip
    if by_frequency:
        k = kernels(indices._array)
        _, inverse, counts = k.unique(indices._array)
        grad = grad / wrap(k.take(counts, inverse, 0)).unsqueeze(-1).to(grad.dtype)
    return _embedding_backward(grad, indices, count=weight_shape[0], padding_idx=padding_idx)


@primitive(name="EmbeddingDenseBackward")
def _embedding_backward(g: Array, indices: Array, *, count: int, padding_idx: int | None) -> Array:
    """The gradient of each row: the sum over the places that looked it up."""
    return kernels(g).embedding_grad(g, indices, count, -1 if padding_idx is None else padding_idx)


@_embedding_backward.derivative("g")
def _embedding_backward_dg(grad: Tensor, indices: Tensor, padding_idx: int | None) -> Tensor:
    result = _embedding(grad, indices, padding_idx=None)
    if padding_idx is not None:
        result = result.masked_fill((indices == padding_idx).unsqueeze(-1), 0)
    return result


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None,
              max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:  # fmt: skip
    """The rows of `weight (V, D)` that `input` (integers, any shape) names: `(…, D)`.

    Row `padding_idx` gets no gradient. IndexError for a number outside `0 … V - 1`.

    >>> import rushlight as torch
    >>> torch.nn.functional.embedding(torch.tensor([1]), torch.tensor([[1., 2.], [3., 4.]]))
    tensor([[3., 4.]])
    """
    check_tensor(input, "embedding")
    i, w = input._array, weight._array
    if i.dtype.kind != "i" or i.dtype.itemsize < 4:
        raise RuntimeError(
            "[embedding] Expected tensor for argument #1 'indices' to have one of the following "
            f"scalar types: Long, Int; but got {type_name(dtype_of(i))} instead"
        )
    if w.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got {w.ndim}-D")
    if padding_idx is not None:
        if not -w.shape[0] <= padding_idx < w.shape[0]:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= w.shape[0]
    if not kernels(i).within(i, 0, w.shape[0]):
        bad = int(i.min()) if int(i.min()) < 0 else int(i.max())
        raise IndexError(
            f"[embedding] index out of range in self: index {bad} for a table of {w.shape[0]} rows"
        )
    if max_norm is not None:
        _renormalise(weight, i, max_norm, norm_type)
    if sparse and weight.requires_grad and state.enabled:
        raise NotImplementedError(
            "[embedding] sparse gradients are not in rushlight yet; leave "
            "sparse=False (the gradient is then dense)"
        )
    return _embedding(weight, input, padding_idx=padding_idx, by_frequency=scale_grad_by_freq)


def _renormalise(weight: Any, indices: Array, max_norm: float, norm_type: float) -> None:
    """Shrinks the rows that will be looked up to at most `max_norm`, in place."""
    from ..autograd.grad_mode import no_grad

    with no_grad():
        rows = wrap(kernels(indices).unique(indices)[0])
        picked = weight.detach().index_select(0, rows)
        norms = picked.norm(norm_type, 1, keepdim=True)
        shrink = (max_norm / (norms + 1e-7)).clamp(max=1.0)
        shrink = shrink.masked_fill(norms <= max_norm, 1.0)
        weight.index_copy_(0, rows, picked * shrink)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers as rows of zeros with a single 1: `(…,)` → `(…, num_classes)`, int64.

    >>> import rushlight as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    i = tensor._array
    if i.dtype != "int64":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if i.size == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    k = kernels(i)
    if not k.within(i, 0, 2**63 - 1):
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(i.max()) + 1
    elif not k.within(i, 0, num_classes):
        raise RuntimeError("Class values must be smaller than num_classes.")
    result = k.zeros((*i.shape, num_classes), i.dtype)
    if i.size:
        k.put_along_axis(result, i[..., None], 1, i.ndim)
    return wrap(result)
