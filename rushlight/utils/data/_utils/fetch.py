"""Fetchers: from the keys of one batch to the collated batch, in the main process or a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import rushlight

from ..dataset import IterableDataset, TensorDataset
from .collate import default_collate

__all__ = ["make_fetcher"]

Fetcher = Callable[[Any], Any]


def make_fetcher(
    dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
) -> Fetcher:
    """A function from one batch's keys to the batch; it raises StopIteration at a stream's end.

    With `auto_collation` the keys are a list and the samples go to `collate_fn` as a list; without
    it a single key and a single sample.
    """
    if isinstance(dataset, IterableDataset):
        stream = iter(dataset)
        if not auto_collation:
            return lambda key: collate_fn(next(stream))
        return _StreamBatches(stream, collate_fn, drop_last)
    if not auto_collation:
        return lambda key: collate_fn(dataset[key])
    if type(dataset) is TensorDataset and collate_fn is default_collate:
        return _rows_of(dataset)
    fetch_many = getattr(dataset, "__getitems__", None)
    if fetch_many:
        return lambda keys: collate_fn(fetch_many(keys))
    return lambda keys: collate_fn([dataset[key] for key in keys])


class _StreamBatches:
    """Takes as many samples from a stream as there are keys; remembers when it has run dry."""

    def __init__(
        self, stream: Iterator[Any], collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.stream = stream
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def __call__(self, keys: list[Any]) -> Any:
        samples = [] if self.ended else self._take(len(keys))
        if not samples or (self.drop_last and len(samples) < len(keys)):
            raise StopIteration
        return self.collate_fn(samples)

    def _take(self, count: int) -> list[Any]:
        samples = []
        for _ in range(count):
            try:
                samples.append(next(self.stream))
            except StopIteration:
                self.ended = True
                break
        return samples


def _rows_of(dataset: TensorDataset) -> Fetcher:
    """Indexing rows one by one and stacking them is one gather per tensor."""

    def fetch(keys: list[Any]) -> list[Any]:
        rows = rushlight.tensor(keys, dtype=rushlight.int64)
        return [tensor[rows] for tensor in dataset.tensors]

    return fetch
