"""DataLoader in one process: batches, order, options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler


class Count(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


def lists(loader: Any) -> list[Any]:
    return [batch.tolist() for batch in loader]


def test_batches_and_lengths() -> None:
    loader = DataLoader(range(5), batch_size=2)
    assert lists(loader) == [[0, 1], [2, 3], [4]] and len(loader) == 3
    assert lists(DataLoader(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert lists(loader) == [[0, 1], [2, 3], [4]]  # a second pass


def test_without_batching() -> None:
    loader = DataLoader(range(3), batch_size=None)
    assert list(loader) == [0, 1, 2] and len(loader) == 3
    assert list(DataLoader(Count(), batch_size=None)) == [0, 1, 2, 3, 4]


def test_samplers_and_batch_samplers() -> None:
    assert list(DataLoader("abc", sampler=[2, 0], batch_size=2)) == [["c", "a"]]
    batches = BatchSampler(SequentialSampler("abc"), 2, False)
    loader = DataLoader("abc", batch_sampler=batches)
    assert list(loader) == [["a", "b"], ["c"]]
    assert loader.batch_size is None and loader.drop_last is False


def test_streams() -> None:
    assert lists(DataLoader(Count(), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Count(), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError):
        len(DataLoader(Count()))


def test_a_stream_longer_than_it_says() -> None:
    class Short(Count):
        def __len__(self) -> int:
            return 2

    loader = DataLoader(Short(), batch_size=None)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2"):
        list(loader)


# Recorded from PyTorch 2.13: two passes under manual_seed(7).
def test_shuffling_is_pytorchs() -> None:
    torch.manual_seed(7)
    loader = DataLoader(range(6), batch_size=3, shuffle=True)
    assert [lists(loader), lists(loader)] == [[[5, 1, 3], [0, 4, 2]], [[5, 3, 0], [2, 4, 1]]]


def test_every_pass_draws_a_base_seed_even_unshuffled() -> None:
    torch.manual_seed(1)
    list(DataLoader(range(3)))
    after = torch.rand(1).item()
    torch.manual_seed(1)
    torch.empty((), dtype=torch.int64).random_()
    assert torch.rand(1).item() == after


def test_generator_of_ones_own_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1).item()
    torch.manual_seed(1)
    loader = DataLoader(range(9), 9, shuffle=True, generator=torch.Generator().manual_seed(2))
    first = lists(loader)
    assert torch.rand(1).item() == expected
    again = DataLoader(range(9), 9, shuffle=True, generator=torch.Generator().manual_seed(2))
    assert lists(again) == first


REFUSED: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ValueError, "num_workers option", {"num_workers": -1}),
    (ValueError, "timeout option", {"timeout": -1}),
    (ValueError, "prefetch_factor option could only", {"prefetch_factor": 2}),
    (ValueError, "prefetch_factor option should be", {"prefetch_factor": -2, "num_workers": 1}),
    (ValueError, "persistent_workers", {"persistent_workers": True}),
    (ValueError, "sampler option is mutually exclusive", {"sampler": [0], "shuffle": True}),
    (ValueError, "batch_sampler option", {"batch_sampler": [[0]], "batch_size": 3}),
    (ValueError, "batch_sampler option", {"batch_sampler": [[0]], "drop_last": True}),
    (ValueError, "batch_size=None", {"batch_size": None, "drop_last": True}),
    (ValueError, "multi-process loading", {"multiprocessing_context": "spawn"}),
    (ValueError, "start method", {"multiprocessing_context": "x", "num_workers": 1}),
    (TypeError, "context", {"multiprocessing_context": 3, "num_workers": 1}),
    (ValueError, "batch_size should be", {"batch_size": 0}),
]


@pytest.mark.parametrize(("error", "message", "options"), REFUSED)
def test_options_that_exclude_each_other(
    error: type[Exception], message: str, options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        DataLoader(range(3), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_streams_have_their_own_order(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="IterableDataset: expected unspecified"):
        DataLoader(Count(), **options)


def test_fixed_attributes() -> None:
    loader = DataLoader(range(3))
    loader.num_workers = 0
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 4


def test_pinning_without_an_accelerator_warns() -> None:
    loader = DataLoader(range(2), pin_memory=True)
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here, so pinning needs no warning")
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert lists(loader) == [[0], [1]]


def test_an_error_in_the_dataset_is_raised_as_it_is() -> None:
    class Broken(list[int]):
        def __getitem__(self, index: Any) -> Any:
            raise OSError("disk gone")

    with pytest.raises(OSError, match="^disk gone$"):
        list(DataLoader(Broken([1])))


def test_the_module_is_reached_from_the_package() -> None:
    program = "import rushlight as torch; print(list(torch.utils.data.DataLoader('ab')))"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == "[['a'], ['b']]", run.stderr
