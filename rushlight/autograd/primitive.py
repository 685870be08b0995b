"""Primitives: the one choke point through which every operation on tensors passes.

    @primitive(name="Mul", broadcast=True)
    def _mul(x: Array, y: Array) -> Array:
        return kernels(x).mul(x, y)

    @_mul.derivative("x")
    def _mul_dx(grad: Tensor, y: Tensor) -> Tensor:
        return grad * y

The forward takes arrays as positional arguments (a Python number or None may stand in for one) and
plain values as keywords. A derivative rule asks by parameter name for what it needs, and the tape
keeps exactly that:

    grad, grads      the gradient of the first output, of all outputs (None where there is none);
                     with `derive` also of one of them, as "grads[1]"
    result           the first output
    results          the outputs without gradient, such as indices and statistics, at their places
                     (None at the others: an output that nobody asked for may be changed in place);
                     with `derive` also one of them, as "results[1]"
    <input>          an input tensor
    <input>_shape, <input>_dtype, <input>_strides
                     the shape, dtype or strides (in bytes) of an input's array, without keeping
                     the tensor alive
    needs            which of the rule's inputs want a gradient (a tuple of bools)
    spare            the array of `grad` where nobody looks at it after this rule, so that a kernel
                     may write its result over it; else None
    <attribute>      a keyword argument of the forward

A rule that only hands such values on to another primitive needs no function: see `derive`.
Rules are written with differentiable operations, so that derivatives of any order come free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ..backends import kernels
from ..backends.arrays import asarray, is_array
from .anomaly import anomaly_trace
from .grad_mode import state
from .node import Edge, next_sequence_nr
from .recorded import PrimitiveNode, Saved, SavedList
from .twin import native
from .variable import TensorBase, bump_version, wrap

__all__ = ["Primitive", "PrimitiveNode", "primitive"]

_new = object.__new__


# What a rule may ask of an input's array: `x_shape`; of all inputs of a variadic one, `xs_shapes`.
_PROPERTIES = {
    "shape": "shape", "dtype": "dtype", "strides": "strides", "shapes": "shape", "dtypes": "dtype",
}  # fmt: skip


class Signature:
    """The parameters of a function, read from its code object: `inspect` takes 50 µs for one."""

    def __init__(self, function: Callable[..., Any]):
        code = function.__code__
        names, count = code.co_varnames, code.co_argcount
        end = count + code.co_kwonlyargcount
        takes_more = bool(code.co_flags & 0x04)  # *args, whose name follows the keywords
        self.variadic = names[end] if takes_more else None
        self.positional = [*names[:count], *([names[end]] if takes_more else [])]
        self.keywords = list(names[count:end])
        self.names = [*self.positional, *self.keywords]
        self.defaults: dict[str, Any] = dict(function.__kwdefaults__ or {})


_FROM_THE_TAPE = frozenset(("grad", "grads", "result", "results", "needs", "spare"))


class Rule:
    """A derivative rule and what the tape must keep for it.

    `wants` are the values that the function takes, by position; the last of them, and then the
    `constants`, by the keywords `keywords`.
    """

    def __init__(self, op: Primitive, function: Callable[..., Any], inputs: tuple[str, ...],
                 wants: tuple[str, ...], keywords: tuple[str, ...] = (),
                 constants: tuple[Any, ...] = ()):  # fmt: skip
        self.function = function
        self.keywords = keywords
        self.constants = constants
        self.is_joint = len(inputs) > 1 or op.variadic == inputs[0]
        self.positions = tuple(op.input_names.index(name) for name in inputs)
        self.wants = wants
        self.saved: list[tuple[str, int]] = []
        self.described: list[tuple[str, int, str]] = []
        self.wants_needs = "needs" in self.wants
        self.wants_result = any(
            name in ("result", "results") or name.startswith("results[") for name in self.wants
        )
        for name in self.wants:
            self._classify(op, name)
        # itemgetter fetches all arguments in one C call; for a single name it would not give a
        # tuple, so such a rule gets "grad" twice and drops one.
        names = self.wants if len(self.wants) > 1 else (*self.wants, "grad")
        self.arguments: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*names)

    def _classify(self, op: Primitive, name: str) -> None:
        if name in _FROM_THE_TAPE or name in op.attributes:
            return
        if name.startswith(("grads[", "results[")):
            return
        if name in op.input_names:
            self.saved.append((name, op.input_names.index(name)))
            return
        base, _, kind = name.rpartition("_")
        if base in op.input_names and kind in _PROPERTIES:
            self.described.append((name, op.input_names.index(base), _PROPERTIES[kind]))
            return
        raise TypeError(
            f"derivative rule {self.function.__name__} of {op.name}: no such value {name!r}"
        )

    def __call__(self, values: dict[str, Any]) -> Any:
        arguments = (*self.arguments(values)[: len(self.wants)], *self.constants)
        count = len(arguments) - len(self.keywords)
        named = dict(zip(self.keywords, arguments[count:]))
        return self.function(*arguments[:count], **named)


class PrimitiveCall:
    """The call of a primitive: from tensors to arrays and back, and onto the tape."""

    forward: Callable[..., Any]
    node_type: type[Any] | None
    rules: list[Rule]
    kinds: str
    view: bool
    broadcast: bool
    keeps_result: bool
    keeps_first: bool
    nondifferentiable: frozenset[int]
    explain: Callable[..., Exception]
    variadic: str | None

    def __call__(self, *inputs: Any, **attrs: Any) -> Any:
        arrays = []
        recording = False
        for x in inputs:
            if isinstance(x, TensorBase):
                arrays.append(x._array)
                if x._requires_grad or (x._base is not None and x.requires_grad):
                    recording = True
            else:
                arrays.append(x)
        try:
            result = self.forward(*arrays, **attrs)
        except ValueError as error:
            raise self.explain(error, arrays) from None
        if type(result) is tuple:
            return self._wrap_many(inputs, arrays, attrs, result, recording)
        out = wrap(result if is_array(result) else asarray(result, arrays))
        if self.view:
            self._show_memory(out, inputs[0])
        if recording and state.enabled:
            self._record(inputs, arrays, attrs, (out,))
        return out

    @staticmethod
    def _show_memory(view: Any, x: Any) -> None:
        """Makes `view` know the tensor whose memory it shows."""
        view._base = x._base if x._base is not None else x
        view._storage = storage = x.storage_record
        view._view_version = storage.version
        view._is_inference = view._is_unversioned = x._is_inference

    def into(self, out: Any, operation: str, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Computes straight into the memory of the tensor `out`, outside the graph; returns it.

        For forwards that take `out=`. The change is counted as made by `operation`.
        """
        arrays = [x._array if isinstance(x, TensorBase) else x for x in inputs]
        self.forward(*arrays, out=out._array, **attrs)
        bump_version(out, operation)
        return out

    def _wrap_many(self, inputs: Any, arrays: Any, attrs: Any, results: Any,
                   recording: bool) -> Any:  # fmt: skip
        outs: list[Any] = []
        for result in results:
            if result is None:
                outs.append(None)
                continue
            out = wrap(result if is_array(result) else asarray(result, arrays))
            if self.view:
                self._show_memory(out, inputs[0])
            outs.append(out)
        if recording and state.enabled:
            self._record(inputs, arrays, attrs, tuple(outs))
        return tuple(outs)

    def _record(self, inputs: Any, arrays: Any, attrs: dict[str, Any], outs: Any) -> None:
        """Makes the node that leads from `outs` back to `inputs`."""
        rules = self.rules
        if not rules:
            return  # comparisons and the like: the result is outside the graph
        edges: list[Edge] = []
        for x in inputs:
            if isinstance(x, TensorBase) and x._requires_grad:
                if x._base is None:
                    edges.append((x._grad_fn or x, x._output_nr))
                else:
                    edges.append((x.grad_fn or x, x._output_nr))
            else:
                edges.append(None)
        node = _new(self.node_type or self.make_node_type())
        node.edges = edges
        node.sequence_nr = next_sequence_nr()
        node.attrs = attrs
        saved: dict[str, Any] = {}
        node.saved = saved
        if self.variadic is not None:
            self._save_variadic(saved, inputs, arrays)
        else:
            for rule in rules:
                self._save(saved, rule, edges, inputs, arrays)
        if self.keeps_result:
            node.results = tuple([
                (o._array, o.storage_record, o._version)
                if o is not None and (i in self.nondifferentiable or (i == 0 and self.keeps_first))
                else None
                for i, o in enumerate(outs)
            ])  # fmt: skip
        if self.broadcast:
            shape, dtype = outs[0]._array.shape, outs[0]._array.dtype
            for a, edge in zip(arrays, edges):
                if edge is not None and (a.shape != shape or a.dtype != dtype):
                    node.input_meta = tuple([
                        (a.shape, a.dtype) if e is not None else None
                        for a, e in zip(arrays, edges)
                    ])  # fmt: skip
                    break
        if state.anomaly:
            node.anomaly = anomaly_trace()
        if len(outs) == 1:
            out = outs[0]
            out._requires_grad = True
            out._grad_fn = node
            return
        node.num_outputs = len(outs)
        for number, out in enumerate(outs):
            if out is not None and number not in self.nondifferentiable:
                out._requires_grad, out._grad_fn, out._output_nr = True, node, number

    @staticmethod
    def _save(saved: dict[str, Any], rule: Rule, edges: Any, inputs: Any, arrays: Any) -> None:
        for position in rule.positions:
            if edges[position] is not None:
                break
        else:
            return
        for name, i in rule.saved:
            x = inputs[i]
            saved[name] = Saved(x) if isinstance(x, TensorBase) else x
        for name, i, kind in rule.described:
            saved[name] = getattr(arrays[i], kind, None)

    def _save_variadic(self, saved: dict[str, Any], inputs: Any, arrays: Any) -> None:
        rule = self.rules[0]
        for name, _, kind in rule.described:
            saved[name] = [getattr(a, kind) for a in arrays]
        for name, _ in rule.saved:
            saved[name] = SavedList(inputs)

    def make_node_type(self) -> type[Any]:
        raise NotImplementedError

    def _check_unused(self) -> None:
        """The compiled twin reads the rules once, at the first recorded call."""


