"""`torch.jit`: marks are accepted, compiling to TorchScript is refused."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

__all__ = ["export", "fork", "freeze", "ignore", "interface", "is_scripting", "is_tracing", "load",
           "optimize_for_inference", "save", "script", "trace", "trace_module", "unused", "wait",
           "script_if_tracing", "ScriptModule", "ScriptFunction"]  # fmt: skip

_T = TypeVar("_T")


class ScriptModule:
    """A compiled module, which rushlight does not make; nothing is an instance of it."""

    def __init__(self) -> None:
        _refuse("ScriptModule")


class ScriptFunction(ScriptModule):
    """A compiled function, which rushlight does not make."""


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"[jit.{name}] rushlight runs modules as they are and has no TorchScript; use the module "
        "itself, and save its state_dict() instead of a script"
    )


def is_scripting() -> bool:
    """Whether code runs as TorchScript: never."""
    return False


is_tracing = is_scripting


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """Compiles to TorchScript; NotImplementedError."""
    _refuse("script")


def trace(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Records a run as TorchScript; NotImplementedError."""
    _refuse("trace")


def trace_module(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Records runs of a module's methods as TorchScript; NotImplementedError."""
    _refuse("trace_module")


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Makes a script's parameters constants; NotImplementedError."""
    _refuse("freeze")


def optimize_for_inference(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Rewrites a script for inference; NotImplementedError."""
    _refuse("optimize_for_inference")


def load(f: Any, *args: Any, **kwargs: Any) -> Any:
    """Reads a TorchScript archive; NotImplementedError."""
    _refuse("load")


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
    """Writes a TorchScript archive; NotImplementedError."""
    _refuse("save")


def fork(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Starts an asynchronous task; NotImplementedError."""
    _refuse("fork")


def wait(future: Any) -> Any:
    """Waits for an asynchronous task; NotImplementedError."""
    _refuse("wait")


def script_if_tracing(fn: _T) -> _T:
    """The function itself, as nothing is ever traced."""
    return fn


def export(fn: _T) -> _T:
    """The function itself: it is marked for a compiler that is not there."""
    return fn


interface = export


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself; with arguments a decorator."""
    return drop if callable(drop) else export


def unused(fn: _T) -> _T:
    """The function itself."""
    return fn
