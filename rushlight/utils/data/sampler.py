"""Samplers: the order in which a loader visits its dataset.

The random ones take their numbers from the global generator or from one given, draw by draw as
PyTorch does, so the same seed gives the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Generic, TypeVar, cast

import rushlight
from rushlight import Generator

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)

_REPLACEMENT_CHUNK = 32  # PyTorch draws this many at a time; the stream depends on it


def draw_seed(generator: Generator | None = None) -> int:
    """One int64 `random_` draw, as loaders and samplers use it for seeds."""
    return int(rushlight.empty((), dtype=rushlight.int64).random_(generator=generator).item())


class Sampler(Generic[T_co]):
    """Base of samplers: subclasses write `__iter__`, which yields keys (or lists of keys)."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"[Sampler] subclasses must write __iter__; {type(self).__name__} does not"
        )


class SequentialSampler(Sampler[int]):
    """0, 1, …, len(data_source) − 1.

    >>> import rushlight as torch
    >>> list(torch.utils.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A permutation of the keys, or `num_samples` draws with replacement.

    Without `generator` every pass seeds a fresh one from one draw of the global generator. More
    samples than keys without replacement: several permutations follow each other. Raises TypeError
    for a `replacement` that is no bool and ValueError for `num_samples` that is no positive int.

    >>> import rushlight as torch
    >>> sorted(torch.utils.data.RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        count = self.num_samples
        if not isinstance(count, int) or count <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={count}"
            )

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        generator = self.generator
        if generator is None:
            generator = Generator()
            generator.manual_seed(draw_seed())
        if self.replacement:
            yield from self._draw_with_replacement(generator)
        else:
            yield from self._draw_permutations(generator)

    def _draw_with_replacement(self, generator: Generator) -> Iterator[int]:
        keys, left = len(self.data_source), self.num_samples
        while left >= 0:
            size = min(left, _REPLACEMENT_CHUNK)
            drawn = rushlight.randint(keys, (size,), dtype=rushlight.int64, generator=generator)
            yield from drawn.tolist()
            left -= _REPLACEMENT_CHUNK

    def _draw_permutations(self, generator: Generator) -> Iterator[int]:
        keys = len(self.data_source)
        rounds, rest = divmod(self.num_samples, keys)
        for _ in range(rounds):
            yield from rushlight.randperm(keys, generator=generator).tolist()
        # PyTorch draws a last permutation even where nothing of it is used; a generator that is
        # kept from pass to pass must therefore move on by as much here.
        yield from rushlight.randperm(keys, generator=generator).tolist()[:rest]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order, without replacement.

    >>> import rushlight as torch
    >>> sorted(torch.utils.data.SubsetRandomSampler([3, 5, 7]))
    [3, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in rushlight.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` keys drawn with probability proportional to `weights`.

    Raises ValueError for weights that are not 1-D, a `num_samples` that is no positive int or a
    `replacement` that is no bool.

    >>> import rushlight as torch
    >>> list(torch.utils.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_positive_int("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = rushlight.as_tensor(weights, dtype=rushlight.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = rushlight.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` keys from another sampler; `drop_last` leaves a short last list out.

    Raises ValueError for a `batch_size` that is no positive int or a `drop_last` that is no bool.

    >>> import rushlight as torch
    >>> list(torch.utils.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        _check_positive_int("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        keys = iter(self.sampler)
        while batch := list(itertools.islice(keys, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        keys = len(cast(Sized, self.sampler))
        full, rest = divmod(keys, self.batch_size)
        return full if self.drop_last or not rest else full + 1


def _check_positive_int(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")
