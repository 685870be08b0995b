"""Pooling: the maximum or the mean of windows, over one, two or three spatial dims."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.grad_mode import state
from ..autograd.primitive import primitive
from ..backends import kernels
from ..backends.layout import is_channels_last
from ..formats import channels_last
from ..types_ import Array, Shape
from .conv import as_key, tuple_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "lp_pool1d", "lp_pool2d", "lp_pool3d",
]  # fmt: skip

Ints = tuple[int, ...]


# ---- maximum -------------------------------------------------------------------------------


@primitive(name="MaxPool2DWithIndices", nondifferentiable=(1,), kernel="max_pool")
def _max_pool(x: Array, *, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints,
              ceil_mode: bool) -> tuple[Array, Array]:  # fmt: skip
    return kernels(x).max_pool(x, kernel_size, stride, padding, dilation, ceil_mode)


@primitive(name="MaxPool2D", kernel="max_pool_values")
def _max_pool_values(x: Array, *, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints,
                     ceil_mode: bool) -> Array:  # fmt: skip
    """The maxima alone, where neither the caller nor a gradient asks for their positions."""
    return kernels(x).max_pool_values(x, kernel_size, stride, padding, dilation, ceil_mode)


@primitive(name="MaxPool2DWithIndicesBackward", kernel="max_pool_grad")
def _max_pool_backward(g: Array, indices: Array, *, input_shape: Shape) -> Array:
    """`g` added at the positions that won."""
    return kernels(g).max_pool_grad(g, indices, input_shape)


_max_pool.derive("x", _max_pool_backward, "grad", "results[1]", input_shape="x_shape")


@_max_pool_backward.derivative("g")
def _max_pool_backward_dg(grad: Tensor, indices: Tensor) -> Tensor:
    """The gradient at the positions that won."""
    n, c = indices._array.shape[:2]
    planes = grad.reshape(n, c, -1)
    return planes.gather(2, indices.reshape(n, c, -1)).reshape(indices._array.shape)


def _window(op: str, n: int, input: Any, kernel_size: Any, stride: Any, padding: Any,
            dilation: Any, ceil_mode: bool) -> Any:  # fmt: skip
    """(input with a batch dim, kernel, stride, padding, dilation, whether there was a batch)."""
    shape = input._array.shape
    given = kernel_size, stride, padding, dilation
    try:
        window = _checked_window(op, n, shape, *given, ceil_mode)
    except TypeError:  # lists, which no cache takes
        window = _checked_window(op, n, shape, *map(as_key, given), ceil_mode)
    batched = len(shape) == n + 2
    return (input if batched else input.unsqueeze(0), *window, batched)


@lru_cache(maxsize=1024)
def _checked_window(op: str, n: int, shape: Shape, kernel_size: Any, stride: Any, padding: Any,
                    dilation: Any, ceil_mode: bool) -> tuple[Ints, Ints, Ints, Ints]:  # fmt: skip
    """Kernel, stride, padding and dilation as tuples, checked against an input of this shape.

    A function of shapes alone, which programs repeat: each check is made once.
    """
    if len(shape) not in (n + 1, n + 2) or 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"{op}(): Expected {n + 1}D or {n + 2}D (batch mode) tensor with "
            f"optional "
            f"0 dim batch size for input, but got:{list(shape)}"
        )
    kernel = tuple_of(kernel_size, n)
    no_stride = stride is None or stride == ()
    step = kernel if no_stride else tuple_of(stride, n)
    pads, gaps = tuple_of(padding, n), tuple_of(dilation, n)
    if min(kernel) <= 0:
        raise RuntimeError(
            f"[{op}] kernel size should be greater than zero, but got {list(kernel)}"
        )
    if min(step) <= 0:
        raise RuntimeError(f"[{op}] stride should not be zero")
    if min(pads) < 0:
        raise RuntimeError(f"[{op}] pad must be non-negative, but got pad: {min(pads)}")
    if any(p > k // 2 for p, k in zip(pads, kernel)):
        raise RuntimeError(
            f"[{op}] pad should be at most half of effective kernel size, but got pad="
            f"{max(pads)}, kernel_size={list(kernel)}"
        )
    if min(gaps) <= 0:
        raise RuntimeError(f"{op}() dilation must be greater than zero, but got {min(gaps)}")
    sizes = []
    for size, k, s, p, d in zip(shape[-n:], kernel, step, pads, gaps):
        span = size + 2 * p - d * (k - 1) - 1
        sizes.append((-(-span // s) if ceil_mode else span // s) + 1)
    if min(sizes) < 1:
        given = "x".join(str(s) for s in shape[-n - 1 :])
        out = "x".join(str(s) for s in (shape[-n - 1], *sizes))
        raise RuntimeError(
            f"[{op}] Given input size: ({given}). Calculated output size: ({out}). Output size is "
            "too small"
        )
    return kernel, step, pads, gaps


def _max_pool_nd(op: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any,
                 dilation: Any, ceil_mode: bool, return_indices: bool) -> Any:  # fmt: skip
    x, kernel, stride, padding, dilation, batched = _window(
        op, n, input, kernel_size, stride, padding, dilation, ceil_mode
    )
    if not return_indices and not (x._requires_grad and state.enabled):
        out = _max_pool_values(x, kernel_size=kernel, stride=stride, padding=padding,
                               dilation=dilation, ceil_mode=ceil_mode)  # fmt: skip
        return out if batched else out.squeeze(0)
    out, indices = _max_pool(x, kernel_size=kernel, stride=stride, padding=padding,
                             dilation=dilation, ceil_mode=ceil_mode)  # fmt: skip
    if not batched:
        out, indices = out.squeeze(0), indices.squeeze(0)
    return (out, indices) if return_indices else out


def max_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:  # fmt: skip
    """The maximum of windows along one dim, `(N, C, L)` → `(N, C, L')`."""
    return _max_pool_nd("max_pool1d", 1, input, kernel_size, stride, padding, dilation,
                        ceil_mode, return_indices)  # fmt: skip


def max_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:  # fmt: skip
    """The maximum of windows over two dims, `(N, C, H, W)` → `(N, C, H', W')`.

    `stride` is `kernel_size` unless given; NaN is the largest of all. With `return_indices`, also
    the position of each maximum in its plane. The first of equal maxima gets the gradient.

    >>> import rushlight as torch
    >>> torch.nn.functional.max_pool2d(torch.arange(16.).view(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    return _max_pool_nd("max_pool2d", 2, input, kernel_size, stride, padding, dilation,
                        ceil_mode, return_indices)  # fmt: skip


def max_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:  # fmt: skip
    """The maximum of windows over three dims."""
    return _max_pool_nd("max_pool3d", 3, input, kernel_size, stride, padding, dilation,
                        ceil_mode, return_indices)  # fmt: skip


def max_pool1d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """`max_pool1d` that returns the indices, too."""
    return max_pool1d(*args, **{**kwargs, "return_indices": True})


def max_pool2d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """`max_pool2d` that returns the indices, too."""
    return max_pool2d(*args, **{**kwargs, "return_indices": True})


def max_pool3d_with_indices(*args: Any, **kwargs: Any) -> Any:
    """`max_pool3d` that returns the indices, too."""
    return max_pool3d(*args, **{**kwargs, "return_indices": True})


# ---- mean ----------------------------------------------------------------------------------


@primitive(name="AvgPool2D", kernel="avg_pool")
def _avg_pool(x: Array, *, kernel_size: Ints, stride: Ints, padding: Ints, ceil_mode: bool,
              count_include_pad: bool, divisor_override: int | None) -> Array:  # fmt: skip
    return kernels(x).avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                               divisor_override)  # fmt: skip


@_avg_pool.derivative("x")
def _avg_pool_dx(grad: Tensor, x_shape: Shape, kernel_size: Ints, stride: Ints, padding: Ints,
                 ceil_mode: bool, count_include_pad: bool,
                 divisor_override: int | None) -> Tensor:  # fmt: skip
    return _avg_pool_backward(grad, input_shape=x_shape, kernel_size=kernel_size, stride=stride,
                              padding=padding, ceil_mode=ceil_mode,
                              count_include_pad=count_include_pad,
                              divisor_override=divisor_override)  # fmt: skip


@primitive(name="AvgPool2DBackward", kernel="avg_pool_grad")
def _avg_pool_backward(g: Array, *, input_shape: Shape, kernel_size: Ints, stride: Ints,
                       padding: Ints, ceil_mode: bool, count_include_pad: bool,
                       divisor_override: int | None) -> Array:  # fmt: skip
    return kernels(g).avg_pool_grad(g, input_shape, kernel_size, stride, padding, ceil_mode,
                                    count_include_pad, divisor_override)  # fmt: skip


@_avg_pool_backward.derivative("g")
def _avg_pool_backward_dg(grad: Tensor, kernel_size: Ints, stride: Ints, padding: Ints,
                          ceil_mode: bool, count_include_pad: bool,
                          divisor_override: int | None) -> Tensor:  # fmt: skip
    return _avg_pool(grad, kernel_size=kernel_size, stride=stride, padding=padding,
                     ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                     divisor_override=divisor_override)  # fmt: skip


def _avg_pool_nd(op: str, n: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any,
                 ceil_mode: bool, count_include_pad: bool,
                 divisor: int | None) -> Tensor:  # fmt: skip
    x, kernel, stride, padding, _, batched = _window(op, n, input, kernel_size, stride, padding, 1,
                                                     ceil_mode)  # fmt: skip
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    result = _avg_pool(x, kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                       count_include_pad=count_include_pad, divisor_override=divisor)  # fmt: skip
    return result if batched else result.squeeze(0)


def avg_pool1d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:  # fmt: skip
    """The mean of windows along one dim."""
    return _avg_pool_nd("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode,
                        count_include_pad, None)  # fmt: skip


def avg_pool2d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:  # fmt: skip
    """The mean of windows over two dims; padding counts as zeros if `count_include_pad`.

    >>> import rushlight as torch
    >>> torch.nn.functional.avg_pool2d(torch.arange(4.).view(1, 1, 2, 2), 2)
    tensor([[[[1.5000]]]])
    """
    return _avg_pool_nd("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode,
                        count_include_pad, divisor_override)  # fmt: skip


def avg_pool3d(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:  # fmt: skip
    """The mean of windows over three dims."""
    return _avg_pool_nd("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode,
                        count_include_pad, divisor_override)  # fmt: skip


# ---- adaptive ------------------------------------------------------------------------------


@primitive(name="AdaptiveAvgPool2D", kernel="adaptive_avg_pool")
def _adaptive_avg_pool(x: Array, *, output_size: Ints) -> Array:
    return kernels(x).adaptive_avg_pool(x, output_size)


@primitive(name="AdaptiveAvgPool2DBackward", kernel="adaptive_avg_pool_grad")
def _adaptive_avg_pool_backward(g: Array, *, input_shape: Shape) -> Array:
    return kernels(g).adaptive_avg_pool_grad(g, input_shape)


_adaptive_avg_pool.derive("x", _adaptive_avg_pool_backward, "grad", input_shape="x_shape")


@_adaptive_avg_pool_backward.derivative("g")
def _adaptive_avg_pool_backward_dg(grad: Tensor, g_shape: Shape) -> Tensor:
    return _adaptive_avg_pool(grad, output_size=tuple(g_shape[2:]))


@primitive(name="AdaptiveMaxPool2D", nondifferentiable=(1,), kernel="adaptive_max_pool")
def _adaptive_max_pool(x: Array, *, output_size: Ints) -> tuple[Array, Array]:
    return kernels(x).adaptive_max_pool(x, output_size)


_adaptive_max_pool.derive("x", _max_pool_backward, "grad", "results[1]",
                          input_shape="x_shape")  # fmt: skip


def _adaptive(op: str, n: int, input: Any, output_size: Any) -> tuple[Any, Ints, bool]:
    x = input._array
    if x.ndim not in (n + 1, n + 2):
        if n == 2 and x.ndim < 3 and op.startswith("adaptive_avg"):
            raise ValueError(f"Input dimension should be at least 3, but got {x.ndim}")
        raise RuntimeError(f"{op}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(x.shape)}")
    single = output_size is None or isinstance(output_size, int)
    sizes = (output_size,) * n if single else output_size
    if len(sizes) != n:
        raise RuntimeError(f"{op}(): output_size must have {n} numbers, got {len(sizes)}")
    target = tuple(m if s is None else int(s) for s, m in zip(sizes, x.shape[-n:]))
    if any(s < 0 for s in target):
        raise RuntimeError(
            f"{op}: elements of output_size must be greater than or equal to 0 but "
            f"received {set(target)}"
        )
    batched = x.ndim == n + 2
    return (input if batched else input.unsqueeze(0)), target, batched


def _adaptive_avg_nd(op: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    x, target, batched = _adaptive(op, n, input, output_size)
    result = _adaptive_avg_pool(x, output_size=target)
    return result if batched else result.squeeze(0)


def _adaptive_max_nd(op: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    x, target, batched = _adaptive(op, n, input, output_size)
    pair = _adaptive_max_pool(x, output_size=target)
    if not batched:
        pair = tuple(t.squeeze(0) for t in pair)
    return pair if return_indices else pair[0]


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen so that the output has `output_size`, along one dim."""
    return _adaptive_avg_nd("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen so that the output is `output_size`, over two dims.

    >>> import rushlight as torch
    >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(4.).view(1, 1, 2, 2), 1)
    tensor([[[[1.5000]]]])
    """
    return _adaptive_avg_nd("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows chosen so that the output is `output_size`, over three dims."""
    return _adaptive_avg_nd("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen so that the output has `output_size`, along one dim."""
    return _adaptive_max_nd("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen so that the output is `output_size`, over two dims."""
    return _adaptive_max_nd("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of windows chosen so that the output is `output_size`, over three dims."""
    return _adaptive_max_nd("adaptive_max_pool3d", 3, input, output_size, return_indices)


# ---- unpooling and power means -------------------------------------------------------------


def _max_unpool_nd(n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any,
                   padding: Any, output_size: Any) -> Tensor:  # fmt: skip
    """Values put back where `max_pool` found them, zeros elsewhere."""
    kernel = tuple_of(kernel_size, n)
    step = kernel if stride is None else tuple_of(stride, n)
    pads = tuple_of(padding, n)
    shape = input._array.shape
    if output_size is None:
        sizes = tuple((s - 1) * t - 2 * p + k for s, t, p, k in zip(shape[-n:], step, pads, kernel))
    else:
        sizes = tuple(output_size)[-n:]
    lead = shape[:-n]
    flat = input.new_zeros((*lead, math.prod(sizes)))
    where = indices.reshape((*lead, -1))
    result = flat.scatter(len(lead), where, input.reshape((*lead, -1))).reshape((*lead, *sizes))
    if n == 2 and is_channels_last(input._array):
        return result.contiguous(memory_format=channels_last)
    return result


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:  # fmt: skip
    """The partial inverse of `max_pool1d`."""
    return _max_unpool_nd(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:  # fmt: skip
    """The partial inverse of `max_pool2d`."""
    return _max_unpool_nd(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None,
                 padding: Any = 0, output_size: Any = None) -> Tensor:  # fmt: skip
    """The partial inverse of `max_pool3d`."""
    return _max_unpool_nd(3, input, indices, kernel_size, stride, padding, output_size)


def _lp_pool_nd(n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any,
                ceil_mode: bool) -> Tensor:  # fmt: skip
    """`(Σ x^p)^(1/p)` of windows, keeping the sign of a negative sum of odd powers."""
    kernel = tuple_of(kernel_size, n)
    op = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1]
    mean = op(input.pow(norm_type), kernel, stride, 0, ceil_mode)
    return (mean.sign() * mean.abs().relu() * math.prod(kernel)).pow(1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:  # fmt: skip
    """Power sums of windows along one dim."""
    return _lp_pool_nd(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:  # fmt: skip
    """Power sums of windows over two dims."""
    return _lp_pool_nd(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None,
              ceil_mode: bool = False) -> Tensor:  # fmt: skip
    """Power sums of windows over three dims."""
    return _lp_pool_nd(3, input, norm_type, kernel_size, stride, ceil_mode)
