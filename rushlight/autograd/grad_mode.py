"""Switches of the tape: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

The state is one attribute of a thread-local object; `Primitive.__call__` reads it, nothing else
needs to.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from .twin import native

__all__ = ["no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "is_grad_enabled",
           "is_inference_mode_enabled"]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def _thread_state() -> Any:
    import threading

    class GradState(threading.local):
        enabled = True
        inference = False
        anomaly = False
        check_nan = True

    return GradState()


state: Any = _thread_state() if native is None else native.state


def is_grad_enabled() -> bool:
    """Whether operations are recorded for differentiation in this thread."""
    return bool(state.enabled)


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` is on in this thread."""
    return bool(state.inference)


class _GradMode:
    """A context manager and decorator that sets the recording state and puts it back."""

    _enabled: bool

    def __enter__(self) -> None:
        self._before = state.enabled
        state.enabled = self._enabled and not state.inference

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state.enabled = self._before

    def _again(self) -> _GradMode:
        """A fresh manager with the same setting, so that decorated functions may recurse."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if isinstance(function, type):
            raise TypeError(
                f"{type(self).__name__} decorates functions; decorate the methods of "
                f"{function.__name__} instead of the class"
            )
        if _is_generator_function(function):
            return cast(F, _wrap_generator(self, function))

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return cast(F, wrapper)


def _is_generator_function(function: Any) -> bool:
    import inspect

    return inspect.isgeneratorfunction(function)


def _wrap_generator(mode: _GradMode, function: Callable[..., Any]) -> Callable[..., Any]:
    """The mode holds while the generator runs, not while its consumer does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        sent = None
        try:
            while True:
                with mode._again():
                    item = generator.send(sent)
                sent = yield item
        except StopIteration as stop:
            return stop.value
        finally:
            generator.close()

    return wrapper


class no_grad(_GradMode):
    """Operations inside are not recorded; a context manager and a decorator.

    >>> import rushlight as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    _enabled = False

    def __new__(cls, function: Any = None) -> Any:
        self = object.__new__(cls)
        return self if function is None else self(function)


class enable_grad(_GradMode):
    """Operations inside are recorded even within `no_grad`; never within `inference_mode`."""

    _enabled = True

    def __new__(cls, function: Any = None) -> Any:
        self = object.__new__(cls)
        return self if function is None else self(function)


class set_grad_enabled(_GradMode):
    """Sets recording on or off, at once and until the end of the `with` block if used as one."""

    def __init__(self, mode: bool):
        self._before = state.enabled
        self._enabled = bool(mode)
        state.enabled = self._enabled and not state.inference

    def __enter__(self) -> None:
        state.enabled = self._enabled and not state.inference

    def _again(self) -> set_grad_enabled:
        return set_grad_enabled(self._enabled)

    def __call__(self, function: F) -> F:
        state.enabled = self._before  # used as a decorator: only the function is meant
        return super().__call__(function)


class inference_mode(_GradMode):
    """Like `no_grad`, and tensors made inside may not be used in recorded operations later."""

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if callable(mode):
            self.__init__(True)  # type: ignore[misc]
            return self(mode)
        return self

    def __init__(self, mode: bool = True):
        self._mode = mode

    def __enter__(self) -> None:
        self._states = state.enabled, state.inference
        if self._mode:
            state.enabled, state.inference = False, True
        else:
            state.enabled, state.inference = True, False

    def __exit__(self, *exception: Any) -> None:
        state.enabled, state.inference = self._states

    def _again(self) -> inference_mode:
        return inference_mode(self._mode)
