"""Between pictures, arrays and tensors, and from one range of values to another."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy

import rushlight
from rushlight import Tensor
from rushlight.backends import kernels

from .._pillow import is_pil_image, pil_from_array

__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]

Pixels = numpy.ndarray[Any, Any]

_NUMPY_FLOATS = (rushlight.float32, rushlight.float64, rushlight.float16)
_NATIVE_16_BIT = "I;16" if sys.byteorder == "little" else "I;16B"
_WIDE_MODES: dict[str, Any] = {
    "I": numpy.int32,
    "I;16": numpy.int16,
    "I;16B": numpy.int16,
    "F": numpy.float32,
}


def to_tensor(pic: Any) -> Tensor:
    """Turns a PIL image or an array `(H, W)`, `(H, W, C)` into a tensor `(C, H, W)`.

    8-bit pixels become floats in [0, 1] (`p / 255`); other types keep their values. Raises
    TypeError for other objects and ValueError for arrays of other ranks.

    >>> import rushlight as torch, numpy
    >>> from rushlight.vision.transforms import functional
    >>> functional.to_tensor(numpy.array([[0, 255]], dtype="uint8"))
    tensor([[[0., 1.]]])
    """
    if is_pil_image(pic):
        pixels = _pixels_of(pic)
    elif isinstance(pic, numpy.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if pixels.dtype == numpy.uint8:
        return _pixels_to_float(pixels)
    return rushlight.from_numpy(numpy.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _pixels_of(image: Any) -> Pixels:
    """The pixels `(H, W, C)` of a PIL image; a bilevel image counts 0 and 255."""
    width, height = image.size
    kind = _WIDE_MODES.get(image.mode)
    if kind is not None:
        return numpy.array(image, kind).reshape(height, width, 1)
    if image.mode == "1":
        return numpy.array(image, numpy.uint8)[:, :, None] * numpy.uint8(255)
    # Twice as fast for small pictures as numpy.asarray, which goes through a dictionary.
    return numpy.frombuffer(image.tobytes(), numpy.uint8).reshape(height, width, -1)


def _pixels_to_float(pixels: Pixels) -> Tensor:
    """uint8 `(H, W, C)` to `(C, H, W)` of the default dtype, divided by 255, in one pass."""
    dtype = rushlight.get_default_dtype()
    if dtype is rushlight.float32:
        return rushlight.from_numpy(kernels(pixels).image_to_float(pixels))
    planes = numpy.ascontiguousarray(pixels.transpose(2, 0, 1))
    return rushlight.from_numpy(planes).to(dtype).div(255)


def pil_to_tensor(pic: Any) -> Tensor:
    """Turns a PIL image into a tensor `(C, H, W)` of its own type, values unchanged.

    Raises TypeError for anything that is no PIL image.
    """
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    pixels = numpy.array(pic)
    pixels = pixels.reshape(pic.size[1], pic.size[0], -1)
    return rushlight.from_numpy(pixels).permute(2, 0, 1)


_CHANNEL_MODES: dict[int, tuple[str, ...]] = {
    2: ("LA",),
    3: ("RGB", "YCbCr", "HSV"),
    4: ("RGBA", "CMYK", "RGBX"),
}
_PLANE_MODES = {"uint8": "L", "int16": _NATIVE_16_BIT, "int32": "I", "float32": "F"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Turns a tensor `(C, H, W)` or an array `(H, W, C)` (or `(H, W)`) into a PIL image.

    Floats are taken as [0, 1] and multiplied by 255, unless `mode` is "F". Raises TypeError for
    other objects and types, ValueError for other ranks, more than 4 channels or a mode that does
    not fit.
    """
    if isinstance(pic, Tensor):
        pixels: Pixels = pic.detach().cpu().numpy()
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(pic, numpy.ndarray):
        pixels = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    if pixels.shape[2] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {pixels.shape[2]} channels.")
    if pixels.dtype.kind == "f" and mode != "F":
        pixels = (pixels * 255).astype(numpy.uint8)
    mode = _fitting_mode(pixels, mode)
    return pil_from_array(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, mode)


