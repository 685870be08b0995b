"""In-place methods and `out=`: the kernel writes into the destination, however it lies."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import rushlight as torch

ONE = torch.tensor([0.75])
METHODS: dict[str, Any] = {
    "exp_": (), "log_": (), "sqrt_": (), "sigmoid_": (), "tanh_": (), "neg_": (), "abs_": (),
    "square_": (), "reciprocal_": (), "floor_": (), "round_": (), "sin_": (), "erf_": (),
    "clamp_": (0.5, 1.5), "clamp_min_": (1.0,), "pow_": (2,), "div_": (3.0,), "fmod_": (0.75,),
    "relu_": (), "logical_not_": (), "lt_": (1.0,), "nan_to_num_": (), "clamp_max_": (ONE,),
    "floor_divide_": (0.75,), "remainder_": (ONE,), "xlogy_": (ONE,), "atan2_": (ONE,),
    "hypot_": (ONE,), "copysign_": (-1.0,), "heaviside_": (ONE,), "nextafter_": (ONE,),
    "ldexp_": (ONE,), "deg2rad_": (), "rad2deg_": (), "expm1_": (), "log1p_": (),
}  # fmt: skip
DESTINATIONS = {
    "plain": lambda: torch.empty(37, 5),
    "transposed": lambda: torch.empty(5, 37).t(),
    "columns": lambda: torch.empty(37, 10)[:, 1::2],
    "rows": lambda: torch.empty(74, 5)[::2],
}


def numbers() -> torch.Tensor:
    return torch.linspace(0.1, 3, 185).reshape(37, 5)


@pytest.mark.parametrize("where", DESTINATIONS)
@pytest.mark.parametrize("name", METHODS)
def test_in_place(name: str, where: str) -> None:
    x = DESTINATIONS[where]().copy_(numbers())
    arguments, memory, version = METHODS[name], x.data_ptr(), x._version
    want = getattr(numbers(), name[:-1])(*arguments).float()
    assert getattr(x, name)(*arguments) is x
    assert x.data_ptr() == memory and x._version == version + 1
    torch.testing.assert_close(x, want, rtol=1e-6, atol=0)


@pytest.mark.parametrize("where", DESTINATIONS)
@pytest.mark.parametrize("name", ["exp", "neg", "floor", "sin", "maximum", "pow", "fmod", "gt"])
def test_out(name: str, where: str) -> None:
    x = numbers()
    operands = (x,) if name in ("exp", "neg", "floor", "sin") else (x, x.flip(0)[:1])
    want = getattr(torch, name)(*operands)
    out = DESTINATIONS[where]()
    out = out if name != "gt" else out > 0
    version = out._version
    assert getattr(torch, name)(*operands, out=out) is out
    assert out._version == version + 1 and torch.equal(out, want)


FUNCTIONS: dict[str, Any] = {
    "leaky_relu_": (), "elu_": (), "selu_": (), "celu_": (0.5,), "threshold_": (1.0, 0.0),
    "hardtanh_": (0.0, 1.0), "rrelu_": (),
}  # fmt: skip


@pytest.mark.parametrize("name", [*METHODS, *FUNCTIONS])
def test_needs_no_memory_of_its_own(name: str) -> None:
    x = torch.full((300, 1000), 1.5)
    function = getattr(torch.Tensor, name, None) or getattr(torch.nn.functional, name)
    arguments = METHODS.get(name, FUNCTIONS.get(name))
    native = pytest.importorskip("rushlight.backends._native")
    native.reset_peak_memory()
    before = native.memory_stats()["peak"]
    function(x, *arguments)
    if name not in ("logical_not_", "lt_"):  # these make bools first
        assert native.memory_stats()["peak"] - before < x.nbytes / 2


def test_rows_around_the_written_ones_stay() -> None:
    x = torch.ones(6, 4)
    x[1:5, 1:3].exp_()
    torch.neg(x[1:5, 1:3], out=x[1:5, 1:3])
    assert x.sum().item() == pytest.approx(16 - 8 * torch.ones(()).exp().item())


def test_integers_make_no_fractions() -> None:
    x = torch.tensor([1, 4])
    for name in ("exp_", "sqrt_", "sigmoid_", "div_", "pow_"):
        arguments = {"div_": (2,), "pow_": (0.5,)}.get(name, ())
        with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
            getattr(x, name)(*arguments)
    with pytest.raises(RuntimeError, match="Boolean inputs not supported for relu"):
        torch.tensor([True]).relu_()
    assert x.tolist() == [1, 4] and x.pow_(2).clamp_(2, 9).neg_().tolist() == [-2, -9]


def test_promotion_and_shape() -> None:
    x = torch.tensor([1.5, 2.5])
    assert torch.exp(torch.tensor([0, 0]), out=x).tolist() == [1.0, 1.0]
    double = torch.zeros(2, dtype=torch.float64)
    assert torch.neg(x, out=double).tolist() == [-1.0, -1.0]
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.exp(x, out=torch.zeros(2, dtype=torch.int64))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small = torch.zeros(3)
        torch.exp(x, out=small)
        torch.exp(x, out=torch.empty(0))
    assert small.shape == (2,)
    assert ["was resized" in str(w.message) for w in caught] == [True]
    assert caught[0].filename == __file__


def test_an_empty_out_takes_over_memory_that_nobody_else_holds() -> None:
    native = pytest.importorskip("rushlight.backends._native")
    x, out = torch.ones(300, 1000), torch.empty(0)
    native.reset_peak_memory()
    before = native.memory_stats()["peak"]
    torch.neg(x, out=out)
    assert native.memory_stats()["peak"] - before < 1.5 * x.nbytes
    assert out._version == 1 and torch.equal(out, -x)


def test_keywords() -> None:
    x = torch.tensor([0.14, 2.26])
    torch.testing.assert_close(x.round_(decimals=1), torch.tensor([0.1, 2.3]))
    assert x.clamp_(max=1).tolist() == pytest.approx([0.1, 1.0])
    assert x.div_(0.25, rounding_mode="floor").tolist() == [0.0, 4.0]
    assert x.pow_(exponent=2).tolist() == [0.0, 16.0]
    with pytest.raises(TypeError):
        x.exp_(base=2)
    with pytest.raises(RuntimeError, match="At least one of 'min' or 'max'"):
        x.clamp_()


@pytest.mark.parametrize("name", METHODS)
def test_a_leaf_may_not_be_changed(name: str) -> None:
    if name in ("logical_not_", "lt_"):
        return
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(x, name)(*METHODS[name])
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        torch.exp(torch.ones(2), out=x)
    assert x.tolist() == [1.0, 1.0] and x._version == 0
    with torch.no_grad():
        getattr(x, name)(*METHODS[name])
        assert torch.exp(torch.zeros(2), out=x) is x
    assert x.tolist() == [1.0, 1.0] and x._version == 2


@pytest.mark.parametrize("name", ["exp_", "log_", "sigmoid_", "square_", "div_", "pow_", "clamp_"])
def test_gradients(name: str) -> None:
    grads = []
    for change in (name, name[:-1]):
        x = torch.tensor([0.25, 1.0, 4.0], requires_grad=True)
        y = x * 1
        memory = y.data_ptr()
        z = getattr(y, change)(*METHODS[name])
        assert (z.data_ptr() == memory) == change.endswith("_")
        (z * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        grads.append(x.grad)
    assert torch.equal(*grads)


def test_what_was_kept_notices() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 1
    kept = y * y
    y.detach().exp_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*exp_"):
        kept.sum().backward()
