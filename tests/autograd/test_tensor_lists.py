"""Lists of tensors as optimizers hand them on."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight.autograd.variable import arrays_of, dtypes_of, with_gradient


def test_those_with_a_gradient_in_their_order() -> None:
    a, b, c = (torch.ones(n, requires_grad=True) for n in (1, 2, 3))
    a.grad, c.grad = torch.zeros(1), torch.zeros(3)
    chosen, grads = with_gradient((a, b, c))
    assert [x is y for x, y in zip(chosen, (a, c), strict=True)] == [True, True]
    assert [x is y for x, y in zip(grads, (a.grad, c.grad), strict=True)] == [True, True]
    assert with_gradient([]) == ([], [])


def test_a_result_has_none_and_says_so() -> None:
    result = torch.ones(1, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="not a leaf"):
        assert with_gradient([result]) == ([], [])


def test_arrays() -> None:
    x, y = torch.ones(2), torch.zeros(3)
    assert [a is b._array for a, b in zip(arrays_of([x, y]), (x, y), strict=True)] == [True, True]
    with pytest.raises((TypeError, AttributeError)):
        arrays_of([x, 1])


def test_dtypes() -> None:
    tensors = [torch.ones(1), torch.ones(1, dtype=torch.float64), torch.ones(2)]
    assert dtypes_of(tensors) == {torch.float32, torch.float64}
    assert dtypes_of([torch.ones(1, dtype=torch.bfloat16)]) == {torch.bfloat16}
    assert dtypes_of(()) == set()
