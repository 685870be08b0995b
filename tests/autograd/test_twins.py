"""The compiled tape and the Python one do the same, down to error texts and the order of hooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import twin_programs  # noqa: E402

# What programs must return under either twin, where one look at the answer is worth having.
EXPECTED = {
    "deep_graph": "tensor([1.])",
    "lifetimes": "(True, True)",
    "nested_pass": "(tensor([3.]), tensor([10.]))",
    "nothing_leaks": "True",
    "anomaly_mode": "True",
    "threads_share_a_leaf": "(200, {3.0})",
    "higher_orders": "(tensor([ 3., 12.], grad_fn=<MulBackward0>), tensor([ 6., 12.], "
    "grad_fn=<MulBackward0>), tensor([6., 6.]), tensor([6.], grad_fn=<AddBackward0>), True)",
}


@cache
def run_programs(pure: bool) -> dict[str, Any]:
    """What the programs return in a fresh process, with Python's tape and kernels if `pure`."""
    environment = {**os.environ, "RUSHLIGHT_PURE": "1" if pure else "0"}
    done = subprocess.run(
        [sys.executable, twin_programs.__file__],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert pure is not result["compiled"] or not _has_compiled_tape()
    return result["texts"]  # type: ignore[no-any-return]


def _has_compiled_tape() -> bool:
    try:
        import rushlight.backends._tape  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("name", [p.__name__ for p in twin_programs.PROGRAMS])
def test_twins_agree(name: str) -> None:
    if not _has_compiled_tape():
        pytest.skip("no compiled tape here; build it with scripts/build-native")
    assert run_programs(pure=False)[name] == run_programs(pure=True)[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("pure", [False, True])
def test_answers(name: str, pure: bool) -> None:
    assert run_programs(pure)[name] == EXPECTED[name]
