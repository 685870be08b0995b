"""Loaders, samplers and collating beside PyTorch's, under the same seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
import torch
import torch.utils.data as theirs

import rushlight
import rushlight.utils.data as ours

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SIDES: list[tuple[Any, Any]] = [(rushlight, ours), (torch, theirs)]


def plain(value: Any) -> Any:
    """Nested values with tensors as lists and their dtype's name."""
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        return (str(value.dtype).rpartition(".")[2], value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def on_both(run: Any) -> tuple[Any, Any]:
    results = []
    for library, data in SIDES:
        library.manual_seed(1234)
        results.append(plain(run(library, data)))
    return results[0], results[1]


SAMPLERS = {
    "random": lambda lib, d: [list(d.RandomSampler(range(50))) for _ in range(2)],
    "replacement": lambda lib, d: list(d.RandomSampler(range(9), True, 70)),
    "replacement 64": lambda lib, d: [
        list(d.RandomSampler(range(9), True, 64, generator=g))
        for g in [lib.Generator().manual_seed(3)] * 2
    ],
    "more than there are": lambda lib, d: list(d.RandomSampler(range(9), num_samples=20)),
    "kept generator": lambda lib, d: [
        list(d.RandomSampler(range(9), generator=g)) for g in [lib.Generator().manual_seed(3)] * 3
    ],
    "subset": lambda lib, d: list(d.SubsetRandomSampler([5, 3, 8])),
    "weighted": lambda lib, d: list(d.WeightedRandomSampler([0.1, 0.5, 0.4], 30)),
    "weighted once": lambda lib, d: list(d.WeightedRandomSampler([0.1, 0.5, 0.4], 3, False)),
    "distributed": lambda lib, d: [list(d.DistributedSampler(range(11), 3, r)) for r in range(3)],
    "distributed, fewer keys than ranks": lambda lib, d: [
        list(d.DistributedSampler(range(2), 5, r, drop_last=drop))
        for r in range(5)
        for drop in (False, True)
    ],
    "split": lambda lib, d: [list(p) for p in d.random_split(range(11), [0.3, 0.3, 0.4])],
    "split by counts": lambda lib, d: [list(p) for p in d.random_split(range(11), [4, 7])],
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name: str) -> None:
    got, expected = on_both(SAMPLERS[name])
    assert got == expected


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_two_epochs_and_what_is_drawn_after(shuffle: bool, workers: int) -> None:
    def run(library: Any, data: Any) -> Any:
        loader = data.DataLoader(range(23), 4, shuffle=shuffle, num_workers=workers)
        return [list(loader), list(loader), library.rand(3)]

    got, expected = on_both(run)
    assert got == expected


def draws_in_worker(data: Any, library: Any) -> Any:
    def collate(batch: Any) -> Any:
        info = data.get_worker_info()
        numbers = numpy.random.randint(1 << 31, size=3).tolist()
        return info.id, info.seed, library.rand(2), random.random(), numbers

    return collate


@pytest.mark.parametrize("persistent", [False, True])
def test_seeds_of_workers(persistent: bool) -> None:
    def run(library: Any, data: Any) -> Any:
        loader = data.DataLoader(
            range(8),
            num_workers=2,
            collate_fn=draws_in_worker(data, library),
            persistent_workers=persistent,
            multiprocessing_context="fork",
        )
        return [list(loader), list(loader)]

    got, expected = on_both(run)
    assert got == expected


@pytest.mark.parametrize("lengths", [(3, 0, 5), (0, 4, 4), (7, 1, 2)])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_order_of_streams(lengths: tuple[int, ...], batch_size: int | None) -> None:
    def run(library: Any, data: Any) -> Any:
        class Stream(data.IterableDataset):  # type: ignore[name-defined,misc]
            def __iter__(self) -> Iterator[int]:
                worker = data.get_worker_info().id
                return iter(range(10 * worker, 10 * worker + lengths[worker]))

        loader = data.DataLoader(
            Stream(), batch_size, num_workers=3, multiprocessing_context="fork"
        )
        return list(loader)

    got, expected = on_both(run)
    assert got == expected


BATCHES = {
    "ints": [1, 2],
    "bools": [True, False],
    "floats": [1.5, 2.5],
    "numpy scalars": [numpy.float32(1), numpy.float32(2)],
    "numpy bools": [numpy.bool_(True), numpy.bool_(False)],
    "arrays": [numpy.arange(3, dtype="i2"), numpy.arange(3, dtype="i2")],
    "text": ["a", "b"],
    "pairs": [(1, "a"), (2, "b")],
    "lists": [[1, 2.0], [3, 4.0]],
    "dicts": [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}],
}


@pytest.mark.parametrize("name", BATCHES)
def test_collating(name: str) -> None:
    got, expected = on_both(lambda library, data: data.default_collate(BATCHES[name]))
    assert got == expected
    got, expected = on_both(lambda library, data: data.default_convert(BATCHES[name]))
    assert got == expected


WRONG = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"persistent_workers": True},
    {"sampler": [0], "shuffle": True},
    {"batch_sampler": [[0]], "shuffle": True},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"batch_size": 1.5},
    {"num_workers": 1, "multiprocessing_context": 3},
    {"num_workers": 1, "multiprocessing_context": "x"},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_the_same_exception_classes(options: dict[str, Any]) -> None:
    raised = []
    for _, data in SIDES:
        with pytest.raises(Exception) as caught:
            data.DataLoader(range(3), **options)
        raised.append(caught.type)
    assert raised[0] is raised[1]


class Broken:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        raise KeyError("missing")


def test_the_same_report_of_a_failing_worker() -> None:
    first_lines = []
    for _, data in SIDES:
        with pytest.raises(KeyError) as caught:
            list(data.DataLoader(Broken(), num_workers=1))
        first_lines.append(str(caught.value).splitlines()[:2])
    assert first_lines[0] == first_lines[1]
