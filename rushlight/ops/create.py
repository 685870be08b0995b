"""New tensors: filled, like others, evenly spaced."""

from __future__ import annotations

import builtins
import math
from numbers import Integral
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape
from ..dtypes import dtype as DType
from ..dtypes import number_dtype
from .common import TensorBase, write_out
from .from_data import _finish, _host
from .memory_format import channels_last_axes, memory_axes, new_in_order, wants_channels_last

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ones_like", "full_like",
    "empty_strided", "arange", "range", "linspace", "logspace", "eye", "complex", "polar",
    "tril_indices", "triu_indices", "CreateMethods",
]  # fmt: skip


# ---- filled --------------------------------------------------------------------------------


def _new(kernel: Any, size: Any, dtype: DType | None, device: Any, requires_grad: bool,
         out: Any) -> Any:  # fmt: skip
    shape = as_shape(size) if size else ()
    if shape and min(shape) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension "
            f"{next(s for s in shape if s < 0)}: {list(shape)}"
        )
    d = dtypes._default_dtype if dtype is None else dtype
    if out is not None:
        return write_out(out, wrap(kernel(shape, out._array.dtype)))
    array = kernel(shape, d.numpy)
    if device is None and not requires_grad:
        return wrap(array)
    return _finish(array, requires_grad, device)


def _ones_kernel(shape: Any, dtype: Any) -> Any:
    return _host.full(shape, 1, dtype)


def empty(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
          out: Tensor | None = None, layout: Any = None, pin_memory: bool = False,
          memory_format: Any = None) -> Tensor:  # fmt: skip
    """A tensor whose elements are not set.

    >>> import rushlight as torch
    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    if wants_channels_last(memory_format) and out is None:
        shape = as_shape(size)
        axes = channels_last_axes(len(shape), memory_format)
        d = dtypes._default_dtype if dtype is None else dtype
        array = new_in_order(lambda s: _host.empty(s, d.numpy), shape, axes)
        return _finish(array, requires_grad, device)
    return _new(_host.empty, size, dtype, device, requires_grad, out)


def zeros(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
          out: Tensor | None = None, layout: Any = None,
          pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of zeros.

    >>> import rushlight as torch
    >>> torch.zeros(2, dtype=torch.long)
    tensor([0, 0])
    """
    return _new(_host.zeros, size, dtype, device, requires_grad, out)


