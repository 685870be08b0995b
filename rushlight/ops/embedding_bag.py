"""Bags of embeddings: sums, means and maxima of table rows, bag by bag, without making the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array, Shape
from .common import cast, check_tensor, dtype_of, type_name
from .embedding import _embedding, _renormalise

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["embedding_bag"]


@primitive(name="EmbeddingBag")
def _bag_sum(weight: Array, scale: Array | None, numbers: Array, bags: Array, *, count: int,
             by_frequency: bool = False) -> Array:  # fmt: skip
    """`out[bags[i]] += scale[i] · weight[numbers[i]]` into `count` rows of zeros."""
    return kernels(weight).add_rows(weight, numbers, bags, scale, count)


@_bag_sum.derivative("weight")
def _bag_sum_dweight(grad: Tensor, weight_shape: Shape, scale: Tensor | None, numbers: Tensor,
                     bags: Tensor, by_frequency: bool) -> Tensor:  # fmt: skip
    """The same sum with numbers and bags in each other's place."""
    if by_frequency:
        k = kernels(numbers._array)
        _, inverse, counts = k.unique(numbers._array)
        share = 1 / wrap(k.take(counts, inverse, 0)).to(grad.dtype)
        scale = share if scale is None else scale * share
    result: Tensor = _bag_sum(grad, scale, bags, numbers, count=weight_shape[0])
    return result


@_bag_sum.derivative("scale")
def _bag_sum_dscale(grad: Tensor, weight: Tensor, numbers: Tensor, bags: Tensor) -> Tensor:
    """The product of each row with the gradient of its bag."""
    rows = _embedding(weight, numbers, padding_idx=None)
    result: Tensor = (rows * _embedding(grad, bags, padding_idx=None)).sum(1)
    return result


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None,
                  max_norm: float | None = None, norm_type: float = 2,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:  # fmt: skip
    """Sums, means or maxima of the rows of `weight (V, D)` that each bag of numbers names.

    The result is `(B, D)`. `input (B, N)` holds bags of equal size; a 1-dim `input` is cut at
    `offsets (B,)`, whose last is the end of the last bag if `include_last_offset`. An empty bag
    gives zeros. Numbers equal to `padding_idx` count for nothing. `per_sample_weights`, shaped as
    `input`, scale the rows of `mode="sum"`.

    >>> import rushlight as torch
    >>> table = torch.tensor([[1., 2.], [3., 4.], [5., 6.]])
    >>> numbers, starts = torch.tensor([0, 2, 1]), torch.tensor([0, 2])
    >>> torch.nn.functional.embedding_bag(numbers, table, starts, mode="sum")
    tensor([[6., 8.],
            [3., 4.]])
    """
    _check_arguments(input, weight, offsets, mode, scale_grad_by_freq, per_sample_weights)
    if sparse and weight.requires_grad and state.enabled:
        raise NotImplementedError(
            "[embedding_bag] sparse gradients are not in rushlight yet; "
            "leave sparse=False (the gradient is then dense)"
        )
    starts, ends = _bounds(input._array, offsets, include_last_offset)
    k = kernels(starts)
    numbers = cast(input._array, int64).reshape(-1)[: int(ends[-1]) if ends.size else 0]
    bags = k.repeat(k.arange(0, 1, starts.size, int64.numpy), ends - starts, 0)
    _check_numbers(numbers, weight._array.shape[0])
    if max_norm is not None:
        _renormalise(weight, numbers, max_norm, norm_type)
    scale = per_sample_weights
    if scale is not None:
        scale = scale.reshape(-1)[: numbers.size]
    if padding_idx is not None:
        keep = numbers != _padding_row(padding_idx, weight._array.shape[0])
        numbers, bags = numbers[keep], bags[keep]
        scale = None if scale is None else scale[wrap(keep)]
    if mode == "max":
        return _bag_max(weight, numbers, bags, starts.size)
    total: Tensor = _bag_sum(weight, scale, wrap(numbers), wrap(bags), count=starts.size,
                             by_frequency=scale_grad_by_freq)  # fmt: skip
    if mode == "sum":
        return total
    sizes = k.clamp(k.bincount(bags, None, starts.size), 1, None)
    return total / wrap(sizes).to(total.dtype).unsqueeze(1)


