"""`torch.overrides`: tensor-like classes cannot take functions over in rushlight yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .autograd.variable import TensorBase

__all__ = ["handle_torch_function", "has_torch_function", "has_torch_function_unary",
           "has_torch_function_variadic", "is_tensor_like"]  # fmt: skip


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument takes functions over by `__torch_function__`: none does."""
    return False


def has_torch_function_unary(obj: Any) -> bool:
    """Whether the argument takes functions over: it does not."""
    return False


def has_torch_function_variadic(*args: Any) -> bool:
    """Whether an argument takes functions over: none does."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether the object is a tensor or has `__torch_function__`."""
    return isinstance(inp, TensorBase) or hasattr(type(inp), "__torch_function__")


def handle_torch_function(
    public_api: Any, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Hands a call to an argument's `__torch_function__`; NotImplementedError."""
    raise NotImplementedError(
        f"[overrides] {getattr(public_api, '__name__', public_api)} was to be handed to "
        "__torch_function__, which rushlight does not have yet"
    )
