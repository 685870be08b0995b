"""Native optimizer steps, image conversion, copies, table rows; the reference behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from . import _native
from .cpu_method import native_or
from .reference import Kernels
from .reference.base import Array


class NativeOptim(Kernels):
    """Lists of contiguous float32 (or float64) arrays; one call is one parallel job."""

    add_to_each = native_or(Kernels.add_to_each, _native.add_to_each)
    sgd_step = native_or(Kernels.sgd_step, _native.sgd_step)
    adam_step = native_or(Kernels.adam_step, _native.adam_step)
    scale_each = native_or(Kernels.scale_each, _native.scale_each)
    write_each = native_or(Kernels.write_each, _native.write_each)

    def rule_step(
        self,
        rule: str,
        params: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[Sequence[Array]],
        factors: Sequence[Sequence[float]],
        numbers: Sequence[float],
        weight_decay: float,
        maximize: bool,
    ) -> None:
        step = getattr(_native, f"{rule}_step")
        done = step(params, grads, states, factors, numbers, weight_decay, maximize)
        if done is NotImplemented:
            super().rule_step(rule, params, grads, states, factors, numbers, weight_decay, maximize)


class NativeImage(Kernels):
    """Pixels, stacks and copies."""

    image_to_float = native_or(Kernels.image_to_float, _native.image_to_float)

    def normalize(self, x: Array, mean: Array, std: Array, out: Array | None = None) -> Array:
        if x.dtype == numpy.float32:
            mean = numpy.ascontiguousarray(mean, dtype=numpy.float32)
            std = numpy.ascontiguousarray(std, dtype=numpy.float32)
        result = _native.normalize(x, mean, std, out)
        return super().normalize(x, mean, std, out) if result is NotImplemented else result

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        result = _native.stack(arrays) if axis == 0 else NotImplemented
        return super().stack(arrays, axis) if result is NotImplemented else result

    copy = native_or(Kernels.copy, _native.copy)

    def contiguous(self, x: Array) -> Array:
        return x if x.flags.c_contiguous else self.copy(x)


class NativeEmbedding(Kernels):
    """Rows of a contiguous table by int64 numbers; the reference reports wrong numbers."""

    embedding = native_or(Kernels.embedding, _native.embedding)
