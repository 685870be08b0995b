"""One function for all: the same module in both libraries, same seed, same inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import rushlight


def to_rushlight(value: Any) -> Any:
    """A torch tensor (or a nest of them) as rushlight's, through NumPy."""
    if isinstance(value, torch.Tensor):
        tensor = rushlight.tensor(value.detach().numpy())
        return tensor.requires_grad_(value.requires_grad) if value.requires_grad else tensor
    if isinstance(value, (tuple, list)):
        return type(value)(to_rushlight(entry) for entry in value)
    return value


def tensors_in(value: Any) -> list[Any]:
    """The tensors of a nested result, in order; packed sequences count by their fields."""
    if isinstance(value, (tuple, list)):
        return [tensor for entry in value for tensor in tensors_in(entry)]
    return [value] if hasattr(value, "detach") else []


def assert_close(
    own: Any, expected: Any, what: str, rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    assert tuple(own.shape) == tuple(expected.shape), what
    own_array, expected_array = own.detach().numpy(), expected.detach().numpy()
    assert own_array.dtype == expected_array.dtype, what
    np.testing.assert_allclose(own_array, expected_array, rtol=rtol, atol=atol, err_msg=what)


def make_both(make: Any, seed: int = 0) -> tuple[Any, Any]:
    """`make(library)` under the same seed in both libraries; checks repr, names and values."""
    torch.manual_seed(seed)
    expected = make(torch)
    rushlight.manual_seed(seed)
    own = make(rushlight)
    assert repr(own) == repr(expected)
    expected_state, own_state = expected.state_dict(), own.state_dict()
    assert list(own_state) == list(expected_state)
    assert own_state._metadata == expected_state._metadata
    for name, value in expected_state.items():
        assert_close(own_state[name], value, f"initial {name}", rtol=1e-6, atol=1e-7)
    return own, expected


def compare(
    make: Any,
    inputs: tuple[Any, ...],
    *,
    train: bool = True,
    backward: bool = True,
    with_grad: int = 99,
) -> None:
    """Forward and backward of the module that `make(library)` returns.

    The first `with_grad` inputs, if they are floating-point tensors, require gradients.
    """
    own, expected = make_both(make)
    own.train(train)
    expected.train(train)
    torch_inputs = tuple(
        x.clone().requires_grad_()
        if index < with_grad and isinstance(x, torch.Tensor) and x.is_floating_point()
        else x
        for index, x in enumerate(inputs)
    )
    own_inputs = to_rushlight(torch_inputs)
    torch.manual_seed(1)
    expected_out = tensors_in(expected(*torch_inputs))
    rushlight.manual_seed(1)
    own_out = tensors_in(own(*own_inputs))
    assert len(own_out) == len(expected_out)
    for mine, theirs in zip(own_out, expected_out, strict=True):
        assert_close(mine, theirs, "output")
    if not backward:
        return
    for outs in (own_out, expected_out):
        # Squares, so that the gradients of sums that normalise to a constant do not vanish.
        total = sum((x * x).sum() for x in outs if x.is_floating_point())
        total.backward()
    _compare_gradients(own, expected, own_inputs, torch_inputs)


def _compare_gradients(own: Any, expected: Any, own_inputs: Any, torch_inputs: Any) -> None:
    for index, (mine, theirs) in enumerate(zip(own_inputs, torch_inputs, strict=True)):
        if isinstance(theirs, torch.Tensor) and theirs.grad is not None:
            assert_close(mine.grad, theirs.grad, f"gradient of input {index}", 1e-3, 1e-4)
    theirs_named = dict(expected.named_parameters())
    for name, param in own.named_parameters():
        if theirs_named[name].grad is None:
            assert param.grad is None, name
        else:
            assert_close(param.grad, theirs_named[name].grad, f"gradient of {name}", 1e-3, 1e-4)
    theirs_buffers = dict(expected.named_buffers())
    for name, buffer in own.named_buffers():
        assert_close(buffer, theirs_buffers[name], f"buffer {name}")
