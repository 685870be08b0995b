"""Recurrent layers over whole sequences: the reference kernels.

One call computes one layer in one direction. The walk goes over the steps in order, or backwards
with ``reverse``; ``_Steps`` says which rows belong to a step. With the sums a = W_ih x + b_ih of
the input and s = W_hh h + b_hh of the state, h' is

    tanh   tanh(a + s)
    relu   relu(a + s)
    lstm   c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), where i, f, g, o are the blocks of a + s
    gru    n + z (h − n), where r = σ(a_r + s_r), z = σ(a_z + s_z), n = tanh(a_n + r s_n)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .base import Array, KernelBase

Sizes = tuple[int, ...] | None
GATE_BLOCKS = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


class _Steps:
    """The rows of each step in the flat ``(rows, …)`` form of a sequence."""

    def __init__(self, x: Array, sizes: Sizes, batch_first: bool, reverse: bool) -> None:
        if sizes is not None:
            self.sizes = list(sizes)
            self.batch = self.sizes[0] if sizes else 0
            self.firsts = [sum(self.sizes[:t]) for t in range(len(self.sizes))]
            self.stride = 1
        else:
            batch, count = x.shape[:2] if batch_first else x.shape[1::-1]
            self.sizes, self.batch = [batch] * count, batch
            self.firsts = list(range(count)) if batch_first else [t * batch for t in range(count)]
            self.stride = count if batch_first else 1
        self.order = list(range(len(self.sizes)))
        if reverse:
            self.order.reverse()

    def rows(self, t: int) -> slice:
        """The rows of step ``t``."""
        first, size = self.firsts[t], self.sizes[t]
        return slice(first, first + (size - 1) * self.stride + 1 if size else first, self.stride)

    def walk(self) -> Iterator[tuple[slice, int]]:
        """Rows and number of sequences, step by step."""
        for t in self.order:
            yield self.rows(t), self.sizes[t]


class RecurrentKernels(KernelBase):
    """States are kept for the whole batch; a step changes those of the sequences present."""

    def _sigmoid(self, x: Array) -> Array:
        result: Array = 1 / (1 + self.xp.exp(-x))
        return result

    def _initial(self, state: Array | None, steps: _Steps, hidden: int, dtype: Any) -> Array:
        if state is None:
            return self.xp.zeros((steps.batch, hidden), dtype)
        return self.widen(state).astype(dtype, copy=True)

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
        """``(out, h_last, c_last, gates, cells)`` of ``x (T, N, I)``, ``(N, T, I)`` or packed.

        ``gates`` and ``cells`` are for the derivative: the gates' values and the cell states of
        every step (gru: s_n for the latter; tanh, relu: None for both).
        """
        steps = _Steps(x, batch_sizes, batch_first, reverse)
        hidden = weight_hh.shape[1]
        with self.quiet():
            flat = self.widen(x).reshape(sum(steps.sizes), x.shape[-1])
            sums = flat @ self.widen(weight_ih).T
            if bias_ih is not None:
                sums = sums + self.widen(bias_ih)
            out = self.xp.empty((len(flat), hidden), sums.dtype)
            cells = self.xp.empty_like(out)
            h = self._initial(h0, steps, hidden, sums.dtype)
            c = self._initial(c0, steps, hidden, sums.dtype)
            weight = self.widen(weight_hh).T
            for rows, size in steps.walk():
                state = h[:size] @ weight
                if bias_hh is not None:
                    state = state + self.widen(bias_hh)
                h[:size] = self._step(mode, sums[rows], state, h[:size], c[:size], cells[rows])
                out[rows] = h[:size]
                if mode == "lstm":
                    cells[rows] = c[:size]
        shape = x.shape[:-1]
        result = self.finish(out.reshape(*shape, hidden), x.dtype)
        h_last = self.finish(h, x.dtype)
        if mode in ("tanh", "relu"):
            return result, h_last, None, None, None
        c_last = self.finish(c, x.dtype) if mode == "lstm" else None
        gates = sums.reshape(*shape, sums.shape[-1])
        return result, h_last, c_last, gates, cells.reshape(*shape, hidden)

    def _step(self, mode: str, sums: Array, state: Array, h: Array, c: Array, kept: Array) -> Array:
        """The new h; ``sums`` become the gates' values, ``c`` the new c (gru: ``kept`` the s_n)."""
        if mode == "tanh":
            return self.xp.tanh(sums + state)
        if mode == "relu":
            return self.xp.maximum(sums + state, 0)
        if mode == "lstm":
            i, f, g, o = self.xp.split(sums + state, 4, -1)
            i, f, o = self._sigmoid(i), self._sigmoid(f), self._sigmoid(o)
            g = self.xp.tanh(g)
            sums[...] = self.xp.concatenate((i, f, g, o), -1)
            c[...] = f * c + i * g
            return o * self.xp.tanh(c)
        a_r, a_z, a_n = self.xp.split(sums, 3, -1)
        s_r, s_z, s_n = self.xp.split(state, 3, -1)
        r, z = self._sigmoid(a_r + s_r), self._sigmoid(a_z + s_z)
        n = self.xp.tanh(a_n + r * s_n)
        sums[...] = self.xp.concatenate((r, z, n), -1)
        kept[...] = s_n
        return n + z * (h - n)

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
        """``(dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh)``, None where not needed."""
        steps = _Steps(x, batch_sizes, batch_first, reverse)
        hidden = weight_hh.shape[1]
        columns = GATE_BLOCKS[mode] * hidden
        with self.quiet():
            flat_x = self.widen(x).reshape(sum(steps.sizes), x.shape[-1])
            flat = [
                None if a is None else self.widen(a).reshape(len(flat_x), a.shape[-1])
                for a in (grad_out, out, gates, cells)
            ]
            wide = flat_x.dtype
            before_h = self._states_before(steps, flat[1], h0, hidden, wide)
            before_c = self._states_before(steps, flat[3], c0, hidden, wide)
            dh = self._initial(grad_h, steps, hidden, wide)
            dc = self._initial(grad_c, steps, hidden, wide)
            dsums = self.xp.empty((len(flat_x), columns), wide)
            dstate = self.xp.empty_like(dsums)
            weight = self.widen(weight_hh)
            for rows, size in reversed(list(steps.walk())):
                d = dh[:size] if flat[0] is None else dh[:size] + flat[0][rows]
                kept = [None if a is None else a[rows] for a in flat[1:]]
                direct, dsums[rows], dstate[rows] = self._step_grad(
                    mode, d, dc[:size], kept, before_h[rows], before_c[rows]
                )
                dh[:size] = direct + dstate[rows] @ weight
            results = (
                (dsums @ self.widen(weight_ih)).reshape(x.shape),
                dh,
                dc,
                dsums.T @ flat_x,
                dstate.T @ before_h,
                self.xp.sum(dsums, 0),
                self.xp.sum(dstate, 0),
            )
        inputs = (x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
        return tuple(
            self.finish(r, x.dtype) if needed and a is not None else None
            for r, needed, a in zip(results, needs, inputs, strict=True)
        )

    def _states_before(
        self, steps: _Steps, rows: Array | None, initial: Array | None, hidden: int, dtype: Any
    ) -> Array:
        """For each row the state that its step began with."""
        state = self._initial(initial, steps, hidden, dtype)
        count = sum(steps.sizes)
        before = self.xp.zeros((count, hidden), dtype)
        if rows is not None:
            for place, size in steps.walk():
                before[place] = state[:size]
                state[:size] = rows[place]
        return before

    def _step_grad(
        self, mode: str, d: Array, dc: Array, kept: list[Any], h_before: Array, c_before: Array
    ) -> tuple[Any, Array, Array]:
        """What of ``d`` reaches the h before directly, and the gradients of a and s."""
        out, gates, cells = kept
        if mode == "tanh":
            da = d * (1 - out * out)
            return 0, da, da
        if mode == "relu":
            da = self.xp.where(out > 0, d, 0)
            return 0, da, da
        if mode == "lstm":
            i, f, g, o = self.xp.split(gates, 4, -1)
            t = self.xp.tanh(cells)
            dcell = dc + d * o * (1 - t * t)
            dc[...] = dcell * f
            blocks = (
                dcell * g * i * (1 - i),
                dcell * c_before * f * (1 - f),
                dcell * i * (1 - g * g),
                d * t * o * (1 - o),
            )
            da = self.xp.concatenate(blocks, -1)
            return 0, da, da
        r, z, n = self.xp.split(gates, 3, -1)
        dz = d * (h_before - n) * z * (1 - z)
        dn = d * (1 - z) * (1 - n * n)
        dr = dn * cells * r * (1 - r)
        join = self.xp.concatenate
        return d * z, join((dr, dz, dn), -1), join((dr, dz, dn * r), -1)
