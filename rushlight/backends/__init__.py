"""The narrow waist: from an array to the kernels that compute on its device.

Everything above this package asks ``kernels(array)`` and calls methods of what it gets; which
class that is (reference, native CPU, CUDA) is decided here and nowhere else.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

import numpy

from .reference import Kernels
from .reference.base import Array
from .reference.random import RandomState

__all__ = [
    "Array",
    "Kernels",
    "RandomState",
    "adopt_module_class",
    "agree",
    "connect_modules",
    "kernels",
    "native_available",
    "register_kernels",
]

_KERNELS: dict[type, Kernels] = {}


def kernels(array: Array) -> Kernels:
    """Return the kernels for the array's type.

    Raises ``TypeError`` for a type that no backend has registered.

    >>> import numpy
    >>> kernels(numpy.ones(2)).add(numpy.ones(2), 1.0)
    array([2., 2.])
    """
    try:
        return _KERNELS[type(array)]
    except KeyError:
        return _kernels_of_base_type(array)


def agree(x: Any, y: Any) -> bool:
    """Whether a kernel takes both operands as they are, without promotion.

    They are arrays of one dtype, or ``y`` is a Python number and ``x`` a floating-point array.
    False may also mean that it takes a closer look to tell.
    """
    if type(x) is not numpy.ndarray:
        return False
    if type(y) is numpy.ndarray:
        return x.dtype is y.dtype
    return type(y) in (float, int, bool) and x.dtype.char in "efd"


def connect_modules(*parts: Any) -> None:
    """Tells the extension what `nn.Module` defines in Python: nothing to do without one."""


def adopt_module_class(cls: type[Any]) -> None:
    """Gives a class of modules the extension's attribute look-up and call: without one, none."""


def register_kernels(array_type: type, instance: Kernels) -> None:
    """Make ``instance`` the kernels of arrays of type ``array_type`` (called by each backend)."""
    _KERNELS[array_type] = instance


def native_available() -> bool:
    """Whether the compiled CPU kernels are in use."""
    return type(_KERNELS[numpy.ndarray]) is not Kernels


def _kernels_of_base_type(array: Array) -> Kernels:
    """The kernels of a subclass (``numpy.memmap`` …) are those of its registered base."""
    for base in type(array).__mro__[1:]:
        if base in _KERNELS:
            _KERNELS[type(array)] = _KERNELS[base]
            return _KERNELS[base]
    known = ", ".join(sorted(f"{t.__module__}.{t.__name__}" for t in _KERNELS))
    raise TypeError(
        f"[kernels] expected an array of a registered type ({known}); got "
        f"{type(array).__module__}.{type(array).__name__}; convert it to one of these"
    )


def _cpu_kernels() -> Kernels:
    """Native kernels where the extension is there, else the reference (said once, as a warning)."""
    if os.environ.get("RUSHLIGHT_PURE", "0") not in ("", "0"):
        return Kernels(numpy)
    try:
        importlib.import_module("._native", __name__)
    except ImportError as error:
        warnings.warn(
            "rushlight runs without its compiled kernels, which is correct but slow: "
            f"{error}. Reinstall with a C++ compiler at hand (pip install --no-binary rushlight "
            "rushlight), or set RUSHLIGHT_PURE=1 to choose the reference kernels silently.",
            RuntimeWarning,
            stacklevel=2,
        )
        return Kernels(numpy)
    try:
        from .cpu import CPUKernels
    except AttributeError as error:
        raise ImportError(
            f"the compiled kernels are of another version than rushlight's Python files ({error}): "
            "build them again (pip install ., or scripts/build-native in a checkout)"
        ) from error
    return CPUKernels(numpy)


register_kernels(numpy.ndarray, _cpu_kernels())

if native_available():
    from . import _native

    # the same in C
    kernels = _native.kernels_lookup(_KERNELS, _kernels_of_base_type)
    agree = _native.agree
    adopt_module_class, connect_modules = _native.adopt_module_class, _native.connect_modules

# `torch.backends`' switches for vendor libraries, which programs set without importing them.
_FLAGS = ("cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp")


def __getattr__(name: str) -> Any:
    if name in _FLAGS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
