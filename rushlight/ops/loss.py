"""The losses that most programs use, with kernels of their own: mse, nll and cross entropy."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..backends.layout import inverse
from ..types_ import Array, Shape
from .common import TensorBase, check_tensor, dtype_of, type_name
from .memory_format import shared_axes
from .softmax import log_softmax

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["mse_loss", "nll_loss", "cross_entropy", "reduction_of"]


def reduction_of(reduction: str, size_average: bool | None = None,
                 reduce: bool | None = None) -> str:  # fmt: skip
    """The reduction that the (older) arguments ask for; ValueError for an unknown name."""
    if size_average is not None or reduce is not None:
        average = True if size_average is None else size_average
        wanted = True if reduce is None else reduce
        reduction = ("mean" if average else "sum") if wanted else "none"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' "
            "instead.", stacklevel=4,
        )  # fmt: skip
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


# ---- squared error -------------------------------------------------------------------------


@primitive(name="MseLoss", broadcast=False)
def _mse_loss(x: Array, y: Array, *, reduction: str) -> Array:
    axes = shared_axes(x, y) if reduction == "none" else None
    if axes is None:
        return kernels(x).mse_loss(x, y, reduction)
    result = kernels(x).mse_loss(x.transpose(axes), y.transpose(axes), reduction)
    return result.transpose(inverse(axes))


@primitive(name="MseLossBackward")
def _mse_loss_backward(g: Array, x: Array, y: Array, *, reduction: str) -> Array:
    """`2 · (x - y) · g`, divided by the count for the mean."""
    if x.flags.c_contiguous or (axes := shared_axes(x, y)) is None:
        return kernels(x).mse_loss_grad(g, x, y, reduction)
    g = g.transpose(axes) if g.ndim else g
    result = kernels(x).mse_loss_grad(g, x.transpose(axes), y.transpose(axes), reduction)
    return result.transpose(inverse(axes))


_mse_loss.derive("x", _mse_loss_backward, "grad", "x", "y", reduction="reduction")
_mse_loss.derive("y", _mse_loss_backward, "grad", "y", "x", reduction="reduction")


@_mse_loss_backward.derivative("g")
def _mse_loss_backward_dg(grad: Tensor, x: Tensor, y: Tensor, reduction: str) -> Tensor:
    slope = grad * 2 * (x - y)
    return slope if reduction == "none" else slope.mean() if reduction == "mean" else slope.sum()


@_mse_loss_backward.derivative("x")
def _mse_loss_backward_dx(grad: Tensor, g: Tensor, reduction: str) -> Tensor:
    scale = 2 / grad._array.size if reduction == "mean" and grad._array.size else 2
    return grad * g * scale


@_mse_loss_backward.derivative("y")
def _mse_loss_backward_dy(grad: Tensor, g: Tensor, reduction: str) -> Tensor:
    return -_mse_loss_backward_dx(grad, g, reduction)


def mse_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
             reduce: bool | None = None, reduction: str = "mean",
             weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """The squared error `(input - target)²`, its mean, or its sum.

    Warns if the shapes differ (they broadcast, which is seldom meant).

    >>> import rushlight as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1., 2.]), torch.tensor([1., 4.]))
    tensor(2.)
    """
    check_tensor(target, "mse_loss", "target", 2)
    reduction = reduction_of(reduction, size_average, reduce)
    if input._array.shape != target._array.shape:
        warn_broadcast("mse_loss", input, target)
        shape = _broadcast_shape(input, target)
        input, target = input.expand(shape), target.expand(shape)
    if input._array.dtype != target._array.dtype:
        from .. import dtypes

        common = dtypes.promote_types(input.dtype, target.dtype)
        input, target = input.to(common), target.to(common)
    if weight is not None:
        errors = _mse_loss(input, target, reduction="none") * weight
        if reduction == "none":
            return errors
        total = errors.sum()
        return total / weight.expand_as(errors).sum() if reduction == "mean" else total
    return _mse_loss(input, target, reduction=reduction)


def warn_broadcast(op: str, input: Any, target: Any) -> None:
    """PyTorch's warning for operands of a loss whose shapes differ."""
    warnings.warn(
        f"Using a target size ({target.size()}) that is different to the input size "
        f"({input.size()}). This will likely lead to incorrect results due to broadcasting. Please "
        "ensure they have the same size.", stacklevel=4,
    )  # fmt: skip


def _broadcast_shape(input: Any, target: Any) -> Any:
    from .expand import broadcast_shapes

    return broadcast_shapes(input._array.shape, target._array.shape)


# ---- negative log-likelihood ---------------------------------------------------------------


@primitive(name="NllLoss", nondifferentiable=(1,), kernel="nll_loss")
def _nll_loss(logp: Array, target: Array, weight: Array | None, *, ignore_index: int,
              reduction: str) -> tuple[Array, Array]:  # fmt: skip
    return kernels(logp).nll_loss(logp, target, weight, ignore_index, reduction)


@primitive(name="NllLossBackward", kernel="nll_loss_grad")
def _nll_loss_backward(g: Array, target: Array, weight: Array | None, total: Array, *, shape: Shape,
                       ignore_index: int, reduction: str) -> Array:  # fmt: skip
    return kernels(g).nll_loss_grad(g, target, weight, total, shape, ignore_index, reduction)


_nll_loss.derive("logp", _nll_loss_backward, "grad", "target", "weight", "results[1]",
                 shape="logp_shape", ignore_index="ignore_index",
                 reduction="reduction")  # fmt: skip


