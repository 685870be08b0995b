"""`detect_anomaly`: remember where each operation was recorded, and stop at the first NaN."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from typing import Any

from .grad_mode import state

__all__ = ["PACKAGE", "detect_anomaly", "set_detect_anomaly", "is_anomaly_enabled", "anomaly_trace",
           "user_line"]  # fmt: skip

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_line() -> tuple[str, int]:
    """File and line of the innermost caller outside this package."""
    frame = sys._getframe(1)
    file = frame.f_code.co_filename
    while frame.f_back is not None and _is_ours(file):
        frame = frame.f_back
        file = frame.f_code.co_filename
    return file, frame.f_lineno


@functools.cache
def _is_ours(file: str) -> bool:
    return file.startswith(PACKAGE)


def anomaly_trace() -> str:
    """The stack of the operation being recorded, without this package's own frames."""
    import traceback

    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(PACKAGE)]
    return "".join(traceback.format_list(frames))


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return bool(state.anomaly)


class set_detect_anomaly:
    """Turns anomaly detection on or off, at once and for a `with` block."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = state.anomaly, state.check_nan
        state.anomaly, state.check_nan = bool(mode), bool(check_nan)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: Any) -> None:
        state.anomaly, state.check_nan = self._before


class detect_anomaly(set_detect_anomaly):
    """Backward errors name the line that recorded the operation; a NaN gradient raises."""

    def __init__(self, check_nan: bool = True):
        super().__init__(True, check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )
