"""What all reference kernels share: the array namespace and the rules for narrow number types.

Reference kernels are written over ``self.xp``, an array namespace with NumPy's functions: NumPy on
the CPU, CuPy on CUDA. They never import either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ...types_ import Array

__all__ = ["Array", "Axes", "KernelBase", "Scalar"]

Scalar: TypeAlias = "bool | int | float | complex"
Axes: TypeAlias = "Sequence[int] | None"


class KernelBase:
    """Holds the array namespace and the helpers that every family uses."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def quiet(self) -> Any:
        """Context in which overflow, 0/0 and the like give their IEEE result without a warning."""
        return self.xp.errstate(all="ignore")

    def is_half(self, dtype: Any) -> bool:
        """Whether numbers of this type are computed in float32: float16, bfloat16, float8."""
        return bool(dtype.kind == "V" or (dtype.kind == "f" and dtype.itemsize < 4))

    def is_floating(self, dtype: Any) -> bool:
        """Whether the type holds real fractions (ml_dtypes' types have kind ``V``)."""
        return dtype.kind in "fV"

    def widen(self, x: Array) -> Array:
        """``x`` in the type that its arithmetic uses: float32 for the half types, else its own."""
        return x.astype(self.xp.float32) if self.is_half(x.dtype) else x

    def finish(self, result: Any, dtype: Any, out: Array | None = None) -> Array:
        """``result`` as a fresh C-contiguous array of type ``dtype``, or written into ``out``."""
        if out is not None:
            out[...] = result
            return out
        array: Array = self.xp.ascontiguousarray(result, dtype=dtype)
        return array.reshape(self.xp.shape(result))

    def all_axes(self, x: Array, axes: Axes) -> tuple[int, ...]:
        """``axes`` as a tuple, where None names all of them."""
        return tuple(range(x.ndim)) if axes is None else tuple(axes)
