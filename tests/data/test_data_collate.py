"""Collating: one batch out of a list of samples of any nesting."""

from __future__ import annotations

from collections import OrderedDict, UserList, namedtuple
from typing import Any

import numpy
import pytest

import rushlight as torch
from rushlight.utils.data import collate, default_collate, default_convert

Point = namedtuple("Point", ["x", "y"])


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [
        ([1, 2], torch.int64),
        ([True, False], torch.bool),
        ([1.0, 2.0], torch.float64),
        ([numpy.float32(1), numpy.float32(2)], torch.float32),
        ([numpy.int16(1), numpy.int16(2)], torch.int16),
        ([numpy.float64(1), numpy.float64(2)], torch.float64),
    ],
)
def test_numbers_keep_their_type(batch: Any, dtype: Any) -> None:
    result = default_collate(batch)
    assert (result.dtype, result.tolist()) == (dtype, [batch[0], batch[1]])


def test_tensors_and_arrays_are_stacked() -> None:
    assert default_collate([torch.ones(2), torch.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    arrays = default_collate([numpy.ones(2, "f4"), numpy.zeros(2, "f4")])
    assert arrays.dtype == torch.float32 and arrays.shape == (2, 2)
    with pytest.raises(RuntimeError):
        default_collate([torch.ones(2), torch.ones(3)])


def test_text_is_left_alone() -> None:
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a"]) == [b"a"]


def test_containers_are_walked_and_keep_their_type() -> None:
    result = default_collate([{"p": Point(1, 2), "t": (1, "a")}, {"p": Point(3, 4), "t": (2, "b")}])
    assert isinstance(result["p"], Point) and result["p"].y.tolist() == [2, 4]
    assert isinstance(result["t"], list) and result["t"][1] == ("a", "b")
    ordered = default_collate([OrderedDict(a=1), OrderedDict(a=2)])
    assert type(ordered) is OrderedDict
    users = default_collate([UserList([1, 2]), UserList([3, 4])])
    assert type(users) is UserList and users[0].tolist() == [1, 3]


def test_what_can_not_be_collated() -> None:
    with pytest.raises(TypeError, match="found.*object"):
        default_collate([object()])
    with pytest.raises(TypeError, match="found"):
        default_collate([numpy.array(["a"])])
    with pytest.raises(RuntimeError, match=r"equal size.*\[1, 2\]"):
        default_collate([[1], [1, 2]])


def test_a_map_of_ones_own() -> None:
    class Word:
        def __init__(self, text: str) -> None:
            self.text = text

    def join(batch: Any, *, collate_fn_map: Any = None) -> str:
        return "".join(word.text for word in batch)

    assert collate([(Word("a"),), (Word("b"),)], collate_fn_map={Word: join}) == ["ab"]


def test_convert_touches_arrays_only() -> None:
    result = default_convert({"a": numpy.ones(1), "b": [1, "x"], "c": (numpy.int32(3),)})
    assert result["a"].dtype == torch.float64
    assert result["b"] == [1, "x"]
    assert result["c"][0].dtype == torch.int32
    text = numpy.array(["a"])
    assert default_convert(text) is text
