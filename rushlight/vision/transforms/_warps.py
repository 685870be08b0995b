"""Random rotation, affine maps and perspective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import Tensor, nn

from . import functional as F
from ._arguments import angle_range, is_sequence
from ._common import InterpolationMode, as_interpolation
from ._draws import chance, uniform, whole_number

__all__ = ["RandomAffine", "RandomPerspective", "RandomRotation"]


def _fill_for(img: Any, fill: Any) -> Any:
    """A tensor takes one float per channel, a PIL image the value as it is."""
    if not isinstance(img, Tensor):
        return fill
    channels = F.get_dimensions(img)[0]
    if isinstance(fill, (int, float)):
        return [float(fill)] * channels
    return [float(value) for value in fill]


def _checked_fill(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, (int, float)) and not is_sequence(fill):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def _check_center(center: Any) -> None:
    if center is None:
        return
    if not is_sequence(center):
        raise TypeError("center should be a sequence of length 2.")
    if len(center) != 2:
        raise ValueError("center should be a sequence of length 2.")


class RandomRotation(nn.Module):
    """Rotates by an angle from `degrees` (low, high), or from −degrees to degrees."""

    def __init__(
        self,
        degrees: Any,
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[int] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angle_range(degrees, "degrees")
        _check_center(center)
        self.center = center
        self.interpolation = as_interpolation(interpolation)
        self.expand = expand
        self.fill = _checked_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """The angle; one draw."""
        return uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        fill = _fill_for(img, self.fill)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}"
            f", interpolation={self.interpolation.value}, expand={self.expand}{center}"
            f", fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """Rotates, moves, scales and shears at random.

    `translate` is the largest shift as a share of width and height, `scale` a range of factors,
    `shear` degrees as for `degrees`, or two ranges for x and y. Raises ValueError outside these.
    """

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = angle_range(degrees, "degrees")
        if translate is not None:
            _check_pair("translate", translate)
            if not all(0.0 <= share <= 1.0 for share in translate):
                raise ValueError("translation values should be between 0 and 1")
        if scale is not None:
            _check_pair("scale", scale)
            if not all(factor > 0 for factor in scale):
                raise ValueError("scale values should be positive")
        _check_center(center)
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else angle_range(shear, "shear", (2, 4))
        self.interpolation = as_interpolation(interpolation)
        self.fill = _checked_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Angle, shift, scale and shears; a draw each for what is not None."""
        angle = uniform(float(degrees[0]), float(degrees[1]))
        shift_x = shift_y = 0
        if translate is not None:
            most_x, most_y = (share * size for share, size in zip(translate, img_size, strict=True))
            shift_x = int(round(uniform(-float(most_x), float(most_x))))
            shift_y = int(round(uniform(-float(most_y), float(most_y))))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = uniform(shears[2], shears[3])
        return angle, (shift_x, shift_y), scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        fill = _fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        params = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return F.affine(
            img, *params, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={getattr(self, name)}")
        if self.interpolation is not InterpolationMode.NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _check_pair(name: str, value: Any) -> None:
    if not is_sequence(value):
        raise TypeError(f"{name} should be a sequence of length 2.")
    if len(value) != 2:
        raise ValueError(f"{name} should be a sequence of length 2.")


class RandomPerspective(nn.Module):
    """With probability `p` moves the corners inward by up to `distortion_scale` of half a side."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = as_interpolation(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = _checked_fill(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners, clockwise from top left, before and after; eight draws."""
        reach_x = int(distortion_scale * (width // 2))
        reach_y = int(distortion_scale * (height // 2))
        left, right = (0, reach_x + 1), (width - reach_x - 1, width)
        top, bottom = (0, reach_y + 1), (height - reach_y - 1, height)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        ends = [[whole_number(*x), whole_number(*y)] for x, y in corners]
        starts = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return starts, ends

    def forward(self, img: Any) -> Any:
        fill = _fill_for(img, self.fill)
        if not chance(self.p):
            return img
        _, height, width = F.get_dimensions(img)
        starts, ends = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, starts, ends, self.interpolation, fill)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"
