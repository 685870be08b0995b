"""Versions compare as numbers, with text and with tuples."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight.torch_version import TorchVersion


def test_the_version_of_this_build():
    assert (
        torch.__version__ == "2.13.0+rushlight" and torch.version.__version__ == "2.13.0+rushlight"
    )
    assert (
        torch.__version__ >= "2.6" and torch.__version__ > (1, 13) and "2.13" <= torch.__version__
    )
    assert torch.__version__.split("+")[0] == "2.13.0" and isinstance(torch.__version__, str)
    assert torch.version.rushlight.count(".") == 2 and torch.version.cuda is None


@pytest.mark.parametrize("low, high", [
    ("1.9", "1.10"), ("2.0.0rc1", "2.0.0"), ("2.0.0.dev3", "2.0.0a1"), ("2.0", "2.0.post1"),
    ("2.0", "2.0+cpu"), ("2.0a1", "2.0b1"), ("1.9.9", "2"),
])  # fmt: skip
def test_order(low, high):
    assert TorchVersion(low) < high and TorchVersion(high) > low
    assert TorchVersion(low) != high and not TorchVersion(high) <= low


def test_equal_versions_and_other_text():
    assert TorchVersion("2.0") == "2.0.0" and TorchVersion("2.0") == (2, 0)
    assert TorchVersion("2.0") != "unknown" and hash(TorchVersion("2.0")) == hash("2.0")
