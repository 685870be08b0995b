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

    def rectified(self, x: Array) -> Array:
        """``x``, zero where it is negative; NaN and -0 stay."""
        zero: Any = x.dtype.type(0)
        result: Array = self.xp.where(x < 0, zero, x)
        return result

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

    def finish(
        self, result: Any, dtype: Any, out: Array | None = None, operands: Sequence[Any] = ()
    ) -> Array:
        """``result`` written into ``out``, or as a fresh array of type ``dtype``.

        The fresh array is C-contiguous, or lies in memory as the ``operands`` do.
        """
        if out is not None:
            out[...] = result
            return out
        shape = self.xp.shape(result)
        order = self.memory_order(shape, operands)
        if order == sorted(order):
            array: Array = self.xp.ascontiguousarray(result, dtype=dtype)
            return array.reshape(shape)
        laid_out = self.xp.empty([shape[i] for i in order], dtype)
        laid_out = laid_out.transpose([order.index(i) for i in range(len(order))])
        laid_out[...] = result
        return laid_out

    def memory_order(self, shape: Sequence[int], operands: Sequence[Any]) -> list[int]:
        """The axes of an elementwise result from the outermost to the innermost in memory.

        Two axes are ordered by the strides of the first operand that moves along both; where none
        does they stay as they are. (PyTorch's rule, to the order of comparisons.)
        """
        arrays = [x for x in operands if getattr(x, "shape", ())]
        if all(x.flags.c_contiguous for x in arrays):
            return list(range(len(shape)))
        return self.order_of_steps(shape, [self.xp.broadcast_to(x, shape).strides for x in arrays])

    def order_of_steps(self, shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[int]:
        """`memory_order` of operands that move by these strides; 0 where one does not move."""
        order = list(range(len(shape)))
        for start in range(len(order) - 2, -1, -1):
            at = start
            for following in range(start + 1, len(order)):
                decided = self._compare_axes(shape, strides, order[at], order[following])
                if decided < 0:
                    break
                if decided > 0:
                    order[at], order[following] = order[following], order[at]
                    at = following
        return order

    def _compare_axes(
        self, shape: Sequence[int], strides: Sequence[Sequence[int]], a: int, b: int
    ) -> int:
        """1 if axis ``b`` belongs outside of axis ``a``, -1 if not, 0 if nothing decides."""
        for steps in strides:
            x, y = abs(steps[a]), abs(steps[b])
            if not x or not y:
                continue
            if x != y:
                return 1 if x < y else -1
            if shape[a] < shape[b]:
                return 1
        return 0

    def all_axes(self, x: Array, axes: Axes) -> tuple[int, ...]:
        """``axes`` as a tuple, where None names all of them."""
        return tuple(range(x.ndim)) if axes is None else tuple(axes)
