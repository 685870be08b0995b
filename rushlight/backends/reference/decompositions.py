"""Matrix decompositions: the reference kernels."""

from __future__ import annotations

from .base import KernelBase


class DecompositionKernels(KernelBase):
    """Decompositions over the namespace's linear algebra."""
