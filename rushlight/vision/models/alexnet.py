"""AlexNet, in the one-column form of Krizhevsky 2014."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor, nn

from ._registry import register_model
from ._weights import WeightsEnum, chosen_weights, imagenet_weights, load_weights

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


def _conv(in_channels: int, out_channels: int, size: int, **options: Any) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=size, **options)
    return [convolution, nn.ReLU(inplace=True)]


class AlexNet(nn.Module):
    """Five convolutions and three linear layers for pictures `(N, 3, H, W)`, H and W ≥ 63."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 64, 11, stride=4, padding=2),
            nn.MaxPool2d(kernel_size=3, stride=2),
            *_conv(64, 192, 5, padding=2),
            nn.MaxPool2d(kernel_size=3, stride=2),
            *_conv(192, 384, 3, padding=1),
            *_conv(384, 256, 3, padding=1),
            *_conv(256, 256, 3, padding=1),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(rushlight.flatten(self.avgpool(self.features(x)), 1))


class AlexNet_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "alexnet-owt-7be5be79.pth",
        num_params=61100840,
        accuracy=(56.522, 79.066),
        gflops=0.714,
        megabytes=233.087,
        recipe="tree/main/references/classification#alexnet-and-vgg",
        min_size=(63, 63),
    )
    DEFAULT = IMAGENET1K_V1


@register_model()
def alexnet(
    weights: AlexNet_Weights | None = None, progress: bool = True, **kwargs: Any
) -> AlexNet:
    """AlexNet; `weights=AlexNet_Weights.DEFAULT` loads the ones trained on ImageNet."""
    entry = chosen_weights(AlexNet_Weights, weights, AlexNet_Weights.IMAGENET1K_V1, kwargs)
    model = AlexNet(**kwargs)
    load_weights(model, entry, progress)
    return model
