"""The node of a recorded primitive: what it keeps for backward, and its derivative rules at work.

What a rule asks for by name is kept when the operation is recorded: input tensors with the version
of their memory at that time, shapes and dtypes of inputs, the arrays of outputs. `apply` gives the
rules these values; `release` frees the tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..types_ import Array
from .node import Edge, Node
from .twin import native
from .variable import Storage, wrap

if TYPE_CHECKING:
    from .primitive import Primitive

__all__ = ["FREED", "INFERENCE_KEPT", "PrimitiveNode", "Saved", "SavedList", "raise_stale"]


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


INFERENCE_KEPT = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
    "inference mode in computation tracked by autograd. To work around this, you can make a clone "
    "to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
    "`torch.inference_mode()`."
)


def raise_stale(node: Node, array: Array, storage: Storage, version: int, role: str) -> NoReturn:
    """Raises for a saved tensor that was changed in place before backward."""
    where = ""
    if storage.changed_by is not None:
        operation, file, line = storage.changed_by
        where = f" It was last changed by {operation} at {file}:{line}."
    raise RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{array.dtype.name} tensor of shape {list(array.shape)}], which is {role} "
        f"{node.name()}, is at version {storage.version}; expected version {version} instead."
        f"{where} Hint: use the out-of-place form of that operation, or change a .clone()."
    )


class Saved:
    """An input kept for backward, with the version of its memory at that time."""

    __slots__ = ("tensor", "version")

    def __init__(self, tensor: Any):
        if tensor._is_inference:
            raise RuntimeError(INFERENCE_KEPT)
        self.tensor = tensor
        self.version = tensor._version

    def unpack(self, node: Node) -> Any:
        """The tensor; RuntimeError if it was changed in place since."""
        tensor = self.tensor
        storage = tensor._storage
        if storage is not None and storage.version != self.version:
            raise_stale(node, tensor._array, storage, self.version, "an input of")
        return tensor


class SavedList:
    """All tensors of a variadic input, kept for backward."""

    __slots__ = ("items",)

    def __init__(self, tensors: Any):
        self.items = [Saved(t) for t in tensors]

    def unpack(self, node: Node) -> list[Any]:
        """The tensors; RuntimeError if one was changed in place since."""
        return [item.unpack(node) for item in self.items]


_SAVED = frozenset((Saved, SavedList))


class RecordedNode(Node):
    """What both twins have: `_saved_<name>` is what the tape kept, under PyTorch's naming."""

    op: Primitive

    def saved_value(self, name: str) -> Any:
        """What is kept under `name`; KeyError if nothing is, RuntimeError if it was freed."""
        raise NotImplementedError(type(self).__name__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            try:
                return self.saved_value({"self": "x", "other": "y"}.get(name[7:], name[7:]))
            except KeyError:
                pass
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")


class PrimitiveNode(RecordedNode):
    """A recorded call of a primitive."""

    attrs: dict[str, Any]
    saved: dict[str, Any]  # name -> Saved, SavedList, or a plain value
    results: tuple[tuple[Array, Storage, int] | None, ...] | None = None
    input_meta: tuple[Any, ...] | None = None  # (shape, dtype) of inputs, where they differ
    released = False

    def apply(self, grads: list[Any], edges: Sequence[Edge] | None = None) -> list[Any]:
        """Gradients of the inputs, one per edge (None where there is none).

        `edges` are the node's, with None for those that need no gradient in this pass.
        """
        values = self._values(grads)
        if edges is None:
            edges = self.edges
        op = self.op
        if op.variadic is not None:
            values["needs"] = tuple([edge is not None for edge in edges])
            return list(op.rules[0](values))
        out: list[Any] = [None] * len(edges)
        for rule in op.rules:
            positions = rule.positions
            if not rule.is_joint:
                if edges[positions[0]] is not None:
                    out[positions[0]] = rule(values)
                continue
            needs = tuple([edges[i] is not None for i in positions])
            if True in needs:
                values["needs"] = needs
                for i, needed, grad in zip(positions, needs, rule(values)):
                    if needed:
                        out[i] = grad
        if self.input_meta is not None:
            self._match_inputs(out)
        return out

    def _values(self, grads: list[Any]) -> dict[str, Any]:
        """What rules may ask for, by name."""
        if self.released:
            raise RuntimeError(FREED)
        values = {**self.op.defaults, **self.attrs}
        for name, item in self.saved.items():
            values[name] = item.unpack(self) if type(item) in _SAVED else item
        values["grad"] = grads[0]
        values["spare"] = None  # only the compiled twin knows that nobody else holds an array
        if self.op.wants_grads:
            values["grads"] = grads
            values.update((f"grads[{i}]", grad) for i, grad in enumerate(grads))
        if self.results is not None:
            values["results"] = unpacked = self._unpack_results()
            values["result"] = unpacked[0]
            values.update((f"results[{i}]", result) for i, result in enumerate(unpacked))
        return values

    def _unpack_results(self) -> tuple[Any, ...]:
        assert self.results is not None
        return tuple([self._unpack_result(i, kept) for i, kept in enumerate(self.results)])

    def _unpack_result(self, number: int, kept: tuple[Array, Storage, int] | None) -> Any:
        """A kept output as a tensor, with this node as its history."""
        if kept is None:
            return None
        array, storage, version = kept
        if storage.version != version:
            raise_stale(self, array, storage, version, f"output {number} of")
        tensor = wrap(array)
        tensor._storage = storage
        if number not in self.op.nondifferentiable:
            tensor._requires_grad, tensor._grad_fn = True, self
            tensor._output_nr = number
        return tensor

    def _match_inputs(self, grads: list[Any]) -> None:
        """Undoes broadcasting and type promotion: gradients take their inputs' shape and dtype."""
        assert self.input_meta is not None
        for i, (grad, meta) in enumerate(zip(grads, self.input_meta)):
            if grad is None or meta is None:
                continue
            shape, dtype = meta
            array = grad._array
            if array.shape != shape:
                grad = grads[i] = grad.sum_to_size(shape)
            if array.dtype != dtype:
                if array.dtype.kind == "c" and dtype.kind != "c":
                    grad = grad.real
                grads[i] = grad._to_array_dtype(dtype)

    def release(self) -> None:
        """Frees the kept tensors; a node that kept only numbers and shapes may run again."""
        if self.results is not None or any(type(item) in _SAVED for item in self.saved.values()):
            self.released = True
            self.saved = {}
            self.results = None

    def saved_value(self, name: str) -> Any:
        """What is kept under `name`; KeyError if nothing is, RuntimeError if it was freed."""
        if self.released:
            raise RuntimeError(FREED)
        if name == "result" and self.results is not None:
            return self._unpack_result(0, self.results[0])
        if name in self.saved:
            item = self.saved[name]
            return item.unpack(self) if type(item) in _SAVED else item
        return {**self.op.defaults, **self.attrs}[name]

    def keeps(self, tensor: Any) -> bool:
        """Whether this very tensor is kept for backward."""
        return any(item.tensor is tensor for item in self._saved_tensors())

    def keep_instead(self, tensor: Any, other: Any) -> None:
        """Keeps `other` where `tensor` is kept."""
        for item in self._saved_tensors():
            if item.tensor is tensor:
                item.tensor, item.version = other, other._version

    def _saved_tensors(self) -> list[Saved]:
        found: list[Saved] = []
        for item in self.saved.values():
            if type(item) is Saved:
                found.append(item)
            elif type(item) is SavedList:
                found += item.items
        return found

    def adopt_result(self, tensor: Any) -> None:
        """The one kept output (if any) now stands in the memory of `tensor`."""
        if self.results is not None and len(self.results) == 1:
            self.results = ((tensor._array, tensor.storage_record, tensor._version),)


if native is not None:

    class _CompiledNode(RecordedNode):
        """The same, with its fields and methods in C."""

        apply = native.NodeFields._apply_rules
        release = native.NodeFields._release_kept
        saved_value = native.NodeFields.saved_value

    PrimitiveNode = _CompiledNode  # type: ignore[misc,assignment]
    native.connect("raise_stale", raise_stale)
    native.connect("freed_message", FREED)
    native.connect("inference_kept_message", INFERENCE_KEPT)