def ones(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
         out: Tensor | None = None, layout: Any = None,
         pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of ones.

    >>> import rushlight as torch
    >>> torch.ones(2, 2)
    tensor([[1., 1.],
            [1., 1.]])
    """
    return _new(_ones_kernel, size, dtype, device, requires_grad, out)


def full(size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None,
         requires_grad: bool = False, out: Tensor | None = None, layout: Any = None,
         pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor in which every element is `fill_value`, whose type gives the dtype.

    >>> import rushlight as torch
    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()
    d = number_dtype(fill_value) if dtype is None else dtype
    shape = as_shape((tuple(size) if not isinstance(size, int) else size,))
    if out is not None:
        return write_out(out, wrap(_host.full(shape, fill_value, out._array.dtype)))
    return _finish(_host.full(shape, fill_value, d.numpy), requires_grad, device)


def _like(kernel: Any, input: Any, dtype: DType | None, device: Any, requires_grad: bool,
          memory_format: Any) -> Any:  # fmt: skip
    array = input._array
    array_dtype = array.dtype if dtype is None else dtype.numpy
    if memory_format is None and array.flags.c_contiguous:
        return _finish(kernel(array.shape, array_dtype), requires_grad, device)
    axes = memory_axes(array, memory_format)
    result = new_in_order(lambda shape: kernel(shape, array_dtype), array.shape, axes)
    return _finish(result, requires_grad, device)


def empty_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
               requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
               memory_format: Any = None) -> Tensor:  # fmt: skip
    """An unset tensor of the shape and dtype of `input`."""
    return _like(kernels(input._array).empty, input, dtype, device, requires_grad, memory_format)


def zeros_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
               requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
               memory_format: Any = None) -> Tensor:  # fmt: skip
    """Zeros of the shape and dtype of `input`.

    >>> import rushlight as torch
    >>> torch.zeros_like(torch.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like(kernels(input._array).zeros, input, dtype, device, requires_grad, memory_format)


def ones_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
              requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
              memory_format: Any = None) -> Tensor:  # fmt: skip
    """Ones of the shape and dtype of `input`."""
    return _like(_ones_kernel, input, dtype, device, requires_grad, memory_format)


def full_like(input: Tensor, fill_value: Any, *, dtype: DType | None = None, device: Any = None,
              requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
              memory_format: Any = None) -> Tensor:  # fmt: skip
    """`fill_value` in the shape and dtype of `input`."""
    k = kernels(input._array)
    return _like(lambda s, d: k.full(s, fill_value, d), input, dtype, device, requires_grad,
                 memory_format)  # fmt: skip


def empty_strided(size: Any, stride: Any, *, dtype: DType | None = None, device: Any = None,
                  requires_grad: bool = False, layout: Any = None,
                  pin_memory: bool = False) -> Tensor:  # fmt: skip
    """An unset tensor with the given strides (in elements)."""
    d = dtypes.get_default_dtype() if dtype is None else dtype
    length = 1 + sum((n - 1) * s for n, s in zip(size, stride)) if math.prod(size) else 0
    memory = _host.empty((length,), d.numpy)
    array = _host.as_strided(memory, tuple(size), [s * d.itemsize for s in stride])
    return _finish(array, requires_grad, device)


# ---- evenly spaced -------------------------------------------------------------------------


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: DType | None = None,
           device: Any = None, requires_grad: bool = False, out: Tensor | None = None,
           layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """`start, start + step, …` below `end`; with one argument, `0 … start - 1`.

    >>> import rushlight as torch
    >>> torch.arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    if end is None:
        start, end = 0, start
    whole = type(start) is int and type(end) is int and type(step) is int
    if not whole:
        numbers = [v.item() if isinstance(v, TensorBase) else v for v in (start, end, step)]
        whole = all(isinstance(v, Integral) for v in numbers)
        start, end, step = numbers
    if dtype is None and out is not None:
        dtype = out.dtype
    if dtype is None:
        dtype = dtypes.int64 if whole else dtypes.get_default_dtype()
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is dtypes.int64:  # PyTorch counts the steps of int64 in int64
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
    whole = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    result = _finish(_host.arange(start, step, max(count, 0), dtype.numpy), requires_grad, device)
    if out is not None:
        return write_out(out, result)
    return result


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: DType | None = None) -> Tensor:
    """As `arange`, but `end` is included. Deprecated in PyTorch, too."""
    if end is None:
        start, end = 0, start
    dtype = dtypes.get_default_dtype() if dtype is None else dtype
    count = math.floor((end - start) / step) + 1
    return wrap(_host.arange(start, step, count, dtype.numpy))


def linspace(start: Any, end: Any, steps: int, *, dtype: DType | None = None, device: Any = None,
             requires_grad: bool = False, out: Tensor | None = None, layout: Any = None,
             pin_memory: bool = False) -> Tensor:  # fmt: skip
    """`steps` numbers from `start` to `end`, both included.

    >>> import rushlight as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    for v in (start, end):
        if isinstance(v, TensorBase) and v._array.ndim:
            raise RuntimeError(
                "linspace only supports 0-dimensional start and end tensors, "
                "but got "
                f"one with {v._array.ndim} dimension(s)."
            )
    start, end = (v.item() if isinstance(v, TensorBase) else v for v in (start, end))
    if not hasattr(steps, "__index__"):
        raise TypeError(f"linspace(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is None:
        dtype = dtypes.get_default_dtype()
        if isinstance(start, builtins.complex) or isinstance(end, builtins.complex):
            dtype = dtype.to_complex()
    result = _finish(_host.linspace(start, end, steps, dtype.numpy), requires_grad, device)
    if out is not None:
        return write_out(out, result)
    return result


def logspace(start: float, end: float, steps: int, base: float = 10.0, *,
             dtype: DType | None = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """`base` to the powers of `linspace(start, end, steps)`."""
    dtype = dtypes.get_default_dtype() if dtype is None else dtype
    powers = linspace(start, end, steps, dtype=dtypes.float64)
    result = (base**powers).to(dtype)
    return result.requires_grad_(True) if requires_grad else result


def eye(n: int, m: int | None = None, *, dtype: DType | None = None, device: Any = None,
        requires_grad: bool = False, out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The identity matrix, `n × m` (`m` is `n` unless given).

    >>> import rushlight as torch
    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    d = dtypes.get_default_dtype() if dtype is None else dtype
    result = _finish(_host.eye(n, n if m is None else m, d.numpy), requires_grad, device)
    if out is not None:
        return write_out(out, result)
    return result


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`real + i · imag`.

    >>> import rushlight as torch
    >>> torch.complex(torch.tensor([1.]), torch.tensor([2.]))
    tensor([1.+2.j])
    """
    if real._array.dtype != imag._array.dtype:
        raise RuntimeError(
            "Expected object of scalar type "
            f"{real.dtype} but got scalar type {imag.dtype} for second argument"
        )
    if real._array.dtype.kind != "f":
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{real.dtype} and {imag.dtype}"
        )
    result = real + imag * 1j
    if out is None:
        return result
    if out.dtype is not result.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {result.dtype} but got scalar type "
            f"{out.dtype} for argument 'out'"
        )
    return write_out(out, result, "complex")


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """The complex numbers with the given size and angle."""
    return complex(abs * angle.cos(), abs * angle.sin())


def tril_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The row and column indices of the elements on and below a diagonal, `(2, count)`."""
    return wrap(_host.nonzero(_host.tri_mask(row, col, offset)).T.copy())


def triu_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The row and column indices of the elements on and above a diagonal, `(2, count)`."""
    return wrap(_host.nonzero(~_host.tri_mask(row, col, offset - 1)).T.copy())


class CreateMethods:
    """`new_…`: tensors of the same dtype and device."""

    def new_empty(self: Any, *size: Any, dtype: Any = None, device: Any = None,
                  requires_grad: bool = False, layout: Any = None,
                  pin_memory: bool = False) -> Any:  # fmt: skip
        """An unset tensor of this dtype."""
        d = self._array.dtype if dtype is None else dtype.numpy
        return _finish(kernels(self._array).empty(as_shape(size), d), requires_grad, device)

    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None,
                  requires_grad: bool = False, layout: Any = None,
                  pin_memory: bool = False) -> Any:  # fmt: skip
        """Zeros of this dtype."""
        d = self._array.dtype if dtype is None else dtype.numpy
        return _finish(kernels(self._array).zeros(as_shape(size), d), requires_grad, device)

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False, layout: Any = None,
                 pin_memory: bool = False) -> Any:  # fmt: skip
        """Ones of this dtype."""
        d = self._array.dtype if dtype is None else dtype.numpy
        return _finish(kernels(self._array).full(as_shape(size), 1, d), requires_grad, device)

    def new_full(self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
                 requires_grad: bool = False, layout: Any = None,
                 pin_memory: bool = False) -> Any:  # fmt: skip
        """`fill_value` everywhere, in this dtype."""
        d = self._array.dtype if dtype is None else dtype.numpy
        array = kernels(self._array).full(as_shape((tuple(size),)), fill_value, d)
        return _finish(array, requires_grad, device)

    def new_empty_strided(self: Any, size: Any, stride: Any, *, dtype: Any = None,
                          device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
        """An unset tensor of this dtype with the given strides."""
        return empty_strided(size, stride, dtype=dtype or self.dtype, device=device,
                             requires_grad=requires_grad)  # fmt: skip
