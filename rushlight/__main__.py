"""`python -m rushlight script.py …`: runs a PyTorch program on rushlight, unchanged.

    python -m rushlight script.py [arg …]     a file, or a folder or zip with a __main__.py
    python -m rushlight -m module [arg …]     a module, as `python -m` does
    python -m rushlight -c code [arg …]       a piece of code
    python -m rushlight - [arg …]             code from standard input

In the program `import torch` (and torchvision, torchtext, torchaudio) gives rushlight, in its
child processes, too.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

from rushlight._version import TORCH_VERSION, __version__
from rushlight.interop import alias

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Runs the program that the arguments name; 2 if they name none."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__.strip() if __doc__ else "", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"rushlight {__version__} (API of PyTorch {TORCH_VERSION.partition('+')[0]})")
        return 0
    if argv[0] in ("-m", "-c") and len(argv) < 2:
        print(f"rushlight: {argv[0]} needs an argument; see --help", file=sys.stderr)
        return 2
    if argv[0].startswith("-") and argv[0] not in ("-m", "-c", "-"):
        print(f"rushlight: unknown option {argv[0]}; see --help", file=sys.stderr)
        return 2
    alias.install()
    _hide_our_frames()
    if argv[0] == "-m":
        _set_first_path(os.getcwd())
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        _set_first_path("")
        sys.argv = ["-c", *argv[2:]]
        _run_code(compile(argv[1], "<string>", "exec"))
    elif argv[0] == "-":
        _set_first_path("")
        sys.argv = argv
        _run_code(compile(sys.stdin.read(), "<stdin>", "exec"))
    else:
        return _run_path(argv)
    return 0


def _run_path(argv: list[str]) -> int:
    path = argv[0]
    sys.argv = argv
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        if not getattr(sys.flags, "safe_path", False):
            del sys.path[0]  # run_path puts the folder itself in front
        runpy.run_path(path, run_name="__main__")
        return 0
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"rushlight: can't open file {path!r}: {error}", file=sys.stderr)
        return 2
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    _run_code(compile(source, path, "exec"), path)
    return 0


def _set_first_path(folder: str) -> None:
    """Puts the program's folder where `python -m rushlight` left the current one."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def _run_code(code: CodeType, path: str | None = None) -> None:
    """Runs the code in a module `__main__` that stays, so that what it defines can be pickled."""
    module = ModuleType("__main__")
    fields: dict[str, Any] = {"__builtins__": __builtins__, "__annotations__": {}}
    if path is not None:
        fields.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
    module.__dict__.update(fields, __doc__=None)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _hide_our_frames() -> None:
    """Tracebacks of uncaught errors start in the user's program."""
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        inner = trace
        while inner is not None and inner.tb_frame.f_code.co_filename in ours:
            inner = inner.tb_next
        trace = inner or trace
        previous(kind, error.with_traceback(trace), trace)

    sys.excepthook = hook


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
