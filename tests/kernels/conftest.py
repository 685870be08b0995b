"""The two implementations that every kernel test compares."""

from __future__ import annotations

from types import ModuleType

import numpy
import pytest

from rushlight.backends import Kernels, kernels, native_available


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
