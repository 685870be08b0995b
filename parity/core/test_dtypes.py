"""Which dtype becomes which: promotion and casting of all pairs, as PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

import rushlight

NAMES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip
PAIRS = list(itertools.product(NAMES, NAMES))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_pairs(a: str, b: str) -> None:
    def answers(lib: Any) -> tuple[str, bool]:
        x, y = getattr(lib, a), getattr(lib, b)
        return str(lib.promote_types(x, y)), lib.can_cast(x, y)

    assert answers(rushlight) == answers(torch)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_results_stored_in_place(a: str, b: str) -> None:
    def stored(lib: Any) -> str:
        target = lib.ones(2, dtype=getattr(lib, a))
        try:
            target.mul_(lib.ones(2, dtype=getattr(lib, b)))
        except RuntimeError:
            return "refused"
        return str(target.dtype)

    assert stored(rushlight) == stored(torch)
