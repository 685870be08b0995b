"""Jacobians, Hessians and their products with vectors (`torch.autograd.functional`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import grad as differentiate
from .grad_mode import enable_grad
from .variable import TensorBase

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


# ---- inputs and outputs --------------------------------------------------------------------


def _tuple_of(op: str, what: str, values: Any) -> tuple[bool, tuple[Any, ...]]:
    """Whether several tensors were given, and a tuple of them."""
    if isinstance(values, TensorBase):
        return False, (values,)
    result = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    for i, value in enumerate(result):
        if not isinstance(value, TensorBase):
            raise TypeError(
                f"The {what} given to {op} must be either a Tensor or a tuple of "
                f"Tensors but the value at index {i} has type {type(value)}."
            )
    return isinstance(values, (tuple, list)), result


def _fresh(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """The inputs as points of differentiation, still in the caller's graph if wanted."""
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_(True)
                     for x in inputs)  # fmt: skip
    return tuple(x.detach().requires_grad_(True) for x in inputs)


def _evaluate(op: str, func: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[bool, Any]:
    return _tuple_of(op, "outputs of the user-provided function", func(*inputs))


def _vectors(op: str, v: Any, like: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """The vectors of a product, of the shapes of `like`; 1 for a single scalar."""
    if v is None:
        if len(like) != 1 or like[0]._array.size != 1:
            raise RuntimeError(
                f"The vector v can only be None if the {what} is a single Tensor "
                "with a single element."
            )
        return (like[0].detach().new_ones(like[0]._array.shape),)
    _, vectors = _tuple_of(op, "v", v)
    if len(vectors) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}."
        )
    for i, (a, b) in enumerate(zip(vectors, like)):
        if a._array.shape != b._array.shape:
            raise RuntimeError(
                f"Entry {i} in v has invalid size: should be {b.size()} but got {a.size()}."
            )
    return vectors


def _gradients(outputs: Any, inputs: Any, vectors: Any, create_graph: bool, strict: bool,
               op: str) -> tuple[Any, ...]:  # fmt: skip
    """`vᵀ J` for each input, zeros where an output does not depend on it (an error if `strict`)."""
    pairs = [(o, v) for o, v in zip(outputs, vectors) if o.requires_grad]
    found: Any = [None] * len(inputs)
    if pairs:
        found = differentiate([o for o, _ in pairs], inputs, [v for _, v in pairs],
                              retain_graph=True, create_graph=create_graph,
                              allow_unused=True)  # fmt: skip
    result = []
    for i, (g, x) in enumerate(zip(found, inputs)):
        if g is None and strict:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input "
                f"{i}. This is not allowed in strict mode ({op})."
            )
        result.append(x.detach().new_zeros(x._array.shape) if g is None else g)
    return tuple(result)


def _shaped(several: bool, values: tuple[Any, ...], create_graph: bool) -> Any:
    """One tensor or a tuple, as it was given; outside the graph unless wanted."""
    if not create_graph:
        values = tuple(v.detach() for v in values)
    return values if several else values[0]


