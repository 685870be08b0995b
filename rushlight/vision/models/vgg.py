"""VGG (Simonyan, Zisserman 2014), with and without batch normalisation."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor, nn

from ._registry import register_model
from ._weights import WeightsEnum, chosen_weights, imagenet_weights, load_weights

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

# Convolutions per stage; all stages end in a pool and have these channels.
_CHANNELS = (64, 128, 256, 512, 512)
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Stages of 3 × 3 convolutions, then three linear layers, for pictures `(N, 3, H, W)`.

    `init_weights` starts convolutions from Kaiming's normal distribution and linear layers from
    N(0, 0.01²).
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                if module.weight is not None:
                    nn.init.constant_(module.weight, 1)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(rushlight.flatten(self.avgpool(self.features(x)), 1))


def make_layers(depth: int, batch_norm: bool = False) -> nn.Sequential:
    """The convolutions and pools of the VGG with `depth` layers that have weights."""
    layers: list[nn.Module] = []
    in_channels = 3
    for channels, repeats in zip(_CHANNELS, _DEPTHS[depth], strict=True):
        for _ in range(repeats):
            layers.append(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            in_channels = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


_COMMON: dict[str, Any] = {
    "recipe": "tree/main/references/classification#alexnet-and-vgg",
    "min_size": (32, 32),
}


class VGG11_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg11-8a719046.pth",
        num_params=132863336,
        accuracy=(69.02, 88.628),
        gflops=7.609,
        megabytes=506.84,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG11_BN_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg11_bn-6002323d.pth",
        num_params=132868840,
        accuracy=(70.37, 89.81),
        gflops=7.609,
        megabytes=506.881,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG13_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg13-19584684.pth",
        num_params=133047848,
        accuracy=(69.928, 89.246),
        gflops=11.308,
        megabytes=507.545,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG13_BN_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg13_bn-abd245e5.pth",
        num_params=133053736,
        accuracy=(71.586, 90.374),
        gflops=11.308,
        megabytes=507.59,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG16_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg16-397923af.pth",
        num_params=138357544,
        accuracy=(71.592, 90.382),
        gflops=15.47,
        megabytes=527.796,
        **_COMMON,
    )
    IMAGENET1K_FEATURES = imagenet_weights(  # the features alone, for detectors
        "vgg16_features-amdegroot-88682ab5.pth",
        num_params=138357544,
        accuracy=(float("nan"), float("nan")),
        gflops=15.47,
        megabytes=527.802,
        recipe="https://github.com/amdegroot/ssd.pytorch#training-ssd",
        min_size=(32, 32),
        mean=(0.48235, 0.45882, 0.40784),
        std=(1.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0),
    )
    DEFAULT = IMAGENET1K_V1


class VGG16_BN_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg16_bn-6c64b313.pth",
        num_params=138365992,
        accuracy=(73.36, 91.516),
        gflops=15.47,
        megabytes=527.866,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG19_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg19-dcbb9e9d.pth",
        num_params=143667240,
        accuracy=(72.376, 90.876),
        gflops=19.632,
        megabytes=548.051,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


class VGG19_BN_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "vgg19_bn-c79401a0.pth",
        num_params=143678248,
        accuracy=(74.218, 91.842),
        gflops=19.632,
        megabytes=548.143,
        **_COMMON,
    )
    DEFAULT = IMAGENET1K_V1


def _vgg(
    depth: int,
    batch_norm: bool,
    kind: type[WeightsEnum],
    weights: Any,
    progress: bool,
    settings: dict[str, Any],
) -> VGG:
    entry = chosen_weights(kind, weights, next(iter(kind)), settings)
    if entry is not None:
        settings["init_weights"] = False
    model = VGG(make_layers(depth, batch_norm), **settings)
    load_weights(model, entry, progress)
    return model


@register_model()
def vgg11(weights: VGG11_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 11 layers."""
    return _vgg(11, False, VGG11_Weights, weights, progress, kwargs)


@register_model()
def vgg11_bn(weights: VGG11_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 11 layers and batch normalisation."""
    return _vgg(11, True, VGG11_BN_Weights, weights, progress, kwargs)


@register_model()
def vgg13(weights: VGG13_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 13 layers."""
    return _vgg(13, False, VGG13_Weights, weights, progress, kwargs)


@register_model()
def vgg13_bn(weights: VGG13_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 13 layers and batch normalisation."""
    return _vgg(13, True, VGG13_BN_Weights, weights, progress, kwargs)


@register_model()
def vgg16(weights: VGG16_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 16 layers."""
    return _vgg(16, False, VGG16_Weights, weights, progress, kwargs)


@register_model()
def vgg16_bn(weights: VGG16_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 16 layers and batch normalisation."""
    return _vgg(16, True, VGG16_BN_Weights, weights, progress, kwargs)


@register_model()
def vgg19(weights: VGG19_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 19 layers."""
    return _vgg(19, False, VGG19_Weights, weights, progress, kwargs)


@register_model()
def vgg19_bn(weights: VGG19_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 19 layers and batch normalisation."""
    return _vgg(19, True, VGG19_BN_Weights, weights, progress, kwargs)
