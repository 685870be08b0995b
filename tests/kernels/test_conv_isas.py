"""The tests of matrix products, convolution and pooling, on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight.backends import native_available

FILES = ["test_gemm.py", "test_conv.py", "test_conv_winograd.py", "test_pool.py"]


def other_isas() -> list[str]:
    if not native_available():
        return []
    from rushlight.backends import _native

    return [isa for isa in _native.usable_isas() if isa != _native.active_isa()]


@pytest.mark.parametrize("isa", other_isas())
def test_instruction_set(isa: str) -> None:
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *FILES],
        cwd=here,
        env={**os.environ, "RUSHLIGHT_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
