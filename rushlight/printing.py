"""How tensors print, character for character as PyTorch's do; `set_printoptions`."""

from __future__ import annotations

import math
from typing import Any

from . import dtypes
from .dtypes import Category

__all__ = ["set_printoptions", "get_printoptions", "tensor_repr"]


class _Options:
    def __init__(self) -> None:
        self.precision = 4
        self.threshold: float = 1000
        self.edgeitems = 3
        self.linewidth = 80
        self.sci_mode: bool | None = None


_options = _Options()


def set_printoptions(precision: int | None = None, threshold: float | None = None,
                     edgeitems: int | None = None, linewidth: int | None = None,
                     profile: str | None = None, sci_mode: bool | None = None) -> None:  # fmt: skip
    """Sets how tensors print: digits, when to abbreviate, how many edge items, the line width.

    `profile` is `"default"`, `"short"` or `"full"`; `sci_mode` forces (True) or forbids (False)
    scientific notation.
    """
    profiles: dict[str, tuple[int, float, int, int]] = {
        "default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80),
    }  # fmt: skip
    if profile is not None:
        (_options.precision, _options.threshold, _options.edgeitems,
         _options.linewidth) = profiles[profile]  # fmt: skip
    if precision is not None:
        _options.precision = precision
    if threshold is not None:
        _options.threshold = threshold
    if edgeitems is not None:
        _options.edgeitems = edgeitems
    if linewidth is not None:
        _options.linewidth = linewidth
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The print options in force."""
    return dict(vars(_options))


class _Formatter:
    """One format for all elements that are shown: width, and integer, fixed or scientific form."""

    def __init__(self, values: list[Any], category: Category):
        self.category = category
        self.integral = self.scientific = False
        self.width = 1
        if category is not Category.FLOATING:
            self.width = max([len(self._plain(v)) for v in values], default=1)
            return
        finite = [abs(v) for v in values if math.isfinite(v) and v != 0]
        self.integral = all(v == math.ceil(v) for v in finite)
        if finite:
            low, high = min(finite), max(finite)
            big_ratio = low > 0 and high / low > 1000.0
            if self.integral:
                self.scientific = big_ratio or high > 1.0e8
            else:
                self.scientific = big_ratio or high > 1.0e8 or low < 1.0e-4
            if _options.sci_mode is not None:
                self.scientific = _options.sci_mode
        elif _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        shown = [v for v in values if v != 0 and math.isfinite(v)] or []
        self.width = max([len(self._number(v)) for v in shown], default=1)

    @staticmethod
    def _plain(value: Any) -> str:
        return str(value)

    def _number(self, value: float) -> str:
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        if self.integral:
            text = f"{value:.0f}"
            return text + "." if math.isfinite(value) else text
        return f"{value:.{_options.precision}f}"

    def __call__(self, value: Any) -> str:
        text = self._number(value) if self.category is Category.FLOATING else self._plain(value)
        return text.rjust(self.width)


class _ComplexFormatter:
    """Formats the real and the imaginary parts each in their own way."""

    def __init__(self, values: list[complex]):
        self.real = _Formatter([v.real for v in values], Category.FLOATING)
        self.imag = _Formatter([v.imag for v in values], Category.FLOATING)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        real, imag = self.real(value.real), self.imag(value.imag).lstrip()
        if imag[0] in "+-":
            return f"{real}{imag}j"
        return f"{real}+{imag}j"


def _shown(array: Any) -> Any:
    """Only the edges of an array that is too large to print in full."""
    edge = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            lead = (slice(None),) * axis
            ends = (*lead, [*range(edge), *range(size - edge, size)])
            array = array[ends]
    return array


def _formatter(array: Any, abbreviated: bool) -> Any:
    category = dtypes.from_numpy_dtype(array.dtype).category
    shown = _shown(array) if abbreviated else array
    values = _python_values(shown.reshape(-1))
    if category is Category.COMPLEX:
        return _ComplexFormatter(values)
    return _Formatter(values, category)


def _python_values(flat: Any) -> list[Any]:
    """Elements as Python numbers; narrow floats (float16, bfloat16) through float32."""
    if flat.dtype.kind == "V" or flat.dtype.itemsize == 2 and flat.dtype.kind == "f":
        flat = flat.astype("float32")
    values: list[Any] = flat.tolist()
    return values


def _vector(array: Any, indent: int, abbreviated: bool, format: Any) -> str:
    per_line = max(1, math.floor((_options.linewidth - indent) / (format.width + 2)))
    values = _python_values(array)
    edge = _options.edgeitems
    if abbreviated and len(values) > 2 * edge:
        cells = [format(v) for v in values[:edge]] + [" ..."] + [format(v) for v in values[-edge:]]
    else:
        cells = [format(v) for v in values]
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array: Any, indent: int, abbreviated: bool, format: Any) -> str:
    if array.ndim == 0:
        return str(format(_python_values(array.reshape(1))[0]))
    if array.ndim == 1:
        return _vector(array, indent, abbreviated, format)
    edge, size = _options.edgeitems, array.shape[0]
    if abbreviated and size > 2 * edge:
        indices: list[int | None] = [*range(edge), None, *range(size - edge, size)]
    else:
        indices = list(range(size))
    parts = [
        "..." if i is None else _nested(array[i], indent + 1, abbreviated, format) for i in indices
    ]
    separator = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def tensor_repr(tensor: Any, name: str = "tensor(") -> str:
    """The text of a tensor: its elements, and dtype, size and gradient where they are not plain."""
    array = tensor._array
    d = tensor.dtype
    suffixes = []
    has_default_dtype = d in (
        dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_,
        dtypes.get_default_dtype().to_complex(),
    )  # fmt: skip
    if array.size == 0:
        if array.ndim != 1:
            suffixes.append(f"size={tuple(array.shape)}")
        if d is not dtypes.get_default_dtype():
            suffixes.append(f"dtype={d}")
        body = "[]"
    else:
        if not has_default_dtype:
            suffixes.append(f"dtype={d}")
        abbreviated = array.size > _options.threshold
        body = _nested(array, len(name), abbreviated, _formatter(array, abbreviated))
    node = tensor.grad_fn
    if node is not None:
        suffixes.append(f"grad_fn=<{node.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(name + body, suffixes, len(name))


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Appends suffixes, on a new line where the line would grow beyond the width."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"
