"""The computation of RNN, LSTM and GRU, one time step after the other.

The inputs' part of the gates does not depend on the steps before: it is one matrix product for the
whole sequence. What remains per step is the product with the hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import rushlight
from rushlight import Tensor
from rushlight.nn import functional as F

State = tuple[Tensor, ...]


class CellWeights(NamedTuple):
    """The parameters of one layer in one direction; the biases and the projection may be None."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None


def tanh_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    (h,) = state
    return (rushlight.tanh(gates_x + F.linear(h, weights.weight_hh, weights.bias_hh)),)


def relu_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh)."""
    (h,) = state
    return (F.relu(gates_x + F.linear(h, weights.weight_hh, weights.bias_hh)),)


def lstm_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); with `weight_hr`, h' is projected by it."""
    h, c = state
    gates = gates_x + F.linear(h, weights.weight_hh, weights.bias_hh)
    i, f, g, o = gates.chunk(4, -1)
    c = rushlight.sigmoid(f) * c + rushlight.sigmoid(i) * rushlight.tanh(g)
    h = rushlight.sigmoid(o) * rushlight.tanh(c)
    if weights.weight_hr is not None:
        h = F.linear(h, weights.weight_hr)
    return h, c


def gru_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """n = tanh(x_n + σ(r) h_n), h' = n + σ(z) (h − n)."""
    (h,) = state
    gates_h = F.linear(h, weights.weight_hh, weights.bias_hh)
    x_r, x_z, x_n = gates_x.chunk(3, -1)
    h_r, h_z, h_n = gates_h.chunk(3, -1)
    reset = rushlight.sigmoid(x_r + h_r)
    update = rushlight.sigmoid(x_z + h_z)
    new = rushlight.tanh(x_n + reset * h_n)
    return (new + update * (h - new),)


Step = Callable[[Tensor, State, CellWeights], State]
STEPS: dict[str, Step] = {
    "RNN_TANH": tanh_step,
    "RNN_RELU": relu_step,
    "LSTM": lstm_step,
    "GRU": gru_step,
}


def run_padded(
    step: Step, input: Tensor, state: State, weights: CellWeights, reverse: bool
) -> tuple[Tensor, State]:
    """One layer in one direction over `input` `(T, N, I)`: `(T, N, H)` and the last state."""
    gates = F.linear(input, weights.weight_ih, weights.bias_ih).unbind(0)
    outputs = []
    for gates_x in reversed(gates) if reverse else gates:
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return rushlight.stack(outputs), state


def run_packed(
    step: Step,
    data: Tensor,
    batch_sizes: Sequence[int],
    state: State,
    weights: CellWeights,
    reverse: bool,
) -> tuple[Tensor, State]:
    """One layer in one direction over packed `data` `(ΣL, I)`; batch sizes never grow with time."""
    gates = F.linear(data, weights.weight_ih, weights.bias_ih).split(list(batch_sizes))
    if reverse:
        return _run_packed_reverse(step, gates, batch_sizes, state, weights)
    outputs, finished = [], []
    for gates_x, size in zip(gates, batch_sizes, strict=True):
        if size < state[0].size(0):
            finished.append(tuple(part[size:] for part in state))
            state = tuple(part[:size] for part in state)
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    # The sequences that ended first stand last in the batch.
    pieces = [state, *reversed(finished)]
    last = tuple(rushlight.cat(parts) for parts in zip(*pieces, strict=True))
    return rushlight.cat(outputs), last


def _run_packed_reverse(
    step: Step,
    gates: Sequence[Tensor],
    batch_sizes: Sequence[int],
    initial: State,
    weights: CellWeights,
) -> tuple[Tensor, State]:
    """Backwards in time, a sequence joins the batch at its last element."""
    outputs = []
    state = tuple(part[: batch_sizes[-1]] for part in initial)
    for gates_x, size in zip(reversed(gates), reversed(batch_sizes), strict=True):
        present = state[0].size(0)
        if size > present:
            state = tuple(
                rushlight.cat([part, start[present:size]])
                for part, start in zip(state, initial, strict=True)
            )
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    outputs.reverse()
    return rushlight.cat(outputs), state
