"""Gradients of leaves lie in memory as the leaves do: the strides that a program may rely on."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.autograd.twin import native
from rushlight.backends import kernels

ALIKE = (30, 5, 1)  # the strides of a contiguous (4, 6, 5)


def gradient(leaf: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    leaf = leaf.detach().requires_grad_()
    (leaf * 1).backward(grad)
    assert torch.equal(leaf.grad, grad)
    return leaf.grad


@pytest.mark.parametrize("fill", [torch.randn, lambda *shape: torch.randn(1).expand(shape)])
@pytest.mark.parametrize("reverse", [False, True])
def test_as_the_leaf_if_that_is_dense(fill: object, reverse: bool) -> None:
    grad = fill(5, 6, 4).permute(2, 1, 0) if reverse else fill(4, 6, 5)
    assert gradient(torch.randn(4, 6, 5), grad).stride() == ALIKE
    assert gradient(torch.randn(8, 6, 5)[2:6], grad).stride() == ALIKE
    assert gradient(torch.randn(6, 5, 4).permute(2, 0, 1), grad).stride() == (1, 20, 4)


@pytest.mark.parametrize("reverse", [False, True])
def test_contiguous_if_the_leaf_has_gaps_or_overlaps(reverse: bool) -> None:
    grad = torch.randn(5, 6, 4).permute(2, 1, 0) if reverse else torch.randn(4, 6, 5)
    assert gradient(torch.randn(4, 6, 10)[..., ::2], grad).stride() == ALIKE
    assert gradient(torch.randn(4, 1, 5).expand(4, 6, 5), grad).stride() == ALIKE


def test_weights_of_a_channels_last_network() -> None:
    conv = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    conv(torch.randn(2, 3, 5, 5)).sum().backward()
    assert conv.weight.grad.stride() == conv.weight.stride() == (27, 1, 9, 3)


def test_the_gradient_is_not_shared_with_the_one_given() -> None:
    leaf = torch.randn(3, 2).t().requires_grad_()
    given = torch.ones(3, 2).t()
    leaf.backward(given)
    leaf.grad.add_(1)
    assert given.tolist() == [[1.0] * 3] * 2


@pytest.mark.skipif(native is None, reason="in Python a Function's frame holds the gradient, too")
def test_a_gradient_that_lies_as_the_leaf_is_taken_not_copied() -> None:
    seen = []

    class Passes(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            result = grad * 2
            seen.append(result.data_ptr())
            return result

    leaf = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    Passes.apply(leaf).backward(torch.ones_like(leaf))
    assert leaf.grad.data_ptr() == seen[0] and leaf.grad.stride() == leaf.stride()


@pytest.mark.skipif(native is None, reason="in Python the rule's frame holds the gradient, too")
def test_the_gradient_of_a_weight_is_the_product_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, made = torch.nn.Linear(5, 3), []
    kind = type(kernels(layer.weight._array))
    matmul_left = kind.matmul_left

    def watched(self: Any, *args: Any) -> Any:
        result = matmul_left(self, *args)
        made.append(result.__array_interface__["data"][0])
        return result

    monkeypatch.setattr(kind, "matmul_left", watched)
    layer(torch.randn(4, 5)).sum().backward()
    assert made == [layer.weight.grad.data_ptr()]
    assert layer.weight.grad.is_contiguous()