@_nll_loss_backward.derivative("g")
def _nll_loss_backward_dg(grad: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
                          reduction: str) -> Tensor:  # fmt: skip
    return _nll_loss(grad, target, weight, ignore_index=ignore_index, reduction=reduction)[0]


def _check_target(op: str, input: Any, target: Any, weight: Any) -> None:
    """Shapes and dtypes of class numbers and weights, with errors that say what to change."""
    x, t = input._array, target._array
    if t.dtype.char not in "lqB":  # int64, uint8
        raise RuntimeError(
            f"[{op}] expected scalar type Long for class numbers (targets), but found "
            f"{type_name(dtype_of(t))}; convert them with .long()"
            + (" (or give probabilities of the input's shape)" if t.dtype.kind in "fV" else "")
        )
    if weight is not None and weight._array.dtype != x.dtype:
        raise RuntimeError(
            f"[{op}] expected scalar type {type_name(dtype_of(x))} but found "
            f"{type_name(dtype_of(weight._array))} for the weight"
        )
    _check_target_shapes(op, x.shape, t.shape, None if weight is None else weight._array.shape)


@lru_cache(maxsize=1024)
def _check_target_shapes(op: str, x: Shape, t: Shape, weight: Shape | None) -> None:
    if len(x) == 0 or (len(x) == 1 and len(t) > 1):
        raise RuntimeError(
            f"[{op}] input of shape {list(x)} and target of shape "
            f"{list(t)} do not fit: expected (N, C) and (N,)"
        )
    classes = x[0] if len(x) == 1 else x[1]
    if len(x) > 1:
        if x[0] != (t[0] if t else -1):
            raise ValueError(
                f"Expected input batch_size ({x[0]}) to match target batch_size "
                f"({t[0] if t else 0})."
            )
        if t[1:] != x[2:]:
            raise RuntimeError(
                f"[{op}] only batches of spatial targets supported: expected target size "
                f"{[x[0], *x[2:]]}, got {list(t)}"
            )
    if weight is not None and weight != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight)}"
        )


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
             size_average: bool | None = None, ignore_index: int = -100,
             reduce: bool | None = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """The negative log-likelihood `-input[n, target[n]]`, weighted by class.

    `input (N, C, …)` holds log-probabilities, `target (N, …)` int64 class numbers; those equal to
    `ignore_index` do not count. The mean is over the weights. IndexError for a class out of range.

    >>> import rushlight as torch
    >>> logp = torch.log_softmax(torch.tensor([[1., 2.]]), 1)
    >>> torch.nn.functional.nll_loss(logp, torch.tensor([1]))
    tensor(0.3133)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_target("nll_loss", input, target, weight)
    return _nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)[0]


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None,
                  size_average: bool | None = None, ignore_index: int = -100,
                  reduce: bool | None = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:  # fmt: skip
    """`nll_loss` of the log-softmax of scores: `-log softmax(input)[n, target[n]]`.

    `input (N, C, …)` or `(C,)`; `target` int64 class numbers `(N, …)`, or class probabilities of
    the input's shape. `label_smoothing` mixes the target with the uniform distribution.

    >>> import rushlight as torch
    >>> torch.nn.functional.cross_entropy(torch.tensor([[1., 2.]]), torch.tensor([1]))
    tensor(0.3133)
    """
    if not (isinstance(input, TensorBase) and isinstance(target, TensorBase)):
        check_tensor(input, "cross_entropy")
        check_tensor(target, "cross_entropy", "target", 2)
    if size_average is not None or reduce is not None or reduction != "mean":
        reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    classes = 0 if input._array.ndim == 1 else 1
    if target._array.shape == input._array.shape and target._array.dtype.kind in "fV":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, classes)
    _check_target("cross_entropy", input, target, weight)
    logp = log_softmax(input, classes)
    if label_smoothing:
        return _smoothed(logp, target, weight, ignore_index, reduction, label_smoothing, classes)
    return _nll_loss(logp, target, weight, ignore_index=ignore_index, reduction=reduction)[0]


def _soft_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str,
                        smoothing: float, dim: int) -> Tensor:  # fmt: skip
    """The targets are probabilities."""
    count = input._array.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / count
    terms = log_softmax(input, dim) * target
    if weight is not None:
        terms = terms * _along(weight, input, dim)
    if reduction == "none":
        return -terms.sum(dim)
    total = -terms.sum()
    samples = input._array.size // count if count else 0
    return total / samples if reduction == "mean" else total


def _along(weight: Tensor, input: Tensor, dim: int) -> Tensor:
    return weight.reshape([-1 if i == dim else 1 for i in range(input._array.ndim)])


def _smoothed(logp: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
              reduction: str, smoothing: float, dim: int) -> Tensor:  # fmt: skip
    """The loss mixed with the mean loss over all classes."""
    nll = _nll_loss(logp, target, weight, ignore_index=ignore_index, reduction=reduction)[0]
    weighted = logp if weight is None else logp * _along(weight, logp, dim)
    uniform = -weighted.sum(dim)
    ignored = target == ignore_index
    uniform = uniform.masked_fill(ignored, 0)
    if reduction == "sum":
        uniform = uniform.sum()
    elif reduction == "mean":
        if weight is None:
            uniform = uniform.sum() / (~ignored).sum()
        else:
            chosen = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0)
            uniform = uniform.sum() / chosen.sum()
    count = logp._array.shape[dim]
    return nll * (1 - smoothing) + uniform * (smoothing / count)
