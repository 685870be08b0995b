"""What a user is told when the compiled kernels are missing or of another version."""

from __future__ import annotations

import os
import subprocess
import sys

REPLACE = "import sys, types; sys.modules['rushlight.backends._native'] = {}; import rushlight"


def run(native: str) -> subprocess.CompletedProcess[str]:
    program = REPLACE.format(native) + "; print(rushlight.ones(2) + 1)"
    environment = {k: v for k, v in os.environ.items() if k != "RUSHLIGHT_PURE"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )


def test_missing_kernels_are_said_once_and_the_reference_runs() -> None:
    done = run("None")  # importing it then raises ImportError
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "tensor([2., 2.])"
    assert done.stderr.count("runs without its compiled kernels") == 1


def test_kernels_of_another_version_are_refused() -> None:
    done = run("types.ModuleType('_native')")
    assert done.returncode != 0
    assert "compiled kernels are of another version" in done.stderr
    assert "build them again" in done.stderr
