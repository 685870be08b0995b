"""Run by its path at the start of a child process whose parent has the alias installed."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[2])
if (
    _ROOT not in sys.path
):  # the parent's sys.path, which will find rushlight, arrives a moment later
    sys.path.append(_ROOT)

from rushlight.interop import alias  # noqa: E402 (needs the path above)

alias.install()
