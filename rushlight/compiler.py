"""`torch.compiler`: rushlight runs functions as they are, so that there is nothing to switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["allow_in_graph", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling",
           "is_dynamo_compiling", "is_exporting", "list_backends", "reset"]  # fmt: skip

_T = TypeVar("_T")


def compile(
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: Any = "inductor", mode: str | None = None, options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:  # fmt: skip
    """The function or module itself: compiling may change speed only, and here it changes nothing.

    Without a model it is a decorator, as PyTorch's is.

    >>> import rushlight as torch
    >>> from rushlight.compiler import compile
    >>> @compile
    ... def double(x):
    ...     return 2 * x
    >>> double(torch.ones(1))
    tensor([2.])
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if model is None:
        return _identity
    if not callable(model):
        raise TypeError(f"[compile] expected a function or a module; got {type(model).__name__}")
    return model


def _identity(fn: _T) -> _T:
    return fn


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself; without one a decorator."""
    return _identity if fn is None else fn


def allow_in_graph(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself."""
    return fn


def is_compiling() -> bool:
    """Whether code is being traced: never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Forgets compiled code; there is none."""


def cudagraph_mark_step_begin() -> None:
    """Marks a step for graph capture; nothing is captured."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The names of compilers: none."""
    return []