# ---- products ------------------------------------------------------------------------------


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """`(func(inputs), vᵀ J)` with the Jacobian J of `func` at `inputs`.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.vjp(lambda x: x * x, x, torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    several, given = _tuple_of("vjp", "inputs", inputs)
    with enable_grad():
        points = _fresh(given, create_graph)
        many, outputs = _evaluate("vjp", func, points)
        vectors = _vectors("vjp", v, outputs, "user-provided function returns")
        products = _gradients(outputs, points, vectors, create_graph, strict, "vjp")
    return _shaped(many, outputs, create_graph), _shaped(several, products, create_graph)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """`(func(inputs), J v)`: the derivative of `uᵀ J v` with respect to u, which is linear in it.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.jvp(lambda x: x * x, x, torch.tensor([1., 0.]))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    _, given = _tuple_of("jvp", "inputs", inputs)
    with enable_grad():
        points = _fresh(given, create_graph)
        vectors = _vectors("jvp", v, points, "input to the user-provided function")
        many, outputs = _evaluate("jvp", func, points)
        probes = tuple(o.detach().new_zeros(o._array.shape).requires_grad_(True) for o in outputs)
        rows = _gradients(outputs, points, probes, True, strict, "jvp")
        products = _gradients(rows, probes, vectors, create_graph, False, "jvp")
    return _shaped(many, outputs, create_graph), _shaped(many, products, create_graph)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """`(func(inputs), vᵀ H)` with the Hessian H of a scalar function.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), x, torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    several, given = _tuple_of("vhp", "inputs", inputs)
    with enable_grad():
        points = _fresh(given, create_graph)
        vectors = _vectors("vhp", v, points, "input to the user-provided function")
        output = _scalar("vhp", func, points)
        slopes = _gradients((output,), points, (output.detach().new_ones(()),), True, strict, "vhp")
        products = _gradients(slopes, points, vectors, create_graph, strict, "vhp")
    return _shaped(False, (output,), create_graph), _shaped(several, products, create_graph)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """`(func(inputs), H v)`; the Hessian is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)


def _scalar(op: str, func: Callable[..., Any], points: tuple[Any, ...]) -> Any:
    many, outputs = _evaluate(op, func, points)
    if many or outputs[0]._array.size != 1:
        raise RuntimeError(
            f"The function given to {op} should return a single Tensor with a single element"
        )
    return outputs[0].reshape(())


# ---- matrices ------------------------------------------------------------------------------


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False,
             strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The derivatives of all output elements by all input elements.

    Of one output and one input a tensor of shape `output.shape + input.shape`; of several, tuples
    by output, then input. `vectorize` is accepted; rows are computed one by one.

    >>> import rushlight as torch
    >>> torch.autograd.functional.jacobian(lambda x: x * x, torch.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy == "forward-mode":
        raise NotImplementedError(
            "[jacobian] forward mode is not in rushlight yet; use strategy='reverse-mode'"
        )
    if strategy != "reverse-mode":
        raise ValueError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    several, given = _tuple_of("jacobian", "inputs", inputs)
    with enable_grad():
        points = _fresh(given, create_graph)
        many, outputs = _evaluate("jacobian", func, points)
        blocks = tuple(_rows(o, points, create_graph, strict) for o in outputs)
    shaped = tuple(_shaped(several, block, create_graph) for block in blocks)
    return shaped if many else shaped[0]


def _rows(output: Any, points: tuple[Any, ...], create_graph: bool, strict: bool) -> Any:
    """The derivatives of one output by each input."""
    rows: list[list[Any]] = [[] for _ in points]
    size = output._array.size
    for element in range(size):
        unit = output.detach().new_zeros(output._array.shape)
        unit._array.reshape(-1)[element] = 1
        found = _gradients((output,), points, (unit,), create_graph, strict, "jacobian")
        for row, g in zip(rows, found):
            row.append(g)
    return tuple(_stacked(row, output, x) for row, x in zip(rows, points))


def _stacked(rows: list[Any], output: Any, x: Any) -> Any:
    shape = (*output._array.shape, *x._array.shape)
    if not rows:
        return x.detach().new_zeros(shape)
    joined = rows[0].unsqueeze(0)
    if len(rows) > 1:
        from importlib import import_module

        joined = import_module("rushlight.ops.parts").stack(rows)
    return joined.reshape(shape)


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False,
            strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The second derivatives of a scalar function: the Jacobian of its gradient.

    >>> import rushlight as torch
    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    several, given = _tuple_of("hessian", "inputs", inputs)

    def gradient(*points: Any) -> tuple[Any, ...]:
        output = _scalar("hessian", func, points)
        return _gradients((output,), points, (output.detach().new_ones(()),), True, strict,
                          "hessian")  # fmt: skip

    blocks = jacobian(gradient, given, create_graph, strict, False, outer_jacobian_strategy)
    return blocks if several else blocks[0][0]
