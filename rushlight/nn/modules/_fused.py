"""Linear and convolution layers with the ReLU that follows them in one kernel call.

Sequential runs such a pair of modules as one where nobody can tell: both are the plain classes and
carry no hooks, so what lies between them is seen by no one. Results, graph and errors are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules._error_path import note_module
from rushlight.nn.modules._hooks import GLOBAL_HOOKS
from rushlight.nn.modules.activation import ReLU
from rushlight.nn.modules.conv import Conv1d, Conv2d, Conv3d
from rushlight.nn.modules.linear import Linear
from rushlight.nn.modules.module import Module
from rushlight.ops.fused import conv_relu, linear_relu

__all__ = ["TAKES_RELU", "can_fuse", "with_relu"]


def _linear(layer: Any, input: Tensor) -> Tensor:
    return linear_relu(input, layer.weight, layer.bias)


def _conv(layer: Any, input: Tensor) -> Tensor:
    padding, dims = layer.padding, len(layer.kernel_size)
    if layer.padding_mode != "zeros":
        input = F.pad(input, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
        padding = (0,) * dims
    return conv_relu(dims, input, layer.weight, layer.bias, layer.stride, padding, layer.dilation,
                     layer.groups)  # fmt: skip


TAKES_RELU: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Linear: _linear, Conv1d: _conv, Conv2d: _conv, Conv3d: _conv,
}  # fmt: skip


def can_fuse(layer: Module, following: Module) -> bool:
    """Whether `following` is a ReLU, and no hook or replaced `forward` sits on either module."""
    return (
        type(following) is ReLU
        and not GLOBAL_HOOKS.any_registered
        and not _is_watched(layer)
        and not _is_watched(following)
    )


def _is_watched(module: Module) -> bool:
    fields = module.__dict__
    return bool(
        fields["_forward_hooks"]
        or fields["_forward_pre_hooks"]
        or fields["_backward_hooks"]
        or fields["_backward_pre_hooks"]
        or "forward" in fields
    )


def with_relu(layer: Module, input: Any) -> Any:
    """`relu(layer(input))`; what goes wrong is said to have happened in the layer."""
    try:
        return TAKES_RELU[type(layer)](layer, input)
    except Exception as error:
        note_module(error, layer)
        raise
