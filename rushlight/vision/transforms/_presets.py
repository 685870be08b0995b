"""The preparation that pretrained classifiers expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight
from rushlight import Tensor, nn

from . import functional
from .functional import InterpolationMode

__all__ = ["ImageClassification"]


class ImageClassification(nn.Module):
    """Resize, centre crop, scale to [0, 1] and normalise a PIL image or a tensor `(…, C, H, W)`."""

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        img = functional.resize(
            img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
        )
        img = functional.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = functional.pil_to_tensor(img)
        img = functional.convert_image_dtype(img, rushlight.float32)
        return functional.normalize(img, mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = "".join(f"\n    {name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({lines}\n)"

    def describe(self) -> str:
        """One sentence per step."""
        return (
            f"Takes a PIL image or a tensor (C, H, W) or (B, C, H, W). The shorter side becomes "
            f"{self.resize_size[0]} pixels ({self.interpolation.value}), a centre square of "
            f"{self.crop_size[0]} is cut out, values are scaled to [0, 1] and normalised with "
            f"mean={self.mean} and std={self.std}."
        )
