"""`gradcheck`: derivative rules against finite differences.

For every element of every output and every cotangent v (1, and i for complex outputs) the gradient
of `L = Re(conj(v) · y)` must equal the central difference of L: `dL/dx` for a real input,
`dL/dRe(x) + i · dL/dIm(x)` for a complex one, which is the convention of backward.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from . import grad as differentiate
from .grad_mode import enable_grad, no_grad
from .variable import TensorBase

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Raised by `gradcheck` and `gradgradcheck` when two derivatives differ."""


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5,
              rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
              check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
              check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
              check_forward_ad: bool = False, check_backward_ad: bool = True,
              fast_mode: bool = False, masked: bool | None = None) -> bool:  # fmt: skip
    """Whether the gradients of `func` at `inputs` agree with central differences of step `eps`.

    Two numbers agree if `|a - n| <= atol + rtol · |n|`. Inputs that require a gradient should be
    double precision. GradcheckError names the first disagreement (False is returned instead with
    `raise_exception=False`). `fast_mode` is accepted; all elements are checked all the same.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x.exp() * x, (x,))
    True
    """
    if check_forward_ad or check_batched_grad or check_batched_forward_grad:
        raise NotImplementedError(
            "[gradcheck] forward mode and batched gradients are not in "
            "rushlight yet; leave check_forward_ad and check_batched_grad "
            "False"
        )
    if not check_backward_ad:
        raise ValueError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    tensors = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    checked = _checked_inputs(tensors)
    try:
        outputs = _outputs(func, tensors)
        if not outputs:
            return _constant_outputs(func, tensors, checked)
        for number in range(len(outputs)):
            _check_output(func, tensors, checked, number, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _checked_inputs(tensors: tuple[Any, ...]) -> list[int]:
    """The numbers of the inputs that require a gradient; ValueError if there are none."""
    checked = []
    for i, x in enumerate(tensors):
        if not isinstance(x, TensorBase) or not x.requires_grad:
            continue
        if x._array.dtype not in ("float64", "complex128"):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision "
                "floating point or complex. ", stacklevel=3,
            )  # fmt: skip
        if any(step == 0 and size > 1 for step, size in zip(x._array.strides, x._array.shape)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that "
                "are non-overlapping to be able to compute the numerical gradients correctly. You "
                "should call .contiguous on the input before passing it to gradcheck."
            )
        checked.append(i)
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but "
            "none of the them have requires_grad=True."
        )
    return checked


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Any]:
    """The outputs that are in the graph."""
    result = func(*inputs)
    found = [result] if isinstance(result, TensorBase) else list(result)
    return [o for o in found if isinstance(o, TensorBase) and o.requires_grad]


def _constant_outputs(func: Callable[..., Any], inputs: tuple[Any, ...],
                      checked: list[int]) -> bool:  # fmt: skip
    """No output is in the graph: then none may depend on the inputs."""
    with no_grad():
        result = func(*inputs)
        values = [result] if isinstance(result, TensorBase) else list(result)
        before = [o.clone() for o in values]
        for i in checked:
            if not inputs[i]._array.size:
                continue
            first = inputs[i]._array.flat[0]
            inputs[i]._array.flat[0] = first + 1e-3
            again = func(*inputs)
            inputs[i]._array.flat[0] = first
            moved = [again] if isinstance(again, TensorBase) else list(again)
            for a, b in zip(before, moved):
                if a.is_floating_point() and not bool(((a == b) | (a != a)).all()):
                    raise GradcheckError("Numerical gradient for function expected to be zero")
    return True


def _check_output(func: Callable[..., Any], inputs: tuple[Any, ...], checked: list[int],
                  number: int, eps: float, atol: float, rtol: float,
                  nondet_tol: float) -> None:  # fmt: skip
    """Compares all gradients of one output."""
    wanted = [inputs[i] for i in checked]
    numerical = [_numerical(func, inputs, i, number, eps) for i in checked]
    with enable_grad():
        output = _outputs(func, inputs)[number]
    cotangents = (1, 1j) if output.is_complex() else (1,)
    for element in range(output._array.size):
        for v in cotangents:
            analytical = _analytical(output, wanted, element, v)
            if nondet_tol >= 0:
                again = _analytical(output, wanted, element, v)
                _check_repeatable(analytical, again, nondet_tol)
            for k, i in enumerate(checked):
                _compare(analytical[k], numerical[k], element, v, (number, i), atol, rtol)


def _analytical(output: Any, inputs: Sequence[Any], element: int, v: complex) -> list[Any]:
    """The gradients that backward gives for one element of the output."""
    cotangent = output.new_zeros(output._array.shape)
    cotangent._array.reshape(-1)[element] = v
    found = differentiate(output, inputs, cotangent, retain_graph=True, allow_unused=True)
    return [x.new_zeros(x._array.shape) if g is None else g for g, x in zip(found, inputs)]


