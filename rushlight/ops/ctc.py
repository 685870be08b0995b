"""Connectionist temporal classification: the loss of a label sequence without alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array
from .common import TensorBase, cast
from .loss import reduction_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["ctc_loss"]


@primitive(name="CtcLoss", nondifferentiable=(1, 2))
def _ctc_loss(x: Array, targets: Array, input_lengths: Array, target_lengths: Array, *, blank: int,
              zero_infinity: bool) -> tuple[Array, Array, Array]:  # fmt: skip
    """The losses, and what the gradient needs: the losses again and the forward table."""
    k = kernels(x)
    loss, alpha = k.ctc_loss(x, targets, input_lengths, target_lengths, blank)
    shown = k.xp.where(k.xp.isinf(loss), 0, loss).astype(loss.dtype) if zero_infinity else loss
    return k.copy(shown), loss, alpha


@primitive(name="CtcLossBackward", kernel="ctc_loss_grad")
def _ctc_loss_backward(g: Array, x: Array, targets: Array, input_lengths: Array,
                       target_lengths: Array, loss: Array, alpha: Array, *, blank: int,
                       zero_infinity: bool) -> Array:  # fmt: skip
    return kernels(x).ctc_loss_grad(
        g, x, targets, input_lengths, target_lengths, loss, alpha, blank, zero_infinity
    )


_ctc_loss.derive("x", _ctc_loss_backward, "grad", "x", "targets", "input_lengths",
                 "target_lengths", "results[1]", "results[2]", blank="blank",
                 zero_infinity="zero_infinity")  # fmt: skip


@_ctc_loss_backward.derivative("g", "x")
def _ctc_loss_double(grad: Tensor, g: Tensor, x: Tensor) -> Any:
    raise RuntimeError("[ctc_loss] the second derivative is not implemented (nor is it in PyTorch)")


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any,
             blank: int = 0, reduction: str = "mean",
             zero_infinity: bool = False) -> Tensor:  # fmt: skip
    """`-log` of the probability of all alignments of the targets (Graves et al., 2006).

    `log_probs (T, N, C)` (or `(T, C)`) are log-softmax scores; `targets (N, S)` padded, or all
    labels joined in one dim. The mean divides each loss by its target length first.
    `zero_infinity` turns the losses of impossible alignments, and their gradients, into zeros.

    >>> import rushlight as torch
    >>> x = torch.log_softmax(torch.zeros(3, 1, 2), 2)
    >>> torch.nn.functional.ctc_loss(x, torch.tensor([[1]]), [3], [1])
    tensor(0.2877)
    """
    reduction = reduction_of(reduction)
    single = log_probs._array.ndim == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    steps, count, classes = x._array.shape
    k = kernels(x._array)
    inputs, lengths = (_lengths(v, count) for v in (input_lengths, target_lengths))
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if x._array.dtype not in ("float32", "float64"):
        raise RuntimeError(f"[ctc_loss] log_probs must be float32 or float64, got {x.dtype}")
    for n in inputs.tolist():
        if not 0 <= n <= steps:
            raise RuntimeError(
                f"Expected input_lengths to have value at most {steps}, but got value {n}"
            )
    padded = wrap(_padded(k, targets._array, lengths, count))
    losses = _ctc_loss(x, padded, wrap(inputs), wrap(lengths), blank=blank,
                       zero_infinity=zero_infinity)[0]  # fmt: skip
    if reduction == "mean":
        return (losses / wrap(lengths).clamp(min=1).to(losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.squeeze(0) if single else losses


def _lengths(values: Any, count: int) -> Array:
    """Lengths given as a tensor, sequence or number, as an int64 array of `count` of them."""
    from .from_data import to_array

    given = isinstance(values, TensorBase)
    array = (cast(values._array, int64) if given else to_array(values, int64)).reshape(-1)
    if array.shape[0] != count:
        raise RuntimeError(
            "[ctc_loss] input_lengths and target_lengths must have one value for "
            f"each of the {count} sequences, got {array.shape[0]}"
        )
    return array


def _padded(k: Any, targets: Array, lengths: Array, count: int) -> Array:
    """The labels of each sequence in a row, `(N, S)`; RuntimeError if there are too few."""
    targets = cast(targets, int64)
    width = int(lengths.max()) if count else 0
    if targets.ndim == 2:
        if targets.shape[0] != count or targets.shape[1] < width:
            raise RuntimeError(
                f"Expected tensor to have size at least {width} at dimension 1, but "
                f"got size {list(targets.shape)} for argument #2 'targets'"
            )
        return k.copy(targets[:, :width])
    if int(lengths.sum()) > targets.shape[0]:
        raise RuntimeError(
            f"[ctc_loss] target_lengths sum to {int(lengths.sum())}, but there are "
            f"{targets.shape[0]} targets"
        )
    result = k.zeros((count, width), targets.dtype)
    start = 0
    for row, n in enumerate(lengths.tolist()):
        result[row, :n] = targets[start : start + n]
        start += n
    return result
