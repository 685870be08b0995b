"""Models and weights by name."""

from __future__ import annotations

import fnmatch
import inspect
import typing
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

from rushlight import nn

from ._weights import WeightsEnum

__all__ = [
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "register_model",
]

Builder = Callable[..., nn.Module]
BuilderT = TypeVar("BuilderT", bound=Builder)

_builders: dict[str, Builder] = {}


def register_model(name: str | None = None) -> Callable[[BuilderT], BuilderT]:
    """A decorator that makes a builder known under its name; ValueError if the name is taken."""

    def register(builder: BuilderT) -> BuilderT:
        key = builder.__name__ if name is None else name
        if key in _builders:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        _builders[key] = builder
        return builder

    return register


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of the models, sorted; `include` and `exclude` are shell patterns.

    >>> import rushlight as torch
    >>> torch.vision.models.list_models(include="resnet1*")
    ['resnet101', 'resnet152', 'resnet18']
    """
    names = {
        name
        for name, builder in _builders.items()
        if module is None or builder.__module__.rpartition(".")[0] == module.__name__
    }
    if include:
        names = _matching(names, include)
    if exclude:
        names -= _matching(names, exclude)
    return sorted(names)


def _matching(names: set[str], patterns: Iterable[str] | str) -> set[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return {name for pattern in patterns for name in fnmatch.filter(names, pattern)}


def get_model_builder(name: str) -> Builder:
    """The function that makes the model of that name; ValueError for an unknown one."""
    try:
        return _builders[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name.lower()}; there are {list_models()}") from None


def get_model(name: str, **config: Any) -> nn.Module:
    """The model of that name; `config` goes to its builder."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Builder | str) -> type[WeightsEnum]:
    """The weights of a model, given by its name or its builder."""
    builder = get_model_builder(name) if isinstance(name, str) else name
    hints = typing.get_type_hints(inspect.unwrap(builder))
    for kind in (hints.get("weights"), *typing.get_args(hints.get("weights"))):
        if isinstance(kind, type) and issubclass(kind, WeightsEnum):
            return kind
    raise ValueError(f"The model {name!r} has no weights.")


def get_weight(name: str) -> WeightsEnum:
    """The weights of that full name, such as "ResNet50_Weights.IMAGENET1K_V1".

    Raises ValueError for a name without a dot or of no known weights, KeyError for an entry that
    they do not have.
    """
    owner, dot, entry = name.partition(".")
    if not dot or "." in entry:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for builder in _builders.values():
        weights = get_model_weights(builder)
        if weights.__name__ == owner:
            return weights[entry]
    raise ValueError(f"The weight enum '{owner}' for the specific method couldn't be retrieved.")
