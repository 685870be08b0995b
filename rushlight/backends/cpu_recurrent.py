"""Native recurrent layers: float32 and float64, with the reference behind them."""

from __future__ import annotations

from typing import Any

from . import _native
from .cpu_method import native_or
from .reference import Kernels
from .reference.base import Array
from .reference.recurrent import Sizes


class _ContiguousRecurrent(Kernels):
    """The native layers on contiguous copies of what they do not take as it lies."""

    def recurrent(
        self,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
        mode: str,
        batch_sizes: Sizes,
        batch_first: bool,
        reverse: bool,
    ) -> tuple[Array, Array, Array | None, Array | None, Array | None]:
        inputs = tuple([
            None if a is None else self.xp.ascontiguousarray(a)
            for a in (x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
        ])  # fmt: skip
        arguments: Any = (*inputs, mode, batch_sizes, batch_first, reverse)
        result = _native.recurrent(*arguments)
        return super().recurrent(*arguments) if result is NotImplemented else result

    def recurrent_grad(
        self,
        grad_out: Array | None,
        grad_h: Array | None,
        grad_c: Array | None,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
        out: Array,
        gates: Array | None,
        cells: Array | None,
        mode: str,
        batch_sizes: Sizes,
        batch_first: bool,
        reverse: bool,
        needs: tuple[bool, ...],
    ) -> tuple[Array | None, ...]:
        arrays = (grad_out, grad_h, grad_c, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, out,
                  gates, cells)  # fmt: skip
        inputs = tuple([None if a is None else self.xp.ascontiguousarray(a) for a in arrays])
        arguments: Any = (*inputs, mode, batch_sizes, batch_first, reverse, needs)
        result = _native.recurrent_grad(*arguments)
        return super().recurrent_grad(*arguments) if result is NotImplemented else result


class NativeRecurrent(_ContiguousRecurrent):
    """A whole sequence per call."""

    recurrent = native_or(_ContiguousRecurrent.recurrent, _native.recurrent)
    recurrent_grad = native_or(_ContiguousRecurrent.recurrent_grad, _native.recurrent_grad)