def _check_repeatable(first: list[Any], second: list[Any], tolerance: float) -> None:
    for a, b in zip(first, second):
        difference = abs(a._array - b._array)
        if difference.size and float(difference.max()) > tolerance:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient.The tolerance for nondeterminism was {tolerance}."
            )


def _numerical(func: Callable[..., Any], inputs: tuple[Any, ...], i: int, number: int,
               eps: float) -> list[tuple[Any, Any]]:  # fmt: skip
    """For each element of input i the derivative of the output by its real and imaginary part."""
    x = inputs[i]
    # an operation may save its input: it is the array, not the tensor, that is moved back and forth
    columns = []
    for element in range(x._array.size):
        real = _central_difference(func, inputs, x, element, number, eps, 1)
        imaginary = None
        if x.is_complex():
            imaginary = _central_difference(func, inputs, x, element, number, eps, 1j)
        columns.append((real, imaginary))
    return columns


def _central_difference(func: Callable[..., Any], inputs: tuple[Any, ...], x: Any, element: int,
                        number: int, eps: float, direction: complex) -> Any:  # fmt: skip
    original = x._array.flat[element]
    values = []
    for sign in (1, -1):
        x._array.flat[element] = original + sign * eps * direction
        with enable_grad():  # outputs are numbered among those that require a gradient
            values.append(_outputs(func, inputs)[number]._array.copy())
        x._array.flat[element] = original
    return ((values[0] - values[1]) / (2 * eps)).reshape(-1)


def _compare(analytical: Any, numerical: list[tuple[Any, Any]], element: int, v: complex,
             place: tuple[int, int], atol: float, rtol: float) -> None:  # fmt: skip
    """The gradient of `Re(conj(v) · y[element])` by each element of an input."""
    conjugate = complex(v).conjugate()
    for k, got in enumerate(analytical._array.reshape(-1).tolist()):
        real, imaginary = numerical[k]
        expected = complex((conjugate * real[element]).real)
        if imaginary is not None:
            expected += 1j * float((conjugate * imaginary[element]).real)
        same = got == expected or (got != got and expected != expected)
        if not same and not abs(got - expected) <= atol + rtol * abs(expected):
            raise GradcheckError(
                f"Jacobian mismatch for output {place[0]} with respect to input {place[1]}, "
                f"element {element} of the output and {k} of the input (cotangent {v}): numerical "
                f"{expected if imaginary is not None else expected.real}, analytical {got}"
            )


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *,
                  eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
                  gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True,
                  nondet_tol: float = 0.0, check_undefined_grad: bool = True,
                  check_grad_dtypes: bool = False, check_batched_grad: bool = False,
                  check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
                  fast_mode: bool = False, masked: bool = False) -> bool:  # fmt: skip
    """Whether the second derivatives of `func` agree with differences of the first ones.

    `grad_outputs` are the cotangents of the first backward pass (random unless given); they are
    differentiated, too.

    >>> import rushlight as torch
    >>> x = torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: x.sin() * x, (x,))
    True
    """
    if check_fwd_over_rev:
        raise NotImplementedError(
            "[gradgradcheck] forward mode is not in rushlight yet; leave check_fwd_over_rev False"
        )
    tensors = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    wanted = _checked_inputs(tensors)
    with enable_grad():
        outputs = _outputs(func, tensors)
    if grad_outputs is None:
        cotangents = [_random_like(o).requires_grad_(True) for o in outputs]
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, TensorBase) else tuple(grad_outputs)
        cotangents = list(given)
    count = len(tensors)

    def first_gradients(*values: Any) -> tuple[Any, ...]:
        inner = list(values[:count])
        for i in wanted:  # a leaf differentiates as itself; views of it keep their history
            if not inner[i].requires_grad:
                inner[i] = inner[i].detach().requires_grad_(True)
        results = _outputs(func, tuple(inner))
        found = differentiate(results, [inner[i] for i in wanted], list(values[count:]),
                              create_graph=True, allow_unused=True)  # fmt: skip
        return tuple(g for g in found if g is not None)

    return gradcheck(first_gradients, (*tensors, *cotangents), eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception, nondet_tol=nondet_tol,
                     check_grad_dtypes=check_grad_dtypes)  # fmt: skip


def _random_like(x: Any) -> Any:
    """Cotangents drawn without touching the user's random stream."""
    generator = _generator()
    import importlib

    randn = importlib.import_module("rushlight.ops.random").randn
    return randn(x._array.shape, dtype=x.dtype, generator=generator)


def _generator() -> Any:
    import importlib

    return importlib.import_module("rushlight.random").Generator().manual_seed(0)
