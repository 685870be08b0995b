"""The two implementations that every kernel test compares, and the number of threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy
import pytest

from rushlight.backends import Kernels, kernels, native_available

sys.path.append(str(Path(__file__).parent))  # conv_checks and its like


@pytest.fixture(scope="session")
def reference() -> Kernels:
    return Kernels(numpy)


@pytest.fixture(scope="session")
def extension() -> ModuleType:
    if not native_available():
        pytest.skip("the extension is not built; scripts/build-native builds it")
    from rushlight.backends import _native

    return _native


@pytest.fixture(scope="session")
def native(extension: ModuleType) -> Kernels:
    return kernels(numpy.ones(1))


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, extension: ModuleType) -> Iterator[int]:
    """One thread, then two, while the test runs."""
    before = extension.num_threads()
    extension.set_num_threads(request.param)
    yield request.param
    extension.set_num_threads(before)
