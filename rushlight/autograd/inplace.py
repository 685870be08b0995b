"""In-place changes and the graph: who may be changed, and how the history is rewritten.

A change of a tensor gives it the history of the new value. A change of a *view* changes its base
too: the base's history becomes a `CopySlices` node, which splits an arriving gradient into the part
that the change overwrote (sent to the operation that wrote it) and the rest (sent to what the base
was before). Views learn of it through the version they share with their base: when it has moved on,
`grad_fn` makes the view's node anew from the base.
"""

from __future__ import annotations

from typing import Any

from ..backends.layout import address
from ..types_ import Shape
from .grad_mode import state
from .node import Node, edge_of
from .overlap import check_repeats, lies_as, may_overlap
from .recorded import PrimitiveNode
from .twin import native
from .variable import TensorBase, bump_version

__all__ = ["CopySlices", "bump_version", "can_write_over", "check_in_place", "check_inference",
           "is_free_target", "is_recorded", "keeps_tensor", "old_values", "overwrite",
           "set_history", "take_history"]  # fmt: skip


INFERENCE_CHANGED = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone "
    "to get a normal tensor before doing inplace update.See "
    "https://github.com/pytorch/rfcs/pull/17 for more details."
)


def check_inference(tensor: Any) -> None:
    """RuntimeError for a tensor made in inference mode, outside of it: it may not be changed."""
    if tensor._is_unversioned and not state.inference:
        raise RuntimeError(INFERENCE_CHANGED)


def check_in_place(tensor: Any) -> None:
    """Raises if `tensor` may not be changed in place.

    These may not: a tensor made in inference mode, outside of it; and while recording is on, a leaf
    (or a view of one) that wants a gradient.
    """
    check_inference(tensor)
    if not state.enabled or not tensor.requires_grad:
        return
    if tensor._base is not None:
        if tensor._base._grad_fn is None and tensor._base._requires_grad:
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                "operation. Wrap the change in torch.no_grad(), or change a .clone()."
            )
    elif tensor._grad_fn is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation. "
            "Wrap the change in torch.no_grad(), or change a .clone()."
        )


def is_recorded(inputs: tuple[Any, ...]) -> bool:
    """Whether an operation on these inputs is put on the tape."""
    return bool(state.enabled) and any(getattr(x, "requires_grad", False) for x in inputs)


