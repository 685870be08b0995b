"""What functions of two operands do before they begin: which operands they take, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import NUMBERS, OPERANDS, check_tensor

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["number_as_tensor", "check_alpha", "conj_of", "number_of", "operands_of"]


def conj_of(value: Any) -> Any:
    """The conjugate of a complex tensor or number; a real one is itself."""
    if type(value) in NUMBERS:
        return value.conjugate() if type(value) is complex else value
    return value.conj() if value._array.dtype.kind == "c" else value


def operands_of(op: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Checks the operands of a public function; the tensor comes first where the order is free."""
    if not isinstance(x, OPERANDS[0]):
        if isinstance(x, OPERANDS) and isinstance(y, OPERANDS):
            return number_as_tensor(x), y
        check_tensor(x, op)
    if not isinstance(y, OPERANDS):
        if hasattr(y, "item") and getattr(y, "ndim", None) == 0:  # a NumPy scalar
            return x, y.item()
        raise TypeError(
            f"{op}(): argument 'other' (position 2) must be Tensor or Number, not "
            f"{type(y).__name__}"
        )
    return x, y


def number_as_tensor(number: Any) -> Tensor:
    """A number as a 0-dim tensor of its own dtype."""
    from .from_data import tensor

    return tensor(number)


def check_alpha(op: str, x: Any, y: Any, alpha: Any) -> None:
    """RuntimeError for a bool or a fraction beside operands of other kinds."""
    operands = [t for t in (x, y) if isinstance(t, OPERANDS[0])]
    if isinstance(alpha, bool) and not all(t._array.dtype.kind == "b" for t in operands):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    fractional = any(t._array.dtype.kind in "fcV" for t in operands) or type(y) is float
    if isinstance(alpha, float) and not fractional:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )


def number_of(value: Any) -> Any:
    """The Python number behind a NumPy scalar, or NotImplemented for anything else."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return NotImplemented
