"""Naming the module in which an exception was raised, as the path `Net.layer.fc1`.

An exception leaves the modules from the inside out. The innermost one starts a note on it, and each
module that it passes on its way puts the name of the child it came from in front. Nothing of this
costs anything while no exception is raised.
"""

from __future__ import annotations

from typing import Any

_FIELD = "_rushlight_module_path"


class _ModulePath:
    """Where the exception has come by so far, and the note that says so."""

    def __init__(self, module: Any) -> None:
        self.outermost = module
        self.names: list[str] = []
        self.origin = describe_module(module)
        self.note = ""

    def extend(self, parent: Any) -> bool:
        """Puts the path from `parent` to the outermost module so far in front, if there is one."""
        if parent is self.outermost:
            return False
        for name, module in parent.named_modules():
            if module is self.outermost:
                self.names.insert(0, name)
                self.outermost = parent
                return True
        return False

    def text(self) -> str:
        if not self.names:
            return f"in module {self.origin}"
        path = ".".join([type(self.outermost).__name__, *self.names])
        return f"in module {path} ({self.origin})"


def describe_module(module: Any) -> str:
    """The module's one-line repr, or only its class if the repr is longer."""
    text = repr(module)
    return type(module).__name__ if "\n" in text else text


def note_module(error: BaseException, module: Any) -> None:
    """Writes into `error` that it came out of `module`."""
    path = getattr(error, _FIELD, None)
    if path is None:
        path = _ModulePath(module)
        try:
            setattr(error, _FIELD, path)
        except AttributeError:
            return  # an exception class with __slots__ cannot carry the path
    elif not path.extend(module):
        return
    old, path.note = path.note, path.text()
    if hasattr(error, "add_note"):
        _replace_note(error, old, path.note)
    else:
        _replace_message_line(error, old, path.note)


def _replace_note(error: Any, old: str, new: str) -> None:
    notes = getattr(error, "__notes__", [])
    if old and old in notes:
        notes[notes.index(old)] = new
    else:
        error.add_note(new)


def _replace_message_line(error: BaseException, old: str, new: str) -> None:
    """Python 3.10 has no notes: the last line of the message takes their place."""
    if not error.args or not isinstance(error.args[0], str):
        return
    message = error.args[0]
    if old and message.endswith(old):
        message = message[: -len(old) - 1]
    error.args = (f"{message}\n{new}", *error.args[1:])
