"""Looking at the graph (`torch.autograd.graph`): nodes, edges, hooks on several gradients."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

from .inplace import bump_version
from .node import Node, RemovableHandle, _as_node
from .variable import TensorBase

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
    "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu",
    "saved_tensors_hooks",
]  # fmt: skip

GradientEdge = namedtuple(
    "GradientEdge", ["node", "output_nr", "ownership_token"], defaults=(None,)
)
GradientEdge.__doc__ = "Where a gradient goes: a node and the number of its output."


def get_gradient_edge(tensor: Any) -> Any:
    """The node and output that the gradient of `tensor` goes to.

    >>> import rushlight as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).node.name()
    'MulBackward0'
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not "
            "require gradients"
        )
    node = tensor.grad_fn
    if node is None:
        return GradientEdge(_as_node(tensor), 0)
    return GradientEdge(node, tensor.output_nr)


def increment_version(tensor: Any) -> None:
    """Counts a change of the tensor's (or tensors') memory that was made behind autograd's back."""
    for x in [tensor] if isinstance(tensor, TensorBase) else list(tensor):
        bump_version(x, "increment_version")


class _MultiHandle:
    """Removes the hooks that one `register_multi_grad_hook` registered."""

    def __init__(self, handles: Sequence[RemovableHandle]):
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., None], *,
                             mode: str = "all") -> _MultiHandle:  # fmt: skip
    """Calls `fn` when the gradients of all `tensors` are known, with a list of them.

    With `mode="any"`, once a pass, with the first gradient that is known. Tensors that a pass does
    not reach keep an "all" hook from being called in it.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    import threading

    lock = threading.Lock()
    grads: list[Any] = [None] * len(tensors)
    arrived: set[int] = set()

    def one_of_all(number: int) -> Callable[[Any], None]:
        def hook(grad: Any) -> None:
            with lock:
                grads[number] = grad
                arrived.add(number)
                complete = len(arrived) == len(tensors)
                found = list(grads)
                if complete:
                    arrived.clear()
                    grads[:] = [None] * len(tensors)
            if complete:
                fn(found)

        return hook

    def any_of(number: int) -> Callable[[Any], None]:
        def hook(grad: Any) -> None:
            with lock:
                is_first = not arrived
                arrived.add(number)
                if len(arrived) == len(tensors):
                    arrived.clear()
            if is_first:
                fn(grad)

        return hook

    make = one_of_all if mode == "all" else any_of
    return _MultiHandle([x.register_hook(make(i)) for i, x in enumerate(tensors)])


_NO_PACKING = (
    "[{name}] hooks that pack and unpack saved tensors are not in rushlight yet: operations keep "
    "references to their inputs, not copies. To save memory, recompute with "
    "torch.utils.checkpoint.checkpoint, or work in smaller batches."
)


class saved_tensors_hooks:
    """Not supported: NotImplementedError when made."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]):
        raise NotImplementedError(_NO_PACKING.format(name="saved_tensors_hooks"))


class save_on_cpu:
    """Not supported: NotImplementedError when made."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        raise NotImplementedError(_NO_PACKING.format(name="save_on_cpu"))


class disable_saved_tensors_hooks:
    """A context in which `saved_tensors_hooks` may not be used; they never may here."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __enter__(self) -> None:
        """Nothing to switch off."""

    def __exit__(self, *exception: Any) -> None:
        """Nothing to switch on."""


class allow_mutation_on_saved_tensors:
    """Not supported: NotImplementedError when made."""

    def __init__(self) -> None:
        raise NotImplementedError(
            "[allow_mutation_on_saved_tensors] is not in rushlight yet; "
            "change a .clone() of the saved tensor instead"
        )
