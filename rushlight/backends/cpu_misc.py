"""Native optimizer steps, image conversion, copies, table rows; the reference behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from . import _native
from .reference import Kernels
from .reference.base import Array


class NativeOptim(Kernels):
    """Lists of contiguous float32 (or float64) arrays; one call is one parallel job."""

    def sgd_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        momentum_buffers: Sequence[Array],
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
        first_step: bool,
    ) -> None:
        done = _native.sgd_step(
            params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov,
            maximize, first_step,
        )  # fmt: skip
        if done is NotImplemented:
            super().sgd_step(
                params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov,
                maximize, first_step,
            )  # fmt: skip

    def adam_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        exp_avgs: Sequence[Array],
        exp_avg_sqs: Sequence[Array],
        max_exp_avg_sqs: Sequence[Array],
        steps: Sequence[float],
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        maximize: bool,
        decoupled: bool,
    ) -> None:
        done = _native.adam_step(
            params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps, lr, beta1, beta2, eps,
            weight_decay, amsgrad, maximize, decoupled,
        )  # fmt: skip
        if done is NotImplemented:
            super().adam_step(
                params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps, lr, beta1, beta2, eps,
                weight_decay, amsgrad, maximize, decoupled,
            )  # fmt: skip

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

    def image_to_float(self, pixels: Array) -> Array:
        result = _native.image_to_float(pixels)
        return super().image_to_float(pixels) if result is NotImplemented else result

    def normalize(self, x: Array, mean: Array, std: Array, out: Array | None = None) -> Array:
        if x.dtype == numpy.float32:
            mean = numpy.ascontiguousarray(mean, dtype=numpy.float32)
            std = numpy.ascontiguousarray(std, dtype=numpy.float32)
        result = _native.normalize(x, mean, std, out)
        return super().normalize(x, mean, std, out) if result is NotImplemented else result

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        result = _native.stack(arrays) if axis == 0 else NotImplemented
        return super().stack(arrays, axis) if result is NotImplemented else result

    def copy(self, x: Array) -> Array:
        result = _native.copy(x)
        return super().copy(x) if result is NotImplemented else result

    def contiguous(self, x: Array) -> Array:
        return x if x.flags.c_contiguous else self.copy(x)


class NativeEmbedding(Kernels):
    """Rows of a contiguous table by int64 numbers; the reference reports wrong numbers."""

    def embedding(self, weight: Array, indices: Array) -> Array:
        result = _native.embedding(weight, indices)
        return super().embedding(weight, indices) if result is NotImplemented else result
