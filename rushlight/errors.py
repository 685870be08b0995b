"""Exception classes that PyTorch names, and how unknown things are reported."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["OutOfMemoryError", "AcceleratorError", "missing_attribute"]


class OutOfMemoryError(RuntimeError):
    """Raised when a device cannot give the memory that was asked for."""


class AcceleratorError(RuntimeError):
    """Raised when an accelerator reports an error."""


def missing_attribute(owner: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that rushlight does not have, with the nearest name that it has."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return AttributeError(
        f"module '{owner}' has no attribute '{name}' (not in rushlight yet){hint}"
    )
