"""`Function`: an operation with a backward of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .grad_mode import no_grad, state
from .node import Node, edge_of
from .recorded import FREED, raise_stale
from .variable import TensorBase, wrap

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`. Any attribute may be set on it."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _non_differentiable: tuple[Any, ...] = ()
    _materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for backward, where `ctx.saved_tensors` returns them checked."""
        for t in tensors:
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but got an object of type "
                    f"{type(t).__name__}; keep other values as attributes of ctx"
                )
        self._to_save = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Names the inputs that `forward` changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Names the outputs that have no gradient, such as indices."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing output gradients come to `backward` as zeros (default) or as None."""
        self._materialize = value


class FunctionNode(Node, FunctionCtx):
    """The node of a `Function`, which is also the `ctx` that the user sees."""

    function: type[Function]
    saved: list[Any] | None = None
    output_meta: tuple[Any, ...] = ()

    def __init__(self) -> None:
        pass

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept; RuntimeError if it was changed in place since."""
        if self.saved is None:
            raise RuntimeError(FREED)
        return tuple(self._unpack(item) for item in self.saved)

    def _unpack(self, item: Any) -> Any:
        if item is None:
            return None
        tensor, version, number = item
        storage = tensor._storage
        if storage is not None and storage.version != version:
            raise_stale(self, tensor._array, storage, version, "saved by")
        if number is not None:  # one of our own outputs: kept without its graph, which is us
            again = wrap(tensor._array)
            again._storage, again._requires_grad = storage, True
            again._grad_fn, again._output_nr = self, number
            return again
        return tensor

    def name(self) -> str:
        return self.function.__name__ + "Backward"

    def apply(self, grads: list[Any]) -> list[Any]:
        if self._materialize:
            grads = [
                g if g is not None or meta is None else meta() for g, meta in
                zip(grads, self.output_meta)
            ]  # fmt: skip
        result = self.function.backward(self, *grads)
        results = list(result) if isinstance(result, tuple) else [result]
        return self._checked(results)

    def _checked(self, results: list[Any]) -> list[Any]:
        count = len(self.edges)
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {count}, got {len(results)})"
            )
        for i, (grad, edge, shape) in enumerate(zip(results, self.edges, self.input_shapes)):
            if edge is None:
                results[i] = None
            elif grad is not None:
                if not isinstance(grad, TensorBase):
                    raise RuntimeError(
                        f"function {self.name()}: expected a Tensor or None as gradient {i}, got "
                        f"{type(grad).__name__}"
                    )
                if grad._array.shape != shape:
                    try:
                        results[i] = grad.sum_to_size(shape)
                    except RuntimeError:
                        raise RuntimeError(
                            f"Function {self.name()} returned an invalid gradient at index {i} - "
                            f"got {list(grad._array.shape)} but expected shape compatible with "
                            f"{list(shape)}"
                        ) from None
        return results

    input_shapes: tuple[Any, ...] = ()

    def release(self) -> None:
        if self.saved:
            self.saved = None


class Function:
    """An operation with its own backward; subclass it, and call it through `apply`.

    `forward(ctx, *args)` and `backward(ctx, *grad_outputs)` are static methods; `backward` returns
    one gradient (or None) per argument of `forward`. Alternatively `forward(*args)` without ctx,
    with `setup_context(ctx, inputs, output)` beside it.

    >>> import rushlight as torch
    >>> class Exp(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, i):
    ...         result = i.exp()
    ...         ctx.save_for_backward(result)
    ...         return result
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         result, = ctx.saved_tensors
    ...         return grad_output * result
    >>> x = torch.zeros(2, requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """

    _node_type: type[FunctionNode] | None = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the result; override it."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Fills `ctx` after a `forward` that does not take it; override it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the inputs from those of the outputs; override it."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            "Function is not meant to be instantiated; its methods are static. Call "
            f"{type(self).__name__}.apply(...) instead"
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` off the tape and records one node for the whole."""
        node_type = cls.__dict__.get("_node_type")
        if node_type is None:  # one type per Function, so that its name is the Function's
            node_type = type(f"{cls.__name__}Backward", (FunctionNode,), {"function": cls})
            cls._node_type = node_type
        node = node_type()
        tensors = [a if isinstance(a, TensorBase) else None for a in args]
        needs = tuple(t is not None and bool(t.requires_grad) for t in tensors)
        node.needs_input_grad = needs
        recording = state.enabled and any(needs)
        node.edges = tuple(edge_of(t) if t is not None else None for t in tensors)
        node.input_shapes = tuple(None if t is None else t._array.shape for t in tensors)
        node.sequence_nr = -1
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(node, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)
        many = isinstance(output, tuple)
        outputs = list(output) if many else [output]
        if recording:
            _attach(node, outputs, tensors)
        return tuple(outputs) if many else outputs[0]


def _attach(node: FunctionNode, outputs: list[Any], inputs: Sequence[Any]) -> None:
    """Makes `node` the history of `outputs` and keeps what the user asked to save."""
    from .node import next_sequence_nr

    node.sequence_nr = next_sequence_nr()
    node.num_outputs = len(outputs)
    numbers: dict[int, int] = {}
    for i, out in enumerate(outputs):
        if not isinstance(out, TensorBase):
            continue
        if any(out is t for t in node._non_differentiable) or not out.is_floating_point():
            continue
        if any(out is t for t in node._dirty):
            out._set_history(node, i)
            numbers[id(out)] = i
            continue
        if any(out is t for t in inputs) or out._requires_grad:
            saved_as = id(out)
            out = outputs[i] = out._alias()  # an input returned as it is: a new tensor, same memory
            numbers[saved_as] = i
        numbers[id(out)] = i
        out._requires_grad, out._grad_fn, out._output_nr = True, node, i
    node.output_meta = tuple(
        _zeros_like_later(o) if isinstance(o, TensorBase) else None for o in outputs
    )
    inputs_by_id = {id(t) for t in inputs if t is not None}
    node.saved = []
    for t in node._to_save:
        if t is None:
            node.saved.append(None)
            continue
        number = numbers.get(id(t)) if id(t) not in inputs_by_id else None
        if number is not None:
            t = t._alias()
        node.saved.append((t, t.storage_record.version, number))
    node._to_save = node._dirty = ()


def _zeros_like_later(output: Any) -> Callable[[], Any]:
    array = output._array
    shape, example = array.shape, wrap(array[..., :0] if array.ndim else array)
    return lambda: example.new_zeros(shape)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a `backward` that cannot be differentiated again: its results are outside the graph."""

    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            outputs = function(ctx, *grads)
        if not state.enabled or not any(g is not None and g.requires_grad for g in grads):
            return outputs
        many = isinstance(outputs, tuple)
        blocked = tuple(
            _OnceDifferentiable.apply(o, *[g for g in grads if g is not None])
            if o is not None else None
            for o in (outputs if many else (outputs,))
        )  # fmt: skip
        return blocked if many else blocked[0]

    return wrapper


class _OnceDifferentiable(Function):
    """Passes a value through; differentiating it is the error that the mark announces."""

    @staticmethod
    def forward(ctx: Any, value: Any, *grads: Any) -> Any:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
