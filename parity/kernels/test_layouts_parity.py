"""Norms, softmax, elementwise operations of channels-last images: values and strides of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import rushlight

SHAPE = (3, 8, 5, 7)


def images(module: Any, seed: int) -> Any:
    values = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    image = module.from_numpy(values)
    return image.contiguous(memory_format=module.channels_last)


def functional(name: str, *arguments: Any, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda module, x: getattr(module.nn.functional, name)(x, *arguments, **options)


OPS: dict[str, Callable[[Any, Any], Any]] = {
    "batch_norm": functional("batch_norm", None, None, training=True),
    "group_norm": functional("group_norm", 4),
    "layer_norm": functional("layer_norm", (7,)),
    "softmax": functional("softmax", 1),
    "log_softmax": functional("log_softmax", 1),
    "relu": functional("relu"),
    "gelu": functional("gelu"),
    "add": lambda module, x: x + images(module, 1),
    "mean": lambda module, x: x.mean((2, 3)),
}


@pytest.mark.parametrize("name", OPS)
def test_channels_last(name: str) -> None:
    results = []
    for module in (torch, rushlight):
        x = images(module, 0).requires_grad_(True)
        out = OPS[name](module, x)
        (out * out).sum().backward()
        results.append((out.detach().numpy(), out.stride(), x.grad.contiguous().numpy()))
    (out, stride, grad), (got, got_stride, got_grad) = results
    assert got_stride == stride
    np.testing.assert_allclose(got, out, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got_grad, grad, rtol=1e-4, atol=1e-4)
