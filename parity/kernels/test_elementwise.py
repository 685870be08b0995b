"""Every elementwise kernel, native and reference, against real PyTorch, special values included."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from rushlight.backends import Kernels, kernels

REFERENCE = Kernels(np)
NATIVE = kernels(np.ones(1))
BACKENDS = {"reference": REFERENCE, "native": NATIVE}

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 7.0, 20.25, -20.25, 1e-3]
SPECIAL += [float("inf"), float("-inf"), float("nan"), 88.5, -100.0, 1e-30, 1e30]
FLOAT_UNARY = {
    "neg": 0, "abs": 0, "sign": 0, "exp": 1, "exp2": 1, "expm1": 1, "log": 1, "log1p": 1, "log2": 1,
    "log10": 1, "sqrt": 1, "rsqrt": 2, "square": 0, "reciprocal": 1, "sin": 1, "cos": 1, "tan": 2,
    "asin": 1, "acos": 1, "atan": 1, "sinh": 1, "cosh": 1, "tanh": 2, "asinh": 2, "acosh": 2,
    "atanh": 2, "sigmoid": 3, "relu": 0, "erf": 3, "erfc": 20, "erfinv": 8, "lgamma": 8,
    "digamma": 20, "floor": 0, "ceil": 0, "trunc": 0, "frac": 0, "round": 0, "isnan": 0, "isinf": 0,
    "isfinite": 0, "logical_not": 0,
}  # fmt: skip
FLOAT_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "floor_div": "floor_divide",
    "remainder": "remainder", "fmod": "fmod", "pow": "pow", "atan2": "atan2", "hypot": "hypot",
    "maximum": "maximum", "minimum": "minimum", "fmax": "fmax", "fmin": "fmin", "eq": "eq",
    "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "logical_and": "logical_and",
    "logical_or": "logical_or", "logical_xor": "logical_xor", "copysign": "copysign",
    "nextafter": "nextafter",
}  # fmt: skip
INTEGER_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "floor_div": "floor_divide", "remainder": "remainder",
    "fmod": "fmod", "maximum": "maximum", "minimum": "minimum", "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor", "gcd": "gcd", "lcm": "lcm",
    "eq": "eq", "lt": "lt", "ge": "ge",
}  # fmt: skip


def to_torch(array: Any) -> torch.Tensor:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def to_numpy(tensor: torch.Tensor) -> Any:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


# Near their zeros these are differences of larger numbers, in PyTorch as here.
CANCELLING = {"lgamma", "digamma"}


def assert_same(got: Any, want: Any, ulps: float, absolute: float = 0.0) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
        return
    step = float(ml_dtypes.finfo(got.dtype).eps)
    tiny = float(ml_dtypes.finfo(got.dtype).tiny)
    np.testing.assert_allclose(
        got.astype(np.float64),
        want.astype(np.float64),
        rtol=ulps * step,
        atol=2 * tiny + absolute * step,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FLOAT_UNARY)
def test_unary(name: str, dtype: Any, backend: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([SPECIAL, rng.normal(size=200) * 3, rng.uniform(-1, 1, 200)]).astype(dtype)
    got = getattr(BACKENDS[backend], name)(x)
    want = getattr(torch, name)(to_torch(x)).numpy()
    if name == "digamma":  # next to its poles an argument's last bit decides
        keep = np.abs(want) < 100
        got, want = got[keep], want[keep]
    assert_same(got, want, FLOAT_UNARY[name] + 1, absolute=50 if name in CANCELLING else 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FLOAT_BINARY)
def test_binary(name: str, dtype: Any, backend: str) -> None:
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    got = getattr(BACKENDS[backend], name)(x, y)
    want = getattr(torch, FLOAT_BINARY[name])(to_torch(x), to_torch(y)).numpy()
    if name in ("fmod", "remainder"):  # PyTorch's vector code gives NaN for huge quotients
        with np.errstate(all="ignore"):
            keep = ~(np.abs(x / y) > 1e9) | (y == 0)
        got, want = got[keep], want[keep]
    assert_same(got, want, 3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["add", "mul", "div", "maximum", "exp", "sigmoid", "relu", "tanh"])
def test_half_types_round_once(name: str, dtype: Any, backend: str) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=300).astype(dtype) for _ in range(2))
    arguments = (x, y) if name in FLOAT_BINARY else (x,)
    got = getattr(BACKENDS[backend], name)(*arguments)
    want = to_numpy(getattr(torch, name)(*map(to_torch, arguments)))
    assert_same(got, want, 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("name", INTEGER_BINARY)
def test_integers(name: str, dtype: Any, backend: str) -> None:
    rng = np.random.default_rng(2)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, 500, dtype=dtype, endpoint=True)
    y = rng.integers(info.min, info.max, 500, dtype=dtype, endpoint=True)
    if name in ("gcd", "lcm"):
        x, y = (rng.integers(0, 100, 500).astype(dtype) for _ in range(2))
    y[y == 0] = 3
    got = getattr(BACKENDS[backend], name)(x, y)
    want = getattr(torch, INTEGER_BINARY[name])(to_torch(x), to_torch(y)).numpy()
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64])
def test_shifts_powers_and_python_numbers(dtype: Any, backend: str) -> None:
    k = BACKENDS[backend]
    x = np.array([0, 1, 2, 3, 5, 7, 100, 127], dtype)
    shifts = np.array([0, 1, 2, 3, 4, 5, 6, 7], dtype)
    for name in ("left_shift", "right_shift"):
        want = getattr(torch, f"bitwise_{name}")(to_torch(x), to_torch(shifts)).numpy()
        np.testing.assert_array_equal(getattr(k, name)(x, shifts), want)
    np.testing.assert_array_equal(k.pow(x, 2), torch.pow(to_torch(x), 2).numpy())
    for number in (1, -1, 100):
        for name in ("add", "mul", "eq", "lt"):
            want = getattr(torch, name)(to_torch(x), number).numpy()
            np.testing.assert_array_equal(getattr(k, name)(x, number), want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rounding_to_decimals(backend: str) -> None:
    x = np.array([0.125, -0.125, 1.005, 2.5, 1234.567, 15.0, 25.0, -35.0], np.float32)
    for decimals in (-2, -1, 0, 1, 2, 3):
        want = torch.round(torch.from_numpy(x), decimals=decimals).numpy()
        np.testing.assert_allclose(BACKENDS[backend].round(x, decimals), want, rtol=2e-7)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (None, 0.5), (0.5, None), (1.0, -1.0)])
def test_clamp(bounds: tuple[float | None, float | None], backend: str) -> None:
    x = np.array(SPECIAL, np.float32)
    want = torch.clamp(torch.from_numpy(x), *bounds).numpy()
    np.testing.assert_array_equal(BACKENDS[backend].clamp(x, *bounds), want)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_gradients(dtype: Any, approximate: str, backend: str) -> None:
    k = BACKENDS[backend]
    rng = np.random.default_rng(3)
    x, grad = ((rng.normal(size=300) * 3).astype(dtype) for _ in range(2))
    functions = {
        "silu": (k.silu(x), k.silu_grad(grad, x), torch.nn.functional.silu),
        "gelu": (
            k.gelu(x, approximate),
            k.gelu_grad(grad, x, approximate),
            lambda t: torch.nn.functional.gelu(t, approximate=approximate),
        ),
        "relu": (k.relu(x), k.relu_grad(grad, k.relu(x)), torch.relu),
        "sigmoid": (k.sigmoid(x), k.sigmoid_grad(grad, k.sigmoid(x)), torch.sigmoid),
        "tanh": (k.tanh(x), k.tanh_grad(grad, k.tanh(x)), torch.tanh),
    }
    scale = 1e-6 if dtype == np.float32 else 1e-14
    for value, slope, function in functions.values():
        t = torch.from_numpy(x.copy()).requires_grad_()
        result = function(t)
        result.backward(torch.from_numpy(grad))
        np.testing.assert_allclose(value, result.detach().numpy(), rtol=10 * scale, atol=scale)
        np.testing.assert_allclose(slope, t.grad.numpy(), rtol=10 * scale, atol=5 * scale)


@pytest.mark.parametrize("source", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("target", [np.float16, np.float32, np.int32, np.int64, np.uint8, np.bool_])
def test_cast(source: Any, target: Any) -> None:
    x = np.array([0, 1, 2.7, 3.2, 100, 255, 0.3, 7]).astype(source)
    if np.dtype(source).kind == "f":
        x = np.concatenate([x, np.array([-1.5, -0.7, -3.0], source)])
    want = torch.from_numpy(x).to(getattr(torch, np.dtype(target).name)).numpy()
    np.testing.assert_array_equal(REFERENCE.cast(x, target), want)
