"""Nodes of the graph: one per recorded operation.

A node knows where the gradients of its inputs go (`edges`) and how to compute them (`apply`).
An edge is `(target, output_nr)`: the target is the node that made the input, or the leaf tensor
itself. `next_functions` shows leaves as `AccumulateGrad`, as PyTorch does.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .twin import native
from .variable import TensorBase

__all__ = ["AccumulateGrad", "Edge", "Node", "edge_of"]

Edge = tuple[Any, int] | None
_sequence = itertools.count(1)
next_sequence_nr = _sequence.__next__


class NodeFields:
    """The fields of a node.

    `sequence_nr` grows with every node, so it is greater than that of every node it leads to.
    Optional fields have their defaults on the class, which keeps making a node cheap.
    """

    edges: tuple[Edge, ...]
    sequence_nr: int
    num_outputs: int = 1
    pre_hooks: dict[int, Callable[..., Any]] | None = None  # called with all output gradients
    output_hooks: dict[int, dict[int, Callable[..., Any]]] | None = None  # Tensor.register_hook
    post_hooks: dict[int, Callable[..., Any]] | None = None
    anomaly: str | None = None  # where the operation was recorded, under detect_anomaly


if native is not None:
    NodeFields, next_sequence_nr = native.NodeFields, native.next_sequence_nr  # type: ignore[misc]


class Node(NodeFields):
    """An operation in the graph that backward walks."""

    def __init__(self, edges: tuple[Edge, ...]):
        self.edges = edges
        self.sequence_nr = next_sequence_nr()

    def apply(self, grads: list[Any]) -> Any:
        """Gradients of the inputs, one per edge (None where there is none)."""
        raise NotImplementedError(type(self).__name__)

    def release(self) -> None:
        """Frees what was saved for backward; a second backward then raises."""
        raise NotImplementedError(type(self).__name__)

    def name(self) -> str:
        """The name of the operation, such as `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this node sends gradients to, with the output number of each."""
        edges = self.shown_edges()
        return tuple((None, 0) if e is None else (_as_node(e[0]), e[1]) for e in edges)

    def shown_edges(self) -> Sequence[Edge]:
        """The edges that `next_functions` lists."""
        op = getattr(self, "op", None)
        return self.edges if op is None else op.shown_edges(self.edges)

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(grad_inputs, grad_outputs)` after this node ran."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return RemovableHandle(self.post_hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(grad_outputs)` before this node runs."""
        if self.pre_hooks is None:
            self.pre_hooks = {}
        return RemovableHandle(self.pre_hooks, hook)

    def _sequence_nr(self) -> int:
        return self.sequence_nr

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad(Node):
    """Stands for a leaf in the graph: the gradient that arrives is added to its `.grad`."""

    sequence_nr = 0

    def __init__(self, variable: Any):
        self.edges = ()
        self.variable = variable

    @classmethod
    def of(cls, leaf: Any) -> AccumulateGrad:
        """The one node that stands for `leaf`, as long as somebody holds it."""
        reference = leaf._accumulate_grad
        node = None if reference is None else reference()
        if node is None:
            node = cls(leaf)
            leaf._accumulate_grad = weakref.ref(node)
        return node

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(grad_inputs, grad_outputs)` after `.grad` was updated."""
        leaf = self.variable
        if leaf._accumulate_hooks is None:
            leaf._accumulate_hooks = {}
        return RemovableHandle(leaf._accumulate_hooks, lambda p: hook((), (p.grad,)))


class RemovableHandle:
    """Removes a registered hook: `handle.remove()`, or at the end of a `with` block."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any):
        self.id = next(self._ids)
        self._hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.remove()


def _as_node(target: Any) -> Node:
    return AccumulateGrad.of(target) if isinstance(target, TensorBase) else target


def edge_of(tensor: Any) -> Edge:
    """Where the gradient of `tensor` goes: to its node, to itself if a leaf, or nowhere."""
    if not tensor._requires_grad:
        return None
    if tensor._base is not None:  # a view's node may have to be made anew, see inplace.py
        return (tensor.grad_fn or tensor, tensor._output_nr)
    return (tensor._grad_fn or tensor, tensor._output_nr)
