"""Native elementwise kernels against the reference: sizes, layouts, special values, out=."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends import Kernels

SIZES = [
    0,
    1,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    47,
    48,
    49,
    63,
    64,
    65,
    1000,
    65535,
    65536,
    65537,
]
ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
FLOAT_ONLY = ["div", "relu_grad", "sigmoid_grad", "tanh_grad", "silu_grad", "gelu_grad"]
UNARY_ANY = ["neg", "abs", "sign", "square", "relu"]
UNARY_FLOAT = [
    "sqrt",
    "rsqrt",
    "reciprocal",
    "exp",
    "log",
    "tanh",
    "sigmoid",
    "silu",
    "gelu",
    "erf",
    "floor",
    "ceil",
    "trunc",
    "round",
    "frac",
]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.625, 89.0, -104.0, 1e-40, math.inf, -math.inf, math.nan]
FLOATS = [np.float32, np.float64]
NUMBERS = [np.float32, np.float64, np.int32, np.int64]


def numbers(n: int, dtype: Any, seed: int = 0) -> Any:
    """Random numbers with the special ones in front."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "i":
        return rng.integers(-1000, 1000, n).astype(dtype)
    values = rng.normal(size=n) * 4
    count = min(n, len(SPECIAL))
    values[:count] = rng.permutation(SPECIAL)[:count]
    return values.astype(dtype)


def order_in_memory(x: Any) -> list[int]:
    """The axes of more than one element, from the largest stride to the smallest."""
    return sorted((i for i, n in enumerate(x.shape) if n > 1), key=lambda i: -x.strides[i])


