"""Datasets and the ways to combine, cut and split them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Letters(Dataset[str]):
    def __init__(self, text: str) -> None:
        self.text = text

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, index: int) -> str:
        return self.text[index]


class Count(IterableDataset[int]):
    def __init__(self, stop: int) -> None:
        self.stop = stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.stop))

    def __len__(self) -> int:
        return self.stop


def test_a_dataset_without_getitem_names_its_class() -> None:
    with pytest.raises(NotImplementedError, match="Incomplete"):
        type("Incomplete", (Dataset,), {})()[0]


def test_tensor_dataset_yields_rows() -> None:
    data = TensorDataset(torch.arange(6).reshape(3, 2), torch.tensor([7, 8, 9]))
    x, y = data[1]
    assert (x.tolist(), y.item(), len(data)) == ([2, 3], 8, 3)


def test_tensor_dataset_refuses_different_lengths() -> None:
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors.*\[3, 2\]"):
        TensorDataset(torch.zeros(3), torch.zeros(2))


def test_concat_counts_from_both_ends() -> None:
    both = Letters("abc") + Letters("") + Letters("de")
    assert [both[i] for i in range(len(both))] == list("abcde")
    assert (both[-1], both[-5]) == ("e", "a")
    with pytest.raises(ValueError, match="absolute value of index"):
        both[-6]


def test_concat_refuses_streams_and_nothing() -> None:
    with pytest.raises(AssertionError, match="IterableDataset"):
        ConcatDataset([Letters("a"), Count(1)])
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])


def test_chain_of_streams() -> None:
    chain = Count(2) + Count(3)
    assert list(chain) == [0, 1, 0, 1, 2]
    assert len(chain) == 5
    with pytest.raises(AssertionError, match="IterableDataset"):
        list(ChainDataset([Letters("a")]))


def test_stack_gives_tuples_or_dicts_one_by_one_and_many_at_once() -> None:
    by_place = StackDataset(Letters("abc"), range(3))
    by_name = StackDataset(letter=Letters("abc"), number=range(3))
    assert by_place[2] == ("c", 2)
    assert by_place.__getitems__([2, 0]) == [("c", 2), ("a", 0)]
    assert by_name.__getitems__([1]) == [{"letter": "b", "number": 1}]


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (("ab",), {"c": "ab"}), (("ab", "abc"), {})]
)
def test_stack_refuses(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="StackDataset"):
        StackDataset(*args, **kwargs)


class _OneOverridden(Subset[Any]):
    def __getitem__(self, idx: Any) -> Any:
        return -1


def test_subset_nests_and_asks_for_both_methods() -> None:
    inner = Subset(Letters("abcdef"), [5, 4, 3])
    outer = Subset(inner, [2, 0])
    assert outer.__getitems__([0, 1]) == ["d", "f"]
    with pytest.raises(NotImplementedError, match="__getitems__"):
        _OneOverridden(Letters("ab"), [0])


def test_random_split_by_counts_and_fractions() -> None:
    parts = random_split(range(10), [3, 7], generator=torch.Generator().manual_seed(1))
    assert sorted([*parts[0], *parts[1]]) == list(range(10))
    again = random_split(range(10), [3, 7], generator=torch.Generator().manual_seed(1))
    assert [list(part) for part in parts] == [list(part) for part in again]
    # what is left over goes to the first parts, one each
    assert [len(p) for p in random_split(range(11), [0.25, 0.25, 0.5])] == [3, 3, 5]


def test_random_split_refuses_and_warns() -> None:
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(range(10), [3, 3])
    with pytest.raises(ValueError, match="Fraction at index 0"):
        random_split(range(10), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(1), [0.5, 0.5])


def test_the_gather_of_tensor_rows_is_what_stacking_gives() -> None:
    x, y = torch.arange(24.0).reshape(6, 2, 2), torch.arange(6)
    data = TensorDataset(x, y)
    quick = list(DataLoader(data, batch_size=4))
    plain = list(DataLoader(Subset(data, range(6)), batch_size=4))
    for one, other in zip(quick, plain, strict=True):
        assert isinstance(one, list) and isinstance(other, list)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    quick[0][0].zero_()
    assert x.sum().item() == 276.0  # a batch never shares memory with the dataset
