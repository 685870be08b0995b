"""Native normalisations of float32 and float64, with the reference behind them.

C-contiguous arrays are read in place, and images whose channels lie side by side by batch and group
norm; others are copied.
"""

from __future__ import annotations

from . import _native
from .cpu_method import native_or
from .reference import Kernels


class NativeNorm(Kernels):
    """Batch, layer, group and RMS normalisation with their derivatives."""

    batch_norm = native_or(Kernels.batch_norm, _native.batch_norm)
    batch_norm_grad = native_or(Kernels.batch_norm_grad, _native.batch_norm_grad)
    layer_norm = native_or(Kernels.layer_norm, _native.layer_norm)
    layer_norm_grad = native_or(Kernels.layer_norm_grad, _native.layer_norm_grad)
    group_norm = native_or(Kernels.group_norm, _native.group_norm)
    group_norm_grad = native_or(Kernels.group_norm_grad, _native.group_norm_grad)
    rms_norm = native_or(Kernels.rms_norm, _native.rms_norm)
    rms_norm_grad = native_or(Kernels.rms_norm_grad, _native.rms_norm_grad)
