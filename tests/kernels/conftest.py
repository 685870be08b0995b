"""The two implementations that every kernel test compares."""

from __future__ import annotations

import numpy
import pytest

from rushlight.backends import Kernels, kernels, native_available


@pytest.fixture(scope="session")
def reference() -> Kernels:
    return Kernels(numpy)


@pytest.fixture(scope="session")
def native() -> Kernels:
    if not native_available():
        pytest.skip("the extension is not built; scripts/build-native builds it")
    return kernels(numpy.ones(1))
