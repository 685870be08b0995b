"""The losses composed of other operations: regression, classification, ranking, divergence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..types_ import Shape
from .choose import where
from .common import TensorBase, check_tensor
from .distance import pairwise_distance
from .expand import broadcast_tensors
from .loss import reduction_of, warn_broadcast
from .pointwise import xlogy

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss",
    "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The losses themselves (`"none"`), their mean or their sum."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """As `reduced`, but the mean of weighted losses is over the weights."""
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand_as(loss).sum()
    return reduced(loss, reduction)


def _pair(op: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Input and target in a common shape; warns if their shapes differ."""
    check_tensor(input, op)
    check_tensor(target, op, "target", 2)
    if input._array.shape == target._array.shape:
        return input, target
    warn_broadcast(op, input, target)
    x, y = broadcast_tensors(input, target)
    return x, y


# ---- regression ----------------------------------------------------------------------------


def l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
            reduce: bool | None = None, reduction: str = "mean",
            weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """The absolute error `|input - target|`, its mean, or its sum; the slope at 0 is 0.

    >>> import rushlight as torch
    >>> torch.nn.functional.l1_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    x, y = _pair("l1_loss", input, target)
    return _weighted((x - y).abs(), weight, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                   reduce: bool | None = None, reduction: str = "mean",
                   beta: float = 1.0) -> Tensor:  # fmt: skip
    """`d²/(2·beta)` where the error d is below `beta`, `d - beta/2` elsewhere.

    >>> import rushlight as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.tensor([0., 3.]), torch.tensor([0.5, 0.]))
    tensor(1.3125)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    x, y = _pair("smooth_l1_loss", input, target)
    error = (x - y).abs()
    if beta == 0:
        return reduced(error, reduction)
    return reduced(where(error < beta, error * error * (0.5 / beta), error - 0.5 * beta), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
               weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """`d²/2` where the error d is at most `delta`, `delta·(d - delta/2)` elsewhere.

    >>> import rushlight as torch
    >>> torch.nn.functional.huber_loss(torch.tensor([0., 3.]), torch.tensor([0.5, 0.]))
    tensor(1.3125)
    """
    reduction = reduction_of(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    x, y = _pair("huber_loss", input, target)
    error = (x - y).abs()
    loss = where(error <= delta, 0.5 * error * error, (error - 0.5 * delta) * delta)
    return _weighted(loss, weight, reduction)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
                     size_average: bool | None = None, eps: float = 1e-8,
                     reduce: bool | None = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """The negative log-likelihood of counts under a Poisson distribution with rate `exp(input)`.

    Without `log_input` the input is the rate itself; `full` adds Stirling's approximation of
    `log(target!)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.tensor([0.]), torch.tensor([2.]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Tensor | float, full: bool = False,
                      eps: float = 1e-6, reduction: str = "mean") -> Tensor:  # fmt: skip
    """`(log(var) + (input - target)²/var) / 2`, with `var` at least `eps`.

    ValueError for a negative variance or one that does not fit the input.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.gaussian_nll_loss(torch.tensor([0.]), torch.tensor([2.]), torch.tensor([1.]))
    tensor(2.)
    """
    if not isinstance(var, TensorBase):
        filled: Tensor = input.new_full(input._array.shape, var)
        var = filled
    if var._array.shape != input._array.shape:
        if input._array.shape[:-1] == var._array.shape:
            var = var.unsqueeze(-1)
        elif not _has_one_variance(input._array.shape, var._array.shape):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    floor = var.detach().clamp(min=eps) - var.detach()  # the clamp is not differentiated
    variance: Tensor = var + floor
    loss = 0.5 * (variance.log() + (input - target) ** 2 / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _has_one_variance(input: Shape, var: Shape) -> bool:
    """Whether the shapes agree but for one dim, in which all share a variance."""
    others = [m for n, m in zip(input, var) if n != m]
    return len(input) == len(var) and others == [1]


# ---- probabilities -------------------------------------------------------------------------


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                         size_average: bool | None = None, reduce: bool | None = None,
                         reduction: str = "mean") -> Tensor:  # fmt: skip
    """`-(y·log(p) + (1 - y)·log(1 - p))` with both logarithms at least -100.

    ValueError if the shapes differ, RuntimeError for a probability outside [0, 1].

    >>> import rushlight as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if bool(((input < 0) | (input > 1)).any()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    gain = (1 - target) * log_at_least(1 - input, -100.0) + target * log_at_least(input, -100.0)
    loss = -gain if weight is None else -gain * weight
    return reduced(loss, reduction)


def log_at_least(p: Tensor, bound: float) -> Tensor:
    """`max(log(p), bound)`; the slope below the bound is `1 / 1e-12`, as PyTorch's."""
    tiny = p.detach() <= math.exp(bound)
    value = p.masked_fill(tiny, 1.0).log().masked_fill(tiny, bound)
    straight = (p - p.detach()) / 1e-12
    return value + straight.masked_fill(~tiny, 0)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     size_average: bool | None = None,
                                     reduce: bool | None = None, reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of `sigmoid(input)`, without overflow.

    `pos_weight` multiplies the terms of positive targets. ValueError if the shapes differ.

    >>> import rushlight as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(1), torch.ones(1))
    tensor(0.6931)
    """
    from .activation import logsigmoid

    reduction = reduction_of(reduction, size_average, reduce)
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    log_p = logsigmoid(input)
    if pos_weight is None:
        loss = (1 - target) * input - log_p
    else:
        loss = (1 - target) * input - ((pos_weight - 1) * target + 1) * log_p
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def kl_div(input: Tensor, target: Tensor, size_average: bool | None = None,
           reduce: bool | None = None, reduction: str = "mean",
           log_target: bool = False) -> Tensor:  # fmt: skip
    """The Kullback-Leibler divergence `target · (log(target) - input)` of log-probabilities.

    `reduction="batchmean"` divides the sum by the batch size, which is the divergence's definition;
    `"mean"` divides by the number of elements.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.kl_div(torch.tensor([[-0.5, -1.]]), torch.tensor([[0.6, 0.4]]), reduction="batchmean")
    tensor(0.0270)
    """
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    per_batch = reduction == "batchmean"
    reduction = "sum" if per_batch else reduction_of(reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = xlogy(target, target) - target * input
    result = reduced(loss, reduction)
    return result / input._array.shape[0] if per_batch and input._array.ndim else result


# ---- margins -------------------------------------------------------------------------------


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0,
                         size_average: bool | None = None, reduce: bool | None = None,
                         reduction: str = "mean") -> Tensor:  # fmt: skip
    """`input` where the target is 1, `max(0, margin - input)` where it is -1.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.hinge_embedding_loss(torch.tensor([2., 0.5]), torch.tensor([1., -1.]))
    tensor(1.2500)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(target == 1, 0.0, (margin - input).clamp(min=0))
    near = where(target == -1, 0.0, input)
    return reduced(far + near, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                     reduce: bool | None = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """`log(1 + exp(-target · input))` for targets 1 and -1.

    >>> import rushlight as torch
    >>> torch.nn.functional.soft_margin_loss(torch.tensor([0.]), torch.tensor([1.]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced((-target * input).exp().log1p(), reduction)


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:  # fmt: skip
    """`max(0, -target · (input1 - input2) + margin)`: target 1 wants the first to be larger.

    >>> import rushlight as torch
    >>> one, two = torch.tensor([1.]), torch.tensor([3.])
    >>> torch.nn.functional.margin_ranking_loss(one, two, torch.tensor([1.]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1._array.ndim == input2._array.ndim == target._array.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
                          size_average: bool | None = None, reduce: bool | None = None,
                          reduction: str = "mean") -> Tensor:  # fmt: skip
    """`1 - cos` where the target is 1, `max(0, cos - margin)` where it is -1.

    `input1`, `input2` are `(N, D)` with target `(N,)`, or `(D,)` with a 0-dim target.

    >>> import rushlight as torch
    >>> a, b = torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]])
    >>> torch.nn.functional.cosine_embedding_loss(a, b, torch.tensor([1.]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target._array.ndim > 1 or input1._array.ndim != target._array.ndim + 1:
        raise RuntimeError(
            f"{target._array.ndim}D target tensor expects "
            f"{target._array.ndim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1._array.shape)} and {list(input2._array.shape)}."
        )
    product = (input1 * input2).sum(-1)
    tiny = 1e-12
    cos = product / ((input1 * input1).sum(-1) + tiny).mul((input2 * input2).sum(-1) + tiny).sqrt()
    loss = where(target == 1, 1 - cos, 0.0) + where(target == -1, (cos - margin).clamp(min=0), 0.0)
    return reduced(loss, reduction)


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0,
                      weight: Tensor | None = None, size_average: bool | None = None,
                      reduce: bool | None = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """`Σ_j≠y max(0, margin - x_y + x_j)^p / C`: the multi-class hinge loss.

    `input (N, C)` with class numbers `target (N,)`, or `(C,)` with a 0-dim target.

    >>> import rushlight as torch
    >>> x = torch.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> torch.nn.functional.multi_margin_loss(x, torch.tensor([3]))
    tensor(0.3250)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight._array.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    single = input._array.ndim < 2
    x = input.reshape(1, -1) if single else input
    if target._array.size != x._array.shape[0]:
        raise RuntimeError(
            "inconsistent target size: target tensor should be 1-D with size equal "
            f"to the batch. Expected target size [{x._array.shape[0]}], but got "
            f"{list(target._array.shape)}"
        )
    y = target.reshape(-1, 1)
    count = x._array.shape[1]
    terms = (margin - x.gather(1, y) + x).clamp(min=0)
    terms = terms if p == 1 else terms * terms
    if weight is not None:
        terms = terms * weight[y]
    loss = terms.scatter(1, y, 0).sum(1) / count
    return reduced(loss.squeeze(0) if single and not target._array.ndim else loss, reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                           reduce: bool | None = None,
                           reduction: str = "mean") -> Tensor:  # fmt: skip
    """`Σ max(0, 1 - (x_y - x_j)) / C` over labels y and classes j that are no label.

    `target` has the input's shape; its class numbers end at the first -1.

    >>> import rushlight as torch
    >>> x, y = torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
    >>> torch.nn.functional.multilabel_margin_loss(x, y)
    tensor(0.8500)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if input._array.shape != target._array.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target._array.shape)} for input of "
            f"size: {list(input._array.shape)}"
        )
    single = input._array.ndim < 2
    x, y = (t.reshape(1, -1) if single else t for t in (input, target))
    count = x._array.shape[1]
    listed = (y < 0).cumsum(1) == 0
    labels = y.masked_fill(~listed, 0)
    is_label = listed.new_zeros(x._array.shape).long().scatter_add(1, labels, listed.long()) > 0
    # one term for each listed label (dim 1) and each other class (dim 2)
    terms = (1 - (x.gather(1, labels).unsqueeze(2) - x.unsqueeze(1))).clamp(min=0)
    counted = listed.unsqueeze(2) & ~is_label.unsqueeze(1)
    loss = terms.masked_fill(~counted, 0).sum((1, 2)) / count
    return reduced(loss.squeeze(0) if single else loss, reduction)


def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:  # fmt: skip
    """The mean over classes of `binary_cross_entropy_with_logits`.

    >>> import rushlight as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """
    from .activation import logsigmoid

    reduction = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input._array.shape[-1], reduction)


# ---- triplets ------------------------------------------------------------------------------


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0,
                        p: float = 2, eps: float = 1e-6, swap: bool = False,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:  # fmt: skip
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` with p-norm distances.

    With `swap`, the negative's distance is the smaller of those to anchor and positive.

    >>> import rushlight as torch
    >>> a, b, c = torch.zeros(1, 2), torch.ones(1, 2), torch.full((1, 2), 2.)
    >>> torch.nn.functional.triplet_margin_loss(a, b, c, margin=2.0)
    tensor(0.5858)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor._array.ndim == positive._array.ndim == negative._array.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor._array.ndim}D, positive {positive._array.ndim}D, "
            f"and negative {negative._array.ndim}D inputs"
        )

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return pairwise_distance(x, y, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor: Tensor, positive: Tensor, negative: Tensor,
             distance: Callable[[Any, Any], Any], margin: float, swap: bool,
             reduction: str) -> Tensor:  # fmt: skip
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((margin + near - far).clamp(min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance (the Euclidean one unless given)."""
    reduction = reduction_of(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor._array.ndim == positive._array.ndim == negative._array.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor._array.ndim}D, positive {positive._array.ndim}D, "
            f"and negative {negative._array.ndim}D inputs"
        )
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)
