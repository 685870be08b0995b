"""Discrete Fourier transforms (`torch.fft`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import check_tensor, dtype_of, wrap_dim, write_out
from .create import arange
from .pad import pad

if TYPE_CHECKING:
    from ..dtypes import dtype as DType
    from ..tensor import Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
    "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2",
    "rfftfreq", "rfftn",
]  # fmt: skip

Dims = tuple[int, ...]


# ---- the three transforms, unscaled, and their transposes -----------------------------------


@primitive(name="FftC2C", kernel="fft_c2c")
def _c2c(x: Array, *, dims: Dims, forward: bool) -> Array:
    return kernels(x).fft_c2c(x, dims, forward)


@_c2c.derivative("x")
def _c2c_dx(grad: Tensor, dims: Dims, forward: bool) -> Tensor:
    return _c2c(grad, dims=dims, forward=not forward)


@primitive(name="FftR2C", kernel="fft_r2c")
def _r2c(x: Array, *, dims: Dims) -> Array:
    return kernels(x).fft_r2c(x, dims)


@_r2c.derivative("x")
def _r2c_dx(grad: Tensor, x_shape: Shape, dims: Dims) -> Tensor:
    """The frequencies that were left out have no gradient: fill them with 0, transform back."""
    last = dims[-1]
    missing = x_shape[last] - grad._array.shape[last]
    full = pad(grad, _at_end(grad, last, missing)) if missing else grad
    return _c2c(full, dims=dims, forward=False).real


@primitive(name="FftC2R", kernel="fft_c2r")
def _c2r(x: Array, *, dims: Dims, size: int) -> Array:
    return kernels(x).fft_c2r(x, dims, size)


@_c2r.derivative("x")
def _c2r_dx(grad: Tensor, x_shape: Shape, dims: Dims, size: int) -> Tensor:
    """Inner frequencies stand for two, a frequency and its mirror, and get twice the gradient."""
    result = _r2c(grad, dims=dims)
    last = dims[-1]
    doubled = x_shape[last] - (1 if size % 2 else 2)
    if size == 1 or doubled <= 0:
        return result
    weights = [1.0] + [2.0] * ((size - 1) // 2) + [1.0] * (size % 2 == 0)
    shape = [-1 if d == last else 1 for d in range(len(x_shape))]
    return result * grad.new_tensor(weights).reshape(shape)


def _at_end(x: Tensor, dim: int, count: int) -> list[int]:
    """Padding widths that put `count` elements after dim `dim`."""
    return [0, 0] * (x._array.ndim - 1 - dim) + [0, count]


# ---- arguments -----------------------------------------------------------------------------


def _promoted(op: str, x: Tensor, to_complex: bool) -> Tensor:
    """Integers become floats, halves are refused, and real numbers complex if so wanted."""
    check_tensor(x, op)
    array = x._array
    if array.dtype.kind == "V" or array.dtype == "float16":
        raise RuntimeError(f"Unsupported dtype {x.dtype}; convert it with .float()")
    dtype = dtype_of(array)
    if array.dtype.kind not in "fc":
        dtype = dtypes.get_default_dtype()
    if to_complex:
        dtype = dtype.to_complex()
    return x.to(dtype)


def _resized(x: Tensor, dims: Dims, sizes: Sequence[int]) -> Tensor:
    """Dims cut or filled with zeros to the given sizes."""
    for d, n in zip(dims, sizes):
        have = x._array.shape[d]
        if have > n:
            x = x.narrow(d, 0, n)
        elif have < n:
            x = pad(x, _at_end(x, d, n - have))
    return x


def _scale(norm: str | None, count: int, forward: bool) -> float:
    """The factor of a transform of `count` points under a normalisation."""
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    scaled_way = "forward" if forward else "backward"
    return 1 / count if (norm or "backward") == scaled_way else 1.0


def _lengths(op: str, x: Tensor, s: Any, dim: Any) -> tuple[Dims, list[int]]:
    """The dims of an n-dim transform and its signal lengths."""
    ndim = x._array.ndim
    if dim is None:
        count = ndim if s is None else len(s)
        if count > ndim:
            raise RuntimeError(
                f"Got shape with {count} values but input tensor only has {ndim} dimensions."
            )
        dims = tuple(range(ndim - count, ndim))
    else:
        given = (dim,) if isinstance(dim, int) else dim
        dims = tuple(wrap_dim(d, ndim) for d in given)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    lengths = [x._array.shape[d] for d in dims]
    for i, n in enumerate(s or ()):
        lengths[i] = lengths[i] if n == -1 else int(n)
    if any(n < 1 for n in lengths):
        raise RuntimeError(f"Invalid number of data points ({min(lengths)}) specified")
    return dims, lengths


def _one(n: int | None) -> Any:
    return None if n is None else (n,)


def _finish(result: Tensor, factor: float, out: Tensor | None, op: str) -> Tensor:
    if factor != 1:
        result = result * factor
    return result if out is None else write_out(out, result, op)


def _complex(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, out: Tensor | None,
             forward: bool) -> Tensor:  # fmt: skip
    x = _promoted(op, input, True)
    dims, lengths = _lengths(op, x, s, dim)
    factor = _scale(norm, math.prod(lengths), forward)
    if not dims:
        return _finish(x.clone(), 1, out, op)
    return _finish(_c2c(_resized(x, dims, lengths), dims=dims, forward=forward), factor, out, op)


def _from_real(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, out: Tensor | None,
               forward: bool) -> Tensor:  # fmt: skip
    """Real to complex; backwards, the conjugate."""
    check_tensor(input, op)
    if input._array.dtype.kind == "c":
        raise RuntimeError(f"{op} expects a real input tensor, but got {input.dtype}")
    x = _promoted(op, input, False)
    dims, lengths = _lengths(op, x, s, dim)
    if not dims:
        raise RuntimeError(f"{op} must transform at least one axis")
    factor = _scale(norm, math.prod(lengths), forward)
    result = _r2c(_resized(x, dims, lengths), dims=dims)
    return _finish(result if forward else result.conj(), factor, out, op)


def _to_real(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, out: Tensor | None,
             forward: bool) -> Tensor:  # fmt: skip
    """Half a Hermitian signal to real; `forward` transforms in the other direction."""
    x = _promoted(op, input, True)
    dims, lengths = _lengths(op, x, [*s] if s is not None else None, dim)
    if not dims:
        raise RuntimeError(f"{op} must transform at least one axis")
    if s is None or s[-1] == -1:
        lengths[-1] = 2 * (x._array.shape[dims[-1]] - 1)
        if lengths[-1] < 1:
            raise RuntimeError(f"Invalid number of data points ({lengths[-1]}) specified")
    factor = _scale(norm, math.prod(lengths), forward)
    x = _resized(x, dims, [*lengths[:-1], lengths[-1] // 2 + 1])
    result = _c2r(x.conj() if forward else x, dims=dims, size=lengths[-1])
    return _finish(result, factor, out, op)


# ---- complex transforms --------------------------------------------------------------------


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
        out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`X[k] = Σ_j x[j] exp(-2πi jk/n)` along `dim`, cut or zero-filled to `n` points.

    `norm` scales: `"backward"` (default) not at all, `"forward"` by 1/n, `"ortho"` by 1/√n.

    >>> import rushlight as torch
    >>> torch.fft.fft(torch.tensor([1., 0., 0., 0.]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _complex("fft", input, _one(n), dim, norm, out, True)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `fft`: `x[j] = 1/n Σ_k X[k] exp(2πi jk/n)`."""
    return _complex("ifft", input, _one(n), dim, norm, out, False)


