"""The reference kernels: what every kernel means, in plain lines over an array namespace.

Each module holds the kernels of one family; ``Kernels`` lists them. A backend subclasses it and
overrides what it does faster; the results are the same up to rounding. See docs/kernels.md.
"""

from __future__ import annotations

from .activation import ActivationKernels
from .arrays import ArrayKernels
from .attention import AttentionKernels
from .conv import ConvKernels
from .ctc import CtcKernels
from .decompositions import DecompositionKernels
from .embedding import EmbeddingKernels
from .fft import FourierKernels
from .gamma import GammaKernels
from .image import ImageKernels
from .loss import LossKernels
from .norm import NormKernels
from .optim import OptimKernels
from .pool import PoolKernels
from .random import RandomKernels
from .recurrent import RecurrentKernels
from .reduce import ReduceKernels
from .resample import ResampleKernels
from .softmax import SoftmaxKernels

__all__ = ["Kernels"]


class Kernels(
    GammaKernels,  # with special functions, elementwise arithmetic and logic, its bases
    ActivationKernels,
    ReduceKernels,
    SoftmaxKernels,
    NormKernels,
    LossKernels,
    EmbeddingKernels,
    ConvKernels,  # with matmul and its kin, its base
    PoolKernels,
    OptimKernels,
    RecurrentKernels,
    AttentionKernels,
    RandomKernels,
    ImageKernels,
    CtcKernels,
    DecompositionKernels,
    FourierKernels,
    ResampleKernels,
    ArrayKernels,
):
    """Every kernel, computed by the array namespace ``xp``.

    >>> import numpy
    >>> Kernels(numpy).relu(numpy.array([-1.0, 2.0]))
    array([0., 2.])
    """
