"""The CPU's kernels: the extension's where it has them, else the reference.

A function of ``_native`` returns ``NotImplemented`` for dtypes and layouts that it does not take;
the method then goes on to the reference, which takes everything.
"""

from __future__ import annotations

from . import _native
from .cpu_attention import NativeAttention
from .cpu_elementwise import NativeElementwise
from .cpu_index import NativeIndex, NativeOrder, NativeScan
from .cpu_linalg import NativeLinalg
from .cpu_misc import NativeEmbedding, NativeImage, NativeOptim
from .cpu_norm import NativeNorm
from .cpu_random import NativeRandom
from .cpu_recurrent import NativeRecurrent
from .cpu_reduce import NativeLoss, NativeReduce, NativeSoftmax
from .cpu_view import NativeViews

__all__ = ["CPUKernels", "get_cpu_capability"]

_native.install_allocator()


class CPUKernels(
    NativeElementwise,
    NativeReduce,
    NativeSoftmax,
    NativeLoss,
    NativeNorm,
    NativeLinalg,
    NativeRecurrent,
    NativeAttention,
    NativeIndex,
    NativeOrder,
    NativeScan,
    NativeEmbedding,
    NativeOptim,
    NativeRandom,
    NativeImage,
    NativeViews,
):
    """Kernels of ``numpy.ndarray``."""


def get_cpu_capability() -> str:
    """The vector instructions that the kernels use, as PyTorch names them.

    `"AVX512"`, `"AVX2"` or, for all others, `"DEFAULT"`.

    >>> import rushlight as torch
    >>> torch.backends.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
    True
    """
    return {"v4": "AVX512", "v3": "AVX2"}.get(_native.active_isa(), "DEFAULT")
