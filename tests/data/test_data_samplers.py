"""Samplers: which keys, in which order, from which draws."""

from __future__ import annotations

from collections import Counter

import pytest

import rushlight as torch
from rushlight.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def test_sequential() -> None:
    assert list(SequentialSampler("abc")) == [0, 1, 2]


def test_random_is_a_permutation_that_the_seed_fixes() -> None:
    sampler = RandomSampler(range(100))
    torch.manual_seed(3)
    first, second = list(sampler), list(sampler)
    torch.manual_seed(3)
    assert list(sampler) == first != second
    assert sorted(first) == list(range(100))


# Recorded from PyTorch 2.13 under manual_seed(0).
def test_random_order_is_pytorchs() -> None:
    torch.manual_seed(0)
    assert list(RandomSampler(range(8))) == [2, 5, 4, 6, 1, 7, 0, 3]


def test_random_with_more_samples_than_keys_and_with_replacement() -> None:
    many = list(RandomSampler(range(3), num_samples=7))
    assert len(many) == 7 and sorted(many[:3]) == [0, 1, 2] == sorted(many[3:6])
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=70))
    assert len(drawn) == 70 and set(drawn) == {0, 1, 2}


def test_a_kept_generator_moves_on_two_permutations_per_pass() -> None:
    kept, reference = (torch.Generator().manual_seed(5) for _ in range(2))
    list(RandomSampler(range(6), generator=kept))
    torch.randperm(6, generator=reference)
    torch.randperm(6, generator=reference)
    assert torch.equal(kept.get_state(), reference.get_state())


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_random_refuses_counts(count: object) -> None:
    with pytest.raises(ValueError, match="num_samples should be a positive integer"):
        RandomSampler(range(3), num_samples=count)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="replacement"):
        RandomSampler(range(3), replacement=1)  # type: ignore[arg-type]


def test_random_refuses_an_empty_source() -> None:
    with pytest.raises(ValueError, match="num_samples=0"):
        RandomSampler([])


def test_subset_and_weighted() -> None:
    assert sorted(SubsetRandomSampler([4, 9, 2])) == [2, 4, 9]
    drawn = Counter(WeightedRandomSampler([0.0, 1.0, 3.0], 400))
    assert set(drawn) == {1, 2} and drawn[2] > drawn[1]
    assert sorted(WeightedRandomSampler([1.0, 1.0], 2, replacement=False)) == [0, 1]
    with pytest.raises(ValueError, match=r"1d sequence .*\(1, 2\)"):
        WeightedRandomSampler([[1.0, 2.0]], 2)  # type: ignore[list-item]


def test_batches() -> None:
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert (len(BatchSampler(range(5), 2, False)), len(BatchSampler(range(5), 2, True))) == (3, 2)
    with pytest.raises(ValueError, match="batch_size should be a positive integer"):
        BatchSampler(range(5), True, False)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_distributed_shares_are_equal_and_cover(size: int, drop_last: bool) -> None:
    shares = [
        list(DistributedSampler(range(size), 3, rank, seed=1, drop_last=drop_last))
        for rank in range(3)
    ]
    assert len({len(share) for share in shares}) == 1
    union = {key for share in shares for key in share}
    assert union == set(range(size)) if not drop_last else len(union) == size // 3 * 3


def test_distributed_epochs_differ_and_ranks_are_checked() -> None:
    sampler = DistributedSampler(range(50), 2, 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    with pytest.raises(ValueError, match=r"Invalid rank 2.*\[0, 1\]"):
        DistributedSampler(range(5), 2, 2)