def _fitting_mode(pixels: Pixels, mode: str | None) -> str:
    """The PIL mode of pixels `(H, W, C)`, checked against the one that was asked for."""
    channels, kind = pixels.shape[2], pixels.dtype
    if channels == 1:
        expected = _PLANE_MODES.get(kind.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {kind}. Should be {expected}"
            )
        mode = expected
    else:
        permitted = _CHANNEL_MODES[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {list(permitted)} are supported for {channels} channels")
        if mode is None and kind == numpy.uint8:
            mode = permitted[0]
    if mode is None:
        raise TypeError(f"Input type {kind} is not supported")
    return mode


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """`(x − mean) / std` per channel of a float tensor `(…, C, H, W)`.

    Raises TypeError for what is no float tensor, ValueError for fewer than 3 dimensions or a
    standard deviation that is 0 in the tensor's dtype.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.normalize(torch.ones(1, 1, 2), [0.5], [0.25])
    tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(
            f"Input tensor should be a float tensor. Got {tensor.dtype}. "
            "Apply ToTensor or ConvertImageDtype first"
        )
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). "
            f"Got tensor.size() = {tensor.size()}"
        )
    if inplace or tensor.requires_grad or not _is_plain_array(tensor):
        return _normalize_by_ops(tensor, mean, std, inplace)
    pixels = tensor.numpy()
    means, stds = _channel_statistics(_numbers(mean), _numbers(std), pixels.shape[-3], pixels.dtype)
    return rushlight.from_numpy(kernels(pixels).normalize(pixels, means, stds))


def _is_plain_array(tensor: Tensor) -> bool:
    """Whether NumPy has the tensor's memory and type."""
    return tensor.dtype in _NUMPY_FLOATS and tensor.device.type == "cpu"


def _normalize_by_ops(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool
) -> Tensor:
    means = rushlight.as_tensor(mean, dtype=tensor.dtype, device=tensor.device)
    stds = rushlight.as_tensor(std, dtype=tensor.dtype, device=tensor.device)
    if bool((stds == 0).any()):
        raise ValueError(_zero_std(str(tensor.dtype)))
    means = means.view(-1, 1, 1) if means.ndim == 1 else means
    stds = stds.view(-1, 1, 1) if stds.ndim == 1 else stds
    return (tensor if inplace else tensor.clone()).sub_(means).div_(stds)


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return values if type(values) is tuple else tuple(float(value) for value in values)


@functools.lru_cache(maxsize=64)
def _channel_statistics(
    mean: tuple[float, ...], std: tuple[float, ...], channels: int, dtype: numpy.dtype[Any]
) -> tuple[Pixels, Pixels]:
    """Mean and standard deviation as arrays with one number per channel."""
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise RuntimeError(
                f"[normalize] expected 1 or {channels} numbers in {name}, one per channel; "
                f"got {len(values)}"
            )
    means = numpy.array([float(m) for m in mean]).astype(dtype)
    stds = numpy.array([float(s) for s in std]).astype(dtype)
    if not stds.all():
        raise ValueError(_zero_std(dtype.name))
    repeat = numpy.ones(channels, means.dtype)
    return means * repeat, stds * repeat


def _zero_std(dtype: str) -> str:
    return f"std evaluated to zero after conversion to {dtype}, leading to division by zero."


def convert_image_dtype(image: Tensor, dtype: Any = None) -> Tensor:
    """Changes a tensor image's dtype and scales its values to that dtype's range.

    Floats range over [0, 1], integers over [0, max]. Raises TypeError for what is no tensor and
    RuntimeError for float32 to int32 or int64 and float64 to int64, which would overflow.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.convert_image_dtype(torch.tensor([0, 255], dtype=torch.uint8), torch.float32)
    tensor([0., 1.])
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    dtype = rushlight.float32 if dtype is None else dtype
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        return image.to(dtype) if dtype.is_floating_point else _float_to_integer(image, dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / _top_value(image.dtype)
    return _integer_to_integer(image, dtype)


def _float_to_integer(image: Tensor, dtype: Any) -> Tensor:
    too_wide = {
        rushlight.float32: (rushlight.int32, rushlight.int64),
        rushlight.float64: (rushlight.int64,),
    }
    if dtype in too_wide.get(image.dtype, ()):
        raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely.")
    almost_one = 1.0 - 1e-3  # so that every integer has nearly the same share of [0, 1]
    return image.mul(_top_value(dtype) + almost_one).to(dtype)


def _integer_to_integer(image: Tensor, dtype: Any) -> Tensor:
    source, target = _top_value(image.dtype), _top_value(dtype)
    if source > target:
        step = (source + 1) // (target + 1)
        return rushlight.div(image, step, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((target + 1) // (source + 1))


def _top_value(dtype: Any) -> int:
    return 1 if dtype == rushlight.bool else int(rushlight.iinfo(dtype).max)
