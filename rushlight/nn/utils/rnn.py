"""Sequences of different lengths: padding them to one tensor, or packing them without padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import rushlight
from rushlight import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences of different lengths, time step by time step, longest sequence first.

    `data` holds the elements of all sequences at step 0, then at step 1, …; `batch_sizes[t]` says
    how many sequences are that long. Made by `pack_sequence` and `pack_padded_sequence`.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.rnn import pack_sequence
    >>> packed = pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 3]), tensor([2, 1, 1]))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a (data, batch_sizes) pair")
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually; use pack_sequence() or pack_padded_sequence()"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _convert(self, convert: Callable[[Tensor], Tensor], moves: bool = True) -> PackedSequence:
        """Applies `convert` to the data and moves the indices to where the data then is."""
        data = convert(self.data)
        if data is self.data:
            return self
        indices = (self.sorted_indices, self.unsorted_indices)
        if moves:
            indices = tuple(  # type: ignore[assignment]
                None if index is None else index.to(data.device) for index in indices
            )
        return type(self)(data, self.batch_sizes, *indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Moves or casts the data; returns itself if nothing changes."""
        return self._convert(lambda data: data.to(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Moves the data to the CPU."""
        return self._convert(lambda data: data.cpu(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Moves the data to a CUDA device."""
        return self._convert(lambda data: data.cuda(*args, **kwargs))

    def pin_memory(self) -> PackedSequence:
        """Copies the data to page-locked memory."""
        return self._convert(lambda data: data.pin_memory(), moves=False)

    def double(self) -> PackedSequence:
        """Casts the data to float64."""
        return self.to(dtype=rushlight.double)

    def float(self) -> PackedSequence:
        """Casts the data to float32."""
        return self.to(dtype=rushlight.float)

    def half(self) -> PackedSequence:
        """Casts the data to float16."""
        return self.to(dtype=rushlight.half)

    def long(self) -> PackedSequence:
        """Casts the data to int64."""
        return self.to(dtype=rushlight.long)

    def int(self) -> PackedSequence:
        """Casts the data to int32."""
        return self.to(dtype=rushlight.int)

    @property
    def is_cuda(self) -> bool:
        """True if the data are on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """True if the data are in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`; None stays None.

    >>> import rushlight as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    inverse = rushlight.empty_like(permutation)
    inverse.scatter_(0, permutation, rushlight.arange(permutation.numel()))
    return inverse


def pack_padded_sequence(
    input: Tensor,
    lengths: Any,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Packs a padded batch `(T, B, *)` (or `(B, T, *)`) of sequences of the given lengths.

    With `enforce_sorted` the lengths must be decreasing; without, the sequences are sorted here and
    the order is remembered. Every length must be at least 1, else RuntimeError.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.rnn import pack_padded_sequence
    >>> packed = pack_padded_sequence(torch.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    >>> packed.data
    tensor([1, 3, 2])
    """
    lengths = rushlight.as_tensor(lengths, dtype=rushlight.int64)
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = rushlight.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    counts = lengths.tolist()
    _check_lengths(counts, input.size(1), input.size(0))
    batch_sizes, pieces = [], []
    active = len(counts)
    for step in range(counts[0]):
        while counts[active - 1] <= step:
            active -= 1
        batch_sizes.append(active)
        pieces.append(input[step, :active])
    return PackedSequence(rushlight.cat(pieces), rushlight.tensor(batch_sizes), sorted_indices)


def _check_lengths(lengths: list[int], batch_size: int, steps: int) -> None:
    if len(lengths) != batch_size:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={batch_size})"
        )
    if any(later > earlier for earlier, later in zip(lengths, lengths[1:], strict=False)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if not lengths or lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if lengths[0] > steps:
        raise RuntimeError(
            f"[pack_padded_sequence] expected lengths of at most {steps}, the size of the input; "
            f"got {lengths[0]}"
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undoes `pack_padded_sequence`: returns the padded batch and the lengths.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.rnn import pack_sequence, pad_packed_sequence
    >>> packed = pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    batch_sizes = sequence.batch_sizes.tolist()
    steps = len(batch_sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    lengths = rushlight.tensor(
        [sum(size > place for size in batch_sizes) for place in range(batch_sizes[0])]
    )
    sequences = _sequences_of(sequence.data, batch_sizes)
    padded = pad_sequence(sequences, batch_first, padding_value)
    missing = steps - len(batch_sizes)
    if missing:
        time_dim = 1 if batch_first else 0
        shape = list(padded.shape)
        shape[time_dim] = missing
        padded = rushlight.cat([padded, padded.new_full(shape, padding_value)], time_dim)
    if sequence.unsorted_indices is not None:
        batch_dim = 0 if batch_first else 1
        padded = padded.index_select(batch_dim, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return padded, lengths


def _sequences_of(data: Tensor, batch_sizes: list[int]) -> list[Tensor]:
    """The single sequences of packed data, in packed order."""
    steps = data.split(batch_sizes)
    return [
        rushlight.stack(
            [step[place] for step, size in zip(steps, batch_sizes, strict=True) if place < size]
        )
        for place in range(batch_sizes[0])
    ]


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences `(L_i, *)` to `(T, B, *)` or `(B, T, *)`, filled up to the longest.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.rnn import pad_sequence
    >>> pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    if not isinstance(sequences, Sequence):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(sequence.size(0) for sequence in sequences)
    rows = []
    for sequence in sequences:
        missing = longest - sequence.size(0)
        if missing:
            fill = sequence.new_full((missing, *sequence.shape[1:]), padding_value)
            parts = [sequence, fill] if padding_side == "right" else [fill, sequence]
            sequence = rushlight.cat(parts)
        rows.append(sequence)
    return rushlight.stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Cuts a padded batch into its sequences of the given lengths."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [
        sequence[: int(length)]
        for sequence, length in zip(padded_sequences, lengths.tolist(), strict=True)
    ]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences `(L_i, *)`."""
    lengths = rushlight.tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undoes `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
