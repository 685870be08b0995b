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

__all__ = ["embedding", "one_hot", "embedding_bag"]


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
    if i.dtype not in ("int64", "int32"):
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
        raise NotImplementedError("[embedding] sparse gradients are not in rushlight yet; leave "
                                  "sparse=False (the gradient is then dense)")
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
    if i.size and int(i.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    top = int(i.max()) + 1 if i.size else 0
    if num_classes == -1:
        num_classes = top
    elif top > num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    result = tensor.new_zeros((*i.shape, num_classes))
    return result.scatter_(-1, tensor.unsqueeze(-1), 1)


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None,
                  max_norm: float | None = None, norm_type: float = 2,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:  # fmt: skip
    """Sums, means or maxima of the embeddings of each bag of numbers.

    `input (B, N)` holds bags of equal size; a 1-dim `input` is cut at `offsets`.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError("embedding_bag: per_sample_weights was not None. "
                                  "per_sample_weights is only supported for mode='sum'")
    if input._array.ndim == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is "
                             "a mini-batch of fixed length sequences")
        bags, size = input._array.shape
        starts = [b * size for b in range(bags)]
        flat = input.reshape(-1)
        weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    else:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        starts = offsets.tolist()
        if include_last_offset:
            starts = starts[:-1]
        flat, weights = input, per_sample_weights
    ends = [*starts[1:], flat._array.shape[0]]
    if include_last_offset and offsets is not None:
        ends = offsets.tolist()[1:]
    results = []
    for a, b in zip(starts, ends):
        results.append(_bag(flat[a:b], weight, mode, None if weights is None else weights[a:b],
                            max_norm, norm_type, padding_idx))  # fmt: skip
    if not results:
        return weight.new_zeros((0, weight._array.shape[1]))
    from .shape import stack

    return stack(results)


def _bag(numbers: Any, weight: Any, mode: str, weights: Any, max_norm: Any, norm_type: float,
         padding_idx: int | None) -> Any:  # fmt: skip
    if padding_idx is not None:
        keep = numbers != padding_idx % weight._array.shape[0]
        numbers = numbers[keep]
        weights = None if weights is None else weights[keep]
    rows = embedding(numbers, weight, None, max_norm, norm_type)
    if not numbers._array.size:
        return rows.sum(0)
    if weights is not None:
        rows = rows * weights.unsqueeze(1)
    if mode == "max":
        return rows.max(0).values
    return rows.sum(0) if mode == "sum" else rows.mean(0)
