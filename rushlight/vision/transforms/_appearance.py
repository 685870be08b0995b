"""Random changes of colour, sharpness and content."""

from __future__ import annotations

import math
import warnings
from typing import Any

import rushlight
from rushlight import Tensor, nn

from . import functional as F
from ._arguments import is_sequence, size_pair
from ._draws import chance, log_uniform, uniform, whole_number

__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]

Range = tuple[float, float]


class ColorJitter(nn.Module):
    """Changes brightness, contrast, saturation and hue, in random order.

    A number `v` means factors from max(0, 1 − v) to 1 + v (hue: −v to v, at most 0.5); a pair is
    the range itself. Raises ValueError outside these, TypeError for other types.
    """

    def __init__(
        self,
        brightness: float | Range = 0,
        contrast: float | Range = 0,
        saturation: float | Range = 0,
        hue: float | Range = 0,
    ) -> None:
        super().__init__()
        self.brightness = _factor_range(brightness, "brightness")
        self.contrast = _factor_range(contrast, "contrast")
        self.saturation = _factor_range(saturation, "saturation")
        self.hue = _range_around(hue, "hue", 0.0, (-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Range | None,
        contrast: Range | None,
        saturation: Range | None,
        hue: Range | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """The order and the four factors; a permutation of 4, then a draw for each that is on."""
        order = rushlight.randperm(4)
        ranges = (brightness, contrast, saturation, hue)
        factors = [None if bounds is None else uniform(*bounds) for bounds in ranges]
        return (order, *factors)  # type: ignore[return-value]

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        adjusters = (
            F.adjust_brightness,
            F.adjust_contrast,
            F.adjust_saturation,
            F.adjust_hue,
        )
        for i in order.tolist():
            factor = factors[i]
            if factor is not None:
                img = adjusters[i](img, factor)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _factor_range(value: Any, name: str) -> Range | None:
    return _range_around(value, name, 1.0, (0.0, float("inf")), floor=0.0)


def _range_around(
    value: Any, name: str, center: float, bound: Range, floor: float | None = None
) -> Range | None:
    """The range of a factor; None where it can only be `center`, which changes nothing."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - float(value), center + float(value)
        low = low if floor is None else max(low, floor)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)


class Grayscale(nn.Module):
    """Turns an image gray, with one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class RandomGrayscale(nn.Module):
    """Turns an image gray with probability `p`; it keeps its number of channels."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        channels = F.get_dimensions(img)[0]
        if chance(self.p):
            img = F.rgb_to_grayscale(img, num_output_channels=channels)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class GaussianBlur(nn.Module):
    """Blurs with a Gaussian whose sigma is drawn from a range, or is one number.

    Raises ValueError for a window that is not odd and positive or a sigma not above 0.
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = size_pair(
            kernel_size, "Kernel size should be a tuple/list of two integers"
        )
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, (int, float)):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not is_sequence(sigma):
            raise TypeError("sigma should be a number or a sequence of two numbers.")
        elif len(sigma) != 2 or not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {sigma}"
            )
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """The sigma; one draw."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, list(self.kernel_size), [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class RandomErasing(nn.Module):
    """With probability `p` overwrites a random rectangle of a tensor image (Zhong et al. 2017).

    Its area is a share of the image's within `scale`, height / width within `ratio`; `value` is a
    number, one per channel, or "random" for normal noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Range = (0.02, 0.33),
        ratio: Range = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not is_sequence(scale):
            raise TypeError("Scale should be a sequence")
        if not is_sequence(ratio):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if not 0 <= p <= 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Range, ratio: Range, value: list[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """Top, left, height, width and the new values; the whole image if nothing fits."""
        channels, img_height, img_width = img.shape[-3], img.shape[-2], img.shape[-1]
        for _ in range(10):
            area = img_height * img_width * uniform(scale[0], scale[1])
            aspect = log_uniform(ratio)
            h = int(round(math.sqrt(area * aspect)))
            w = int(round(math.sqrt(area / aspect)))
            if not (h < img_height and w < img_width):
                continue
            if value is None:
                new = rushlight.empty([channels, h, w], dtype=rushlight.float32).normal_()
            else:
                new = rushlight.tensor(value)[:, None, None]
            top = whole_number(0, img_height - h + 1)
            return top, whole_number(0, img_width - w + 1), h, w, new
        return 0, 0, img_height, img_width, img

    def forward(self, img: Tensor) -> Tensor:
        if not chance(self.p):
            return img
        value = self._value_list()
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{img.shape[-3]} (number of input channels)"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def _value_list(self) -> list[float] | None:
        if isinstance(self.value, str):
            return None
        if isinstance(self.value, (int, float)):
            return [float(self.value)]
        return [float(number) for number in self.value]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


class _WithChance(nn.Module):
    """Base of transforms that change an image with probability `p`; one draw each."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def _change(self, img: Any) -> Any:
        raise NotImplementedError

    def forward(self, img: Any) -> Any:
        return self._change(img) if rushlight.rand(1).item() < self.p else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomInvert(_WithChance):
    """Inverts the values with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def _change(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(_WithChance):
    """Stretches the contrast with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def _change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_WithChance):
    """Equalises the histogram with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def _change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomPosterize(_WithChance):
    """Keeps the upper `bits` bits with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def _change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_WithChance):
    """Inverts the values that are not below `threshold` with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def _change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_WithChance):
    """Changes the sharpness by a factor with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def _change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"