def _check_arguments(
    input: Tensor, weight: Tensor, offsets: Tensor | None, mode: str, scale_grad_by_freq: bool,
    per_sample_weights: Tensor | None,
) -> None:  # fmt: skip
    check_tensor(input, "embedding_bag")
    i, w = input._array, weight._array
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if i.ndim not in (1, 2):
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {i.ndim}")
    if i.ndim == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None: the rows of input are the "
            f"bags; got offsets of shape {list(offsets._array.shape)}"
        )
    if i.ndim == 1 and (offsets is None or offsets._array.ndim != 1):
        raise ValueError(
            "offsets has to be a 1D Tensor but got "
            f"{None if offsets is None else list(offsets._array.shape)}"
        )
    for name, array in (("indices", i), ("offsets", None if offsets is None else offsets._array)):
        if array is not None and (array.dtype.kind != "i" or array.dtype.itemsize < 4):
            raise RuntimeError(
                f"[embedding_bag] Expected tensor for argument '{name}' to have one of the "
                f"following scalar types: Long, Int; but got {type_name(dtype_of(array))} instead"
            )
    if w.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got {w.ndim}-D")
    if per_sample_weights is None:
        return
    p = per_sample_weights._array
    if mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. "
            "per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}')"
        )
    if p.shape != i.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(p.shape)}) is not None, "
            f"then it must have the same shape as the input ({list(i.shape)})"
        )
    if p.dtype != w.dtype:
        raise RuntimeError(
            "[embedding_bag] expected weight and per_sample_weights of one type; "
            f"got {dtype_of(w)} and {dtype_of(p)}"
        )


def _bounds(input: Array, offsets: Tensor | None, include_last: bool) -> tuple[Array, Array]:
    """Where each bag starts and ends in the flattened input, int64."""
    k = kernels(input)
    if offsets is None:
        bags, size = input.shape
        starts = k.arange(0, size, bags, int64.numpy)
        return starts, starts + size
    cuts = cast(offsets._array, int64)
    total = k.full((1,), input.shape[0], int64.numpy)
    if cuts.size and int(cuts[0]) != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first bag has to start at position "
            f"0. However, got {int(cuts[0])}"
        )
    if cuts.size and int(cuts[-1]) > input.shape[0]:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {input.shape[0]} "
            f"but got offsets[-1] of {int(cuts[-1])}"
        )
    if bool((cuts[1:] < cuts[:-1]).any()):
        raise RuntimeError(
            f"[embedding_bag] expected offsets in ascending order; got {cuts.tolist()[:8]}"
        )
    if include_last:
        if not cuts.size:
            raise RuntimeError("include_last_offset: number of offsets should be at least 1")
        return cuts[:-1], cuts[1:]
    return cuts, k.concatenate([cuts[1:], total], 0)[: cuts.size]


def _check_numbers(numbers: Array, rows: int) -> None:
    if not kernels(numbers).within(numbers, 0, rows):
        place = int(((numbers < 0) | (numbers >= rows)).argmax())
        raise RuntimeError(
            f"Index {place} of input takes value {int(numbers[place])} which is "
            f"not in the valid range [0, {rows})"
        )


def _padding_row(padding_idx: int, rows: int) -> int:
    if not -rows <= padding_idx < rows:
        raise RuntimeError(
            "padding_idx must be within the number of embeddings, "
            f"{-rows} through {rows - 1}, but got {padding_idx}"
        )
    return padding_idx % rows


def _bag_max(weight: Tensor, numbers: Array, bags: Array, count: int) -> Tensor:
    """The elementwise maxima; the first of equal ones gets the gradient. Empty bags give zeros."""
    result = weight.new_zeros((count, weight._array.shape[1]))
    rows: Tensor = _embedding(weight, wrap(numbers), padding_idx=None)
    if not numbers.size:
        return result + rows.sum()  # zeros, of which weight is still a part
    k = kernels(bags)
    places, filled = k.first_maxima(rows._array, bags)
    return result.index_put((wrap(filled),), rows.gather(0, wrap(places)))