def assert_close(got: Any, want: Any, steps: float = 6) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    assert order_in_memory(got) == order_in_memory(want)
    if got.dtype.kind in "bi":
        np.testing.assert_array_equal(got, want)
    else:
        info = np.finfo(got.dtype)
        # Gradients cancel near their zeros; the numbers that go in are below 20.
        np.testing.assert_allclose(got, want, rtol=steps * info.eps, atol=40 * info.eps)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_binary_sizes(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x, y = numbers(n, dtype, 1), numbers(n, dtype, 2)
    names = ARITHMETIC + COMPARISONS + (FLOAT_ONLY if dtype in FLOATS else [])
    for name in names:
        assert_close(getattr(native, name)(x, y), getattr(reference, name)(x, y))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", NUMBERS)
def test_unary_sizes(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x = numbers(n, dtype)
    for name in UNARY_ANY + (UNARY_FLOAT if dtype in FLOATS else []):
        assert_close(getattr(native, name)(x), getattr(reference, name)(x))


def layouts(dtype: Any) -> dict[str, Any]:
    base = numbers(24 * 36, dtype).reshape(24, 36)
    shifted = np.zeros(24 * 36 * base.itemsize + 1, np.uint8)[1:]
    misaligned = shifted[: base.nbytes].view(dtype).reshape(24, 36)
    misaligned[...] = base
    return {
        "contiguous": base,
        "transposed": base.reshape(36, 24).T,
        "every other column": np.tile(base, 2)[:, ::2],
        "every other row": np.repeat(base, 2, axis=0)[::2],
        "reversed": base[::-1, ::-1],
        "broadcast row": np.broadcast_to(base[0], (24, 36)),
        "broadcast column": np.broadcast_to(base[:, :1], (24, 36)),
        "misaligned": misaligned,
        "swapped bytes": base.astype(np.dtype(dtype).newbyteorder()),
    }


@pytest.mark.parametrize("first", list(layouts(np.float32)))
@pytest.mark.parametrize("second", list(layouts(np.float32)))
def test_layouts(native: Kernels, reference: Kernels, first: str, second: str) -> None:
    x, y = layouts(np.float32)[first], layouts(np.float32)[second]
    plain_x, plain_y = np.array(x, np.float32, order="C"), np.array(y, np.float32, order="C")
    for name in ("add", "gt", "silu_grad"):
        got = getattr(native, name)(x, y)
        assert order_in_memory(got) == order_in_memory(getattr(reference, name)(x, y))
        np.testing.assert_allclose(
            got, getattr(native, name)(plain_x, plain_y), rtol=1e-5, atol=1e-6
        )
    for name in ("relu", "exp"):
        got = getattr(native, name)(x)
        np.testing.assert_allclose(got, getattr(native, name)(plain_x), rtol=1e-6)


@pytest.mark.parametrize(
    "shapes",
    [((), ()), ((3, 1), (1, 4)), ((2, 3, 4), (4,)), ((4,), (2, 3, 4)), ((1,), (5,)), ((0, 3), (3,)),
     ((5, 1, 2), (1, 3, 2)), ((2, 1, 3, 1), (4, 1, 5))],
)  # fmt: skip
def test_broadcasting(native: Kernels, reference: Kernels, shapes: Any) -> None:
    x, y = (numbers(math.prod(s), np.float32, i).reshape(s) for i, s in enumerate(shapes))
    for name in ARITHMETIC + COMPARISONS:
        assert_close(getattr(native, name)(x, y), getattr(reference, name)(x, y))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("number", [0, 2, -3, True])
def test_python_numbers(native: Kernels, reference: Kernels, dtype: Any, number: int) -> None:
    x = numbers(40, dtype)
    for name in ARITHMETIC + COMPARISONS:
        assert_close(getattr(native, name)(x, number), getattr(reference, name)(x, number))
    if dtype in FLOATS:
        for value in (0.5, 1e300, -math.inf, math.nan):
            assert_close(native.mul(x, value), reference.mul(x, value))


def test_integers_wrap_around(native: Kernels, reference: Kernels) -> None:
    for dtype in (np.int32, np.int64):
        x = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
        for k in (native, reference):
            np.testing.assert_array_equal(
                k.add(x, 1), [np.iinfo(dtype).min, np.iinfo(dtype).min + 1]
            )
            assert k.abs(x)[1] == np.iinfo(dtype).min
    for k in (native, reference):
        np.testing.assert_array_equal(k.add(np.array([1], np.uint8), -2), np.array([255], np.uint8))
        np.testing.assert_array_equal(
            k.add(np.array([1], np.int32), 2**40 + 1), np.array([2], np.int32)
        )


def test_out_is_filled_and_returned(native: Kernels, reference: Kernels) -> None:
    for k in (native, reference):
        x, y = numbers(100, np.float32, 1), numbers(100, np.float32, 2)
        out = np.empty(100, np.float32)
        assert k.add(x, y, out) is out
        np.testing.assert_array_equal(out, k.add(x, y))
        want = k.mul(x, y)
        assert k.mul(x, y, x) is x
        np.testing.assert_array_equal(x, want)
        strided = np.zeros((100, 2), np.float32)[:, 0]
        assert k.exp(y, strided) is strided
        np.testing.assert_array_equal(strided, k.exp(y))


def test_out_that_overlaps_an_operand(native: Kernels, reference: Kernels) -> None:
    for k in (native, reference):
        memory = np.arange(20, dtype=np.float32)
        k.add(memory[:-1], memory[:-1], memory[1:])
        np.testing.assert_array_equal(memory[1:], 2 * np.arange(19))
        memory = np.arange(20, dtype=np.float32)
        k.neg(memory, memory[::-1])
        np.testing.assert_array_equal(memory, -np.arange(20)[::-1])


def test_nan_is_never_lost(native: Kernels, reference: Kernels) -> None:
    nan, one = np.full(17, np.nan, np.float32), np.ones(17, np.float32)
    for k in (native, reference):
        for result in (
            k.maximum(nan, one), k.maximum(one, nan), k.minimum(nan, one), k.minimum(one, nan),
            k.relu(nan), k.clamp(nan, 0.0, 1.0), k.clamp(one, math.nan, 2.0), k.exp(nan),
            k.tanh(nan), k.sigmoid(nan), k.gelu(nan), k.sqrt(nan), k.log(nan), k.log(-one),
        ):  # fmt: skip
            assert np.isnan(result).all()


def test_limits(native: Kernels, reference: Kernels) -> None:
    x = np.array([-math.inf, math.inf, 0.0, -0.0], np.float32)
    for k in (native, reference):
        np.testing.assert_array_equal(k.exp(x), [0, math.inf, 1, 1])
        np.testing.assert_array_equal(k.sigmoid(x), [0, 1, 0.5, 0.5])
        np.testing.assert_array_equal(k.tanh(x), [-1, 1, 0, 0])
        np.testing.assert_array_equal(np.signbit(k.tanh(x)), [True, False, False, True])
        np.testing.assert_array_equal(k.log(np.abs(x))[:3], [math.inf, math.inf, -math.inf])
        np.testing.assert_array_equal(k.relu(x), [0, math.inf, 0, 0])
        np.testing.assert_array_equal(k.relu_grad(np.ones(4, np.float32), x), [0, 1, 0, 0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_rounding(native: Kernels, reference: Kernels, dtype: Any) -> None:
    """Halves, zeros of either sign, numbers without fractions, and what is none."""
    edges = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 4194303.5, 8388607.5, 2.0**52 - 0.5, 1e38]
    x = np.array([*edges, math.inf, math.nan], dtype)
    x = np.concatenate([x, -x])
    for name in ("floor", "ceil", "trunc", "round", "frac", "sign"):
        got, want = getattr(native, name)(x), getattr(reference, name)(x)
        np.testing.assert_array_equal(got, want)
        is_number = want == want
        np.testing.assert_array_equal(np.signbit(got[is_number]), np.signbit(want[is_number]))
    np.testing.assert_array_equal(native.round(x, 1), reference.round(x, 1))


def test_denormal_results(native: Kernels) -> None:
    x = np.array([-90.0, -100.0, -103.9], np.float32)
    np.testing.assert_allclose(native.exp(x), np.exp(x.astype(np.float64)), rtol=0, atol=1.5e-45)


@pytest.mark.parametrize("name", UNARY_FLOAT)
@pytest.mark.parametrize("dtype", FLOATS)
def test_accuracy(native: Kernels, reference: Kernels, name: str, dtype: Any) -> None:
    """Against double precision: 2.5 units in the last place, 6 for gelu."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.uniform(-20, 20, 20000), rng.normal(size=20000)]).astype(dtype)
    if name in ("sqrt", "rsqrt", "log"):
        x = np.abs(x)
    if name == "silu":
        x = x[x > -80]  # beyond, exp(-x) overflows, as in PyTorch
    exact = getattr(reference, name)(x.astype(np.float64))
    got = getattr(native, name)(x)
    error = np.abs(got - exact) / np.spacing(np.abs(exact.astype(dtype)))
    # The double-precision reference itself is off by some units where gelu's tail begins.
    if name == "gelu":
        x, error = x[x > -5], error[x > -5]
        assert error.max() <= (6 if dtype == np.float32 else 50)
    else:
        assert error.max() <= (2.6 if dtype == np.float32 else 4)


@pytest.mark.parametrize("n", [0, 1, 15, 17, 65536, 65537])
@pytest.mark.parametrize("dtype", FLOATS)
def test_add_scaled_and_clamp(native: Kernels, reference: Kernels, dtype: Any, n: int) -> None:
    x, y = numbers(n, dtype, 1), numbers(n, dtype, 2)
    y[~np.isfinite(y)] = 1
    assert_close(native.add_scaled(x, y, -0.5), reference.add_scaled(x, y, -0.5))
    target = x.copy()
    assert native.add_scaled(target, y, 0.1, target) is target
    for low, high in ((-1.0, 1.0), (None, 0.5), (0.5, None), (1.0, -1.0)):
        assert_close(native.clamp(x, low, high), reference.clamp(x, low, high))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.uint8, np.int16, np.bool_])
def test_other_types_reach_the_reference(native: Kernels, reference: Kernels, dtype: Any) -> None:
    x = np.arange(10).astype(dtype)
    np.testing.assert_array_equal(native.add(x, x), reference.add(x, x))
    assert native.add(x, x).dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_lie_as_their_operands(native: Kernels, reference: Kernels, dtype: Any) -> None:
    x, y = numbers(24 * 36, dtype).reshape(24, 36), numbers(24 * 36, dtype, 1).reshape(24, 36)
    images = numbers(2 * 3 * 4 * 5, dtype).reshape(2, 3, 4, 5)
    for k in (native, reference):
        assert k.add(x.T, y.T).T.flags.c_contiguous
        assert k.exp(x.T).T.flags.c_contiguous
        # The first operand that moves along both axes decides.
        assert k.add(x.T, y.reshape(36, 24)).T.flags.c_contiguous
        assert k.add(x.reshape(36, 24), y.T).flags.c_contiguous
        assert k.add(x[:1].T, y.T).T.flags.c_contiguous
        channels_last = images.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
        assert k.mul(channels_last, 2.0).strides == channels_last.strides
        assert k.add(x[:, ::2], y[:, ::2]).flags.c_contiguous


@pytest.mark.parametrize("offset", [0, 1])
def test_results_that_outgrow_the_cache(native: Kernels, offset: int) -> None:
    """32 MB and more are written past it, on most processors; also where they start askew."""
    n = (9 << 20) + 5
    x, y = (np.random.default_rng(seed).random(n, np.float32) for seed in (1, 2))
    out = np.empty(n + offset, np.float32)[offset:]
    np.testing.assert_array_equal(native.add(x, y, out), x + y)
    np.testing.assert_array_equal(native.mul(x, 3.0, out), x * np.float32(3))
    np.testing.assert_array_equal(native.relu(native.sub(x, y), out), np.maximum(x - y, 0))
    np.testing.assert_allclose(native.exp(x, out), np.exp(x), rtol=3e-7)
    before = out.copy()
    native.add(out, y, out)
    np.testing.assert_array_equal(out, before + y)
    half = out[: (n + 1) // 2]
    np.testing.assert_array_equal(native.sub(x[::2], y[::2], half), x[::2] - y[::2])
    np.testing.assert_array_equal(native.add(y[::2], half, half), y[::2] + (x[::2] - y[::2]))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34, 100])
def test_every_second_element(native: Kernels, reference: Kernels, n: int) -> None:
    """Also where nothing lies behind the last one."""
    for dtype in FLOATS:
        x, y = numbers(2 * n - 1, dtype, 1)[::2], numbers(2 * n, dtype, 2)[1::2]
        plain, one = numbers(n, dtype, 3), numbers(1, dtype, 4)
        for a, b in ((x, y), (x, plain), (plain, x), (one, x), (x, one)):
            for name in ("sub", "maximum", "relu_grad"):
                assert_close(getattr(native, name)(a, b), getattr(reference, name)(a, b))
        for name in ("neg", "abs", "relu", "square", "exp", "sigmoid", "floor"):
            assert_close(getattr(native, name)(x), getattr(reference, name)(x))
