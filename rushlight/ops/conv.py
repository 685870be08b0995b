"""Convolutions over one, two or three spatial dims, and their transposes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import TensorBase, check_tensor, dtype_of, type_name

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "convolution",
]  # fmt: skip

Ints = tuple[int, ...]


@primitive(name="Convolution", kernel="conv")
def _conv(x: Array, weight: Array, bias: Array | None, *, stride: Ints, padding: Ints,
          dilation: Ints, groups: int, relu: bool = False) -> Array:  # fmt: skip
    return kernels(x).conv(x, weight, bias, stride, padding, dilation, groups, relu)


@primitive(name="ConvolutionBiasBackward", kernel="conv_bias_grad")
def _conv_bias_grad(g: Array) -> Array:
    """The sum over all dims but the channels."""
    return kernels(g).conv_bias_grad(g)


@primitive(name="ConvolutionBackward", kernel="conv_input_grad")
def _conv_input_grad(g: Array, weight: Array, *, input_shape: Shape, stride: Ints, padding: Ints,
                     dilation: Ints, groups: int) -> Array:  # fmt: skip
    """The gradient by `x`, linear in `g` and in the conjugate of `weight`."""
    return kernels(g).conv_input_grad(g, weight, input_shape, stride, padding, dilation, groups)


@primitive(name="ConvolutionBackward", kernel="conv_weight_grad")
def _conv_weight_grad(g: Array, x: Array, *, weight_shape: Shape, stride: Ints, padding: Ints,
                      dilation: Ints, groups: int) -> Array:  # fmt: skip
    """The gradient by `weight`, linear in `g` and in the conjugate of `x`."""
    return kernels(g).conv_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)


@_conv_bias_grad.derivative("g")
def _conv_bias_grad_dg(grad: Tensor, g_shape: Shape) -> Tensor:
    return grad.reshape(1, -1, *[1] * (len(g_shape) - 2)).expand(g_shape)


_WINDOW = {name: name for name in ("stride", "padding", "dilation", "groups")}

_conv.derive("x", _conv_input_grad, "grad", "weight", input_shape="x_shape", **_WINDOW)
_conv.derive("weight", _conv_weight_grad, "grad", "x", weight_shape="weight_shape", **_WINDOW)
_conv.derive("bias", _conv_bias_grad, "grad")

# The two gradients are linear, and their derivatives are each other and `_conv`.


@_conv_input_grad.derivative("g")
def _conv_input_grad_dg(grad: Tensor, weight: Tensor, stride: Ints, padding: Ints, dilation: Ints,
                        groups: int) -> Tensor:  # fmt: skip
    return _conv(grad, weight, None, stride=stride, padding=padding, dilation=dilation,
                 groups=groups)  # fmt: skip


_conv_input_grad.derive("weight", _conv_weight_grad, "g", "grad", weight_shape="weight_shape",
                        **_WINDOW)  # fmt: skip


@_conv_weight_grad.derivative("g")
def _conv_weight_grad_dg(grad: Tensor, x: Tensor, stride: Ints, padding: Ints, dilation: Ints,
                         groups: int) -> Tensor:  # fmt: skip
    return _conv(x, grad, None, stride=stride, padding=padding, dilation=dilation,
                 groups=groups)  # fmt: skip


_conv_weight_grad.derive("x", _conv_input_grad, "g", "grad", input_shape="x_shape", **_WINDOW)


# A transposed convolution is the input gradient of a convolution, recorded under PyTorch's name.


@primitive(name="Convolution")
def _conv_transpose(x: Array, weight: Array, bias: Array | None, *, output_shape: Shape,
                    stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:  # fmt: skip
    k = kernels(x)
    if weight.dtype.kind == "c":
        weight = weight.conj()
    result = k.conv_input_grad(x, weight, output_shape, stride, padding, dilation, groups)
    if bias is not None:
        result = k.add(result, bias.reshape(1, -1, *[1] * (x.ndim - 2)))
    return result


@_conv_transpose.derivative("x")
def _conv_transpose_dx(grad: Tensor, x_shape: Shape, weight: Tensor, stride: Ints, padding: Ints,
                       dilation: Ints, groups: int) -> Tensor:  # fmt: skip
    n = len(x_shape) - 2
    # an output padding larger than the stride makes room for more windows than x had
    windows = (..., *[slice(0, s) for s in x_shape[2:]])
    result = _conv(grad, weight.conj(), None, stride=stride, padding=padding, dilation=dilation,
                   groups=groups)  # fmt: skip
    return result if result._array.shape[-n:] == x_shape[-n:] else result[windows]


@_conv_transpose.derivative("weight")
def _conv_transpose_dweight(grad: Tensor, x: Tensor, weight_shape: Shape, stride: Ints,
                            padding: Ints, dilation: Ints, groups: int) -> Tensor:  # fmt: skip
    return _conv_weight_grad(x.conj(), grad.conj(), weight_shape=weight_shape, stride=stride,
                             padding=padding, dilation=dilation, groups=groups)  # fmt: skip


@_conv_transpose.derivative("bias")
def _conv_transpose_dbias(grad: Tensor) -> Tensor:
    return _conv_bias_grad(grad)


# ---- public --------------------------------------------------------------------------------


def tuple_of(value: Any, count: int) -> Ints:
    """An int as `count` equal ints; a sequence as a tuple (one number stands for all)."""
    if type(value) is int:
        return (value,) * count
    if type(value) is tuple and len(value) == count and type(value[0]) is int:
        return value
    values = tuple([int(v) for v in value]) if hasattr(value, "__len__") else (int(value),)
    return values * count if len(values) == 1 else values


def as_key(value: Any) -> Any:
    """An argument as it can stand in the key of a cache: a list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


