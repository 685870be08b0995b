"""Colours, sharpness and values of PIL images and tensors `(…, C, H, W)`."""

from __future__ import annotations

from typing import Any

import numpy

import rushlight
from rushlight import Tensor, nn

from .._pillow import pil_from_array, pillow
from ._common import (
    check_channels,
    check_pil,
    get_dimensions,
    to_float_batch,
    undo_float_batch,
)
from ._convert import _top_value, convert_image_dtype, pil_to_tensor, to_pil_image

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "equalize",
    "erase",
    "gaussian_blur",
    "invert",
    "posterize",
    "rgb_to_grayscale",
    "solarize",
    "to_grayscale",
]

_GRAY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def _highest(img: Tensor) -> int:
    """The value of white."""
    return 1 if img.is_floating_point() else _top_value(img.dtype)


def _blend(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    mixed = float(ratio) * img + (1.0 - float(ratio)) * other
    return mixed.clamp(0, _highest(img)).to(img.dtype)


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _enhanced(img: Any, kind: str, factor: float) -> Any:
    check_pil(img)
    return getattr(pillow("ImageEnhance"), kind)(img).enhance(factor)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 gives black, 1 the image, 2 twice its brightness; ValueError below 0."""
    if not isinstance(img, Tensor):
        return _enhanced(img, "Brightness", brightness_factor)
    _check_factor("brightness_factor", brightness_factor)
    check_channels(img, [1, 3])
    return _blend(img, rushlight.zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 gives the mean gray, 1 the image, 2 twice its contrast; ValueError below 0."""
    if not isinstance(img, Tensor):
        return _enhanced(img, "Contrast", contrast_factor)
    _check_factor("contrast_factor", contrast_factor)
    check_channels(img, [3, 1])
    dtype = img.dtype if img.is_floating_point() else rushlight.float32
    gray = rgb_to_grayscale(img) if get_dimensions(img)[0] == 3 else img
    return _blend(img, gray.to(dtype).mean(dim=(-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 gives gray, 1 the image, 2 twice its saturation; ValueError below 0."""
    if not isinstance(img, Tensor):
        return _enhanced(img, "Color", saturation_factor)
    _check_factor("saturation_factor", saturation_factor)
    check_channels(img, [1, 3])
    if get_dimensions(img)[0] == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 gives a blurred image, 1 the image, 2 a sharper one; ValueError below 0."""
    if not isinstance(img, Tensor):
        return _enhanced(img, "Sharpness", sharpness_factor)
    _check_factor("sharpness_factor", sharpness_factor)
    check_channels(img, [1, 3])
    if img.size(-1) <= 2 or img.size(-2) <= 2:
        return img
    batch = to_float_batch(img, img.dtype if img.is_floating_point() else rushlight.float32)
    kernel = rushlight.ones(3, 3, dtype=batch.dtype)
    kernel[1, 1] = 5.0
    blurred = img.clone()
    inside = _filtered(batch, kernel / kernel.sum())
    blurred[..., 1:-1, 1:-1] = undo_float_batch(inside, img)
    return _blend(img, blurred, sharpness_factor)


def _filtered(batch: Tensor, kernel: Tensor) -> Tensor:
    """Each channel of `(N, C, H, W)` convolved with one kernel, without padding."""
    channels = batch.shape[-3]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return nn.functional.conv2d(batch, weight, groups=channels)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turns the hue by `hue_factor` of a circle, −0.5 to 0.5 (ValueError outside)."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not isinstance(img, Tensor):
        return _turn_pil_hue(img, hue_factor)
    check_channels(img, [1, 3])
    if get_dimensions(img)[0] == 1:
        return img
    hue, saturation, value = _rgb_to_hsv(convert_image_dtype(img, rushlight.float32))
    turned = _hsv_to_rgb((hue + hue_factor) % 1.0, saturation, value)
    return convert_image_dtype(turned, img.dtype)


def _turn_pil_hue(img: Any, hue_factor: float) -> Any:
    check_pil(img)
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = numpy.array(hue, numpy.uint8)
    turned += numpy.uint8(int(hue_factor * 255) % 256)  # hues wrap round as bytes do
    merged = pillow().merge("HSV", (pil_from_array(turned), saturation, value))
    return merged.convert(img.mode)


def _rgb_to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value in [0, 1], as Pillow's conversion has them."""
    red, green, blue = img.unbind(-3)
    highest, lowest = img.amax(-3), img.amin(-3)
    spread = highest - lowest
    is_gray = spread == 0
    one = rushlight.ones_like(highest)
    saturation = spread / rushlight.where(is_gray, one, highest)
    divisor = rushlight.where(is_gray, one, spread)
    from_red, from_green, from_blue = ((highest - c) / divisor for c in (red, green, blue))
    hue = rushlight.where(
        highest == red,
        from_blue - from_green,
        rushlight.where(highest == green, 2.0 + from_red - from_blue, 4.0 + from_green - from_red),
    )
    return rushlight.fmod(hue / 6.0 + 1.0, 1.0), saturation, highest


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sector = rushlight.floor(hue * 6.0)
    fraction = hue * 6.0 - sector
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * fraction)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - fraction))).clamp(0.0, 1.0)
    which = (sector.to(rushlight.int64) % 6).unsqueeze(0)
    channels = [
        rushlight.stack(choices).gather(0, which).squeeze(0)
        for choices in (
            (value, q, p, p, t, value),
            (t, value, value, q, p, p),
            (p, p, t, value, value, q),
        )
    ]
    return rushlight.stack(channels, -3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """`gain · v ** gamma` of values in [0, 1], clamped there; ValueError for a negative gamma."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not isinstance(img, Tensor):
        check_pil(img)
        table = [int((256 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)]
        return img.convert("RGB").point(table * 3).convert(img.mode)
    check_channels(img, [1, 3])
    values = img if img.is_floating_point() else convert_image_dtype(img, rushlight.float32)
    return convert_image_dtype((gain * values.pow(gamma)).clamp(0, 1), img.dtype)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """0.2989 R + 0.587 G + 0.114 B, in one channel or three equal ones (ValueError otherwise)."""
    if not isinstance(img, Tensor):
        return to_grayscale(img, num_output_channels)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    check_channels(img, [1, 3])
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    gray = img
    if img.shape[-3] == 3:
        red, green, blue = img.unbind(-3)
        wr, wg, wb = _GRAY_WEIGHTS
        gray = (wr * red + wg * green + wb * blue).to(img.dtype).unsqueeze(-3)
    return gray.expand(img.shape) if num_output_channels == 3 else gray.clone()


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in gray, with one channel or three equal ones (ValueError otherwise)."""
    check_pil(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    gray = img.convert("L")
    return gray if num_output_channels == 1 else pillow().merge("RGB", (gray, gray, gray))


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blurs with a Gaussian window of `kernel_size` (x, y) odd pixels, the borders mirrored.

    Without `sigma` it is 0.15 · size + 0.35. Raises ValueError for even sizes and sigmas not above
    0, TypeError for other types.
    """
    sizes = _two_of("kernel_size", kernel_size, int)
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    sigmas = [size * 0.15 + 0.35 for size in sizes]
    if sigma is not None:
        sigmas = _two_of("sigma", sigma, (int, float))
    if any(value <= 0 for value in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if not isinstance(img, Tensor):
        check_pil(img)
        return to_pil_image(gaussian_blur(pil_to_tensor(img), sizes, sigmas), mode=img.mode)
    dtype = img.dtype if img.is_floating_point() else rushlight.float32
    across, down = (_gaussian(*pair, dtype) for pair in zip(sizes, sigmas, strict=True))
    kernel = down[:, None] @ across[None, :]
    margins = [sizes[0] // 2, sizes[0] // 2, sizes[1] // 2, sizes[1] // 2]
    batch = nn.functional.pad(to_float_batch(img, dtype), margins, mode="reflect")
    return undo_float_batch(_filtered(batch, kernel), img)


def _two_of(name: str, value: Any, kind: Any) -> list[Any]:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(item, kind) for item in values):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {type(value)}")
    if len(values) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(values)}")
    return values * (2 // len(values))


def _gaussian(size: int, sigma: float, dtype: Any) -> Tensor:
    x = rushlight.linspace(-(size - 1) * 0.5, (size - 1) * 0.5, size, dtype=dtype)
    weights = rushlight.exp(-0.5 * (x / sigma).pow(2))
    return weights / weights.sum()


def invert(img: Any) -> Any:
    """White minus the value."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return pillow("ImageOps").invert(img)
    check_channels(img, [1, 3])
    return _highest(img) - img


def posterize(img: Any, bits: int) -> Any:
    """Keeps the upper `bits` bits of 8-bit values (TypeError for tensors of other types)."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return pillow("ImageOps").posterize(img, bits)
    _check_uint8(img)
    check_channels(img, [1, 3])
    return img & (256 - 2 ** (8 - bits))


def _check_uint8(img: Tensor) -> None:
    if img.dtype != rushlight.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def solarize(img: Any, threshold: float) -> Any:
    """Inverts the values that are not below `threshold` (TypeError above white)."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return pillow("ImageOps").solarize(img, threshold)
    check_channels(img, [1, 3])
    if threshold > _highest(img):
        raise TypeError("Threshold should be less than bound of img.")
    return rushlight.where(img >= threshold, invert(img), img)


def autocontrast(img: Any) -> Any:
    """Stretches each channel so that its lowest value is black and its highest white."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return pillow("ImageOps").autocontrast(img)
    check_channels(img, [1, 3])
    bound = _highest(img)
    dtype = img.dtype if img.is_floating_point() else rushlight.float32
    lowest = img.amin((-2, -1), keepdim=True).to(dtype)
    spread = img.amax((-2, -1), keepdim=True).to(dtype) - lowest
    is_flat = spread == 0
    lowest = rushlight.where(is_flat, rushlight.zeros_like(lowest), lowest)
    one = rushlight.ones_like(spread)
    scale = rushlight.where(is_flat, one, bound / rushlight.where(is_flat, one, spread))
    return ((img - lowest) * scale).clamp(0, bound).to(img.dtype)


def equalize(img: Any) -> Any:
    """Makes the histogram of each channel as even as a table of values can (8-bit images)."""
    if not isinstance(img, Tensor):
        check_pil(img)
        return pillow("ImageOps").equalize(img)
    _check_uint8(img)
    check_channels(img, [1, 3])
    pixels = img.numpy().reshape(-1, *img.shape[-2:])
    planes = [_equalized_plane(plane) for plane in pixels]
    return rushlight.from_numpy(numpy.stack(planes).reshape(tuple(img.shape)))


def _equalized_plane(plane: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    counts = numpy.bincount(plane.reshape(-1), minlength=256)
    present = counts[counts != 0]
    step = int(present[:-1].sum()) // 255
    if step == 0:
        return plane
    below = numpy.concatenate(([0], (numpy.cumsum(counts) + step // 2)[:-1] // step))
    return below.clip(0, 255).astype(numpy.uint8)[plane]


def erase(img: Any, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """Puts the value `v` into the rectangle of `h` × `w` pixels at `(i, j)` of a tensor image.

    Raises TypeError for anything that is no tensor.
    """
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    result = img if inplace else img.clone()
    result[..., i : i + h, j : j + w] = v
    return result
