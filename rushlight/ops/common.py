"""What all op files share: promotion of operands, dimensions, `out=` and in-place forms."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.anomaly import user_line
from ..autograd.grad_mode import state
from ..autograd.inplace import (
    bump_version,
    can_write_over,
    check_in_place,
    check_inference,
    is_free_target,
    is_recorded,
    keeps_tensor,
    old_values,
    overwrite,
    take_history,
)
from ..autograd.node import next_sequence_nr
from ..autograd.overlap import (
    check_apart,
    check_overlap,
    check_partial_overlap,
    may_overlap,
    repeats,
)
from ..autograd.twin import native
from ..backends import kernels
from ..backends.arrays import is_array
from ..dtypes import Category, dtype, from_numpy_dtype, number_dtype, promote_types
from ..types_ import Array

if TYPE_CHECKING:
    # Every tensor is a Tensor; at run time operations ask for its base class, which lies below.
    from ..tensor import Tensor as TensorBase
else:
    from ..autograd.variable import TensorBase

__all__ = [
    "OPERANDS", "TensorBase", "as_element", "as_float", "cast", "check_apart", "check_overlap",
    "check_tensor", "compute_out", "dtype_of", "in_place", "match", "refuse",
    "wrap_dim", "wrap_dims", "write_out", "write_over",
]  # fmt: skip

NUMBERS = frozenset((int, float, bool, complex))
OPERANDS = (TensorBase, int, float, complex)  # what stands beside a tensor in `x + y`
_FRACTIONAL = "fV"  # array kinds of floating-point numbers (V: ml_dtypes)


def dtype_of(array: Array) -> dtype:
    """The dtype of an array."""
    return from_numpy_dtype(array.dtype)


def cast(x: Array, to: dtype) -> Array:
    """`x` as an array of type `to`; `x` itself if it is one already."""
    return x if x.dtype == to.numpy else kernels(x).cast(x, to.numpy)


def as_float(x: Array) -> Array:
    """`x`, or its float form (of the default dtype) if it holds integers or bools."""
    return x if x.dtype.kind in "fcV" else cast(x, dtypes.get_default_dtype())


def match(x: Any, y: Any) -> tuple[Any, Any]:
    """Both operands of a binary operation in their common dtype.

    A Python number stays a number: it joins the array's dtype, and raises only its category. A
    0-dim array likewise raises only the category of an array with dimensions.
    """
    if type(y) in NUMBERS:
        return _match_number(x, y)
    if type(x) in NUMBERS:
        y, x = _match_number(y, x)
        return x, y
    if not is_array(y):
        return _match_number(x, _plain_number(y))
    if x.dtype == y.dtype:
        return x, y
    to = common_dtype(x, y)
    return cast(x, to), cast(y, to)


def _plain_number(value: Any) -> Any:
    """A NumPy scalar, or an instance of a subclass of int or float, as a plain Python number."""
    if hasattr(value, "item"):
        return value.item()
    kind: Any
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"expected a Tensor or a number, got {type(value).__name__}")


def _match_number(x: Array, y: Any) -> tuple[Array, Any]:
    kind = x.dtype.kind
    number = type(y)
    if kind in _FRACTIONAL:
        return (x, y) if number is not complex else (cast(x, dtype_of(x).to_complex()), y)
    if kind == "c":
        return x, y
    if number is float or number is complex:
        return cast(x, number_dtype(y)), y
    if kind == "b":
        return (x, y) if number is bool else (cast(x, dtypes.int64), y)
    return x, _wrap_integer(int(y), x.dtype)


def _wrap_integer(value: int, numpy_dtype: Any) -> int:
    """`value` reduced to the range of an integer type, as a C conversion does."""
    bits = numpy_dtype.itemsize * 8
    value &= (1 << bits) - 1
    return value - (1 << bits) if numpy_dtype.kind == "i" and value >> (bits - 1) else value


def as_element(value: Any, array_dtype: Any) -> Any:
    """A Python number as what an array of this dtype takes: for integers without its fraction.

    RuntimeError for a number that the dtype cannot hold.
    """
    kind = array_dtype.kind
    if kind == "b" or kind == "c":
        return value
    if isinstance(value, complex):
        raise RuntimeError(_does_not_fit(array_dtype))
    if kind in "iu":
        return _as_integer(value, array_dtype)
    if not -65504 <= value <= 65504 and math.isfinite(value):  # what float16 holds, others do
        if abs(value) > float(dtypes.finfo(from_numpy_dtype(array_dtype)).max):
            raise RuntimeError(_does_not_fit(array_dtype))
    return value


def _as_integer(value: Any, array_dtype: Any) -> int:
    bits = array_dtype.itemsize * 8
    low, high = -(1 << (bits - 1)), (1 << (bits if array_dtype.kind == "u" else bits - 1)) - 1
    if array_dtype.kind == "u":
        low = -high  # negative numbers count from the end, as in C
    if not low <= value <= high:  # so for NaN
        raise RuntimeError(_does_not_fit(array_dtype))
    return _wrap_integer(int(value), array_dtype)


def _does_not_fit(array_dtype: Any) -> str:
    name = from_numpy_dtype(array_dtype).name
    return f"value cannot be converted to type {name} without overflow"


def common_dtype(*operands: Any) -> dtype:
    """The result dtype of arrays and numbers (PyTorch's `result_type`)."""
    best: list[dtype | None] = [None, None, None]  # with dimensions, 0-dim, numbers
    for x in operands:
        if is_array(x):
            rank, d = (0 if x.ndim else 1), dtype_of(x)
        else:
            rank, d = 2, number_dtype(x)
        found = best[rank]
        best[rank] = d if found is None else promote_types(found, d)
    result: dtype | None = None
    for d2 in best:
        if result is None:
            result = d2
        elif d2 is not None and d2.category > result.category:
            result = _raise_category(result, d2)
    assert result is not None
    return result


def _raise_category(low: dtype, high: dtype) -> dtype:
    """The dtype of `high`'s category; of complex, with `low`'s precision if it has one."""
    if high.is_complex and low.category is Category.FLOATING:
        return low.to_complex()
    return high


def check_tensor(value: Any, op: str, argument: str = "input", position: int = 1) -> None:
    """TypeError, worded as PyTorch's, unless `value` is a tensor."""
    if not isinstance(value, TensorBase):
        raise TypeError(
            f"{op}(): argument '{argument}' (position {position}) must be Tensor, not "
            f"{type(value).__name__}"
        )


def refuse(op: str, x: Any, kinds: str) -> None:
    """RuntimeError if an array is of one of the kinds (`b` bool, `i u` ints, `c` complex)."""
    if getattr(x, "dtype", None) is not None and x.dtype.kind in kinds:
        name = type_name(dtype_of(x))
        raise RuntimeError(
            f"[{op}] \"{op}\" not implemented for '{name}'; convert the tensor to another "
            "dtype first"
        )


def wrap_dim(dim: int, ndim: int) -> int:
    """`dim` as a non-negative number; IndexError if it is out of range. 0-dim counts as 1-dim."""
    size = ndim or 1
    if -size <= dim < size:
        return dim % size
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {dim})"
    )


