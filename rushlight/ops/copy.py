"""Copies and conversions: `clone`, `to`, `copy_`, `contiguous`, complex parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.grad_mode import state
from ..autograd.inplace import (
    bump_version,
    check_in_place,
    is_free_target,
    overwrite,
    set_history,
)
from ..autograd.node import Node, edge_of
from ..autograd.overlap import check_overlap, check_repeats
from ..autograd.primitive import primitive
from ..autograd.variable import alias
from ..backends import kernels
from ..backends.layout import is_channels_last
from ..device import device as Device
from ..dtypes import dtype as DType
from ..dtypes import from_numpy_dtype
from ..types_ import Array
from .common import TensorBase, as_element, cast
from .expand import expand
from .from_data import resolve_device
from .memory_format import copied, memory_axes, wants_channels_last

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["clone", "real", "imag", "conj", "view_as_real", "view_as_complex", "resolve_conj",
           "resolve_neg", "conj_physical", "CopyMethods"]  # fmt: skip


# ---- clone, contiguous ---------------------------------------------------------------------


@primitive(name="Clone")
def _clone(x: Array) -> Array:
    return kernels(x).copy(x) if x.flags.c_contiguous else copied(x)


@_clone.derivative("x")
def _clone_dx(grad: Tensor) -> Tensor:
    return grad


@primitive(name="Clone")
def _clone_as(x: Array, *, memory_format: Any) -> Array:
    return copied(x, memory_format)


@_clone_as.derivative("x")
def _clone_as_dx(grad: Tensor) -> Tensor:
    return grad


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own memory, in the graph; laid out as `input` unless `memory_format` says.

    >>> import rushlight as torch
    >>> torch.clone(torch.tensor([1., 2.]))
    tensor([1., 2.])
    """
    return _clone(input) if memory_format is None else _clone_as(input, memory_format=memory_format)


@primitive(name="Clone", kernel="contiguous")
def _contiguous(x: Array) -> Array:
    return kernels(x).contiguous(x)


@_contiguous.derivative("x")
def _contiguous_dx(grad: Tensor) -> Tensor:
    return grad


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """`input` itself if it is contiguous, else a contiguous copy."""
    if memory_format is not None:
        if wants_channels_last(memory_format):
            return _channels_last(input, memory_format)
        if memory_format.name == "preserve_format":
            raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return input if input._array.flags.c_contiguous else _contiguous(input)


def _channels_last(input: Tensor, memory_format: Any) -> Tensor:
    """`input` itself if dim 1 is innermost in memory, else such a copy."""
    axes = memory_axes(input._array, memory_format)
    if input._array.transpose(axes).flags.c_contiguous:
        return input
    return _clone_as(input, memory_format=memory_format)


# ---- dtype and device ----------------------------------------------------------------------


@primitive(name="ToCopy", kernel="cast")
def _to_copy(x: Array, *, dtype: Any) -> Array:
    return kernels(x).cast(x, dtype)


@_to_copy.derivative("x")
def _to_copy_dx(grad: Tensor, x_dtype: Any) -> Tensor:
    return _to_array_dtype(grad, x_dtype)


def _to_array_dtype(input: Tensor, array_dtype: Any) -> Tensor:
    """`input` converted to an array dtype; of complex numbers to real, the real part."""
    if input._array.dtype == array_dtype:
        return input
    return _to_copy(input, dtype=array_dtype)


