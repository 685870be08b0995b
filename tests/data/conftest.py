"""No test of this folder may hang: each has a minute, then its stacks are shown and it fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Spawned workers import the test's module by name. Last in the path, so that an installed rushlight
# is found before the sources.
sys.path.append(str(Path(__file__).parents[2]))

_SECONDS = 60


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def overdue(*_: Any) -> None:
        raise TimeoutError(f"the test hung for {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