def wrap_dims(dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...] | None:
    """Several dims as sorted non-negative numbers; None (all of them) for None or no dims."""
    if dim is None:
        return None
    if isinstance(dim, int):
        single = wrap_dim(dim, ndim)
        return (single,) if ndim else ()
    if len(dim) == 0:
        return None
    wrapped = tuple(wrap_dim(int(d), ndim) for d in dim)
    if len(set(wrapped)) != len(wrapped):
        first = next(d for i, d in enumerate(wrapped) if d in wrapped[:i])
        raise RuntimeError(f"dim {first} appears multiple times in the list of dims")
    return tuple(sorted(wrapped)) if ndim else ()


def write_out(out: Any, result: Any, op: str = "", *inputs: Any, exact: bool = False) -> Any:
    """Stores `result` in the tensor given as `out=`, resizing it if need be, and returns it.

    `inputs` are those that PyTorch forbids `out` to overlap. `exact` forbids a dtype other than the
    result's. RuntimeError if `out` does not fit.
    """
    if isinstance(result, tuple):
        if len(out) != len(result):
            raise TypeError(f"{op}(): expected {len(result)} tensors in out=, got {len(out)}")
        pairs = [write_out(o, r, op, *inputs, exact=exact) for o, r in zip(out, result)]
        make = getattr(type(result), "_make", tuple)
        return make(pairs)
    if result._requires_grad or (out._requires_grad and state.enabled):
        raise RuntimeError(
            f"{op}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    check_inference(out)
    source, wanted = dtype_of(result._array), dtype_of(out._array)
    if exact and source is not wanted:
        raise RuntimeError(
            f"{op}(): Expected out tensor to have dtype {_SHORT.get(source.name)}, "
            f"but got {_SHORT.get(wanted.name)} instead"
        )
    if source is not wanted and not dtypes.can_cast(source, wanted):
        raise RuntimeError(
            f"result type {_type_name(source)} can't be cast to the desired output type "
            f"{_type_name(wanted)}"
        )
    check_overlap(out, inputs, op)
    if out._array.shape != result._array.shape:
        if out._array.size:
            warnings.warn_explicit(
                f"An output with one or more elements was resized since it had shape "
                f"{list(out._array.shape)}, which does not match the required output shape "
                f"{list(result._array.shape)}.", UserWarning, *user_line(),
            )  # fmt: skip
        out._array = kernels(result._array).empty(result._array.shape, out._array.dtype)
        out._storage = None
    array = cast(result._array, wanted)
    out._array[...] = array
    bump_version(out, op)
    return out


def compute_out(op: Any, name: str, out: Any, *inputs: Any, **attrs: Any) -> Any:
    """The result of an elementwise primitive, whose forward takes `out=`, in the tensor `out`.

    It is computed straight into `out` where nothing is recorded and shape and dtype agree.
    """
    if out is None:
        return op(*inputs, **attrs)
    if can_write_over(out, inputs, op.kinds) and not is_recorded((out, *inputs)):
        return op.into(out, name, inputs, attrs)
    return write_out(out, op(*inputs, **attrs), name, *inputs)


if native is not None:
    native.connect("write_out", write_out)
    compute_out = native.compute_out_function(compute_out)


_SHORT = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int",
    "int32": "int", "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip
_NAMES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int",
    "int64": "Long", "float16": "Half", "bfloat16": "BFloat16", "float32": "Float",
    "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def _type_name(d: dtype) -> str:
    """PyTorch's old name of a dtype, which its messages use (`Float`, `Long`)."""
    return _NAMES.get(d.name, d.name)


type_name = _type_name


def check_result_type(tensor: Any, result: Any) -> None:
    """RuntimeError if values of `result`'s dtype may not be stored in `tensor`."""
    source, wanted = result._array.dtype, tensor._array.dtype
    if source != wanted:
        a, b = from_numpy_dtype(source), from_numpy_dtype(wanted)
        if not dtypes.can_cast(a, b):
            raise RuntimeError(
                f"result type {_type_name(a)} can't be cast to the desired output type "
                f"{_type_name(b)}"
            )


def in_place(function: Callable[..., Any], op: Any = None,
             check: Callable[..., None] | None = check_overlap) -> Callable[..., Any]:  # fmt: skip
    """The trailing-underscore method of a public function: `relu_ = in_place(relu)`.

    The result is computed out of place and then takes over the tensor's memory and history. `op`
    names a primitive that the function applies, whose forward takes `out=`: where the dtypes agree
    it writes straight into the tensor, of whose old values the graph keeps a copy if it must.
    `check` refuses operands that share its memory.
    """
    name = function.__name__.lstrip("_") + "_"
    operands = -1 if op is None else len(op.input_names) - 1
    kinds = "" if op is None else op.kinds
    attributes = frozenset() if op is None else op.attributes - {"out"}

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == operands and (not kwargs or attributes.issuperset(kwargs)):
            inputs = (self, *args)  # none of them is given by name
            if can_write_over(self, inputs, kinds):
                if not is_recorded(inputs):
                    return op.into(self, name, inputs, kwargs)
                if self._base is None:
                    check_in_place(self)
                    if op.keeps_inputs and keeps_tensor(op, self, inputs):
                        old = old_values(self)
                        inputs = tuple(old if x is self else x for x in inputs)
                    return take_history(self, op(*inputs, out=self._array, **kwargs), name)
        check_in_place(self)
        if check is not None:
            check(self, (*args, *kwargs.values()), name)
        since = next_sequence_nr()
        result = function(self, *args, **kwargs)
        check_result_type(self, result)
        return overwrite(self, result, name, since)

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    if native is None or op is None:
        return method
    compiled = native.InPlaceMethod(method, op, name, attributes, operands)
    return functools.update_wrapper(compiled, method)


# PyTorch lets these write into expanded tensors, with a warning.
_MAY_REPEAT = frozenset(("index_fill_", "index_put_", "masked_fill_"))


def write_over(op: Any, name: str, self: Any, *inputs: Any, **attrs: Any) -> Any:
    """Applies a primitive to `self` and `inputs` in place; its forward takes `out=`.

    Where nothing is recorded it writes straight into the tensor's memory. The inputs have been
    checked by the caller, but for memory shared with the tensor.
    """
    if is_free_target(self, inputs):
        return op.into(self, name, (self, *inputs), attrs)
    check_in_place(self)
    (check_partial_overlap if name == "masked_fill_" else check_apart)(self, inputs, name)
    if name in _MAY_REPEAT and _is_free_but_for_repeats(self, inputs):
        warnings.warn_explicit(
            f"Use of {name} on expanded tensors is deprecated, as elements share their memory. "
            "Please clone() the tensor first. This also applies to tensor[indices] = value.",
            UserWarning, *user_line(),
        )  # fmt: skip
        return op.into(self, name, (self, *inputs), attrs)
    result = op(self, *inputs, **attrs)
    check_result_type(self, result)
    return overwrite(self, result, name)


def _is_free_but_for_repeats(tensor: Any, inputs: tuple[Any, ...]) -> bool:
    array = tensor._array
    if not repeats(array) or not array.flags.writeable or is_recorded((tensor, *inputs)):
        return False
    return not any(may_overlap(array, x._array) for x in inputs if isinstance(x, TensorBase))
