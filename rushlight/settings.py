"""Switches and small questions at the top of PyTorch's namespace."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from .autograd.variable import TensorBase
from .device import CPU, device
from .dtypes import bfloat16
from .dtypes import dtype as DType

__all__ = [
    "are_deterministic_algorithms_enabled", "get_autocast_dtype", "get_deterministic_debug_mode",
    "get_float32_matmul_precision", "is_autocast_cache_enabled", "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled", "is_inference", "is_warn_always_enabled",
    "set_default_device", "set_deterministic_debug_mode", "set_float32_matmul_precision",
    "set_flush_denormal", "set_warn_always", "typename", "use_deterministic_algorithms", "vmap",
]  # fmt: skip

_PRECISIONS = ("highest", "high", "medium")
_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}
_state: dict[str, Any] = {
    "deterministic": False, "warn_only": False, "precision": "highest", "warn_always": False,
}  # fmt: skip


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for operations that give the same result on every run; rushlight's CPU kernels all do.

    TypeError if `mode` is not a bool.

    >>> import rushlight as torch
    >>> from rushlight.settings import use_deterministic_algorithms
    >>> use_deterministic_algorithms(True)
    >>> use_deterministic_algorithms(False)
    """
    if not isinstance(mode, bool):
        raise TypeError(
            "[use_deterministic_algorithms] argument 'mode' must be bool, not "
            f"{type(mode).__name__}"
        )
    _state["deterministic"], _state["warn_only"] = mode, bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether other operations should only warn."""
    return bool(_state["warn_only"])


def get_deterministic_debug_mode() -> int:
    """The switch as a number: 0 off, 1 warn, 2 error."""
    if not _state["deterministic"]:
        return 0
    return 1 if _state["warn_only"] else 2


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Sets the switch by number or by name: `default`, `warn`, `error`."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    level = _DEBUG_MODES.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if level not in (0, 1, 2):
        expected = "`default`, `warn`, `error`" if isinstance(debug_mode, str) else "0, 1, or 2"
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of {expected}, but got {debug_mode}"
        )
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_float32_matmul_precision() -> str:
    """How exact float32 matrix products must be; rushlight's are always of the highest kind."""
    return str(_state["precision"])


def set_float32_matmul_precision(precision: str) -> None:
    """Allows less exact float32 matrix products; an unknown name is a warning, as in PyTorch."""
    if precision not in _PRECISIONS:
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
                      "setFloat32MatmulPrecision call has no effect.", stacklevel=2)  # fmt: skip
        return
    _state["precision"] = precision


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that are given once should be given each time."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return bool(_state["warn_always"])


def set_flush_denormal(mode: bool) -> bool:
    """Asks the CPU to treat denormal numbers as 0; False, as rushlight always keeps them."""
    return False


def set_default_device(device: Any) -> None:
    """Sets where new tensors go: the CPU; the error of the device that is not there for others."""
    from .ops.from_data import resolve_device

    resolve_device(device)


def get_default_device() -> device:
    """Where new tensors go."""
    return CPU


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operations choose their own precision: never, see `rushlight.amp`."""
    return False


def is_autocast_cache_enabled() -> bool:
    """Whether autocast would keep converted weights."""
    return True


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast would use."""
    from .dtypes import float16

    return bfloat16 if device_type == "cpu" else float16


def is_inference(input: Any) -> bool:
    """Whether the tensor was made in `inference_mode`."""
    return bool(input.is_inference())


def typename(obj: Any, /) -> str:
    """The type's name with its module; of tensors, PyTorch's old type name.

    >>> import rushlight as torch
    >>> from rushlight.settings import typename
    >>> typename(torch.ones(1)), typename(3)
    ('torch.FloatTensor', 'int')
    """
    if isinstance(obj, TensorBase):
        return str(obj.type())
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None) or ""
    if module in ("", "builtins"):
        return str(named.__qualname__)
    if module.partition(".")[0] == "rushlight":
        module = "torch" + module.removeprefix("rushlight")
    return f"{module}.{named.__qualname__}"


def vmap(*args: Any, **kwargs: Any) -> NoReturn:
    """Vectorises a function over a dim; NotImplementedError."""
    raise NotImplementedError(
        "[vmap] vectorising a function is not in rushlight yet; write the batch dim out, or loop "
        "over it and torch.stack the results"
    )
