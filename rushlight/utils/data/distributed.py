"""`DistributedSampler`: every process of a group visits its own share of the dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any, cast

import rushlight
from rushlight import Generator

from .dataset import Dataset
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th key of one order shared by all processes, starting at `rank`.

    With `shuffle` the order is a permutation seeded by `seed + epoch`, so call `set_epoch` before
    each epoch. Shares are made equal by repeating keys from the start, or with `drop_last` by
    leaving keys out at the end. Raises ValueError for a rank outside 0 … num_replicas − 1;
    without the two numbers they are asked of `rushlight.distributed`.

    >>> import rushlight as torch
    >>> list(torch.utils.data.DistributedSampler("abcde", 2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(_process_group().get_world_size())
        if rank is None:
            rank = int(_process_group().get_rank())
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        keys = self._key_count()
        self.num_samples = keys // num_replicas if drop_last else math.ceil(keys / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def _key_count(self) -> int:
        return len(cast(Sized, self.dataset))

    def __iter__(self) -> Iterator[int]:
        keys = self._key_count()
        order = list(range(keys))
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = rushlight.randperm(keys, generator=generator).tolist()
        if not self.drop_last and order:
            order = order * math.ceil(self.total_size / keys)
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, on which the permutation of the next pass depends."""
        self.epoch = epoch


def _process_group() -> Any:
    distributed = getattr(rushlight, "distributed", None)
    if distributed is None or not distributed.is_available():
        raise RuntimeError(
            "[DistributedSampler] Requires distributed package to be available; "
            "give num_replicas and rank instead"
        )
    return distributed