def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`input` with another dtype and/or device: `to(dtype)`, `to(device)`, `to(other)`.

    Itself, if nothing changes and `copy` is False.
    """
    if len(args) == 1 and not kwargs and type(args[0]) is DType:
        to_dtype = args[0].numpy
        return input if input._array.dtype == to_dtype else _to_copy(input, dtype=to_dtype)
    dtype, device, copy, memory_format = _parse_to(args, kwargs)
    if device is not None and device.type != "cpu":
        resolve_device(device)
    result = input
    if dtype is not None and input._array.dtype != dtype.numpy:
        result = _to_copy(input, dtype=dtype.numpy)
    elif copy:
        result = _clone(input)
    name = getattr(memory_format, "name", "preserve_format")
    if name == "preserve_format":
        return result
    if name == "contiguous_format" and result is input and not is_channels_last(input._array):
        return input  # as PyTorch, which asks only whether it is channels last
    return contiguous(result, memory_format)


def _as(input: Any, dtype: DType, memory_format: Any) -> Any:
    """What `input.float()` and its like give."""
    if memory_format is not None:
        return to(input, dtype, memory_format=memory_format)
    return input if input._array.dtype == dtype.numpy else _to_copy(input, dtype=dtype.numpy)


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    dtype, device = kwargs.get("dtype"), kwargs.get("device")
    flags = []
    for a in args:
        if isinstance(a, DType):
            dtype = a
        elif isinstance(a, TensorBase):
            dtype, device = from_numpy_dtype(a._array.dtype), None
        elif isinstance(a, bool):
            flags.append(a)
        elif isinstance(a, (str, int, Device)):
            device = a
        elif a is not None:
            raise TypeError(
                f"to() received an invalid argument: {a!r}; expected a dtype, a device or a tensor"
            )
    if "other" in kwargs:
        dtype = from_numpy_dtype(kwargs["other"]._array.dtype)
    unknown = set(kwargs) - {"dtype", "device", "non_blocking", "copy", "memory_format", "other"}
    if unknown:
        raise TypeError(f"to() got an unexpected keyword argument '{unknown.pop()}'")
    copy = kwargs.get("copy", flags[1] if len(flags) > 1 else False)
    device = None if device is None else Device(device)
    return dtype, device, copy, kwargs.get("memory_format")


# ---- complex -------------------------------------------------------------------------------


@primitive(name="Real", view=True)
def _real(x: Array) -> Array:
    return x.real


@_real.derivative("x")
def _real_dx(grad: Tensor) -> Tensor:
    return grad + 0j


@primitive(name="Imag", view=True)
def _imag(x: Array) -> Array:
    return x.imag


@_imag.derivative("x")
def _imag_dx(grad: Tensor) -> Tensor:
    return grad * 1j


def real(input: Tensor) -> Tensor:
    """The real part, a view; a real tensor is itself."""
    return _real(input) if input._array.dtype.kind == "c" else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part, a view; RuntimeError for a real tensor."""
    if input._array.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag(input)


@primitive(name="Conj")
def _conj(x: Array) -> Array:
    return x.conj()


@_conj.derivative("x")
def _conj_dx(grad: Tensor) -> Tensor:
    return conj(grad)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is itself."""
    return _conj(input) if input._array.dtype.kind == "c" else input


conj_physical = conj


def resolve_conj(input: Tensor) -> Tensor:
    """`input` itself: conjugates are computed at once here."""
    return input


resolve_neg = resolve_conj


@primitive(name="ViewAsReal", view=True)
def _view_as_real(x: Array) -> Array:
    return x[..., None].view(x.real.dtype)


@_view_as_real.derivative("x")
def _view_as_real_dx(grad: Tensor) -> Tensor:
    return view_as_complex(grad.contiguous())


def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor as real pairs in a new last dim; a view."""
    if input._array.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _view_as_real(input)


@primitive(name="ViewAsComplex", view=True)
def _view_as_complex(x: Array) -> Array:
    to = from_numpy_dtype(x.dtype).to_complex().numpy
    return x.view(to)[..., 0]


@_view_as_complex.derivative("x")
def _view_as_complex_dx(grad: Tensor) -> Tensor:
    return view_as_real(grad)


def view_as_complex(input: Tensor) -> Tensor:
    """Real pairs in the last dim as complex numbers; a view."""
    if input._array.ndim == 0 or input._array.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input._array.strides[-1] != input._array.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    return _view_as_complex(input)


# ---- writing into a tensor -----------------------------------------------------------------


@primitive(name="Copy", broadcast=True)
def _copied(x: Array, source: Array) -> Array:
    return cast(source, from_numpy_dtype(x.dtype))


@_copied.derivative("source")
def _copied_dsource(grad: Tensor) -> Tensor:
    return grad


def copy_(self: Any, other: Any, non_blocking: bool = False) -> Any:
    """Copies the elements of `other` into this tensor, broadcasting and converting."""
    if not isinstance(other, TensorBase):
        if isinstance(other, (bool, int, float, complex)):
            return fill_(self, other)
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    target, source = self._array, other._array
    if is_free_target(self, (other,)):
        if source.shape == target.shape and source.dtype is target.dtype:
            target[...] = source
            bump_version(self, "copy_")
            return self
    else:
        check_in_place(self)
        if other is not self:
            check_overlap(self, (other,), "copy_")
    if other._requires_grad and state.enabled:
        expanded = expand(other, target.shape) if source.shape != target.shape else other
        return overwrite(self, _copied(self.detach(), expanded), "copy_")
    if source.shape != target.shape:
        source = expand(other, target.shape)._array
    _check_writable(self, "copy_")
    target[...] = source if source.dtype == target.dtype else _convert(source, target.dtype)
    bump_version(self, "copy_")
    if self._requires_grad and state.enabled:
        _cut_history(self)
    return self


def _convert(source: Array, array_dtype: Any) -> Array:
    return kernels(source).cast(source, array_dtype)


def _check_writable(self: Any, op: str) -> None:
    if not self._array.flags.writeable:
        raise RuntimeError(f"[{op}] the tensor's memory is read-only; change a .clone()")


