"""The examples in the docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import rushlight
from rushlight.backends import native_available

SKIPPED = ("rushlight.__main__",)


def modules() -> list[str]:
    names = [m.name for m in pkgutil.walk_packages(rushlight.__path__, "rushlight.")]
    compiled = ("rushlight.backends._native", "rushlight.backends._tape")
    return ["rushlight", *[n for n in names if n not in (*SKIPPED, *compiled)]]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    if name.startswith("rushlight.backends.cpu") and not native_available():
        pytest.skip("the extension is not built; scripts/build-native builds it")
    module = importlib.import_module(name)
    state = rushlight.get_rng_state()
    try:
        failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    finally:
        rushlight.set_rng_state(state)
    assert failed == 0
