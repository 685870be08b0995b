"""How full backward hooks see a module's gradients.

Two identity nodes are put into the autograd graph, one behind the module's outputs and one before
its inputs. Backward meets the output node first (there `grad_output` is known) and the input node
last (there `grad_input` is known).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import rushlight
from rushlight import Tensor, autograd

Grads = tuple[Any, ...]


class BackwardHookFunction(autograd.Function):
    """The identity, whose backward passes the gradients through a function."""

    @staticmethod
    def forward(ctx: Any, on_backward: Callable[[Grads], Grads], *tensors: Tensor) -> Any:
        ctx.on_backward = on_backward
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.on_backward(grads))


class BackwardHookGate:
    """One call of one module: remembers `grad_output` until `grad_input` is there as well."""

    def __init__(self, module: Any, hooks: list[Any], pre_hooks: list[Any]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Grads | None = None
        self.input_count = 0
        self.input_positions: list[int] = []
        self.output_count = 0
        self.output_positions: list[int] = []

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns `args` with the input node in front of every tensor that needs a gradient."""
        self.input_count = len(args)
        self.input_positions, watched = _pass_through(self._on_input_grads, args)
        return watched

    def watch_outputs(self, result: Any) -> Any:
        """Returns the module's result with the output node behind it."""
        is_single = isinstance(result, Tensor)
        outputs = (result,) if is_single else result
        if not isinstance(outputs, (tuple, list)):
            return result
        self.output_count = len(outputs)
        self.output_positions, watched = _pass_through(self._on_output_grads, tuple(outputs))
        if is_single:
            return watched[0]
        if hasattr(outputs, "_fields"):
            return type(outputs)(*watched)
        return type(outputs)(watched)

    def _on_output_grads(self, grads: Grads) -> Grads:
        grad_outputs = _spread(grads, self.output_positions, self.output_count)
        for hook in self.pre_hooks:
            replaced = hook(self.module, grad_outputs)
            if replaced is not None:
                grad_outputs = _checked_grads(replaced, self.output_count, "grad_output")
        self.grad_outputs = grad_outputs
        if not self.input_positions:
            self._run_hooks_without_inputs(grad_outputs)
        return tuple(grad_outputs[position] for position in self.output_positions)

    def _run_hooks_without_inputs(self, grad_outputs: Grads) -> None:
        if not self.hooks:
            return
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            stacklevel=2,
        )
        grad_inputs = (None,) * self.input_count
        for hook in self.hooks:
            replaced = hook(self.module, grad_inputs, grad_outputs)
            if replaced is not None and any(grad is not None for grad in replaced):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _on_input_grads(self, grads: Grads) -> Grads:
        if self.grad_outputs is None:
            return grads  # the gradient of an inner tensor: it never passed the module's output
        grad_inputs = _spread(grads, self.input_positions, self.input_count)
        for hook in self.hooks:
            replaced = hook(self.module, grad_inputs, self.grad_outputs)
            if replaced is not None:
                grad_inputs = _checked_grads(replaced, self.input_count, "grad_input")
        self.grad_outputs = None
        return tuple(grad_inputs[position] for position in self.input_positions)


def _pass_through(
    on_backward: Callable[[Grads], Grads], values: tuple[Any, ...]
) -> tuple[list[int], tuple[Any, ...]]:
    """Puts one identity node around the tensors of `values` that need gradients."""
    positions = [
        index
        for index, value in enumerate(values)
        if isinstance(value, Tensor) and value.requires_grad
    ]
    if not positions or not rushlight.is_grad_enabled():
        return [], values
    tensors = BackwardHookFunction.apply(on_backward, *(values[index] for index in positions))
    watched = list(values)
    for index, tensor in zip(positions, tensors, strict=True):
        watched[index] = tensor
    return positions, tuple(watched)


def _spread(grads: Grads, positions: list[int], count: int) -> Grads:
    """Puts `grads` at their positions in a tuple of `count`, None elsewhere."""
    spread: list[Any] = [None] * count
    for position, grad in zip(positions, grads, strict=True):
        spread[position] = grad
    return tuple(spread)


def _checked_grads(replaced: Any, expected: int, kind: str) -> Grads:
    grads = replaced if isinstance(replaced, tuple) else (replaced,)
    if len(grads) != expected:
        raise RuntimeError(
            f"Backward hook returned an invalid number of {kind}, "
            f"got {len(grads)}, but expected {expected}"
        )
    return grads
