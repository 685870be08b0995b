"""Optimizer steps, in place over lists of parameters: the reference kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Array, KernelBase


class OptimKernels(KernelBase):
    """One call does the step of a whole parameter group."""

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
        """Stochastic gradient descent with momentum (Sutskever et al., 2013).

        ``g = ±grad + weight_decay p``; ``m = momentum m + (1 - dampening) g`` (``m = g`` on the
        first step); ``p -= lr (g + momentum m if nesterov else m)``. ``momentum_buffers`` is empty
        when ``momentum`` is 0.
        """
        with self.quiet():
            for i, param in enumerate(params):
                wide = self.widen(param)
                g = self.widen(-grads[i] if maximize else grads[i])
                if weight_decay:
                    g = g + weight_decay * wide
                if momentum:
                    buffer = momentum_buffers[i]
                    moved = momentum * self.widen(buffer) + (1 - dampening) * g
                    buffer[...] = g if first_step else moved
                    m = self.widen(buffer)
                    g = g + momentum * m if nesterov else m
                param[...] = wide - lr * g

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
        """Adam (Kingma and Ba, 2015); ``decoupled`` is AdamW (Loshchilov and Hutter, 2019).

        ``m`` and ``v`` are the running means of ``g`` and ``g^2``, corrected by
        ``1 - beta^step``; ``p -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)``. With ``amsgrad`` the
        largest ``v`` so far is used. ``steps`` are the step numbers after this step.
        """
        with self.quiet():
            for i, param in enumerate(params):
                wide = self.widen(param)
                g = self.widen(-grads[i] if maximize else grads[i])
                if weight_decay and decoupled:
                    wide = wide * (1 - lr * weight_decay)
                elif weight_decay:
                    g = g + weight_decay * wide
                mean, square = self.widen(exp_avgs[i]), self.widen(exp_avg_sqs[i])
                mean = mean + (1 - beta1) * (g - mean)
                square = beta2 * square + (1 - beta2) * (g * g)
                exp_avgs[i][...] = mean
                exp_avg_sqs[i][...] = square
                if amsgrad:
                    square = self.xp.maximum(self.widen(max_exp_avg_sqs[i]), square)
                    max_exp_avg_sqs[i][...] = square
                step_size = lr / (1 - beta1 ** steps[i])
                root = self.xp.sqrt(square) / math.sqrt(1 - beta2 ** steps[i]) + eps
                param[...] = wide - step_size * (mean / root)
