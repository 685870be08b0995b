"""Images, stacks, copies, embeddings: native against reference and against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.backends import Kernels

DTYPES = [np.bool_, np.uint8, np.float16, np.int32, np.float32, np.float64, np.complex128]


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (5, 7, 3), (4, 4, 1), (3, 5, 4), (300, 300, 3), (0, 4, 3)]
)
def test_image_to_float(native: Kernels, reference: Kernels, shape: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    got, want = native.image_to_float(pixels), reference.image_to_float(pixels)
    assert got.dtype == np.float32 and got.shape == (shape[2], *shape[:2])
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(native.image_to_float(pixels[:, ::-1]), want[:, :, ::-1])


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 3, 8, 9), (3, 300, 300), (2, 0, 3, 4, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize(native: Kernels, reference: Kernels, dtype: Any, shape: Any) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.25, 2.0])
    want = reference.normalize(x, mean, std)
    np.testing.assert_array_equal(native.normalize(x, mean, std), want)
    assert native.normalize(x, mean, std, x) is x
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (70, 80), (0, 2)])
@pytest.mark.parametrize("count", [1, 2, 65])
def test_stack(native: Kernels, reference: Kernels, count: int, shape: Any, dtype: Any) -> None:
    arrays = [(np.ones(shape) * i).astype(dtype) for i in range(count)]
    got = native.stack(arrays)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.stack(arrays))
    np.testing.assert_array_equal(reference.stack(arrays), np.stack(arrays))
    if len(shape) == 2:
        turned = [a.T for a in arrays]
        np.testing.assert_array_equal(native.stack(turned), np.stack(turned))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(15, 17), (16, 16), (33, 31), (2, 3, 40, 50)])
def test_copy(native: Kernels, reference: Kernels, shape: Any, dtype: Any) -> None:
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    axes = list(range(len(shape)))
    views = [x, x.T, x[::2], x[..., ::-1], x.transpose(axes[1:] + axes[:1]), x.swapaxes(-1, -2),
             np.broadcast_to(x[..., :1], shape), x[1:, 1:]]  # fmt: skip
    for k in (native, reference):
        for view in views:
            copy = k.copy(view)
            assert copy.flags.c_contiguous and copy.dtype == dtype and not np.shares_memory(copy, x)
            np.testing.assert_array_equal(copy, view)


def test_embedding(native: Kernels, reference: Kernels) -> None:
    rng = np.random.default_rng(2)
    for dtype in (np.float32, np.float64, np.float16):
        table = rng.normal(size=(11, 5)).astype(dtype)
        for shape in [(), (4,), (3, 6), (0,)]:
            indices = np.asarray(rng.integers(0, 11, shape))
            grad = rng.normal(size=(*shape, 5)).astype(dtype)
            for k in (native, reference):
                np.testing.assert_array_equal(k.embedding(table, indices), table[indices])
            for padding in (-1, 3):
                got = native.embedding_grad(grad, indices, 11, padding)
                want = reference.embedding_grad(grad, indices, 11, padding)
                assert got.dtype == dtype and got.shape == (11, 5)
                np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wrong", [-1, 11])
def test_embedding_refuses_numbers_that_name_no_row(
    native: Kernels, reference: Kernels, wrong: int
) -> None:
    for k in (native, reference):
        with pytest.raises(IndexError, match="index out of range"):
            k.embedding(np.zeros((11, 2), np.float32), np.array([0, wrong]))
