"""All kernel tests again: on every other instruction set that runs here, and on one thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight
from rushlight.backends import native_available

HERE = Path(__file__).parent
ROOT = Path(rushlight.__file__).resolve().parents[1]  # where the package under test lies
# The frame is not the kernels' matter; the reference has no instruction sets.
LEFT_OUT = {"test_frame.py", "test_reference.py", Path(__file__).name}
FILES = sorted(p.name for p in HERE.glob("test_*.py") if p.name not in LEFT_OUT)


def settings() -> list[dict[str, str]]:
    if not native_available():
        return []
    from rushlight.backends import _native

    others = [isa for isa in _native.usable_isas() if isa != _native.active_isa()]
    return [{"RUSHLIGHT_ISA": isa} for isa in others] + [{"OMP_NUM_THREADS": "1"}]


@pytest.mark.parametrize("variables", settings(), ids=lambda v: "=".join(*v.items()))
def test_kernels(variables: dict[str, str]) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *FILES],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
