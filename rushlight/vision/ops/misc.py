"""Blocks that several models share."""

from __future__ import annotations

from collections.abc import Callable

from rushlight import nn

__all__ = ["Conv2dNormActivation"]


class Conv2dNormActivation(nn.Sequential):
    """A convolution, a norm and an activation; by default it keeps the size at stride 1.

    `norm_layer` or `activation_layer` None leaves that out; the convolution has a bias only where
    there is no norm, unless `bias` says otherwise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str | None = None,
        groups: int = 1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
        activation_layer: Callable[..., nn.Module] | None = nn.ReLU,
        dilation: int | tuple[int, int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=norm_layer is None if bias is None else bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(
                activation_layer() if inplace is None else activation_layer(inplace=inplace)
            )
        super().__init__(*layers)
        self.out_channels = out_channels


def _same_padding(
    kernel_size: int | tuple[int, int], dilation: int | tuple[int, int]
) -> int | tuple[int, int]:
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    sizes = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
    steps = (dilation,) * 2 if isinstance(dilation, int) else dilation
    return ((sizes[0] - 1) // 2 * steps[0], (sizes[1] - 1) // 2 * steps[1])