def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`fftn` over two dims, the last two unless given."""
    return _complex("fft2", input, s, dim, norm, out, True)


def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `fft2`."""
    return _complex("ifft2", input, s, dim, norm, out, False)


def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The transform over several dims (all of them unless given)."""
    return _complex("fftn", input, s, dim, norm, out, True)


def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `fftn`."""
    return _complex("ifftn", input, s, dim, norm, out, False)


# ---- transforms of real signals ------------------------------------------------------------


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`fft` of a real signal, only its `n // 2 + 1` non-negative frequencies.

    >>> import rushlight as torch
    >>> torch.fft.rfft(torch.tensor([1., 0., 0., 0.])).shape
    torch.Size([3])
    """
    return _from_real("rfft", input, _one(n), dim, norm, out, True)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `rfft`: a real signal of `n` points (`2·(m - 1)` of m frequencies)."""
    return _to_real("irfft", input, _one(n), dim, norm, out, False)


def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`rfftn` over two dims."""
    return _from_real("rfft2", input, s, dim, norm, out, True)


def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `rfft2`."""
    return _to_real("irfft2", input, s, dim, norm, out, False)


def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`fftn` of a real signal, only the non-negative frequencies of the last dim."""
    return _from_real("rfftn", input, s, dim, norm, out, True)


def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `rfftn`."""
    return _to_real("irfftn", input, s, dim, norm, out, False)


# ---- transforms of Hermitian signals -------------------------------------------------------


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The (real) `fft` of a Hermitian signal, of which only half is given."""
    return _to_real("hfft", input, _one(n), dim, norm, out, True)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `hfft`."""
    return _from_real("ihfft", input, _one(n), dim, norm, out, False)


def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`hfftn` over two dims."""
    return _to_real("hfft2", input, s, dim, norm, out, True)


def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `hfft2`."""
    return _from_real("ihfft2", input, s, dim, norm, out, False)


def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The (real) transform of a signal that is Hermitian over several dims."""
    return _to_real("hfftn", input, s, dim, norm, out, True)


def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The inverse of `hfftn`."""
    return _from_real("ihfftn", input, s, dim, norm, out, False)


# ---- frequencies ---------------------------------------------------------------------------


def fftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: DType | None = None,
            layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of an `fft` of `n` points at distance `d`, negative ones last.

    >>> import rushlight as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    numbers = arange(n, device=device)
    centered = numbers.masked_fill(numbers >= (n + 1) // 2, 0) + (numbers - n).masked_fill(
        numbers < (n + 1) // 2, 0
    )
    return _frequencies(centered, n, d, dtype, out, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: DType | None = None,
             layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of an `rfft` of `n` points at distance `d`."""
    return _frequencies(arange(n // 2 + 1, device=device), n, d, dtype, out, requires_grad)


def _frequencies(numbers: Any, n: int, d: float, dtype: Any, out: Any, requires_grad: bool) -> Any:
    result = numbers.to(dtype or dtypes.get_default_dtype()) * (1.0 / (n * d))
    result = result if out is None else write_out(out, result, "fftfreq")
    return result.requires_grad_(True) if requires_grad else result


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Frequencies in order of size: zero moves to the middle of each of `dim`.

    >>> import rushlight as torch
    >>> torch.fft.fftshift(torch.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    dims = _shift_dims(input, dim)
    return input.roll([input._array.shape[d] // 2 for d in dims], dims)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    dims = _shift_dims(input, dim)
    return input.roll([(input._array.shape[d] + 1) // 2 for d in dims], dims)


def _shift_dims(input: Tensor, dim: Any) -> list[int]:
    if dim is None:
        return list(range(input._array.ndim))
    return [wrap_dim(d, input._array.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