def is_free_target(tensor: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether parts of `tensor` may be overwritten, outside the graph, while `inputs` are read.

    False may also mean that it takes a closer look to tell.
    """
    if not _is_free_memory(tensor) or is_recorded((tensor, *inputs)):
        return False
    array = tensor._array
    return not any(isinstance(x, TensorBase) and may_overlap(array, x._array) for x in inputs)


def _is_free_memory(tensor: Any) -> bool:
    if tensor._is_unversioned and not state.inference:
        return False
    array = tensor._array
    return array.flags.writeable and 0 not in array.strides


def can_write_over(tensor: Any, inputs: tuple[Any, ...], kinds: str) -> bool:
    """Whether an elementwise kernel may write what it makes of `inputs` straight into `tensor`.

    The result has this tensor's shape and dtype, and no element is written before it is read
    (`tensor` itself, or what shows the same elements in the same way, may be among the inputs).
    `kinds` are a primitive's: of the dtypes that it keeps, or `"?"` if it makes bools.
    """
    if not _is_free_memory(tensor):
        return False
    array = tensor._array
    dtype = array.dtype
    if dtype.kind not in (kinds if kinds != "?" else "b"):
        return False
    if kinds == "?":
        tensors = [x for x in inputs if isinstance(x, TensorBase)]
        dtype = tensors[0]._array.dtype if tensors else dtype
    kind = dtype.kind
    has_shape = False
    for x in inputs:
        if isinstance(x, TensorBase):
            other = x._array
            if other.dtype != dtype or not _broadcasts(other.shape, array.shape):
                return False
            if x is not tensor and may_overlap(array, other) and not lies_as(array, other):
                return False
            has_shape = has_shape or other.shape == array.shape
        elif type(x) not in (float, int) or kind not in ("fcV" if type(x) is float else "fcVi"):
            return False
    return has_shape


def _broadcasts(shape: Shape, to: Shape) -> bool:
    if len(shape) > len(to):
        return False
    return all(n in (1, m) for n, m in zip(reversed(shape), reversed(to)))


if native is not None:
    is_free_target, can_write_over = native.is_free_target, native.can_write_over
    is_recorded = native.is_recorded


def overwrite(tensor: Any, result: Any, operation: str, since: int | None = None) -> Any:
    """Gives `tensor` the values and the history of `result`, computed from it; returns `tensor`.

    `since` is the sequence number at which the computation of `result` began (None: it is one
    node): nodes recorded from then on keep a copy of the old values if they saved `tensor`.
    Raises RuntimeError if the result's shape or dtype category does not fit.
    """
    target, array = tensor._array, result._array
    if array.shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(array.shape)}"
        )
    if not target.flags.writeable:
        raise RuntimeError(f"[{operation}] the tensor's memory is read-only; change a .clone()")
    check_repeats(tensor, operation)
    if result._requires_grad and state.enabled:
        _detach_saved_self(result._grad_fn, tensor, since)
    target[...] = array
    return take_history(tensor, result, operation)


def take_history(tensor: Any, result: Any, operation: str) -> Any:
    """Gives `tensor`, whose memory holds the values of `result` by now, its history as well."""
    bump_version(tensor, operation)
    if result._requires_grad and state.enabled:
        _adopt_result(result, tensor)
        set_history(tensor, result._grad_fn, result._output_nr)
    elif tensor._requires_grad and state.enabled:
        set_history(tensor, None, 0)
    return tensor


def _detach_saved_self(node: Any, tensor: Any, since: int | None) -> None:
    """Nodes of this change that saved the tensor about to be overwritten get a copy to keep."""
    copy: list[Any] = []
    pending, seen = [node], {id(node)}
    while pending:
        node = pending.pop()
        if isinstance(node, PrimitiveNode) and node.keeps(tensor):
            copy = copy or [old_values(tensor)]
            node.keep_instead(tensor, copy[0])
        if since is None:
            return
        for edge in node.edges:
            target = None if edge is None else edge[0]
            if isinstance(target, Node) and target.sequence_nr > since and id(target) not in seen:
                seen.add(id(target))
                pending.append(target)


def keeps_tensor(op: Any, tensor: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether the node of `op`, applied to `inputs`, will keep `tensor`, which is one of them."""
    for rule in op.rules:
        if any(getattr(inputs[i], "requires_grad", False) for i in rule.positions):
            if any(inputs[i] is tensor for _, i in rule.saved):
                return True
    return False


def old_values(tensor: Any) -> Any:
    """The values of `tensor` before a change, at its old place in the graph."""
    kept = object.__new__(type(tensor))
    kept._array = tensor._array.copy()
    kept._requires_grad = tensor._requires_grad
    edge = edge_of(tensor)
    if edge is not None and isinstance(edge[0], Node):
        kept._grad_fn, kept._output_nr = edge
    return kept


def _adopt_result(result: Any, tensor: Any) -> None:
    """A node that saved its result saved the temporary one: point it to the tensor's memory."""
    node = result._grad_fn
    if isinstance(node, PrimitiveNode):
        node.adopt_result(tensor)


def set_history(tensor: Any, node: Node | None, output_nr: int = 0) -> None:
    """Makes `node` the history of `tensor`, which has just been changed in place."""
    base = tensor._base
    if base is None:
        tensor._requires_grad = node is not None
        tensor._grad_fn, tensor._output_nr = node, output_nr
        return
    if node is None and not base._requires_grad:
        tensor._requires_grad, tensor._grad_fn = False, None
        return
    base._grad_fn = CopySlices(base, tensor, node, output_nr)
    base._output_nr = 0
    base._requires_grad = True
    make_view_node(tensor)


def make_view_node(view: Any) -> None:
    """Gives a view whose base has a new history the node that leads to it."""
    base = view._base
    view._view_version = view._version
    if not base.requires_grad:
        return
    with_grad = state.enabled
    state.enabled = True
    try:
        again = base._like_view(view)
    finally:
        state.enabled = with_grad
    view._requires_grad = True
    view._grad_fn, view._output_nr = again._grad_fn, 0


class CopySlices(Node):
    """The history of a base after one of its views was changed in place.

    The part that the view shows came from the operation that changed it, the rest from what the
    base was before; an arriving gradient is split in the same way.
    """

    def __init__(self, base: Any, view: Any, node: Node | None, output_nr: int):
        super().__init__((edge_of(base), None if node is None else (node, output_nr)))
        item = base._array.itemsize
        start = address(view._array) - address(base._array)
        self.base_shape = base._array.shape
        self.base_strides = tuple(s // item for s in base._array.strides)
        self.shape = view._array.shape
        self.strides = tuple(s // item for s in view._array.strides)
        self.offset = start // item

    def apply(self, grads: list[Any]) -> list[Any]:
        rest = grads[0].new_empty_strided(self.base_shape, self.base_strides)
        rest.copy_(grads[0])
        part = rest.as_strided(self.shape, self.strides, self.offset)
        changed = part.clone() if self.edges[1] is not None else None
        part.zero_()
        return [rest, changed]

    def release(self) -> None:
        """Nothing was saved but numbers."""
