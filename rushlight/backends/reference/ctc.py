"""Reference kernels of connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from typing import Any

from .base import Array, KernelBase

__all__ = ["CtcKernels"]


class CtcKernels(KernelBase):
    """The loss of all ways to align a label sequence, and its gradient, by dynamic programming.

    The labels are read with a blank before, between and after them: `2 S + 1` symbols.
    `alpha[t, s]` is the logarithm of the probability of all beginnings that are at symbol s at
    time t.
    """

    def ctc_loss(
        self, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array,
        blank: int,
    ) -> tuple[Array, Array]:  # fmt: skip
        """`(loss (N,), alpha (T, N, 2 S + 1))` of `log_probs (T, N, C)`, `targets (N, S)`."""
        symbols, may_skip = self._symbols(targets, blank)
        alpha = self._forward(log_probs.astype("float64"), symbols, may_skip)
        ends = self._at_ends(alpha, input_lengths, target_lengths)
        return self.finish(-ends, log_probs.dtype), alpha

    def ctc_loss_grad(
        self, grad: Array, log_probs: Array, targets: Array, input_lengths: Array,
        target_lengths: Array, loss: Array, alpha: Array, blank: int, zero_infinity: bool,
    ) -> Array:  # fmt: skip
        """The gradient by `log_probs`, if these are normalised: `p - (posterior of class)`.

        This is the gradient by the scores before a log-softmax, which that softmax passes on
        unchanged.
        """
        xp = self.xp
        symbols, may_skip = self._symbols(targets, blank)
        scores = log_probs.astype(xp.float64)
        beta = self._backward(scores, symbols, may_skip, input_lengths, target_lengths)
        time, count, classes = scores.shape
        rows = xp.arange(count)[:, None]
        posterior = xp.zeros((time, count, classes))
        with self.quiet():
            # alpha and beta both hold the score of their own time
            joint = alpha + beta - xp.take_along_axis(scores, symbols[None], 2)
            joint = joint + loss.astype(xp.float64)[None, :, None]
            joint = xp.where(xp.isfinite(joint), xp.exp(joint), 0.0)
            for t in range(time):
                xp.add.at(posterior[t], (rows, symbols), joint[t])
            result = (xp.exp(scores) - posterior) * grad.astype(xp.float64)[None, :, None]
        used = xp.arange(time)[:, None] < input_lengths[None]
        result = xp.where(used[..., None], result, 0.0)
        impossible = xp.isinf(loss)[None, :, None]
        result = xp.where(impossible, 0.0 if zero_infinity else xp.nan, result)
        return self.finish(result, log_probs.dtype)

    def _symbols(self, targets: Array, blank: int) -> tuple[Array, Array]:
        """Labels with blanks between, and where a path may leave out the symbol before."""
        xp = self.xp
        count, length = targets.shape
        symbols = xp.full((count, 2 * length + 1), blank, xp.int64)
        symbols[:, 1::2] = targets
        may_skip = xp.zeros(symbols.shape, bool)
        may_skip[:, 3::2] = targets[:, 1:] != targets[:, :-1]
        return symbols, may_skip

    def _forward(self, scores: Array, symbols: Array, may_skip: Array) -> Array:
        xp = self.xp
        time, (count, width) = len(scores), symbols.shape
        alpha = xp.full((time, count, width), -xp.inf)
        if not time:
            return alpha
        alpha[0, :, :2] = xp.take_along_axis(scores[0], symbols, 1)[:, :2]
        with self.quiet():
            for t in range(1, time):
                stay = alpha[t - 1]
                total = xp.logaddexp(stay, self._shifted(stay, 1))
                total = xp.where(may_skip, xp.logaddexp(total, self._shifted(stay, 2)), total)
                alpha[t] = total + xp.take_along_axis(scores[t], symbols, 1)
        return alpha

    def _backward(
        self, scores: Array, symbols: Array, may_skip: Array, input_lengths: Array,
        target_lengths: Array,
    ) -> Array:  # fmt: skip
        """As `_forward`, from each sequence's own end to the beginning."""
        xp = self.xp
        time, (count, width) = len(scores), symbols.shape
        beta = xp.full((time, count, width), -xp.inf)
        place = xp.arange(width)[None]
        last = 2 * target_lengths[:, None]
        is_end = (place == last) | (place == last - 1)
        next_may_skip = xp.zeros(may_skip.shape, bool)
        next_may_skip[:, :-2] = may_skip[:, 2:]
        with self.quiet():
            for t in range(time - 1, -1, -1):
                own = xp.take_along_axis(scores[t], symbols, 1)
                stay = beta[t + 1] if t + 1 < time else beta[t]
                total = xp.logaddexp(stay, self._shifted(stay, -1))
                total = xp.where(next_may_skip, xp.logaddexp(total, self._shifted(stay, -2)), total)
                starts = (input_lengths[:, None] - 1) == t
                total = xp.where(starts, xp.where(is_end, 0.0, -xp.inf), total)
                beta[t] = xp.where(place <= last, total + own, -xp.inf)
        return beta

    def _shifted(self, x: Array, by: int) -> Array:
        """Columns moved right (or left, for negative `by`), -inf moving in."""
        result = self.xp.full(x.shape, -self.xp.inf)
        if by > 0:
            result[:, by:] = x[:, :-by]
        else:
            result[:, :by] = x[:, -by:]
        return result

    def _at_ends(self, alpha: Array, input_lengths: Array, target_lengths: Array) -> Any:
        """The two symbols at which a full reading may end, at each sequence's last time."""
        xp = self.xp
        count = alpha.shape[1]
        rows, last = xp.arange(count), 2 * target_lengths
        if not alpha.shape[0]:
            return xp.where(target_lengths == 0, 0.0, -xp.inf)
        at = alpha[xp.maximum(input_lengths - 1, 0), rows]
        final = at[rows, last]
        before = xp.where(target_lengths > 0, at[rows, xp.maximum(last - 1, 0)], -xp.inf)
        with self.quiet():
            total = xp.logaddexp(final, before)
        return xp.where(input_lengths > 0, total, xp.where(target_lengths == 0, 0.0, -xp.inf))