def _cut_history(self: Any) -> None:
    """The value no longer depends on what it was: gradients that go there are zeros."""
    set_history(self, FillBackward0((edge_of(self),)) if self._base is None else None)


class FillBackward0(Node):
    """The history of a tensor that was overwritten with constants."""

    def apply(self, grads: list[Any]) -> list[Any]:
        return [grads[0] * 0]

    def release(self) -> None:
        """Nothing was saved."""


def fill_(self: Any, value: Any, _may_repeat: bool = True) -> Any:
    """Sets every element to `value` (a number or 0-dim tensor).

    A number may be written into expanded memory, too; by PyTorch's rules not as `x[:] = number`.
    """
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value._array.ndim} dimensions."
            )
        if value._requires_grad and state.enabled:
            return copy_(self, value)
        check_repeats(self, "fill_")
        value = value.item()
    if not is_free_target(self, ()):
        check_in_place(self)
        _check_writable(self, "fill_")
        if not _may_repeat:
            check_repeats(self, "fill_")
    array = self._array
    kernels(array).fill(array, as_element(value, array.dtype))
    bump_version(self, "fill_")
    if self._requires_grad and state.enabled:
        _cut_history(self)
    return self


def zero_(self: Any) -> Any:
    """Sets every element to 0."""
    if not is_free_target(self, ()):
        return fill_(self, 0)
    kernels(self._array).fill(self._array, 0)
    bump_version(self, "zero_")
    return self


class CopyMethods:
    """Copies and conversions as methods of `Tensor`."""

    _grad_fn: Any  # the field of TensorBase that `detach_` empties

    clone = clone
    contiguous = contiguous
    to = to
    conj = conj_physical = conj
    resolve_conj = resolve_conj
    resolve_neg = resolve_neg
    copy_ = copy_
    fill_ = fill_
    zero_ = zero_
    _to_array_dtype = _to_array_dtype

    @property
    def real(self: Any) -> Any:
        """The real part, a view."""
        return real(self)

    @property
    def imag(self: Any) -> Any:
        """The imaginary part, a view."""
        return imag(self)

    def detach(self: Any) -> Any:
        """The same memory, outside the graph."""
        result = alias(self)
        result._storage = self.storage_record
        return result

    def detach_(self: Any) -> Any:
        """Takes this tensor out of the graph."""
        if self._base is not None and self.requires_grad:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._grad_fn, self._requires_grad, self._output_nr = None, False, 0
        return self

    def type_as(self: Any, other: Any) -> Any:
        """`self` in the dtype of `other`."""
        return to(self, other.dtype)

    def float(self: Any, memory_format: Any = None) -> Any:
        """As float32."""
        return _as(self, dtypes.float32, memory_format)

    def double(self: Any, memory_format: Any = None) -> Any:
        """As float64."""
        return _as(self, dtypes.float64, memory_format)

    def half(self: Any, memory_format: Any = None) -> Any:
        """As float16."""
        return _as(self, dtypes.float16, memory_format)

    def bfloat16(self: Any, memory_format: Any = None) -> Any:
        """As bfloat16."""
        return _as(self, dtypes.bfloat16, memory_format)

    def long(self: Any, memory_format: Any = None) -> Any:
        """As int64."""
        return _as(self, dtypes.int64, memory_format)

    def int(self: Any, memory_format: Any = None) -> Any:
        """As int32."""
        return _as(self, dtypes.int32, memory_format)

    def short(self: Any, memory_format: Any = None) -> Any:
        """As int16."""
        return _as(self, dtypes.int16, memory_format)

    def char(self: Any, memory_format: Any = None) -> Any:
        """As int8."""
        return _as(self, dtypes.int8, memory_format)

    def byte(self: Any, memory_format: Any = None) -> Any:
        """As uint8."""
        return _as(self, dtypes.uint8, memory_format)

    def bool(self: Any, memory_format: Any = None) -> Any:
        """As bool."""
        return _as(self, dtypes.bool_, memory_format)

    def cfloat(self: Any, memory_format: Any = None) -> Any:
        """As complex64."""
        return _as(self, dtypes.complex64, memory_format)

    def cdouble(self: Any, memory_format: Any = None) -> Any:
        """As complex128."""
        return _as(self, dtypes.complex128, memory_format)

    def cpu(self: Any, memory_format: Any = None) -> Any:
        """On the CPU."""
        return self if memory_format is None else to(self, memory_format=memory_format)

    def cuda(self: Any, device: Any = None, non_blocking: Any = False) -> Any:
        """On a CUDA device; RuntimeError if there is none."""
        return to(self, device=Device("cuda" if device is None else device))
