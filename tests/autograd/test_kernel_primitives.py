"""Primitives that name a kernel: their forward hands all arguments to it and does no more.

The compiled tape calls the kernel without running the forward, so the two must say the same.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

import rushlight as torch
from rushlight import ops
from rushlight.autograd.primitive import Primitive
from rushlight.backends import _KERNELS, register_kernels
from rushlight.nn import functional as F
from rushlight.ops.activation import _relu
from rushlight.ops.softmax import _softmax


def kernel_primitives() -> list[Primitive]:
    assert ops
    found = [x for x in gc.get_objects() if isinstance(x, Primitive) and x.kernel is not None]
    return sorted(found, key=lambda op: op.__name__)


class Probe:
    """Stands in for an array."""


class Recorder:
    """Stands in for the kernels: remembers which was called, and with what."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: (name, args)


@pytest.fixture
def recorder() -> Any:
    register_kernels(Probe, Recorder())  # type: ignore[arg-type]
    yield
    del _KERNELS[Probe]


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("op", kernel_primitives(), ids=lambda op: op.__name__)
def test_the_forward_is_the_kernel(op: Primitive) -> None:
    inputs = [Probe() for _ in op.input_names]
    attributes = {name: object() for name in op.keywords}
    assert op.forward(*inputs, **attributes) == (op.kernel, (*inputs, *attributes.values()))


def test_there_are_many() -> None:
    assert len(kernel_primitives()) > 50


def test_attributes_in_any_order_and_by_default() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    windows = {"padding": 1, "kernel_size": 2, "stride": 2, "ceil_mode": False}
    assert torch.equal(F.max_pool2d(x, **windows), F.max_pool2d(x, 2, 2, 1))
    assert _relu(x, out=None).tolist() == _relu(x).tolist()


def test_wrong_arguments_are_errors_of_the_forward() -> None:
    x = torch.ones(2, 2)
    with pytest.raises(TypeError, match=r"_softmax\(\) got an unexpected keyword argument 'dims'"):
        _softmax(x, dims=1)
    with pytest.raises(TypeError, match=r"_softmax\(\) missing 1 required keyword-only argument"):
        _softmax(x)
    with pytest.raises(TypeError, match=r"_softmax\(\) takes 1 positional argument but 2"):
        _softmax(x, x, dim=1)
    with pytest.raises(TypeError, match=r"_softmax\(\) missing 1 required positional argument"):
        _softmax(dim=1)


def test_names_that_are_not_interned() -> None:
    name = "".join(["d", "i", "m"])
    assert _softmax(torch.zeros(2, 2), **{name: 1}).tolist() == [[0.5, 0.5], [0.5, 0.5]]
