"""`FakeData`: random pictures, for trying a program without data."""

from __future__ import annotations

from typing import Any

import rushlight

from .vision import Transform, VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """`size` random pictures with random targets; sample `i` is always the same.

    Sample `i` comes from the stream seeded with `i + random_offset`; the global stream stays where
    it is. IndexError beyond the end.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = rushlight.Generator()
        generator.manual_seed(index + self.random_offset)
        values = rushlight.randn(*self.image_size, generator=generator)
        target = rushlight.randint(0, self.num_classes, (1,), generator=generator)[0]
        picture = rushlight.vision.transforms.functional.to_pil_image(values)
        picture, target = self._transformed(picture, target)
        return picture, target.item()

    def __len__(self) -> int:
        return self.size
