"""Which twin of the tape runs: the compiled one, or the Python one that defines it.

The classes and functions of `variable`, `node`, `recorded`, `primitive` and `engine` are written
twice: in Python, to be read and debugged, and in C++ (`backends/csrc/tape*.cpp`), to be fast. Each
of these files takes the compiled form, if there is one, right after its own definition.
`RUSHLIGHT_PURE=1` chooses Python.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__all__ = ["native"]


def _compiled_tape() -> Any:
    """The extension module, or None where it is not wanted or not there."""
    if os.environ.get("RUSHLIGHT_PURE", "0") not in ("", "0"):
        return None
    try:
        return importlib.import_module("rushlight.backends._tape")
    except ImportError:  # `rushlight.backends` has said that nothing is compiled
        return None


native = _compiled_tape()
