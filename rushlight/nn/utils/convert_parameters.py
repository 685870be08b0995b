"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import rushlight
from rushlight import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _check_device(param: Tensor, first: Tensor | None) -> Tensor:
    if first is not None and param.device != first.device:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
    return param if first is None else first


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Concatenates all parameters, flattened.

    >>> import rushlight as torch
    >>> torch.nn.utils.parameters_to_vector([torch.ones(2), torch.zeros(1, 1)])
    tensor([1., 1., 0.])
    """
    first = None
    parts = []
    for param in parameters:
        first = _check_device(param, first)
        parts.append(param.view(-1))
    return rushlight.cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Cuts `vec` into pieces of the parameters' shapes and makes them the parameters' data."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    first = None
    offset = 0
    for param in parameters:
        first = _check_device(param, first)
        size = param.numel()
        param.data = vec[offset : offset + size].view_as(param).data
        offset += size
