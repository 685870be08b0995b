"""The backward pass: walks the graph from the roots and sends gradients to the leaves.

Each node waits until every node that feeds it has run; a first walk counts these. Then the nodes
run, those recorded last first, each handing gradients along its edges. A gradient that reaches a
leaf is added to its `.grad` as soon as the last contribution has come, so that hooks on leaves run
during the pass. Nothing recurses: a graph of any depth works.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from ..backends.layout import copy_laid_out_as
from .grad_mode import state
from .node import Node
from .recorded import PrimitiveNode
from .twin import native
from .variable import TensorBase, wrap

__all__ = ["accumulate_grad", "run_backward"]

_getrefcount = sys.getrefcount


def run_backward(roots: Sequence[Any], grads: Sequence[Any], *, keep_graph: bool,
                 create_graph: bool, inputs: Sequence[Any] | None = None,
                 accumulate: bool = True) -> list[Any]:  # fmt: skip
    """Runs the graph behind `roots`, whose gradients are `grads`.

    With `inputs`, only what leads to them is computed; with `accumulate=False` their gradients are
    returned (None for an input that was not reached) instead of being added to `.grad`.
    """
    if native is not None and inputs is None and not state.anomaly:
        native.run_pass(roots, grads, keep_graph, create_graph)
        return []
    before = state.enabled
    state.enabled = create_graph
    try:
        task = _Pass(keep_graph, create_graph)
        if inputs is not None:
            task.want(inputs, accumulate)
        task.run(roots, grads)
        if inputs is None:
            return []
        return [task.captured.get(key) for key in task.wanted_keys]
    finally:
        state.enabled = before


class _Pass:
    """One backward pass."""

    def __init__(self, keep_graph: bool, create_graph: bool):
        self.keep_graph = keep_graph
        self.create_graph = create_graph
        self.waiting: dict[Any, int] = {}  # target -> contributions still to come
        self.buffers: dict[Any, list[Any]] = {}  # target -> gradient of each of its outputs
        self.ready: list[tuple[int, Node]] = []
        self.needed: set[Any] | None = None  # targets on the way to the wanted inputs
        self.wanted: dict[tuple[Any, int], Any] = {}
        self.wanted_keys: list[tuple[Any, int]] = []
        self.captured: dict[tuple[Any, int], Any] = {}
        self.accumulate_wanted = True

    # ---- which part of the graph -----------------------------------------------------------

    def want(self, inputs: Sequence[Any], accumulate: bool) -> None:
        """Restricts the pass to what leads to `inputs`."""
        self.accumulate_wanted = accumulate
        self.needed = set()
        for tensor in inputs:
            key = (tensor.grad_fn or tensor, tensor._output_nr)
            self.wanted[key] = tensor
            self.wanted_keys.append(key)

    def _mark_needed(self, roots: list[Any]) -> None:
        """A node is needed if it is wanted or leads to a needed one."""
        reached: set[Any] = set(roots)
        stack = list(roots)
        while stack:
            target = stack.pop()
            if isinstance(target, TensorBase):
                continue
            for edge in target.edges:
                if edge is not None and edge[0] not in reached:
                    reached.add(edge[0])
                    stack.append(edge[0])
        assert self.needed is not None
        needed = self.needed
        needed.update(target for target, _ in self.wanted)
        nodes = [t for t in reached if not isinstance(t, TensorBase)]
        for node in sorted(nodes, key=lambda n: n.sequence_nr):
            if node not in needed and any(e is not None and e[0] in needed for e in node.edges):
                needed.add(node)

    def _count(self, roots: list[Any]) -> None:
        """Counts, for every target behind `roots`, the edges that lead to it."""
        waiting, needed = self.waiting, self.needed
        stack = [r for r in roots if isinstance(r, Node)]
        seen = set(stack)
        while stack:
            for edge in stack.pop().edges:
                if edge is None:
                    continue
                target = edge[0]
                if needed is not None and target not in needed:
                    continue
                if target in waiting:
                    waiting[target] += 1
                else:
                    waiting[target] = 1
                    if isinstance(target, Node) and target not in seen:
                        seen.add(target)
                        stack.append(target)

    # ---- running ---------------------------------------------------------------------------

    def run(self, roots: Sequence[Any], grads: Sequence[Any]) -> None:
        starts: list[Any] = []
        for root, grad in zip(roots, grads):
            target = root.grad_fn or root
            if target not in starts:
                starts.append(target)
            self._add(target, root._output_nr, grad)
        if self.needed is not None:
            self._mark_needed(starts)
        self._count(starts)
        for target in starts:
            if target not in self.waiting:
                self._arrived(target)
        while self.ready:
            node = heappop(self.ready)[1]
            self._run_node(node)

    def _add(self, target: Any, number: int, grad: Any) -> None:
        """Adds one contribution to the gradient of output `number` of `target`."""
        slots = self.buffers.get(target)
        if slots is None:
            count = 1 if isinstance(target, TensorBase) else target.num_outputs
            slots = self.buffers[target] = [None] * count
        before = slots[number]
        slots[number] = grad if before is None else before + grad

    def _arrived(self, target: Any) -> None:
        """All contributions to `target` have come."""
        if isinstance(target, Node):
            heappush(self.ready, (-target.sequence_nr, target))
            return
        slots = self.buffers.pop(target, None)
        if slots is None or slots[0] is None:
            return
        grad = slots[0]
        slots.clear()
        if target._hooks:
            grad = _run_tensor_hooks(target._hooks, grad)
        if self.needed is not None:
            key = (target, 0)
            if key not in self.wanted:
                return
            if not self.accumulate_wanted:
                self.captured[key] = grad
                return
        accumulate_grad(target, grad, self.create_graph)

    def _run_node(self, node: Node) -> None:
        grads = self.buffers.pop(node, None)
        edges = node.edges
        if grads is None:
            results: Any = (None,) * len(edges)
        else:
            if node.output_hooks is not None or node.pre_hooks is not None:
                _run_pre_hooks(node, grads)
            if self.needed is not None and not self._capture(node, grads):
                results = (None,) * len(edges)
            else:
                results = self._apply(node, grads)
        waiting, needed = self.waiting, self.needed
        grads = None
        if type(results) is list:
            results.reverse()
            take = results.pop  # so that no reference stays behind when a leaf takes its gradient
        else:
            take = iter(results).__next__
        for edge in edges:
            grad = take()
            if edge is None:
                continue
            target, number = edge
            if needed is not None and target not in needed:
                continue
            if grad is not None:
                self._add(target, number, grad)
                grad = None
            left = waiting[target] - 1
            waiting[target] = left
            if not left:
                self._arrived(target)

    def _capture(self, node: Node, grads: list[Any]) -> bool:
        """Keeps what was asked for; whether anything behind `node` is still needed."""
        for number, grad in enumerate(grads):
            key = (node, number)
            if key in self.wanted and grad is not None:
                if self.accumulate_wanted:
                    accumulate_grad(self.wanted[key], grad, self.create_graph)
                else:
                    self.captured[key] = grad
        needed = self.needed
        assert needed is not None
        return any(e is not None and e[0] in needed for e in node.edges)

    def _apply(self, node: Node, grads: list[Any]) -> Any:
        needed = self.needed
        try:
            if needed is None or not isinstance(node, PrimitiveNode):
                results = node.apply(grads)
            else:
                edges = tuple([e if e is not None and e[0] in needed else None for e in node.edges])
                results = node.apply(grads, edges)
        except Exception as error:
            _explain(error, node)
            raise
        if state.anomaly and state.check_nan:
            _check_nan(node, results)
        if node.post_hooks:
            results = _run_post_hooks(node, results, grads)
        if not self.keep_graph:
            node.release()
        return results


def accumulate_grad(leaf: Any, grad: Any, create_graph: bool) -> None:
    """Adds `grad` to `leaf.grad`; takes `grad` itself when nobody else holds it."""
    current = leaf._grad
    if current is None:
        leaf._grad = grad if create_graph else _owned(grad, leaf)
    elif create_graph:
        leaf._grad = current + grad
    else:
        current.add_(grad)
    if leaf._accumulate_hooks:
        for hook in list(leaf._accumulate_hooks.values()):
            hook(leaf)


def _owned(grad: Any, leaf: Any) -> Any:
    """`grad` as a tensor of its own: its array if nothing else refers to it, else a copy.

    Three references to an array that only this gradient holds: the tensor's field, the local name
    and the argument of getrefcount. A gradient that another edge received too, or a view, has more.
    """
    array = grad._array
    if grad._grad_fn is None and _getrefcount(array) <= 3 and array.base is None:
        both_plain = array.flags.c_contiguous and leaf._array.flags.c_contiguous
        if (both_plain or array.strides == leaf._array.strides) and _getrefcount(grad) <= 4:
            return grad
    return _copied(grad, leaf)


def _copied(grad: Any, leaf: Any) -> Any:
    """A tensor outside the graph with the values of `grad`, laid out in memory as the leaf is."""
    return wrap(copy_laid_out_as(grad._array, leaf._array))


def _run_tensor_hooks(hooks: dict[int, Any], grad: Any) -> Any:
    for hook in list(hooks.values()):
        changed = hook(grad)
        if changed is not None:
            grad = changed
    return grad


def _run_pre_hooks(node: Node, grads: list[Any]) -> None:
    if node.output_hooks is not None:
        for number, hooks in node.output_hooks.items():
            if grads[number] is not None:
                grads[number] = _run_tensor_hooks(hooks, grads[number])
    for hook in list((node.pre_hooks or {}).values()):
        changed = hook(tuple(grads))
        if changed is not None:
            grads[:] = _as_many(hook, changed, len(grads))


def _run_post_hooks(node: Node, results: Any, grads: list[Any]) -> Any:
    for hook in list((node.post_hooks or {}).values()):
        changed = hook(tuple(results), tuple(grads))
        if changed is not None:
            results = _as_many(hook, changed, len(results))
    return results


def _as_many(hook: Any, changed: Any, count: int) -> list[Any]:
    """What a node's hook returned, as a list of `count` gradients."""
    values = list(changed) if isinstance(changed, tuple) else [changed]
    if len(values) != count:
        name = getattr(hook, "__name__", repr(hook))
        raise RuntimeError(
            f"hook '{name}' has returned an incorrect number of values (got "
            f"{len(values)}, expected {count})"
        )
    return values


def _check_nan(node: Node, results: Any) -> None:
    for i, grad in enumerate(results):
        if grad is not None and bool((grad != grad).any()):
            raise _with_trace(
                RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output."),
                node,
            )


def _explain(error: Exception, node: Node) -> None:
    """Says which operation was being differentiated (and, if known, where it was recorded)."""
    if hasattr(error, "add_note") and not getattr(error, "__notes__", None):
        error.add_note(f"while differentiating {node.name()}")
        if node.anomaly:
            error.add_note(f"recorded at:\n{node.anomaly}")


def _with_trace(error: RuntimeError, node: Node) -> RuntimeError:
    if node.anomaly:
        return RuntimeError(f"{error}\nThe operation was recorded at:\n{node.anomaly}")
    return error


if native is not None:
    native.connect("run_tensor_hooks", _run_tensor_hooks)
    native.connect("run_pre_hooks", _run_pre_hooks)
    native.connect("run_post_hooks", _run_post_hooks)
    native.connect("accumulate_grad", accumulate_grad)
    native.connect("explain", _explain)
    native.connect("copy_gradient", _copied)
