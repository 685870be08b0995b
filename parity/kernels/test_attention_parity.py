"""scaled_dot_product_attention against PyTorch's: values, gradients and second gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import rushlight

SHAPES = [(2, 3, 64, 64, 32, 32), (1, 2, 5, 7, 3, 4), (2, 1, 33, 600, 16, 9)]
MASKS = ["none", "causal", "bool", "float", "float with gradient"]


def leaves(library: Any, shape: Any, dtype: str) -> list[Any]:
    b, h, length, keys, e, ev = shape
    rng = np.random.default_rng(length)
    sizes = [(b, length, h, e), (b, keys, h, e), (b, keys, h, ev)]
    return [library.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in sizes]


def mask_of(library: Any, kind: str, shape: Any, dtype: str) -> Any:
    values = np.random.default_rng(9).normal(size=(shape[1], shape[2], shape[3]))
    if kind == "bool":
        return library.tensor(values > -0.5)
    if kind.startswith("float"):
        return library.tensor(values.astype(dtype), requires_grad="gradient" in kind)
    return None


def attend(library: Any, shape: Any, kind: str, dtype: str, **options: Any) -> Any:
    inputs = leaves(library, shape, dtype)
    mask = mask_of(library, kind, shape, dtype)
    heads = [t.transpose(1, 2) for t in inputs]
    out = library.nn.functional.scaled_dot_product_attention(
        *heads, attn_mask=mask, is_causal=kind == "causal", **options
    )
    return out, [*inputs, mask] if kind == "float with gradient" else inputs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients(shape: Any, kind: str, dtype: str) -> None:
    found = []
    for library in (torch, rushlight):
        out, inputs = attend(library, shape, kind, dtype)
        (out * out).sum().backward()
        found.append([out.detach().numpy(), *(t.grad.numpy() for t in inputs)])
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", MASKS[:4])
def test_second_gradients(kind: str) -> None:
    """PyTorch's fused kernel has none; its composed one is the measure."""
    found = []
    for library in (torch, rushlight):
        if library is torch:
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                out, inputs = attend(library, SHAPES[1], kind, "float32")
        else:
            out, inputs = attend(library, SHAPES[1], kind, "float32")
        first = library.autograd.grad((out * out).sum(), inputs, create_graph=True)
        second = library.autograd.grad(sum((g * g).sum() for g in first), inputs)
        found.append([t.detach().numpy() for t in (*first, *second)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-3, atol=2e-4)


def test_scale_and_grouped_heads() -> None:
    found = []
    for library in (torch, rushlight):
        q, k, v = (library.tensor(t.detach().numpy()) for t in leaves(torch, SHAPES[0], "float32"))
        q = library.cat([q, q], 2).transpose(1, 2)
        out = library.nn.functional.scaled_dot_product_attention(
            q, k.transpose(1, 2), v.transpose(1, 2), scale=0.5, enable_gqa=True
        )
        found.append(out.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_without_batch_and_node_name() -> None:
    found = []
    for library in (torch, rushlight):
        heads = [t[0].transpose(0, 1) for t in leaves(library, SHAPES[1], "float32")]
        found.append(library.nn.functional.scaled_dot_product_attention(*heads))
        out, _ = attend(library, SHAPES[0], "causal", "float32")
        assert out.grad_fn.name() == "ScaledDotProductFlashAttentionForCpuBackward0"
    np.testing.assert_allclose(found[1].detach().numpy(), found[0].detach().numpy(), atol=1e-5)
