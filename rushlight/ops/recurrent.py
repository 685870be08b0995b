"""Recurrent networks: RNN, LSTM and GRU over whole sequences, and their single steps.

One primitive computes one layer in one direction in one call, its derivative in another. Layers,
directions and the dropout between them are put together here; the checks of a module's input are
with the modules (`nn/modules/rnn.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .common import check_tensor
from .create import zeros
from .dropout import dropout as drop
from .parts import cat, stack
from .recurrent_steps import CellWeights, run_steps
from .shape import _unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh",
    "rnn_tanh_cell",
]  # fmt: skip

Sizes = tuple[int, ...] | None
State = tuple["Tensor", ...]
GATE_BLOCKS = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


# ---- one layer in one direction ------------------------------------------------------------


@primitive(name="Recurrent", nondifferentiable=(3, 4), kernel="recurrent")
def _recurrent(x: Array, h0: Array | None, c0: Array | None, weight_ih: Array, weight_hh: Array,
               bias_ih: Array | None, bias_hh: Array | None, *, mode: str, batch_sizes: Sizes,
               batch_first: bool, reverse: bool) -> tuple[Any, ...]:  # fmt: skip
    """The outputs, the last h and c, and two values of every step for the derivative."""
    result: tuple[Any, ...] = kernels(x).recurrent(
        x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, mode, batch_sizes, batch_first, reverse
    )
    return result


@primitive(name="RecurrentBackward")
def _recurrent_backward(grad_out: Array | None, grad_h: Array | None, grad_c: Array | None,
                        x: Array, h0: Array | None, c0: Array | None, weight_ih: Array,
                        weight_hh: Array, bias_ih: Array | None, bias_hh: Array | None, out: Array,
                        gates: Array | None, cells: Array | None, *, mode: str,
                        batch_sizes: Sizes, batch_first: bool, reverse: bool,
                        needs: tuple[bool, ...]) -> tuple[Any, ...]:  # fmt: skip
    result: tuple[Any, ...] = kernels(x).recurrent_grad(
        grad_out, grad_h, grad_c, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, out, gates,
        cells, mode, batch_sizes, batch_first, reverse, needs,
    )  # fmt: skip
    return result


_LAYER = ("x", "h0", "c0", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
_recurrent.derive(_LAYER, _recurrent_backward, "grads[0]", "grads[1]", "grads[2]", *_LAYER,
                  "result", "results[3]", "results[4]", mode="mode", batch_sizes="batch_sizes",
                  batch_first="batch_first", reverse="reverse", needs="needs")  # fmt: skip


@_recurrent_backward.derivative("grad_out", "grad_h", "grad_c", *_LAYER)
def _recurrent_double(grads: list[Any], grad_out: Any, grad_h: Any, grad_c: Any, x: Any, h0: Any,
                      c0: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any,
                      mode: str, batch_sizes: Sizes, batch_first: bool,
                      reverse: bool) -> Any:  # fmt: skip
    """Second derivatives: the sequence is computed anew from differentiable operations."""
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate

    given = (grad_out, grad_h, grad_c, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
    with enable_grad():
        fresh: list[Any] = [None if t is None else t.detach().requires_grad_(True) for t in given]
        vectors, inputs = fresh[:3], fresh[3:]
        state = _whole_state(mode, inputs[0], inputs[1:3], inputs[4], batch_sizes, batch_first)
        weights = CellWeights(*inputs[3:])
        out, last = run_steps(mode, inputs[0], batch_sizes, state, weights, batch_first, reverse)
        pairs = [(o, v) for o, v in zip((out, *last), vectors) if v is not None]
        wanted = [t for t in inputs if t is not None]
        first = differentiate([o for o, _ in pairs], wanted, [v for _, v in pairs],
                              create_graph=True, allow_unused=True)  # fmt: skip
        places = [g for g, t in zip(grads, inputs) if t is not None]
        total: Any = 0
        for vector, value in zip(places, first):
            if vector is not None and value is not None:
                total = total + (vector.detach() * value).sum()
        leaves = [t for t in fresh if t is not None]
        found = iter(differentiate(total, leaves, allow_unused=True))
    return [None if t is None else next(found) for t in fresh]


def _whole_state(mode: str, x: Tensor, state: Sequence[Tensor | None], weight_hh: Tensor,
                 batch_sizes: Sizes, batch_first: bool,
                 cell_size: int | None = None) -> State:  # fmt: skip
    """The state without None: zeros in its place."""
    batch = batch_sizes[0] if batch_sizes is not None else x.size(0 if batch_first else 1)
    sizes = [weight_hh.size(1), cell_size or weight_hh.size(1)]
    return tuple(
        zeros((batch, size), dtype=x.dtype, device=x.device) if part is None else part
        for part, size in zip(state[: 2 if mode == "lstm" else 1], sizes)
    )


def _run_layer(mode: str, x: Tensor, batch_sizes: Sizes, state: tuple[Any, ...],
               weights: CellWeights, batch_first: bool,
               reverse: bool) -> tuple[Tensor, State]:  # fmt: skip
    """The outputs and the last state; `state` may hold None for zeros."""
    if weights.weight_hr is not None:
        cell_size = weights.weight_hr.size(1)
        whole = _whole_state(mode, x, state, weights.weight_hh, batch_sizes, batch_first, cell_size)
        return run_steps(mode, x, batch_sizes, whole, weights, batch_first, reverse)
    c0 = state[1] if mode == "lstm" else None
    out, h, c, _, _ = _recurrent(x, state[0], c0, *weights[:4], mode=mode, batch_sizes=batch_sizes,
                                 batch_first=batch_first, reverse=reverse)  # fmt: skip
    return out, ((h, c) if mode == "lstm" else (h,))


# ---- all layers ----------------------------------------------------------------------------


class Network(NamedTuple):
    """The shape of a recurrent network and its parameters, layer by layer, both directions."""

    mode: str
    weights: Sequence[CellWeights]
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool


def run_network(network: Network, x: Tensor, batch_sizes: Sizes, state: tuple[Any, ...] | None,
                batch_first: bool) -> tuple[Tensor, State]:  # fmt: skip
    """All layers: the last one's outputs and the stacked last states of all.

    `state` is h (and c for the LSTM), each `(layers · directions, N, H)`; None stands for zeros.
    """
    mode, directions = network.mode, 2 if network.bidirectional else 1
    if batch_sizes is None and x.shape[1 if batch_first else 0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    last_states = []
    for layer in range(network.num_layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            start = (None, None) if state is None else tuple([part[place] for part in state])
            output, last = _run_layer(mode, x, batch_sizes, start, network.weights[place],
                                      batch_first, direction == 1)  # fmt: skip
            outputs.append(output)
            last_states.append(last)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if network.dropout > 0 and layer < network.num_layers - 1:
            x = drop(x, network.dropout, network.train)
    if len(last_states) == 1:
        return x, tuple([_unsqueeze(part, dim=0) for part in last_states[0]])
    return x, tuple([stack(parts) for parts in zip(*last_states)])


_PADDED = ("input", "hx", "params", "has_biases", "num_layers", "dropout", "train",
           "bidirectional", "batch_first")  # fmt: skip
_PACKED = ("data", "batch_sizes", *_PADDED[1:-1])


def _arguments(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, for padded or for packed input.

    The third argument tells the two forms apart: the list of parameters, or the state (for the
    LSTM a pair, and then the second one is a tensor).
    """
    from ..tensor import Tensor

    is_packed = "data" in kwargs or "batch_sizes" in kwargs
    if len(args) > 2:
        is_packed = isinstance(args[1 if op == "lstm" else 2], Tensor)
    names = _PACKED if is_packed else _PADDED
    given = dict(zip(names, args))
    if len(args) > len(names) or given.keys() & kwargs.keys() or {*given, *kwargs} != {*names}:
        raise TypeError(
            f"[{op}] expected ({', '.join(_PADDED)}) or ({', '.join(_PACKED)}); got {len(args)} "
            f"positional arguments and {sorted(kwargs)}"
        )
    return {**given, **kwargs}


