"""In-place methods and `out=` of elementwise functions: values and errors are PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch as reference

import rushlight

UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal tanh sigmoid sin cos tan "
    "asin acos atan sinh cosh asinh acosh atanh erf erfc neg abs sign sgn floor ceil trunc round "
    "frac logical_not bitwise_not"
).split()
BINARY = (
    "add sub mul div maximum minimum fmax fmin pow remainder fmod atan2 hypot eq ne lt le gt ge "
    "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor floor_divide"
).split()
DTYPES = ["float32", "float64", "float16", "bfloat16", "int32", "int64", "uint8", "bool"]
VALUES = np.array([[0.5, -1.5, 2.0, -0.0], [3.0, 0.25, -2.5, 1.0], [0.75, 1.0, -1.0, 4.0]])


def operand(torch: Any, dtype: str, shift: int = 0) -> Any:
    values = np.roll(VALUES, shift)
    values = values if dtype[0] in "fb" and dtype != "bool" else np.abs(values)
    return torch.from_numpy(values.copy()).to(getattr(torch, dtype))


def operands_for(name: str, dtype: str) -> list[Any]:
    """Kinds of second operands; numbers only where PyTorch takes them."""
    tensors = ["tensor", "row"]
    if name == "hypot" and "float" not in dtype:
        return tensors
    numbers = [] if name in ("fmax", "fmin", "maximum", "minimum", "atan2", "hypot") else [2, 1.5]
    return [*tensors, "float64", *numbers]


def targets(torch: Any, dtype: str, like: Any) -> dict[str, Any]:
    """Tensors of like's shape that lie in every way, and some of other shapes."""
    kind = getattr(torch, dtype)
    rows, columns = like.shape
    return {
        "plain": torch.zeros(rows, columns, dtype=kind),
        "transposed": torch.zeros(columns, rows, dtype=kind).t(),
        "columns": torch.zeros(rows, 2 * columns, dtype=kind)[:, ::2],
        "itself": like,
        "empty": torch.empty(0, dtype=kind),
        "larger": torch.zeros(2 * rows, columns, dtype=kind),
        "expanded": torch.zeros(1, columns, dtype=kind).expand(rows, columns),
    }


def described(result: Any) -> Any:
    values = result.double().numpy()
    return values, str(result.dtype).rsplit(".", 1)[-1], tuple(result.shape)


def outcome(function: Any) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function()
        except (RuntimeError, TypeError):
            return "error"
    warned = [w for w in caught if "was resized" in str(w.message)]
    assert all(w.filename == __file__ for w in warned)
    return (*described(result), bool(warned))


STEPS = {"float16": 2e-3, "bfloat16": 2e-2}


def assert_alike(ours: Any, theirs: Any, where: Any) -> None:
    """Of PyTorch's refusals to convert, some are not rushlight's."""
    if theirs == "error" and (ours == "error" or len(set(where) & set(DTYPES)) > 1):
        return
    assert ours != "error" and theirs != "error", (where, ours, theirs)
    assert ours[1:] == theirs[1:], where
    steps = max(STEPS.get(dtype, 3e-6) for dtype in (ours[1], where[1]))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=steps, atol=steps, err_msg=str(where))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary_out(name: str, dtype: str) -> None:
    for out_dtype in [d for d in DTYPES if d != "uint8" or d == dtype]:
        for target in targets(reference, out_dtype, operand(reference, dtype)):
            results = []
            for torch in (rushlight, reference):
                x = operand(torch, dtype)
                out = targets(torch, out_dtype, x)[target]
                f = getattr(torch, name)
                results.append(outcome(lambda f=f, x=x, out=out: f(x, out=out)))
            assert_alike(*results, (name, dtype, out_dtype, target))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary_out(name: str, dtype: str) -> None:
    for out_dtype in ("float32", "float64", "int64", "bool", dtype):
        for target in targets(reference, out_dtype, operand(reference, dtype)):
            for other in operands_for(name, dtype):
                results = []
                for torch in (rushlight, reference):
                    x, y = operand(torch, dtype), operand(torch, dtype, 1)
                    y = {"tensor": y, "row": y[0], "float64": y.double()}.get(other, other)
                    out = targets(torch, out_dtype, x)[target]
                    f = getattr(torch, name)
                    results.append(outcome(lambda f=f, x=x, y=y, out=out: f(x, y, out=out)))
                assert_alike(*results, (name, dtype, out_dtype, target, other))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY + BINARY + ["clamp", "hardtanh", "relu", "silu"])
def test_in_place(name: str, dtype: str) -> None:
    kinds: Any = operands_for(name, dtype) if name in BINARY else [None]
    if name == "clamp":
        kinds = [(0, 1), (None, 0.5), (0.5, None), (0.25, 2)]
    if name == "hardtanh" and dtype in ("bool", "uint8"):
        return  # rushlight takes them
    for target in ("plain", "transposed", "columns", "expanded"):
        for other in kinds:
            results = []
            for torch in (rushlight, reference):
                x = targets(torch, dtype, operand(torch, dtype))[target]
                if target != "expanded":
                    x.copy_(operand(torch, dtype))
                y = operand(torch, dtype, 1)
                y = {"tensor": y, "row": y[0], "float64": y.double()}.get(other, other)
                results.append(outcome(lambda torch=torch, x=x, y=y: change(torch, name, x, y)))
            assert_alike(*results, (name, dtype, target, other))


def change(torch: Any, name: str, x: Any, y: Any) -> Any:
    if name in ("hardtanh", "relu", "silu"):
        return getattr(torch.nn.functional, name)(x, inplace=True)
    if name not in UNARY + BINARY:
        return getattr(x, name + "_")(*y)
    method = getattr(x, name + "_", None)
    if method is None:
        raise TypeError(name)
    before, version = x.data_ptr(), x._version
    result = method() if y is None else method(y)
    assert result is x and x.data_ptr() == before and x._version == version + 1
    return result


LEAVES = ["exp_", "log_", "relu_", "neg_", "sigmoid_", "clamp_", "floor_", "pow_", "div_", "erf_"]


@pytest.mark.parametrize("name", LEAVES)
def test_leaves_and_graphs(name: str) -> None:
    arguments = {"clamp_": (0.0, 1.0), "pow_": (2,), "div_": (3.0,)}.get(name, ())
    grads = []
    for torch in (rushlight, reference):
        x = torch.tensor([0.5, 1.5, 2.5], requires_grad=True)
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            getattr(x, name)(*arguments)
        assert x.tolist() == [0.5, 1.5, 2.5]
        whole = x * 1
        getattr(whole[1:], name)(*arguments)
        (whole * 3).sum().backward()
        getattr(x * 2, name)(*arguments).sum().backward()
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            torch.exp(x, out=torch.empty(3))
        with torch.no_grad():
            getattr(x, name)(*arguments)
        grads.append((x.grad.numpy(), x.detach().numpy()))
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-5, atol=1e-7)
