"""Automatic differentiation: the tape, the backward pass, and user-defined functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends import kernels
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .engine import run_backward
from .function import Function, FunctionCtx, once_differentiable
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)  # fmt: skip
from .node import Node
from .variable import TensorBase, wrap

__all__ = [
    "Function", "FunctionCtx", "Node", "backward", "detect_anomaly", "enable_grad", "grad",
    "inference_mode", "is_anomaly_enabled", "is_grad_enabled",
    "is_inference_mode_enabled", "no_grad", "once_differentiable", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False, inputs: Any = None) -> None:  # fmt: skip
    """Adds to the `.grad` of the leaves behind `tensors` the gradient of their sum.

    `grad_tensors` are the gradients of `tensors` themselves (1 for a scalar unless given). With
    `create_graph` the pass is itself recorded; with `inputs` only these get a gradient.
    RuntimeError if a tensor is in no graph, or is no scalar and has no gradient given.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> torch.autograd.backward((x * 3).sum()); x.grad
    tensor([3., 3.])
    """
    roots = _as_tuple(tensors)
    grads = _root_gradients(roots, grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else _as_tuple(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    run_backward(roots, grads, keep_graph=keep, create_graph=create_graph, inputs=wanted)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> Any:  # fmt: skip
    """The gradients of `outputs` (their sum) with respect to `inputs`, as a tuple.

    RuntimeError for an input that the outputs do not depend on, unless `allow_unused` (its
    gradient is None) or `materialize_grads` (zeros).

    >>> import rushlight as torch
    >>> x = torch.tensor(3., requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    roots, wanted = _as_tuple(outputs), _as_tuple(inputs)
    if is_grads_batched:
        raise NotImplementedError(
            "[grad] is_grads_batched needs vmap, which rushlight does not "
            "have yet; call grad once per gradient"
        )
    for tensor in wanted:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    grads = _root_gradients(roots, grad_outputs, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = run_backward(roots, grads, keep_graph=keep, create_graph=create_graph, inputs=wanted,
                         accumulate=False)  # fmt: skip
    unused_allowed = materialize_grads if allow_unused is None else allow_unused
    if not unused_allowed and any(g is None for g in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set "
            "allow_unused=True if this is the desired behavior."
        )
    if materialize_grads:
        found = [x.new_zeros(x.shape) if g is None else g for g, x in zip(found, wanted)]
    return tuple(found)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, TensorBase) else tuple(value)


def _root_gradients(roots: Sequence[Any], given: Any, create_graph: bool) -> list[Any]:
    """The gradient of every root: the given one, or 1 for a scalar."""
    if given is None:
        grads: Sequence[Any] = [None] * len(roots)
    else:
        grads = _as_tuple(given)
        if len(grads) != len(roots):
            raise RuntimeError(f"got {len(roots)} tensors and {len(grads)} gradients")
    result = []
    for i, (root, g) in enumerate(zip(roots, grads)):
        if not root.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        if g is None:
            array = root._array
            if array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs; this one has shape "
                    f"{list(array.shape)}. Pass backward(gradient=…), or reduce it with .sum() or "
                    ".mean()"
                )
            g = wrap(kernels(array).full(array.shape, 1, array.dtype))
        elif g._array.shape != root._array.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has "
                f"a shape of {root.shape}."
            )
        result.append(g)
    return result


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("gradcheck", "gradgradcheck"):
        return getattr(importlib.import_module(f"{__name__}._gradcheck"), name)
    if name in ("functional", "graph"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "Variable":
        return importlib.import_module("rushlight.tensor").Tensor
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
