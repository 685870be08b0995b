"""Pretrained weights: where they lie, how pictures must be prepared for them, what is known."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from rushlight import hub, nn

from ..transforms._presets import ImageClassification
from ._imagenet import IMAGENET_CATEGORIES

__all__ = ["Weights", "WeightsEnum"]


@dataclass(eq=False)  # two entries are the same only if they are one object
class Weights:
    """One set of weights: its address, its transforms (call to make them), and facts about it."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]


WeightsT = TypeVar("WeightsT", bound="WeightsEnum")


class WeightsEnum(Enum):
    """Base of the weights of one model; `DEFAULT` names the best ones."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The entry that a name or an entry stands for; TypeError for another kind of weights."""
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} "
                f"but received {type(obj).__name__}."
            )
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights themselves, downloaded once (`rushlight.hub.load_state_dict_from_url`)."""
        return hub.load_state_dict_from_url(self.url, *args, **kwargs)

    @property
    def url(self) -> str:
        return str(self.value.url)

    @property
    def transforms(self) -> Callable[..., Any]:
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        return self.value.meta

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


_RECIPES = "https://github.com/pytorch/vision/"


def imagenet_weights(
    file: str,
    *,
    num_params: int,
    accuracy: tuple[float, float],
    gflops: float,
    megabytes: float,
    recipe: str,
    min_size: tuple[int, int] = (1, 1),
    resize_size: int = 256,
    **preparation: Any,
) -> Weights:
    """Weights trained on ImageNet-1K; `accuracy` is top-1 and top-5 in per cent."""
    transforms = functools.partial(
        ImageClassification, crop_size=224, resize_size=resize_size, **preparation
    )
    meta = {
        "categories": IMAGENET_CATEGORIES,
        "min_size": min_size,
        "num_params": num_params,
        "recipe": recipe if recipe.startswith("https:") else _RECIPES + recipe,
        "_metrics": {"ImageNet-1K": {"acc@1": accuracy[0], "acc@5": accuracy[1]}},
        "_ops": gflops,
        "_file_size": megabytes,
    }
    return Weights(f"https://download.pytorch.org/models/{file}", transforms, meta)


def chosen_weights(
    kind: type[WeightsT], weights: Any, old: Any, settings: dict[str, Any]
) -> WeightsT | None:
    """The weights that a builder was asked for, also in the old way, `pretrained=True`.

    `old` is what `pretrained=True` means. With weights, `settings` gets their number of classes,
    and ValueError is raised if it has another.
    """
    if "pretrained" in settings:
        warnings.warn(
            "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the "
            "future, please use 'weights' instead.",
            stacklevel=4,
        )
        weights = settings.pop("pretrained")
    if isinstance(weights, bool):
        weights = old if weights else None
        warnings.warn(
            "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 "
            f"and may be removed in the future. This one is taken as `weights={weights}`.",
            stacklevel=4,
        )
    entry: WeightsT | None = kind.verify(weights)
    if entry is not None:
        classes = len(entry.meta["categories"])
        if settings.setdefault("num_classes", classes) != classes:
            raise ValueError(
                f"The parameter 'num_classes' expected value {classes} but got "
                f"{settings['num_classes']} instead. Load the weights with {classes} classes, then "
                "replace the last layer"
            )
    return entry


def load_weights(model: nn.Module, weights: WeightsEnum | None, progress: bool) -> None:
    """Fills a model with weights; None leaves it as it is."""
    if weights is not None:
        model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