if native is not None:
    PrimitiveCall = native.PrimitiveCall  # type: ignore[misc]
    native.connect("kernels", kernels)
    native.connect("asarray", asarray)
    native.connect("is_array", is_array)
    native.connect("anomaly_trace", anomaly_trace)


class Primitive(PrimitiveCall):
    """An operation on arrays with its derivative rules, callable on tensors."""

    def __init__(self, forward: Callable[..., Any], name: str, *, view: bool = False,
                 broadcast: bool = False, nondifferentiable: tuple[int, ...] = (),
                 suffix: str = "Backward0", shown: int | None = None,
                 kinds: str = "biufcV", kernel: str | None = None):  # fmt: skip
        self.shown = shown
        self.kinds = kinds
        self.kernel = kernel
        self.forward = forward
        self.name = name
        self.view = view
        self.broadcast = broadcast
        self.nondifferentiable = frozenset(nondifferentiable)
        self.rules: list[Rule] = []
        self.keeps_result = False
        self.keeps_first = False  # whether a rule asks for the first output itself
        self.keeps_inputs = False  # whether a rule asks for an input itself
        self.wants_grads = False
        signature = Signature(forward)
        self.input_names = tuple(signature.positional)
        self.n_inputs = len(self.input_names)
        self.variadic = signature.variadic
        self.keywords = tuple(signature.keywords)
        self.attributes = frozenset(signature.keywords)
        self.defaults = signature.defaults
        self.suffix = suffix
        self.node_type = None
        self.__doc__ = forward.__doc__
        self.__name__ = forward.__name__

    def make_node_type(self) -> type[Any]:
        """The class of this primitive's nodes; programs record few of all primitives."""
        fields = {"op": self, "__module__": __name__}
        self.node_type = type(self.name + self.suffix, (PrimitiveNode,), fields)
        return self.node_type

    def derivative(self, *inputs: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Registers the decorated function as the gradient rule of the named inputs."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self._add(Rule(self, function, inputs, tuple(Signature(function).names)))
            return function

        return register

    def derive(self, inputs: str | tuple[str, ...], by: Primitive, /, *wants: str,
               **named: Any) -> None:  # fmt: skip
        """Makes the gradients of the inputs the results of the primitive `by` of these values.

        Values are given by name, tensors by position, and keywords that are no strings as they are:
        `_softmax.derive("x", _softmax_backward, "grad", "result", dim="dim")`,
        `_affine.derive("bias", _sum, "grad", dims=(0,), keepdim=False)`.
        """
        if named.keys() & set(by.input_names):
            raise TypeError(f"derive: {by.name} takes the tensors {by.input_names} by position")
        inputs = (inputs,) if isinstance(inputs, str) else inputs
        values = {name: value for name, value in named.items() if isinstance(value, str)}
        constants = {name: value for name, value in named.items() if name not in values}
        self._add(Rule(self, by, inputs, (*wants, *values.values()), (*values, *constants),
                       tuple(constants.values())))  # fmt: skip

    def _add(self, rule: Rule) -> None:
        self._check_unused()
        self.rules.append(rule)
        self.keeps_result = self.keeps_result or rule.wants_result
        self.keeps_first = self.keeps_first or "result" in rule.wants
        self.keeps_inputs = self.keeps_inputs or bool(rule.saved)
        self.wants_grads = self.wants_grads or any(name.startswith("grads") for name in rule.wants)

    def shown_edges(self, edges: Sequence[Edge]) -> Sequence[Edge]:
        """The edges that `next_functions` lists: of inputs that can have a gradient."""
        if self.variadic is not None:
            return edges[: self.shown]
        ruled = {i for rule in self.rules for i in rule.positions}
        return [edge for i, edge in enumerate(edges) if i in ruled]

    def explain(self, error: ValueError, arrays: list[Any]) -> Exception:
        """PyTorch's error for operands that do not broadcast; any other error as it is."""
        shapes = [a.shape for a in arrays if is_array(a)]
        if "broadcast" in str(error) and len(shapes) >= 2:
            for a, b in zip(shapes, shapes[1:]):
                for back in range(1, min(len(a), len(b)) + 1):
                    if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
                        dim = max(len(a), len(b)) - back
                        return RuntimeError(
                            f"[{self.name.lower()}] The size of tensor a ({a[-back]}) must match "
                            f"the size of tensor b ({b[-back]}) at non-singleton dimension {dim}; "
                            f"the shapes are {list(a)} and {list(b)}"
                        )
        return error

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def primitive(name: str, **flags: Any) -> Callable[[Callable[..., Any]], Primitive]:
    """Makes the decorated forward function a primitive.

    `name` is what `grad_fn` prints. Flags: `view` (the result shares the first input's memory),
    `broadcast` (gradients are reduced to the shape and dtype of their inputs),
    `nondifferentiable` (numbers of the outputs without gradient), `suffix` of the node's name,
    `shown` (how many of a variadic primitive's inputs `next_functions` lists), `kinds` (those of
    the dtypes that a forward with `out=` gives back as it takes them; `"?"`: it makes bools),
    `kernel` (the kernel that the forward hands all its arguments to, in their order, doing no more:
    the compiled twin calls it without running the forward).
    """
    return lambda forward: Primitive(forward, name, **flags)
