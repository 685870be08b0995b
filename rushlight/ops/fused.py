"""A layer and the ReLU behind it in one kernel call, recorded as the two operations that they are.

The kernels of the layer write each number rectified, which saves a pass over the result. What comes
before the ReLU exists nowhere, so these functions are for callers whose user cannot see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..types_ import Array
from .activation import _relu_backward, relu
from .common import TensorBase, check_tensor
from .conv import _conv_nd
from .linear import _addmm, linear
from .transpose import _t

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["conv_relu", "linear_relu"]


@primitive(name="Relu")
def _rectified(x: Array) -> Array:
    """`x`, which a kernel has rectified already."""
    return x


_rectified.derive("x", _relu_backward, "grad", "result", out="spare")


def linear_relu(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`relu(linear(input, weight, bias))`."""
    if not isinstance(input, TensorBase):
        check_tensor(input, "linear")
    x, w, b = input._array, weight._array, None if bias is None else bias._array
    if b is None or x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        return relu(linear(input, weight, bias))
    if x.dtype.kind not in "fV" or not x.dtype == w.dtype == b.dtype:
        return relu(linear(input, weight, bias))
    return _rectified(_addmm(bias, input, _t(weight), relu=True))


def conv_relu(dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any,
              padding: Any, dilation: Any, groups: int) -> Tensor:  # fmt: skip
    """`relu` of the convolution over `dims` dims."""
    name = f"conv{dims}d"
    if not isinstance(input, TensorBase):
        check_tensor(input, name)
    arguments = (name, dims, input, weight, bias, stride, padding, dilation, groups)
    if input._array.dtype.kind not in "fV":
        return relu(_conv_nd(*arguments))
    return _rectified(_conv_nd(*arguments, relu=True))
