"""Dropout: elements or whole channels zeroed at random, the others scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import random as generators
from ..autograd.inplace import check_in_place, overwrite
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..types_ import Array
from .common import check_tensor
from .memory_format import memory_axes, new_in_order

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"]


@primitive(name="NativeDropout")
def _scale_by_mask(x: Array, mask: Array, *, scale: float) -> Array:
    k = kernels(x)
    return k.mul(k.mul(x, mask), scale)


@_scale_by_mask.derivative("x")
def _scale_by_mask_dx(grad: Tensor, mask: Tensor, scale: float) -> Tensor:
    return _scale_by_mask(grad, mask, scale=scale)


def _keep_mask(like: Any, shape: Any, p: float) -> Any:
    """1 with probability `1 - p`, else 0, in the dtype of `like`; of its shape, also its layout."""
    array, state = like._array, generators.default_generator.state
    axes = memory_axes(array) if tuple(shape) == array.shape else None

    def draw(sizes: Sequence[int]) -> Array:
        return kernels(array).random_bernoulli(state, sizes, 1 - p, array.dtype)

    return wrap(new_in_order(draw, shape, axes))


def _check_p(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability `p` and scales the others by `1 / (1 - p)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout(torch.ones(3), p=0.0)
    tensor([1., 1., 1.])
    """
    check_tensor(input, "dropout")
    _check_p(p)
    result = _dropped(input, input._array.shape, p, training)
    return _in_place_if(input, result, inplace, "dropout_")


def _dropped(input: Any, mask_shape: Any, p: float, training: bool) -> Any:
    if not training or p == 0.0 or input._array.size == 0:
        return input
    if p == 1.0:
        return input * 0
    mask = _keep_mask(input, mask_shape, p)
    if tuple(mask_shape) != input._array.shape:
        return input * (mask * (1 / (1 - p)))
    return _scale_by_mask(input, mask, scale=1 / (1 - p))


def _in_place_if(input: Any, result: Any, inplace: bool, name: str) -> Any:
    if not inplace or result is input:
        return result
    check_in_place(input)
    return overwrite(input, result, name)


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True,
                    inplace: bool = False) -> Tensor:  # fmt: skip
    """As `dropout`, of whole channels (dim 1) of each sample."""
    _check_p(p)
    if input._array.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = input._array.shape[:2] + (1,) * (input._array.ndim - 2)
    return _in_place_if(input, _dropped(input, shape, p, training), inplace, "feature_dropout_")


_ALPHA = 1.7580993408473766  # -scale · alpha of selu


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                  inplace: bool = False) -> Tensor:  # fmt: skip
    """Dropout that keeps mean and variance of inputs to `selu` (Klambauer et al., 2017)."""
    _check_p(p)
    return _in_place_if(input, _alpha_dropped(input, input._array.shape, p, training), inplace,
                        "alpha_dropout_")  # fmt: skip


def _alpha_dropped(input: Any, shape: Any, p: float, training: bool) -> Any:
    if not training or p == 0.0 or input._array.size == 0:
        return input
    if p == 1.0:
        return input * 0
    mask = _keep_mask(input, shape, p)
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    b = (mask - 1) * (_ALPHA * a) + _ALPHA * a * p
    return input * (mask * a) + b


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                          inplace: bool = False) -> Tensor:  # fmt: skip
    """As `alpha_dropout`, of whole channels (dim 1) of each sample."""
    _check_p(p)
    shape = input._array.shape[:2] + (1,) * (input._array.ndim - 2)
    return _in_place_if(input, _alpha_dropped(input, shape, p, training), inplace,
                        "feature_alpha_dropout_")  # fmt: skip
