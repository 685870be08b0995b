"""Reference kernels of the discrete Fourier transforms, over the namespace's `fft`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import Array, KernelBase

__all__ = ["FourierKernels"]


class FourierKernels(KernelBase):
    """Transforms without scaling: `norm="backward"` forward and `norm="forward"` inverse."""

    def fft_c2c(self, x: Array, axes: Sequence[int], forward: bool) -> Array:
        """Complex to complex over `axes`, unscaled."""
        transform = self.xp.fft.fftn if forward else self.xp.fft.ifftn
        result: Any = transform(x, axes=tuple(axes), norm="backward" if forward else "forward")
        return self.finish(result, x.dtype)

    def fft_r2c(self, x: Array, axes: Sequence[int]) -> Array:
        """Real to complex, unscaled; the last of `axes` keeps its non-negative frequencies."""
        result = self.xp.fft.rfftn(x, axes=tuple(axes))
        return self.finish(result, "complex128" if x.dtype == "float64" else "complex64")

    def fft_c2r(self, x: Array, axes: Sequence[int], size: int) -> Array:
        """The inverse of `fft_r2c` without scaling; the last axis gets `size` elements."""
        lengths = [x.shape[a] for a in axes[:-1]] + [size]
        result = self.xp.fft.irfftn(x, s=lengths, axes=tuple(axes), norm="forward")
        return self.finish(result, "float64" if x.dtype == "complex128" else "float32")
