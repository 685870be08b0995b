"""Optimizer steps, in place over lists of parameters: the reference kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .base import Array, KernelBase


class OptimKernels(KernelBase):
    """One call does the step of a whole parameter group."""

    def add_to_each(self, arrays: Sequence[Array], value: float) -> None:
        """Add ``value`` to every element of every array, such as the step counts of a group."""
        for array in arrays:
            array += value

    def scale_each(self, arrays: Sequence[Array], numbers: Sequence[float]) -> None:
        """Multiply every array by the number at its place in ``numbers``."""
        for array, number in zip(arrays, numbers, strict=True):
            array *= number

    def write_each(self, arrays: Sequence[Array], numbers: Sequence[float]) -> None:
        """Set all elements of every array to the number at its place in ``numbers``."""
        for array, number in zip(arrays, numbers, strict=True):
            array[...] = number

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

    # ------------------------------------------------------------------ the other algorithms
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
        """One step of the algorithm called ``rule``: the methods below tell what each does.

        ``g = ±grad + weight_decay p``, then ``p = shrink p``, then the rule. ``states`` has a list
        of arrays per state; ``factors`` for each parameter ``shrink`` and what the rule wants to
        know of it; ``numbers`` what all parameters share.
        """
        step: Callable[..., Sequence[Array]] = getattr(self, f"_{rule}")
        with self.quiet():
            for i, param in enumerate(params):
                wide = self.widen(param)
                g = self.widen(-grads[i] if maximize else grads[i])
                if weight_decay:
                    g = g + weight_decay * wide
                shrink, *own = factors[i]
                kept = [self.widen(arrays[i]) for arrays in states]
                moved, *changed = step(wide * shrink, g, *kept, *own, *numbers)
                param[...] = moved
                for arrays, value in zip(states, changed, strict=True):
                    arrays[i][...] = value

    def _adagrad(self, p: Array, g: Array, total: Array, lr: float, eps: float) -> Any:
        """Duchi et al., 2011; ``lr`` is the rate of this step."""
        total = total + g * g
        return p - lr * g / (self.xp.sqrt(total) + eps), total

    def _adadelta(
        self, p: Array, g: Array, square: Array, moves: Array, lr: float, rho: float, eps: float
    ) -> Any:
        """Zeiler, 2012."""
        square = rho * square + (1 - rho) * (g * g)
        delta = self.xp.sqrt(moves + eps) / self.xp.sqrt(square + eps) * g
        return p - lr * delta, square, rho * moves + (1 - rho) * (delta * delta)

    def _adamax(
        self, p: Array, g: Array, mean: Array, largest: Array, lr: float, beta1: float,
        beta2: float, eps: float,
    ) -> Any:  # fmt: skip
        """Kingma and Ba, 2015; ``lr`` is divided by ``1 - beta1^step``."""
        mean = mean + (1 - beta1) * (g - mean)
        largest = self.xp.maximum(beta2 * largest, self.xp.abs(g) + eps)
        return p - lr * mean / largest, mean, largest

    def _asgd(self, p: Array, g: Array, average: Array, eta: float, mu: float) -> Any:
        """Polyak and Juditsky, 1992; while ``mu`` is 1 the average is the parameter itself."""
        p = p - eta * g
        return p, (p if mu == 1 else average + (p - average) * mu)

    def _nadam(
        self, p: Array, g: Array, mean: Array, square: Array, of_gradient: float, of_mean: float,
        correction: float, beta1: float, beta2: float, eps: float,
    ) -> Any:  # fmt: skip
        """Dozat, 2016: a step along both the gradient and its mean."""
        mean = mean + (1 - beta1) * (g - mean)
        square = beta2 * square + (1 - beta2) * (g * g)
        root = self.xp.sqrt(square / correction) + eps
        return p - (of_gradient * g + of_mean * mean) / root, mean, square

    def _radam(
        self, p: Array, g: Array, mean: Array, square: Array, of_mean: float, rectifier: float,
        beta1: float, beta2: float, eps: float,
    ) -> Any:  # fmt: skip
        """Liu et al., 2019; a ``rectifier`` of 0 means that the variance is not yet trusted."""
        mean = mean + (1 - beta1) * (g - mean)
        square = beta2 * square + (1 - beta2) * (g * g)
        update = of_mean * mean
        if rectifier:
            update = update * rectifier / (self.xp.sqrt(square) + eps)
        return p - update, mean, square

    def _rmsprop(
        self, p: Array, g: Array, square: Array, lr: float, alpha: float, eps: float,
        momentum: float,
    ) -> Any:  # fmt: skip
        """Hinton, 2012."""
        square = alpha * square + (1 - alpha) * (g * g)
        return p - lr * (g / (self.xp.sqrt(square) + eps)), square

    def _rmsprop_centered(
        self, p: Array, g: Array, square: Array, mean: Array, lr: float, alpha: float, eps: float,
        momentum: float,
    ) -> Any:  # fmt: skip
        """The square is counted from the running mean (Graves, 2013)."""
        square = alpha * square + (1 - alpha) * (g * g)
        mean = mean + (1 - alpha) * (g - mean)
        update = g / (self.xp.sqrt(square - mean * mean) + eps)
        return p - lr * update, square, mean

    def _rmsprop_momentum(
        self, p: Array, g: Array, square: Array, buffer: Array, lr: float, alpha: float, eps: float,
        momentum: float,
    ) -> Any:  # fmt: skip
        square = alpha * square + (1 - alpha) * (g * g)
        buffer = momentum * buffer + g / (self.xp.sqrt(square) + eps)
        return p - lr * buffer, square, buffer

    def _rmsprop_both(
        self, p: Array, g: Array, square: Array, mean: Array, buffer: Array, lr: float,
        alpha: float, eps: float, momentum: float,
    ) -> Any:  # fmt: skip
        square = alpha * square + (1 - alpha) * (g * g)
        mean = mean + (1 - alpha) * (g - mean)
        buffer = momentum * buffer + g / (self.xp.sqrt(square - mean * mean) + eps)
        return p - lr * buffer, square, mean, buffer

    def _rprop(
        self, p: Array, g: Array, previous: Array, size: Array, shorter: float, longer: float,
        smallest: float, largest: float,
    ) -> Any:  # fmt: skip
        """Riedmiller and Braun, 1993: a turned sign shortens the step and skips this one."""
        xp = self.xp
        opposed = ((g > 0) & (previous < 0)) | ((g < 0) & (previous > 0))
        agreed = ((g > 0) & (previous > 0)) | ((g < 0) & (previous < 0))
        size = size * xp.where(opposed, shorter, xp.where(agreed, longer, 1)).astype(size.dtype)
        size = xp.minimum(xp.maximum(size, smallest), largest)
        g = xp.where(opposed, xp.zeros_like(g), g)
        return p - xp.where(g > 0, size, xp.where(g < 0, -size, 0)), g, size
