"""The published weights of the ResNets and their relatives."""

from __future__ import annotations

from ._weights import WeightsEnum, imagenet_weights

__all__ = [
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "ResNeXt50_32X4D_Weights",
    "ResNeXt101_32X8D_Weights",
    "ResNeXt101_64X4D_Weights",
    "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights",
]

_RESNET = "tree/main/references/classification#resnet"
_RESNEXT = "tree/main/references/classification#resnext"
_NEW = "issues/3995#new-recipe"
_FIXRES = "issues/3995#new-recipe-with-fixres"


class ResNet18_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnet18-f37072fd.pth",
        num_params=11689512,
        accuracy=(69.758, 89.078),
        gflops=1.814,
        megabytes=44.661,
        recipe=_RESNET,
    )
    DEFAULT = IMAGENET1K_V1


class ResNet34_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnet34-b627a593.pth",
        num_params=21797672,
        accuracy=(73.314, 91.42),
        gflops=3.664,
        megabytes=83.275,
        recipe=_RESNET,
    )
    DEFAULT = IMAGENET1K_V1


class ResNet50_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnet50-0676ba61.pth",
        num_params=25557032,
        accuracy=(76.13, 92.862),
        gflops=4.089,
        megabytes=97.781,
        recipe=_RESNET,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet50-11ad3fa6.pth",
        num_params=25557032,
        accuracy=(80.858, 95.434),
        gflops=4.089,
        megabytes=97.79,
        recipe="issues/3995#issuecomment-1013906621",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNet101_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnet101-63fe2227.pth",
        num_params=44549160,
        accuracy=(77.374, 93.546),
        gflops=7.801,
        megabytes=170.511,
        recipe=_RESNET,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet101-cd907fc2.pth",
        num_params=44549160,
        accuracy=(81.886, 95.78),
        gflops=7.801,
        megabytes=170.53,
        recipe=_NEW,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNet152_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnet152-394f9c45.pth",
        num_params=60192808,
        accuracy=(78.312, 94.046),
        gflops=11.514,
        megabytes=230.434,
        recipe=_RESNET,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet152-f82ba261.pth",
        num_params=60192808,
        accuracy=(82.284, 96.002),
        gflops=11.514,
        megabytes=230.474,
        recipe=_NEW,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt50_32X4D_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnext50_32x4d-7cdf4587.pth",
        num_params=25028904,
        accuracy=(77.618, 93.698),
        gflops=4.23,
        megabytes=95.789,
        recipe=_RESNEXT,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnext50_32x4d-1a0047aa.pth",
        num_params=25028904,
        accuracy=(81.198, 95.34),
        gflops=4.23,
        megabytes=95.833,
        recipe=_NEW,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_32X8D_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnext101_32x8d-8ba56ff5.pth",
        num_params=88791336,
        accuracy=(79.312, 94.526),
        gflops=16.414,
        megabytes=339.586,
        recipe=_RESNEXT,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnext101_32x8d-110c445d.pth",
        num_params=88791336,
        accuracy=(82.834, 96.228),
        gflops=16.414,
        megabytes=339.673,
        recipe=_FIXRES,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_64X4D_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "resnext101_64x4d-173b62eb.pth",
        num_params=83455272,
        accuracy=(83.246, 96.454),
        gflops=15.46,
        megabytes=319.318,
        recipe="pull/5935",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


class Wide_ResNet50_2_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "wide_resnet50_2-95faca4d.pth",
        num_params=68883240,
        accuracy=(78.468, 94.086),
        gflops=11.398,
        megabytes=131.82,
        recipe="pull/912#issue-445437439",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "wide_resnet50_2-9ba9bcbe.pth",
        num_params=68883240,
        accuracy=(81.602, 95.758),
        gflops=11.398,
        megabytes=263.124,
        recipe=_FIXRES,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class Wide_ResNet101_2_Weights(WeightsEnum):
    IMAGENET1K_V1 = imagenet_weights(
        "wide_resnet101_2-32ee1156.pth",
        num_params=126886696,
        accuracy=(78.848, 94.284),
        gflops=22.753,
        megabytes=242.896,
        recipe="pull/912#issue-445437439",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "wide_resnet101_2-d733dc28.pth",
        num_params=126886696,
        accuracy=(82.51, 96.02),
        gflops=22.753,
        megabytes=484.747,
        recipe=_NEW,
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2
