"""How the alias reaches the processes that `multiprocessing` starts.

A forked child has it by itself. A spawned child and a child of the forkserver first unpickle a
dictionary of preparation data that their parent sends, before they import the parent's main module.
The parent adds to it one object whose unpickling runs `_child.py`, by its path, so that it works
before the child's `sys.path` is set. Nothing is written to disk, no interpreter option is needed.
"""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["carry_alias", "drop_alias"]

_SCRIPT = str(Path(__file__).with_name("_child.py"))
_undo: list[Callable[[], None]] = []


class _InstallOnArrival:
    """Pickles as a call that installs the alias where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return runpy.run_path, (_SCRIPT, None, "rushlight_child")


def carry_alias() -> None:
    """From now on processes started by `multiprocessing` have the alias."""
    import multiprocessing.forkserver as forkserver
    import multiprocessing.spawn as spawn

    original = spawn.get_preparation_data

    @functools.wraps(original)
    def with_alias(name: str) -> dict[str, Any]:
        return {"rushlight_alias": _InstallOnArrival(), **original(name)}

    spawn.get_preparation_data = with_alias
    server: Any = forkserver._forkserver
    preload = server._preload_modules
    # By default the server imports the main module, which in it would look for a real torch.
    forkserver.set_forkserver_preload([m for m in preload if m != "__main__"])

    def undo() -> None:
        if spawn.get_preparation_data is with_alias:
            spawn.get_preparation_data = original
        server._preload_modules = preload

    _undo.append(undo)


def drop_alias() -> None:
    """Processes started from now on do not have the alias."""
    while _undo:
        _undo.pop()()
