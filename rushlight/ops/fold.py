"""Sliding windows as columns, and rearranging between channels and space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.layout import is_channels_last
from .conv import tuple_of
from .pad import pad

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "channel_shuffle", "fold", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
    "unfold",
]  # fmt: skip


def _positive(**arguments: tuple[int, ...]) -> None:
    for name, values in arguments.items():
        low = 0 if name == "padding" else 1
        if any(v < low for v in values):
            raise RuntimeError(
                f"{name} should be "
                f"{'not negative' if not low else 'greater than zero'}"
                f", but got {name}_height: {values[0]} {name}_width: {values[-1]}"
            )


def _windows(size: int, kernel: int, dilation: int, padding: int, stride: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
           stride: Any = 1) -> Tensor:  # fmt: skip
    """The windows of an image as columns: `(N, C, H, W)` → `(N, C·KH·KW, L)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.unfold(torch.arange(9.).view(1, 1, 3, 3), 2).shape
    torch.Size([1, 4, 4])
    """
    kernel, step = tuple_of(kernel_size, 2), tuple_of(stride, 2)
    gap, pads = tuple_of(dilation, 2), tuple_of(padding, 2)
    _positive(kernel_size=kernel, dilation=gap, padding=pads, stride=step)
    shape = input._array.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {list(shape)}"
        )
    x = input if len(shape) == 4 else input.unsqueeze(0)
    n, c, height, width = x._array.shape
    rows, columns = (_windows(s, k, d, p, t) for s, k, d, p, t in
                     zip((height, width), kernel, gap, pads, step))  # fmt: skip
    if rows < 1 or columns < 1:
        raise RuntimeError(
            f"Given input with spatial size ({height}, {width}), kernel_size={kernel}, "
            f"dilation={gap}, padding={pads}, stride={step}, calculated shape of the array of "
            f"sliding blocks as ({rows}, {columns}), but its components must be at least one."
        )
    if any(pads):
        x = pad(x, (pads[1], pads[1], pads[0], pads[0]))
    sn, sc, sh, sw = x.stride()
    view = x.as_strided(
        (n, c, *kernel, rows, columns),
        (sn, sc, sh * gap[0], sw * gap[1], sh * step[0], sw * step[1]),
    ) if not x.requires_grad else _window_view(x, kernel, gap, step, rows, columns)  # fmt: skip
    result = view.reshape(n, c * kernel[0] * kernel[1], rows * columns)
    return result if len(shape) == 4 else result.squeeze(0)


def _window_view(x: Tensor, kernel: Any, gap: Any, step: Any, rows: int, columns: int) -> Tensor:
    """The windows stacked from slices, whose gradients are plain sums."""
    from .parts import stack

    parts = []
    for i in range(kernel[0]):
        top = i * gap[0]
        band = x[:, :, top : top + (rows - 1) * step[0] + 1 : step[0]]
        for j in range(kernel[1]):
            left = j * gap[1]
            parts.append(band[..., left : left + (columns - 1) * step[1] + 1 : step[1]])
    return stack(parts, 2)


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
         stride: Any = 1) -> Tensor:  # fmt: skip
    """Columns added up as the windows of an image, the transpose of `unfold`.

    >>> import rushlight as torch
    >>> torch.nn.functional.fold(torch.ones(1, 4, 4), (3, 3), 2)
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    kernel, step = tuple_of(kernel_size, 2), tuple_of(stride, 2)
    gap, pads = tuple_of(dilation, 2), tuple_of(padding, 2)
    _positive(kernel_size=kernel, dilation=gap, padding=pads, stride=step)
    size = tuple_of(output_size, 2)
    shape = input._array.shape
    if len(shape) not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch "
            f"size and non-zero dimensions for input, but got: {list(shape)}"
        )
    x = input if len(shape) == 3 else input.unsqueeze(0)
    n, flat, length = x._array.shape
    area = kernel[0] * kernel[1]
    if flat % area:
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={flat} and kernel_size={kernel}."
        )
    rows, columns = (
        _windows(s, k, d, p, t) for s, k, d, p, t in zip(size, kernel, gap, pads, step)
    )
    if length != rows * columns:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={gap}, padding={pads}, "
            f"stride={step}, expected size of input's dimension 2 to match the calculated number "
            "of "
            f"sliding blocks {rows} * {columns} = {rows * columns}, but got input.size(2)={length}."
        )
    parts = x.reshape(n, flat // area, *kernel, rows, columns)
    result = _overlap_add(parts, size, gap, pads, step)
    return result if len(shape) == 3 else result.squeeze(0)


def _overlap_add(parts: Tensor, size: Any, gap: Any, pads: Any, step: Any) -> Tensor:
    """Every place of the kernel written at its stride into the padded image, then the pad cut."""
    from .parts import _slice_backward

    n, c, kh, kw, rows, columns = parts._array.shape
    height, width = size[0] + 2 * pads[0], size[1] + 2 * pads[1]
    total: Any = parts.new_zeros((n, c, height, width))
    for i in range(kh):
        top = i * gap[0]
        band: Any = parts.new_zeros((n, c, rows, width))
        for j in range(kw):
            left = j * gap[1]
            band = band + _slice_backward(
                parts[:, :, i, j], shape=(n, c, rows, width), dim=3, start=left,
                stop=left + (columns - 1) * step[1] + 1, step=step[1],
            )  # fmt: skip
        total = total + _slice_backward(
            band, shape=(n, c, height, width), dim=2, start=top,
            stop=top + (rows - 1) * step[0] + 1, step=step[0],
        )  # fmt: skip
    return total[:, :, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]


# ---- channels and space --------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Groups of r² channels become r × r pixels: `(…, C·r², H, W)` → `(…, C, H·r, W·r)`.

    >>> import rushlight as torch
    >>> torch.pixel_shuffle(torch.arange(4.).view(1, 4, 1, 1), 2)
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """
    r, shape = upscale_factor, input._array.shape
    if len(shape) < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got "
            f"input with {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = shape
    if channels % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(lead)
    if r == 1:
        return input.clone()
    if is_channels_last(input._array):
        x = input.permute(0, 2, 3, 1).reshape(*lead, height, width, channels // (r * r), r, r)
        x = x.permute(0, 1, 4, 2, 5, 3).reshape(*lead, height * r, width * r, -1)
        return x.permute(0, 3, 1, 2)
    x = input.reshape(*lead, channels // (r * r), r, r, height, width)
    x = x.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """r × r pixels become channels: `(…, C, H·r, W·r)` → `(…, C·r², H, W)`.

    >>> import rushlight as torch
    >>> torch.pixel_unshuffle(torch.arange(4.).view(1, 1, 2, 2), 2).shape
    torch.Size([1, 4, 1, 1])
    """
    r, shape = downscale_factor, input._array.shape
    if len(shape) < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got "
            f"input with {len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = shape
    if height % r or width % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but "
            f"input.size(-2)={height}, input.size(-1)={width} and downscale_factor={r}"
        )
    n = len(lead)
    if is_channels_last(input._array):
        x = input.permute(0, 2, 3, 1).reshape(*lead, height // r, r, width // r, r, channels)
        x = x.permute(0, 1, 3, 5, 2, 4).reshape(*lead, height // r, width // r, -1)
        return x.permute(0, 3, 1, 2)
    x = input.reshape(*lead, channels, height // r, r, width // r, r)
    x = x.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels (dim 1) of `groups` groups interleaved.

    >>> import rushlight as torch
    >>> torch.channel_shuffle(torch.arange(4.).view(1, 4, 1, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    shape = input._array.shape
    if len(shape) < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0 or shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} "
            f"channels and {groups} groups."
        )
    if is_channels_last(input._array):
        inner = input.movedim(1, -1)
        x = inner.reshape(*inner._array.shape[:-1], groups, shape[1] // groups)
        return x.transpose(-1, -2).reshape(inner._array.shape).movedim(-1, 1)
    x = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
    return x.transpose(1, 2).reshape(shape)


native_channel_shuffle = channel_shuffle
