"""`VisionDataset`: what all picture data sets share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rushlight.utils.data import Dataset

__all__ = ["StandardTransform", "VisionDataset"]

Transform = Callable[[Any], Any]


class VisionDataset(Dataset[Any]):
    """A data set of pictures under `root`, with transforms of the picture and of the target.

    `transforms` takes both at once and excludes the other two (ValueError).
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable[..., Any] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        self.root: Any = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] a data set must write __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"[{type(self).__name__}] a data set must write __len__")

    def _transformed(self, picture: Any, target: Any) -> tuple[Any, Any]:
        """The sample after the two separate transforms."""
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def extra_repr(self) -> str:
        """Lines that a subclass adds to the repr."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])


class StandardTransform:
    """Applies one transform to the picture and another to the target."""

    def __init__(
        self, transform: Transform | None = None, target_transform: Transform | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        if self.transform is not None:
            lines += _headed("Transform: ", repr(self.transform))
        if self.target_transform is not None:
            lines += _headed("Target transform: ", repr(self.target_transform))
        return "\n".join(lines)


def _headed(head: str, text: str) -> list[str]:
    """The lines of a text with a head before the first and as much space before the others."""
    first, *rest = text.splitlines()
    return [head + first, *(" " * len(head) + line for line in rest)]