def _cell_weights(op: str, params: Sequence[Tensor], cells: int, has_biases: bool,
                  has_projections: bool) -> list[CellWeights]:  # fmt: skip
    """The flat list of parameters in groups of one layer and direction."""
    count = (4 if has_biases else 2) + has_projections
    if len(params) != cells * count:
        raise RuntimeError(
            f"[{op}] expected {cells * count} parameters, {count} for each of {cells} layers and "
            f"directions; got {len(params)}"
        )
    groups = [params[i : i + count] for i in range(0, len(params), count)]
    return [
        CellWeights(g[0], g[1], g[2] if has_biases else None, g[3] if has_biases else None,
                    g[-1] if has_projections else None)
        for g in groups
    ]  # fmt: skip


def _network(op: str, mode: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The public functions: arguments checked, then run."""
    a = _arguments(op, args, kwargs)
    x = a["input"] if "input" in a else a["data"]
    check_tensor(x, op)
    state = tuple(a["hx"]) if mode == "lstm" else (a["hx"],)
    if len(state) != (2 if mode == "lstm" else 1):
        raise RuntimeError(f"[{op}] expects two hidden states; got {len(state)}")
    for part in state:
        if part.dtype != x.dtype:
            raise RuntimeError(
                f"[{op}] expected hx of the input's dtype {x.dtype}; got {part.dtype}"
            )
    has_projections = mode == "lstm" and state[0].size(2) != state[1].size(2)
    cells = a["num_layers"] * (2 if a["bidirectional"] else 1)
    weights = _cell_weights(op, a["params"], cells, a["has_biases"], has_projections)
    network = Network(mode, weights, a["num_layers"], a["dropout"], a["train"], a["bidirectional"])
    sizes = tuple(a["batch_sizes"].tolist()) if "batch_sizes" in a else None
    output, last = run_network(network, x, sizes, state, a.get("batch_first", False))
    return output, *last


def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A long short-term memory network (Hochreiter & Schmidhuber, 1997): `(output, h_n, c_n)`.

    `lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`
    or, for packed sequences, `lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout,
    train, bidirectional)`. `hx` is the pair (h_0, c_0); `params` is flat: `weight_ih (4H, I)`,
    `weight_hh (4H, H)`, `bias_ih`, `bias_hh` for each layer and direction. The formula stands in
    `nn.LSTM`. RuntimeError if the parameters are not as many as that, or dtypes differ.

    >>> import rushlight as torch
    >>> h = torch.zeros(1, 2, 3)
    >>> params = [torch.ones(12, 4), torch.ones(12, 3)]
    >>> torch.lstm(torch.ones(5, 2, 4), (h, h), params, False, 1, 0., False, False, False)[0].shape
    torch.Size([5, 2, 3])
    """
    result: tuple[Tensor, Tensor, Tensor] = _network("lstm", "lstm", args, kwargs)
    return result


def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """A gated recurrent network (Cho et al., 2014): `(output, h_n)`; arguments as for `lstm`.

    `hx` is one tensor, h_0; the weights have 3H rows.

    >>> import rushlight as torch
    >>> params = [torch.ones(9, 4), torch.ones(9, 3)]
    >>> x, h = torch.ones(5, 2, 4), torch.zeros(1, 2, 3)
    >>> torch.gru(x, h, params, False, 1, 0., False, False, False)[1].shape
    torch.Size([1, 2, 3])
    """
    result: tuple[Tensor, Tensor] = _network("gru", "gru", args, kwargs)
    return result


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """An Elman network with tanh: `(output, h_n)`; arguments as for `gru`, weights of H rows."""
    result: tuple[Tensor, Tensor] = _network("rnn_tanh", "tanh", args, kwargs)
    return result


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """An Elman network with relu: `(output, h_n)`; arguments as for `gru`, weights of H rows."""
    result: tuple[Tensor, Tensor] = _network("rnn_relu", "relu", args, kwargs)
    return result


# ---- cells ---------------------------------------------------------------------------------


def run_cell(mode: str, x: Tensor, state: tuple[Any, ...],
             weights: CellWeights) -> State:  # fmt: skip
    """One step on `x (N, I)`: a packed sequence of length one. `state` may hold None for zeros."""
    _check_cell(mode, x, state, weights)
    return _run_layer(mode, x, (x.size(0),), state, weights, False, False)[1]


def _check_cell(mode: str, x: Tensor, state: tuple[Any, ...], weights: CellWeights) -> None:
    rows, columns = weights.weight_ih._array.shape
    shape = x._array.shape
    if len(shape) != 2 or shape[1] != columns:
        raise RuntimeError(f"input has inconsistent input_size: got {shape[-1]} expected {columns}")
    hidden = rows // GATE_BLOCKS[mode]
    for index, part in enumerate(state):
        if part is None:
            continue
        got = part._array.shape
        if got[0] != shape[0]:
            raise RuntimeError(
                f"Input batch size {shape[0]} doesn't match hidden{index} batch size {got[0]}"
            )
        if got[1] != hidden:
            raise RuntimeError(
                f"hidden{index} has inconsistent hidden_size: got {got[1]}, expected {hidden}"
            )


def lstm_cell(input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor,
              b_ih: Tensor | None = None,
              b_hh: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One LSTM step: (h', c') of `input (N, I)` and `hx` = (h, c), each `(N, H)`.

    RuntimeError if sizes do not fit.

    >>> import rushlight as torch
    >>> h = torch.zeros(2, 3)
    >>> torch.lstm_cell(torch.ones(2, 4), (h, h), torch.ones(12, 4), torch.ones(12, 3))[0].shape
    torch.Size([2, 3])
    """
    check_tensor(input, "lstm_cell")
    h, c = run_cell("lstm", input, tuple(hx), CellWeights(w_ih, w_hh, b_ih, b_hh))
    return h, c


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
             b_hh: Tensor | None = None) -> Tensor:  # fmt: skip
    """One GRU step: h' of `input (N, I)` and `hx (N, H)`."""
    check_tensor(input, "gru_cell")
    return run_cell("gru", input, (hx,), CellWeights(w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
                  b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:  # fmt: skip
    """One Elman step: tanh(w_ih input + b_ih + w_hh hx + b_hh)."""
    check_tensor(input, "rnn_tanh_cell")
    return run_cell("tanh", input, (hx,), CellWeights(w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
                  b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:  # fmt: skip
    """One Elman step: relu(w_ih input + b_ih + w_hh hx + b_hh)."""
    check_tensor(input, "rnn_relu_cell")
    return run_cell("relu", input, (hx,), CellWeights(w_ih, w_hh, b_ih, b_hh))[0]
