"""RNN, LSTM and GRU as compositions of differentiable operations, one time step after the other.

Two things need this form: second derivatives, and LSTM with projections (Sak et al., 2014), where
the state is smaller than the cell. Everything else runs in one call (`recurrent.py`).

The inputs' part of the gates does not depend on the steps before: it is one matrix product for the
whole sequence. What remains per step is the product with the hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .activation import relu
from .linear import linear
from .parts import cat, chunk, split, stack, unbind
from .transpose import transpose
from .unary import sigmoid, tanh

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["CellWeights", "run_steps"]

State = tuple["Tensor", ...]


class CellWeights(NamedTuple):
    """The parameters of one layer in one direction; the biases and the projection may be None."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None


def _tanh_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    (h,) = state
    return (tanh(gates_x + linear(h, weights.weight_hh, weights.bias_hh)),)


def _relu_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh)."""
    (h,) = state
    return (relu(gates_x + linear(h, weights.weight_hh, weights.bias_hh)),)


def _lstm_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); with `weight_hr`, h' is projected by it."""
    h, c = state
    gates = gates_x + linear(h, weights.weight_hh, weights.bias_hh)
    i, f, g, o = chunk(gates, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    if weights.weight_hr is not None:
        h = linear(h, weights.weight_hr)
    return h, c


def _gru_step(gates_x: Tensor, state: State, weights: CellWeights) -> State:
    """n = tanh(x_n + σ(r) h_n), h' = n + σ(z) (h − n)."""
    (h,) = state
    gates_h = linear(h, weights.weight_hh, weights.bias_hh)
    x_r, x_z, x_n = chunk(gates_x, 3, -1)
    h_r, h_z, h_n = chunk(gates_h, 3, -1)
    reset, update = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    new = tanh(x_n + reset * h_n)
    return (new + update * (h - new),)


Step = Callable[["Tensor", State, CellWeights], State]
_STEPS: dict[str, Step] = {
    "tanh": _tanh_step,
    "relu": _relu_step,
    "lstm": _lstm_step,
    "gru": _gru_step,
}


def run_steps(mode: str, input: Tensor, batch_sizes: Sequence[int] | None, state: State,
              weights: CellWeights, batch_first: bool,
              reverse: bool) -> tuple[Tensor, State]:  # fmt: skip
    """One layer in one direction: the outputs, in the layout of `input`, and the last state."""
    step = _STEPS[mode]
    if batch_sizes is not None:
        return _run_packed(step, input, batch_sizes, state, weights, reverse)
    steps = transpose(input, 0, 1) if batch_first else input
    output, last = _run_padded(step, steps, state, weights, reverse)
    return (transpose(output, 0, 1) if batch_first else output), last


def _run_padded(step: Step, input: Tensor, state: State, weights: CellWeights,
                reverse: bool) -> tuple[Tensor, State]:  # fmt: skip
    """Over `input` `(T, N, I)`: `(T, N, H)` and the last state."""
    gates = unbind(linear(input, weights.weight_ih, weights.bias_ih), 0)
    outputs = []
    for gates_x in reversed(gates) if reverse else gates:
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return stack(outputs), state


def _run_packed(step: Step, data: Tensor, batch_sizes: Sequence[int], state: State,
                weights: CellWeights, reverse: bool) -> tuple[Tensor, State]:  # fmt: skip
    """Over packed `data` `(ΣL, I)`; batch sizes never grow with time."""
    gates = split(linear(data, weights.weight_ih, weights.bias_ih), list(batch_sizes))
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
    last = tuple(cat(parts) for parts in zip(*pieces, strict=True))
    return cat(outputs), last


def _run_packed_reverse(step: Step, gates: Sequence[Tensor], batch_sizes: Sequence[int],
                        initial: State, weights: CellWeights) -> tuple[Tensor, State]:  # fmt: skip
    """Backwards in time, a sequence joins the batch at its last element."""
    outputs = []
    state = tuple(part[: batch_sizes[-1]] for part in initial)
    for gates_x, size in zip(reversed(gates), reversed(batch_sizes), strict=True):
        present = state[0].size(0)
        if size > present:
            state = tuple(
                cat([part, start[present:size]]) for part, start in zip(state, initial, strict=True)
            )
        state = step(gates_x, state, weights)
        outputs.append(state[0])
    outputs.reverse()
    return cat(outputs), state
