"""Recurrent layers: RNN, LSTM and GRU.

The computation stands in `rushlight/ops/recurrent.py`, the cells in `_rnn_cells.py`.
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.nn import init
from rushlight.nn.modules._rnn_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.rnn import PackedSequence
from rushlight.ops.recurrent import Network, run_network
from rushlight.ops.recurrent_steps import CellWeights

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_KERNEL_MODES = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "tanh", "RNN_RELU": "relu"}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the weights of all layers and directions, and the run.

    Layer k has `weight_ih_lk` `(G·H, I)`, `weight_hh_lk` `(G·H, H)`, `bias_ih_lk`, `bias_hh_lk`
    `(G·H,)` and, with projections, `weight_hr_lk` `(P, H)`; the backward direction's end in
    `_reverse`. All start from U(−1/√H, 1/√H).
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]
    _all_weights: list[list[str]]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_arguments(dropout)
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self._all_weights = []
        for layer in range(num_layers):
            for direction in range(self._directions):
                self._add_layer(layer, direction, device, dtype)
        self.reset_parameters()

    def _check_arguments(self, dropout: Any) -> None:
        if (
            not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1  # type: ignore[operator]
            or isinstance(dropout, bool)
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and self.num_layers == 1:  # type: ignore[operator]
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        self._check_types()
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    def _check_types(self) -> None:
        for name, kind in (
            ("input_size", int),
            ("hidden_size", int),
            ("bias", bool),
            ("batch_first", bool),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size if self.proj_size > 0 else self.hidden_size

    def _add_layer(self, layer: int, direction: int, device: Any, dtype: Any) -> None:
        rows = _GATES[self.mode] * self.hidden_size
        columns = self.input_size if layer == 0 else self._output_size * self._directions
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, columns),
            "weight_hh": (rows, self._output_size),
        }
        if self.bias:
            shapes["bias_ih"] = shapes["bias_hh"] = (rows,)
        if self.proj_size > 0:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        for name, shape in shapes.items():
            empty = rushlight.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name + suffix, Parameter(empty))
        self._all_weights.append([name + suffix for name in shapes])

    def reset_parameters(self) -> None:
        """Draws all weights and biases anew, in the order of registration."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: the kernels read the weights where they lie."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, one list per layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def _cell_weights(self, place: int) -> CellWeights:
        """The parameters of a layer and direction, in the order in which they were registered."""
        parameters = [getattr(self, name) for name in self._all_weights[place]]
        projection = parameters.pop() if self.proj_size > 0 else None
        biases = parameters[2:] if self.bias else (None, None)
        return CellWeights(parameters[0], parameters[1], biases[0], biases[1], projection)

    # ---------------------------------------------------------------- checks

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raises RuntimeError unless the input has the dimensions that the weights want."""
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                "Convert input: input.to(dtype), or convert model: model.to(dtype)"
            )
        expected, shape = 2 if batch_sizes is not None else 3, input.shape
        if len(shape) != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {len(shape)}")
        if self.input_size != shape[-1]:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {shape[-1]}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers · directions, batch, size of h)."""
        batch = self._batch_size(input, batch_sizes)
        return self.num_layers * self._directions, batch, self._output_size

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers · directions, batch, size of c)."""
        batch = self._batch_size(input, batch_sizes)
        return self.num_layers * self._directions, batch, self.hidden_size

    def _batch_size(self, input: Tensor, batch_sizes: Tensor | None) -> int:
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return input.size(0) if self.batch_first else input.size(1)

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raises RuntimeError unless `hx` has the expected size."""
        if tuple(hx.size()) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def _check_states(self, input: Tensor, state: tuple[Tensor, ...], batch_sizes: Any) -> None:
        expected = self.get_expected_hidden_size(input, batch_sizes)
        if len(state) == 1:
            self.check_hidden_size(state[0], expected)
            return
        self.check_hidden_size(state[0], expected, "Expected hidden[0] size {}, got {}")
        cell_size = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(state[1], cell_size, "Expected hidden[1] size {}, got {}")

    # ---------------------------------------------------------------- the run

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Returns the outputs of the last layer and the last states of all layers."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        dims = len(input.shape)
        if dims not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {dims}D instead"
            )
        is_batched = dims == 3
        batch_dim = 0 if self.batch_first else 1
        state = None if hx is None else self._given_state(hx, is_batched)
        if not is_batched:
            input = input.unsqueeze(batch_dim)
        self.check_input(input, None)
        if state is not None:
            self._check_states(input, state, None)
        output, last = self._run(input, None, state)
        if not is_batched:
            output = output.squeeze(batch_dim)
            last = tuple(part.squeeze(1) for part in last)
        return output, self._returned_state(last)

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self.check_input(data, batch_sizes)
        state = None
        if hx is not None:
            state = self._permuted(hx if isinstance(hx, tuple) else (hx,), sorted_indices)
            self._check_states(data, state, batch_sizes)
        output, last = self._run(data, tuple(batch_sizes.tolist()), state)
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self._returned_state(self._permuted(last, unsorted_indices))

    def _permuted(self, state: tuple[Tensor, ...], order: Tensor | None) -> tuple[Tensor, ...]:
        if order is None:
            return state
        return tuple(part.index_select(1, order) for part in state)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorders the batch of the state, as packing reorders the sequences."""
        if isinstance(hx, tuple):
            return self._permuted(hx, permutation)
        return self._permuted((hx,), permutation)[0]

    def _given_state(self, hx: Any, is_batched: bool) -> tuple[Tensor, ...]:
        """The caller's initial state with a batch dimension."""
        state = hx if isinstance(hx, tuple) else (hx,)
        wanted = 3 if is_batched else 2
        for part in state:
            if part.dim() != wanted:
                self._refuse_state_dims(state, is_batched)
        return state if is_batched else tuple(part.unsqueeze(1) for part in state)

    def _refuse_state_dims(self, state: tuple[Tensor, ...], is_batched: bool) -> None:
        batched, wanted = ("batched 3-D", "3-D") if is_batched else ("unbatched 2-D", "2-D")
        if self.mode == "LSTM":
            dims = f"({state[0].dim()}-D, {state[1].dim()}-D) tensors"
            raise RuntimeError(
                f"For {batched} input, hx and cx should also be {wanted} but got {dims}"
            )
        raise RuntimeError(
            f"For {batched} input, hx should also be {wanted} but got {state[0].dim()}-D tensor"
        )

    def _returned_state(self, state: tuple[Tensor, ...]) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def _run(
        self, input: Tensor, batch_sizes: tuple[int, ...] | None, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers over padded or packed input; the outputs and the stacked last states."""
        weights = [self._cell_weights(place) for place in range(len(self._all_weights))]
        network = Network(
            _KERNEL_MODES[self.mode],
            weights,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
        )
        return run_network(network, input, batch_sizes, state, self.batch_first)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size != 0:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if self.batch_first is not False:
            parts.append(f"batch_first={self.batch_first}")
        if self.dropout != 0:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional is not False:
            parts.append(f"bidirectional={self.bidirectional}")
        return ", ".join(parts)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Other implementations keep these two as fields; here they are computed.
        state = {
            k: v for k, v in state.items() if k not in ("_flat_weights", "_flat_weights_names")
        }
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)


def _refuse_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """The Elman network: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), or relu for tanh.

    `RNN(input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False,
    dropout=0.0, bidirectional=False)`. Shapes: input `(T, N, I)`, or `(N, T, I)` with
    `batch_first`, or `(T, I)`, or packed; h_0 and h_n `(layers · directions, N, H)`; output
    `(T, N, directions · H)`.

    >>> import rushlight as torch
    >>> rnn = torch.nn.RNN(10, 20, 2)
    >>> output, hn = rnn(torch.ones(5, 3, 10))
    >>> output.shape, hn.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997), with projections (Sak et al., 2014).

    `LSTM(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False, proj_size=0)`. With the gates i, f, g, o in this order in the weights,
    c_t = σ(f) c_{t−1} + σ(i) tanh(g) and h_t = σ(o) tanh(c_t). The state is the pair (h, c).

    >>> import rushlight as torch
    >>> lstm = torch.nn.LSTM(10, 20, batch_first=True)
    >>> output, (hn, cn) = lstm(torch.ones(3, 5, 10))
    >>> output.shape, cn.shape
    (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """The gated recurrent unit (Cho et al., 2014).

    `GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False)`. With the gates r, z, n in this order in the weights,
    n_t = tanh(W_in x_t + b_in + σ(r) (W_hn h + b_hn)) and h_t = n_t + σ(z) (h_{t−1} − n_t).

    >>> import rushlight as torch
    >>> output, hn = torch.nn.GRU(10, 20, bidirectional=True)(torch.ones(5, 3, 10))
    >>> output.shape, hn.shape
    (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)
