"""The reference by itself: any namespace with NumPy's functions will do; no warning leaves it."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import rushlight.backends.reference as package
from rushlight.backends import Kernels, RandomState


class Namespace:
    """Not the numpy module, only its functions, as another array library would be."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(np, name)


def test_runs_on_another_namespace() -> None:
    namespace = Namespace()
    k = Kernels(namespace)
    x = np.array([[0.5, -1.0], [2.0, 3.0]])
    target = np.array([0, 1])
    assert k.erf(x).shape == k.gelu(x).shape == k.lgamma(x).shape == k.digamma(x).shape == (2, 2)
    assert k.sum(x).shape == k.logsumexp(x).shape == ()
    k.softmax_grad(x, k.softmax(x, 1), 1)
    loss, total = k.nll_loss(k.log_softmax(x, 1), target, None, -100, "mean")
    k.nll_loss_grad(loss, target, None, total, (2, 2), -100, "mean")
    _, mean, rstd = k.layer_norm(x, None, None, 1, 1e-5)
    k.layer_norm_grad(x, x, None, mean, rstd, 1, (True, True, True))
    k.embedding_grad(x, target, 3, -1)
    k.random_normal(RandomState.from_seed(0), (20,), np.float32)
    k.image_to_float(np.zeros((2, 2, 3), np.uint8))
    assert len(namespace.used) > 30


def test_numpy_is_imported_for_the_bit_generator_only() -> None:
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        imported = [
            alias.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import)
            for alias in node.names
        ]
        assert path.name == "random.py" or "numpy" not in imported, path.name


def test_no_warning_leaves_a_kernel(reference: Kernels) -> None:
    """pytest turns warnings into errors."""
    x = np.array([0.0, -1.0, np.inf, np.nan, 1e30], np.float32)
    for name in (
        "log",
        "sqrt",
        "exp",
        "reciprocal",
        "lgamma",
        "digamma",
        "erfinv",
        "acosh",
        "gelu",
    ):
        getattr(reference, name)(x)
    for name in ("div", "floor_div", "remainder", "fmod", "pow", "mul"):
        getattr(reference, name)(x, x[::-1])
        getattr(reference, name)(x, 0.0)
    reference.cast(x, np.uint8)
    reference.mean(np.zeros(0, np.float32))


@pytest.mark.parametrize(
    ("name", "function"),
    [("erf", math.erf), ("erfc", math.erfc), ("lgamma", math.lgamma)],
)
def test_special_functions(reference: Kernels, name: str, function: Any) -> None:
    x = np.concatenate([np.linspace(-4.97, 26, 3001), np.geomspace(1e-8, 20, 300)])
    want = np.array([function(v) for v in x.tolist()])
    np.testing.assert_allclose(getattr(reference, name)(x), want, rtol=1e-13, atol=2e-14)


def test_erfinv_inverts(reference: Kernels) -> None:
    y = np.linspace(-4, 4, 801)
    np.testing.assert_allclose(reference.erfinv(reference.erf(y[300:501])), y[300:501], atol=1e-14)
    tails = reference.erf(y)
    np.testing.assert_allclose(reference.erf(reference.erfinv(tails)), tails, rtol=1e-15)
    assert reference.erfinv(np.array([-1.0, 1.0])).tolist() == [-math.inf, math.inf]
    assert np.isnan(reference.erfinv(np.array([1.5]))).all()


def test_digamma(reference: Kernels) -> None:
    euler = 0.5772156649015329
    got = reference.digamma(np.array([1.0, 2.0, 0.5, -0.5]))
    want = [-euler, 1 - euler, -euler - 2 * math.log(2), 2 - euler - 2 * math.log(2)]
    np.testing.assert_allclose(got, want, rtol=1e-14)
    assert reference.digamma(np.array([0.0, -0.0])).tolist() == [-math.inf, math.inf]


def test_trigamma(reference: Kernels) -> None:
    catalan = 0.915965594177219015
    got = reference.trigamma(np.array([1.0, 2.0, 0.5, -0.5, 0.25]))
    pi2 = math.pi**2
    want = [pi2 / 6, pi2 / 6 - 1, pi2 / 2, pi2 / 2 + 4, pi2 + 8 * catalan]
    np.testing.assert_allclose(got, want, rtol=1e-14)
    assert reference.trigamma(np.array([0.0, -1.0])).tolist() == [math.inf, math.inf]


def test_signbit(reference: Kernels) -> None:
    x = np.array([-0.0, 0.0, -math.nan, -1.0, math.inf], np.float32)
    assert reference.signbit(x).tolist() == [True, False, True, True, False]
    assert reference.signbit(x.astype(ml_dtypes.bfloat16)).tolist() == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert reference.signbit(np.array([-3, 0, 3])).tolist() == [True, False, False]
    assert reference.signbit(np.array([True, False])).tolist() == [False, False]


def test_powers_of_ten_have_whole_logarithms(reference: Kernels) -> None:
    x = np.array([1e-3, 1, 10, 100, 1e5, 1e10], np.float32)
    assert reference.log10(x).tolist() == [-3, 0, 1, 2, 5, 10]


def test_division_conventions(reference: Kernels) -> None:
    x, y = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    assert reference.floor_div(x, y).tolist() == [3, -4, -4, 3]
    assert reference.trunc_div(x, y).tolist() == [3, -3, -3, 3]
    assert reference.remainder(x, y).tolist() == [1, 1, -1, -1]
    assert reference.fmod(x, y).tolist() == [1, -1, 1, -1]
    for name in ("floor_div", "trunc_div", "remainder", "fmod"):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            getattr(reference, name)(x, 0)
    assert reference.pow(np.array([2, 1, -1]), -1).tolist() == [0, 1, -1]


def test_cast(reference: Kernels) -> None:
    x = np.array([1.9, -1.9, 300.0])
    assert reference.cast(x, np.uint8).tolist() == [1, 255, 44]
    assert reference.cast(x, bool).tolist() == [True] * 3
    assert reference.cast(x, ml_dtypes.bfloat16).astype(float).tolist() == [
        1.8984375,
        -1.8984375,
        300,
    ]
    assert reference.cast(np.array([1 + 2j]), np.float32).tolist() == [1.0]


def test_shifts_out_of_range(reference: Kernels) -> None:
    x = np.array([-8, 8], np.int8)
    assert reference.left_shift(x, 8).tolist() == [0, 0]
    assert reference.right_shift(x, 100).tolist() == [-1, 0]
    assert reference.right_shift(np.array([200], np.uint8), 8).tolist() == [0]
