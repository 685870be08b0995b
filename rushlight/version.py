"""What this build is: the PyTorch version whose API it follows, and rushlight's own."""

from __future__ import annotations

from ._version import TORCH_VERSION
from ._version import __version__ as rushlight

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rushlight", "xpu"]

__version__ = TORCH_VERSION
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "rushlight " + rushlight
