"""How many threads the native kernels use."""

from __future__ import annotations

from typing import Any

__all__ = ["get_num_threads", "set_num_threads", "get_num_interop_threads",
           "set_num_interop_threads"]  # fmt: skip

_python_threads = 1  # without the extension: NumPy's own threads are not ours to count


def get_num_threads() -> int:
    """The number of threads that kernels use."""
    native = _native()
    return int(native.num_threads()) if native is not None else _python_threads


def set_num_threads(num: int) -> None:
    """Sets the number of threads that kernels use; RuntimeError unless it is positive."""
    global _python_threads
    if isinstance(num, bool) or not isinstance(num, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError(
            "Expected a positive number of threads, got "
            f"{num}; set_num_threads(1) makes kernels serial"
        )
    native = _native()
    if native is not None:
        native.set_num_threads(num)
    else:
        _python_threads = num


def get_num_interop_threads() -> int:
    """Always 1: operations run in the calling thread."""
    return 1


def set_num_interop_threads(num: int) -> None:
    """Accepted for PyTorch's sake; RuntimeError unless positive."""
    if num <= 0:
        raise RuntimeError(f"Expected a positive number of threads, got {num}")


def _native() -> Any:
    from .backends import native_available

    if not native_available():
        return None
    from .backends import _native

    return _native
