"""Generators of random numbers: PyTorch's CPU stream, seed by seed and number by number."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from .autograd.variable import wrap
from .backends import RandomState
from .device import device

__all__ = ["Generator", "default_generator", "manual_seed", "seed", "initial_seed",
           "get_rng_state", "set_rng_state", "fork_rng"]  # fmt: skip

_DEFAULT_SEED = 67280421310721  # the seed of a generator that nobody seeded
# The layout of a state as PyTorch saves it: seed, words left, seeded, next word, then 624 words of
# 64 bits, a kept-over double normal with its flag and, apart, a float normal with its flag.
_WORDS = 624
_STATE_BYTES = 5056


class Generator:
    """A source of random numbers with a state of its own.

    >>> import rushlight as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    def __init__(self, device: Any = "cpu"):
        from .ops.from_data import resolve_device

        self.device: device = resolve_device(device)
        self._seed = _DEFAULT_SEED
        self.state = RandomState.from_seed(_DEFAULT_SEED)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of `seed` (its low 32 bits count); returns this generator."""
        seed = int(seed)
        if not -(1 << 63) <= seed < (1 << 64):
            raise RuntimeError(
                f"Overflow when unpacking long: the seed {seed} does not fit in 64 bits"
            )
        self._seed = seed & ((1 << 64) - 1)
        self.state.seed(self._seed)
        return self

    def seed(self) -> int:
        """Starts the stream of a seed drawn from the operating system, and returns it."""
        chosen = int.from_bytes(os.urandom(8), "little") & ((1 << 53) - 1)
        self.manual_seed(chosen)
        return chosen

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self._seed

    def get_state(self) -> Any:
        """The state as a uint8 tensor, laid out as PyTorch's."""
        state = self.state
        left = _WORDS - state.position + 1
        position = state.position % (_WORDS + 1)
        head = struct.pack("<QiiQ", self._seed, left if position else 1, 1,
                           0 if state.position == _WORDS else position)  # fmt: skip
        words = state.key.astype("<u8").tobytes()
        normal = state.next_normal
        tail = struct.pack("<ddii", 0.0, normal or 0.0, int(normal is not None), 0)
        data = (head + words + tail).ljust(_STATE_BYTES, b"\0")
        return wrap(np.frombuffer(bytearray(data), np.uint8))

    def set_state(self, new_state: Any) -> None:
        """Restores a state that `get_state` (or PyTorch's) gave."""
        array = new_state._array
        if array.dtype != "uint8":
            raise TypeError(
                f"expected a torch.ByteTensor as generator state, got {new_state.dtype}"
            )
        if array.size not in (_STATE_BYTES, 5048):
            raise RuntimeError(
                f"Expected either a CPUGeneratorImplStateLegacy of size 5048 or a "
                f"CPUGeneratorImplState of size {_STATE_BYTES} but found the input RNG state size "
                f"to be {array.size}"
            )
        data = array.tobytes()
        seed, left, seeded, following = struct.unpack_from("<QiiQ", data)
        offset = struct.calcsize("<QiiQ")
        words = np.frombuffer(data, "<u8", _WORDS, offset).astype(np.uint32)
        _, normal, has_normal, _ = struct.unpack_from("<ddii", data, offset + 8 * _WORDS)
        self._seed = seed
        self.state.key[...] = words
        self.state.position = _WORDS if left == 1 else int(following)
        self.state.next_normal = normal if has_normal else None

    def clone_state(self) -> Generator:
        """Another generator that continues the same stream."""
        other = Generator()
        other._seed, other.state = self._seed, self.state.copy()
        return other

    def __reduce__(self) -> Any:
        return _rebuild_generator, (self._seed, self.state)

    def __repr__(self) -> str:
        return f"<torch.Generator device={self.device} seed={self._seed}>"


def _rebuild_generator(seed: int, state: RandomState) -> Generator:
    generator = Generator()
    generator._seed, generator.state = seed, state
    return generator


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Starts the default stream of `seed`: the same numbers as PyTorch's on the CPU.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Starts the default stream of a seed from the operating system, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default stream was started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Restores the state of the default generator."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **kwargs: Any) -> Iterator[None]:
    """Random numbers drawn inside do not move the stream outside."""
    state = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            default_generator.set_state(state)
