"""Pixels to numbers: the reference kernels."""

from __future__ import annotations

from .base import Array, KernelBase


class ImageKernels(KernelBase):
    """What a data loader does to every sample."""

    def image_to_float(self, pixels: Array) -> Array:
        """uint8 ``(H, W, C)`` to float32 ``(C, H, W)``, divided by 255."""
        planes = self.xp.moveaxis(pixels, -1, 0).astype(self.xp.float32)
        return self.finish(planes / self.xp.float32(255), self.xp.float32)

    def normalize(self, x: Array, mean: Array, std: Array, out: Array | None = None) -> Array:
        """``(x - mean) / std`` per channel of ``x (..., C, H, W)``."""
        with self.quiet():
            wide = self.widen(x)
            shift = self.xp.asarray(mean, dtype=wide.dtype)[:, None, None]
            scale = self.xp.asarray(std, dtype=wide.dtype)[:, None, None]
            return self.finish((wide - shift) / scale, x.dtype, out)
