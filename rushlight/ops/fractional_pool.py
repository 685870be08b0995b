"""Fractional max pooling: windows placed by pseudo-random steps (Graham, 2014)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .conv import tuple_of
from .create import arange
from .random import rand

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip


def _output_size(op: str, input: Tensor, n: int, output_size: Any, output_ratio: Any) -> Any:
    if output_size is None and output_ratio is None:
        raise ValueError(f"{op} requires specifying either an output_size or an output_ratio")
    if output_size is not None:
        return tuple_of(output_size, n)
    ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
    return tuple(int(s * r) for s, r in zip(input._array.shape[-n:], ratios))


def _starts(samples: Tensor, size: int, count: int, kernel: int) -> Tensor:
    """The first position of each of `count` windows: `(N, C, count)`, the last at the very end."""
    if count == 1:
        return samples.new_full((*samples._array.shape, 1), size - kernel).long()
    step = (size - kernel) / (count - 1)
    offset = (samples * step).trunc()  # rounded towards zero, as C converts to integers
    line = (samples.unsqueeze(-1) + arange(count).to(samples.dtype)) * step
    starts = (line.trunc() - offset.unsqueeze(-1)).long()
    starts[..., -1] = size - kernel
    return starts


def _pool(op: str, n: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any,
          samples: Tensor | None) -> tuple[Tensor, Tensor]:  # fmt: skip
    kernel = tuple_of(kernel_size, n)
    count = _output_size(op, input, n, output_size, output_ratio)
    x = input if input._array.ndim == n + 2 else input.unsqueeze(0)
    batch, channels, *sizes = x._array.shape
    for size, k, c in zip(sizes, kernel, count):
        if c + k - 1 > size:
            raise RuntimeError(
                f"{op}(): pool size {k} too large relative to input size {size} for {c} outputs"
            )
    if samples is None:
        samples = rand(batch, channels, n, dtype=x.dtype)
    samples = samples.detach().to(x.dtype)[:batch]
    # PyTorch draws the samples of two dims in the order width, height; of three as they stand
    order = (1, 0) if n == 2 else (0, 1, 2)
    flat: Any = 0
    for i, (size, k, c) in enumerate(zip(sizes, kernel, count)):
        starts = _starts(samples[..., order[i]], size, c, k)
        places = starts.unsqueeze(-1) + arange(k)  # (N, C, count, kernel)
        shape = [batch, channels, *[1] * (2 * n)]
        shape[2 + i], shape[2 + n + i] = c, k
        flat = flat * size + places.reshape(shape)
    windows = flat.expand(batch, channels, *count, *kernel).reshape(
        batch, channels, -1, math.prod(kernel)
    )
    values = x.reshape(batch, channels, -1).gather(2, windows.reshape(batch, channels, -1))
    best = values.reshape(windows.shape).max(-1)
    indices = windows.gather(-1, best.indices.unsqueeze(-1)).squeeze(-1)
    results = tuple(t.reshape(batch, channels, *count) for t in (best.values, indices))
    single = x is not input
    return tuple(t.squeeze(0) if single else t for t in results)


def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool2d` with the position of each maximum in its plane."""
    return _pool("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio,
                 _random_samples)  # fmt: skip


def fractional_max_pool2d(input: Tensor, kernel_size: Any, output_size: Any = None,
                          output_ratio: Any = None, return_indices: bool = False,
                          _random_samples: Tensor | None = None) -> Any:  # fmt: skip
    """The maxima of windows whose distances vary at random so that they fill the input.

    >>> import rushlight as torch
    >>> torch.nn.functional.fractional_max_pool2d(torch.zeros(1, 1, 5, 5), 2, output_size=3).shape
    torch.Size([1, 1, 3, 3])
    """
    pair = fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio,
                                              return_indices, _random_samples)  # fmt: skip
    return pair if return_indices else pair[0]


def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool3d` with the position of each maximum in its volume."""
    return _pool("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio,
                 _random_samples)  # fmt: skip


def fractional_max_pool3d(input: Tensor, kernel_size: Any, output_size: Any = None,
                          output_ratio: Any = None, return_indices: bool = False,
                          _random_samples: Tensor | None = None) -> Any:  # fmt: skip
    """As `fractional_max_pool2d`, over three dims."""
    pair = fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio,
                                              return_indices, _random_samples)  # fmt: skip
    return pair if return_indices else pair[0]
