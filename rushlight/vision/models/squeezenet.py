"""SqueezeNet (Iandola et al. 2016)."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor, nn

from ._registry import register_model
from ._weights import WeightsEnum, chosen_weights, imagenet_weights, load_weights

__all__ = [
    "SqueezeNet",
    "SqueezeNet1_0_Weights",
    "SqueezeNet1_1_Weights",
    "squeezenet1_0",
    "squeezenet1_1",
]


class Fire(nn.Module):
    """A 1 × 1 convolution to few channels, then 1 × 1 and 3 × 3 ones side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return rushlight.cat([narrow, wide], 1)


_POOL = "pool"
# First convolution (channels, size), then Fire modules (squeeze, expand) and pools in order.
_LAYOUTS: dict[str, tuple[tuple[int, int], list[Any]]] = {
    "1_0": (
        (96, 7),
        [_POOL, (16, 64), (16, 64), (32, 128), _POOL, (32, 128), (48, 192), (48, 192), (64, 256),
         _POOL, (64, 256)],
    ),
    "1_1": (
        (64, 3),
        [_POOL, (16, 64), (16, 64), _POOL, (32, 128), (32, 128), _POOL, (48, 192), (48, 192),
         (64, 256), (64, 256)],
    ),
}  # fmt: skip


class SqueezeNet(nn.Module):
    """Fire modules and pools for pictures `(N, 3, H, W)`; ValueError for an unknown version."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _LAYOUTS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        (channels, size), steps = _LAYOUTS[version]
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, kernel_size=size, stride=2),
            nn.ReLU(inplace=True),
        ]
        for step in steps:
            if step == _POOL:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            else:
                squeeze, expand = step
                layers.append(Fire(channels, squeeze, expand, expand))
                channels = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        self._initialise(last)

    def _initialise(self, last: nn.Conv2d) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return rushlight.flatten(self.classifier(self.features(x)), 1)


_RECIPE = "pull/49#issuecomment-277560717"


class SqueezeNet1_0_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "squeezenet1_0-b66bff10.pth",
        num_params=1248424,
        accuracy=(58.092, 80.42),
        gflops=0.819,
        megabytes=4.778,
        recipe=_RECIPE,
        min_size=(21, 21),
    )
    DEFAULT = IMAGENET1K_V1


class SqueezeNet1_1_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "squeezenet1_1-b8a52dc0.pth",
        num_params=1235496,
        accuracy=(58.178, 80.624),
        gflops=0.349,
        megabytes=4.729,
        recipe=_RECIPE,
        min_size=(17, 17),
    )
    DEFAULT = IMAGENET1K_V1


def _squeezenet(
    version: str, kind: type[WeightsEnum], weights: Any, progress: bool, settings: dict[str, Any]
) -> SqueezeNet:
    entry = chosen_weights(kind, weights, next(iter(kind)), settings)
    model = SqueezeNet(version, **settings)
    load_weights(model, entry, progress)
    return model


@register_model()
def squeezenet1_0(
    weights: SqueezeNet1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet as in the paper."""
    return _squeezenet("1_0", SqueezeNet1_0_Weights, weights, progress, kwargs)


@register_model()
def squeezenet1_1(
    weights: SqueezeNet1_1_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet with 2.4 times less work at the same accuracy, from its authors' repository."""
    return _squeezenet("1_1", SqueezeNet1_1_Weights, weights, progress, kwargs)
