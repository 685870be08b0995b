"""Channels-last programs: values and strides as PyTorch's, from the input to the gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import rushlight

MODULES: dict[str, Any] = {
    "conv": lambda nn: nn.Conv2d(8, 4, 3),
    "depthwise": lambda nn: nn.Conv2d(8, 8, 3, groups=8),
    "transposed": lambda nn: nn.ConvTranspose2d(8, 4, 3),
    "batch_norm": lambda nn: nn.BatchNorm2d(8),
    "batch_norm_eval": lambda nn: nn.BatchNorm2d(8).eval(),
    "group_norm": lambda nn: nn.GroupNorm(2, 8),
    "instance_norm": lambda nn: nn.InstanceNorm2d(8),
    "relu": lambda nn: nn.ReLU(),
    "gelu": lambda nn: nn.GELU(),
    "prelu": lambda nn: nn.PReLU(),
    "max_pool": lambda nn: nn.MaxPool2d(2),
    "avg_pool": lambda nn: nn.AvgPool2d(2),
    "global_pool": lambda nn: nn.AdaptiveAvgPool2d(1),
    "upsample": lambda nn: nn.Upsample(scale_factor=2),
    "bilinear": lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"),
    "pad": lambda nn: nn.ZeroPad2d(1),
    "softmax": lambda nn: nn.Softmax(1),
    "flatten": lambda nn: nn.Flatten(),
}


def run(library: Any, make: Any) -> dict[str, Any]:
    """Result, input gradient and parameters' gradients of a module on the same numbers."""
    library.manual_seed(0)
    module = make(library.nn).to(memory_format=library.channels_last)
    x = library.randn(2, 8, 6, 7).to(memory_format=library.channels_last).requires_grad_()
    y = module(x)
    grad = library.linspace(-1, 1, y.numel()).reshape(y.shape)
    if y.dim() == 4:
        grad = grad.to(memory_format=library.channels_last)
    y.backward(grad)
    gradients = {name: p.grad for name, p in module.named_parameters()}
    return {"y": y.detach(), "dx": x.grad, **gradients}


def steps(tensor: Any) -> list[int]:
    """The strides of the dims where there are several elements."""
    return [step for step, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1]


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    expected, result = run(torch, MODULES[name]), run(rushlight, MODULES[name])
    for key, tensor in expected.items():
        numbers = torch.from_numpy(result[key].contiguous().numpy())
        torch.testing.assert_close(numbers, tensor.contiguous(), rtol=1e-4, atol=1e-5)
        assert steps(result[key]) == steps(tensor), key