# The checks are functions of shapes alone, and programs repeat their shapes: each is made once.


@lru_cache(maxsize=1024)
def _check_shapes(op: str, n: int, x: Shape, w: Shape, bias: Shape | None, groups: int,
                  transposed: bool) -> None:  # fmt: skip
    """RuntimeError unless input, weight and bias of these shapes fit together."""
    if len(x) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, but got input of "
            f"size: {list(x)}"
        )
    if len(w) != n + 2:
        raise RuntimeError(f"[{op}] expected a {n + 2}-dimensional weight, but got {list(w)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    channels = x[-n - 1]
    expected = w[0] if transposed else w[1] * groups
    if channels != expected:
        raise RuntimeError(
            f"[{op}] Given groups={groups}, weight of size {list(w)}, expected "
            f"input{list(x)} to have {expected} channels, but got {channels} channels instead"
        )
    outputs = w[1] * groups if transposed else w[0]
    if not transposed and w[0] % groups:
        raise RuntimeError(
            f"[{op}] Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size {list(w)} instead"
        )
    if bias is not None and bias != (outputs,):
        raise RuntimeError(
            f"[{op}] Given weight of size {list(w)}, expected bias to be 1-dimensional with "
            f"{outputs} elements, but got bias of size {list(bias)} instead"
        )


@lru_cache(maxsize=1024)
def _window(op: str, n: int, x: Shape, w: Shape, bias: Shape | None, stride: Any, padding: Any,
            dilation: Any, groups: int) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """Stride, padding and dilation as tuples; RuntimeError unless everything fits together."""
    _check_shapes(op, n, x, w, bias, groups, transposed=False)
    kernel = w[2:]
    stride, padding, dilation = tuple_of(stride, n), tuple_of(padding, n), tuple_of(dilation, n)
    for size, k, s, p, d in zip(x[-n:], kernel, stride, padding, dilation):
        if s <= 0:
            raise RuntimeError("non-positive stride is not supported")
        if p < 0:
            raise RuntimeError("negative padding is not supported")
        if d <= 0:
            raise RuntimeError("dilation should be greater than zero")
        if size + 2 * p < d * (k - 1) + 1:
            padded = " x ".join(str(m + 2 * q) for m, q in zip(x[-n:], padding))
            reach = " x ".join(str(e * (m - 1) + 1) for m, e in zip(kernel, dilation))
            raise RuntimeError(
                f"[{op}] Calculated padded input size per channel: ({padded}). Kernel size: "
                f"({reach}). Kernel size can't be greater than actual input size"
            )
    return stride, padding, dilation


def _check_dtypes(op: str, x: Array, w: Array, bias: Array | None) -> None:
    for name, other in (("weight", w), ("bias", bias)):
        if other is not None and other.dtype != x.dtype:
            raise RuntimeError(
                f"[{op}] Input type ({type_name(dtype_of(x))}) and {name} type "
                f"({type_name(dtype_of(other))}) should be the same"
            )


def _check(op: str, input: Any, weight: Any, bias: Any, groups: int, n: int,
           transposed: bool) -> None:  # fmt: skip
    if not (isinstance(input, TensorBase) and isinstance(weight, TensorBase)):
        check_tensor(input, op)
        check_tensor(weight, op, "weight", 2)
    x, w = input._array, weight._array
    b = None if bias is None else bias._array
    _check_shapes(op, n, x.shape, w.shape, None if b is None else b.shape, groups, transposed)
    if x.dtype is not w.dtype or (b is not None and b.dtype is not x.dtype):
        _check_dtypes(op, x, w, b)


def _conv_nd(op: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any,
             padding: Any, dilation: Any, groups: int, relu: bool = False) -> Tensor:  # fmt: skip
    if not (isinstance(input, TensorBase) and isinstance(weight, TensorBase)):
        check_tensor(input, op)
        check_tensor(weight, op, "weight", 2)
    if isinstance(padding, str):
        _check(op, input, weight, bias, groups, n, transposed=False)
        steps, gaps = tuple_of(stride, n), tuple_of(dilation, n)
        kernel = weight._array.shape[2:]
        input, padding = _named_padding(op, input, kernel, steps, padding, gaps)
    x, w = input._array, weight._array
    b = None if bias is None else bias._array
    shape = x.shape
    shapes = shape, w.shape, None if b is None else b.shape
    try:
        stride, padding, dilation = _window(op, n, *shapes, stride, padding, dilation, groups)
    except TypeError:  # lists, which no cache takes
        window = as_key(stride), as_key(padding), as_key(dilation)
        stride, padding, dilation = _window(op, n, *shapes, *window, groups)
    if x.dtype is not w.dtype or (b is not None and b.dtype is not x.dtype):
        _check_dtypes(op, x, w, b)
    batch = input if len(shape) == n + 2 else input.unsqueeze(0)
    if relu:
        result = _conv(batch, weight, bias, stride=stride, padding=padding, dilation=dilation,
                       groups=groups, relu=True)  # fmt: skip
    else:
        result = _conv(batch, weight, bias, stride=stride, padding=padding, dilation=dilation,
                       groups=groups)  # fmt: skip
    return result if batch is input else result.squeeze(0)


def _named_padding(op: str, input: Tensor, kernel: Shape, stride: Ints, padding: str,
                   dilation: Ints) -> tuple[Tensor, Ints]:  # fmt: skip
    """`"valid"` is no padding; `"same"` keeps the size, an odd remainder going after the input."""
    n = len(kernel)
    if padding == "valid":
        return input, (0,) * n
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
    if all(t % 2 == 0 for t in totals):
        return input, tuple(t // 2 for t in totals)
    from .pad import pad

    widths: list[int] = []
    for t in reversed(totals):
        widths += [0, t % 2]
    return pad(input, widths), tuple(t // 2 for t in totals)


def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:  # fmt: skip
    """Convolution (cross-correlation) over one dim: `(N, C, L)`, `(O, C/groups, K)` → `(N, O, L')`.

    >>> import rushlight as torch
    >>> torch.nn.functional.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 3))
    tensor([[[3., 3.]]])
    """
    return _conv_nd("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:  # fmt: skip
    """Convolution (cross-correlation) over two dims.

    `out[n, o, y, x] = bias[o] + Σ weight[o, c, i, j] · input[n, c, y·s + i·d - p, …]` (stride s,
    dilation d, padding p),
    with `input (N, C, H, W)`, `weight (O, C/groups, KH, KW)`, `out (N, O, H', W')` and
    `H' = (H + 2·padding - dilation·(KH - 1) - 1) // stride + 1`. `padding` may be `"same"` or
    `"valid"`. RuntimeError if channels or dtypes do not fit.

    On the CPU, float32 kernels of 3 x 3 and stride 1 over 16 or more channels go through Winograd's
    transforms: as accurate as plain summation against the largest result, but sums of whole
    numbers need not come out whole.

    >>> import rushlight as torch
    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(2, 1, 3, 3)).shape
    torch.Size([1, 2, 1, 1])
    """
    return _conv_nd("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:  # fmt: skip
    """Convolution (cross-correlation) over three dims.

    >>> import rushlight as torch
    >>> torch.nn.functional.conv3d(torch.ones(1, 1, 3, 3, 3), torch.ones(1, 1, 2, 2, 2)).shape
    torch.Size([1, 1, 2, 2, 2])
    """
    return _conv_nd("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose_nd(op: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None,
                       stride: Any, padding: Any, output_padding: Any, groups: int,
                       dilation: Any) -> Tensor:  # fmt: skip
    _check(op, input, weight, bias, groups, n, transposed=True)
    stride, padding = tuple_of(stride, n), tuple_of(padding, n)
    dilation, extra = tuple_of(dilation, n), tuple_of(output_padding, n)
    for e, s, d in zip(extra, stride, dilation):
        if e >= s and e >= d:
            raise RuntimeError(
                f"output padding must be smaller than either stride or dilation, but got "
                f"output_padding_height: {e} stride_height: {s} dilation_height: {d}"
            )
    batched = input._array.ndim == n + 2
    if not batched:
        input = input.unsqueeze(0)
    x, w = input._array, weight._array
    sizes = [
        (size - 1) * s - 2 * p + d * (k - 1) + e + 1
        for size, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, w.shape[2:], extra)
    ]
    if any(size < 0 for size in sizes):
        raise RuntimeError(f"[{op}] the output size {sizes} would be negative")
    result = _conv_transpose(input, weight, bias, stride=stride, padding=padding,
                             output_shape=(x.shape[0], w.shape[1] * groups, *sizes),
                             dilation=dilation, groups=groups)  # fmt: skip
    return result if batched else result.squeeze(0)


def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:  # fmt: skip
    """The transpose of `conv1d`; `weight (C, O/groups, K)`."""
    return _conv_transpose_nd("conv_transpose1d", 1, input, weight, bias, stride, padding,
                              output_padding, groups, dilation)  # fmt: skip


def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:  # fmt: skip
    """The transpose of `conv2d`, its gradient by the input; `weight (C, O/groups, KH, KW)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 3, 3])
    """
    return _conv_transpose_nd("conv_transpose2d", 2, input, weight, bias, stride, padding,
                              output_padding, groups, dilation)  # fmt: skip


def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                     padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                     dilation: Any = 1) -> Tensor:  # fmt: skip
    """The transpose of `conv3d`; `weight (C, O/groups, KD, KH, KW)`."""
    return _conv_transpose_nd("conv_transpose3d", 3, input, weight, bias, stride, padding,
                              output_padding, groups, dilation)  # fmt: skip


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any,
                dilation: Any, transposed: bool, output_padding: Any,
                groups: int) -> Tensor:  # fmt: skip
    """The general form of all the above; the number of spatial dims is the weight's."""
    n = weight._array.ndim - 2
    if transposed:
        return _conv_transpose_nd("convolution", n, input, weight, bias, stride, padding,
                                  output_padding, groups, dilation)  # fmt: skip
    return _conv_nd("convolution", n, input, weight, bias, stride, padding, dilation, groups)
