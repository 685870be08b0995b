"""Native ways to views and filled arrays, each with the reference behind it."""

from __future__ import annotations

from . import _native
from .cpu_method import native_or
from .reference import Kernels


class NativeViews(Kernels):
    """No arithmetic: NumPy's own functions spend microseconds of Python on each of these."""

    broadcast_to = native_or(Kernels.broadcast_to, _native.broadcast_to)
    as_strided = native_or(Kernels.as_strided, _native.as_strided)
    view = native_or(Kernels.view, _native.view)
    transpose = native_or(Kernels.transpose, _native.transpose)
    select = native_or(Kernels.select, _native.select)
    slice = native_or(Kernels.slice, _native.slice)
    concatenate = native_or(Kernels.concatenate, _native.concatenate)
    full = native_or(Kernels.full, _native.full)
    fill = native_or(Kernels.fill, _native.fill)
