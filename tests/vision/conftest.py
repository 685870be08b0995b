"""Real pictures for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

DATA = Path(__file__).parents[2] / "examples" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return DATA


@pytest.fixture(scope="session")
def cifar_pixels() -> numpy.ndarray[Any, Any]:
    """The first picture of the test subset, uint8 (32, 32, 3)."""
    from rushlight.vision.datasets import CIFAR10

    return CIFAR10(DATA, train=False).data[0]


@pytest.fixture
def picture(cifar_pixels: numpy.ndarray[Any, Any]) -> Any:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow, the vision extra")
    return image.fromarray(cifar_pixels)
