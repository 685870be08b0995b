"""`assert_close`: two results agree, or an AssertionError says where they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import rushlight
from rushlight import Tensor

__all__ = ["assert_close", "default_tolerances"]

# dtype -> (rtol, atol); integers and bools must be equal.
_TOLERANCES = {
    rushlight.float16: (1e-3, 1e-5),
    rushlight.bfloat16: (1.6e-2, 1e-5),
    rushlight.float32: (1.3e-6, 1e-5),
    rushlight.float64: (1e-7, 1e-7),
    rushlight.complex64: (1.3e-6, 1e-5),
    rushlight.complex128: (1e-7, 1e-7),
}


class _Mismatch(Exception):
    """Carries the message of a mismatch up to the item that it belongs to."""

    def __init__(self, text: str, item: tuple[Any, ...] = ()):
        super().__init__(text)
        self.text, self.item = text, item


def default_tolerances(*inputs: Tensor) -> tuple[float, float]:
    """The larger `(rtol, atol)` of the inputs' dtypes."""
    pairs = [_TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in inputs]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Asserts `|actual - expected| <= atol + rtol * |expected|`, and equal shapes and dtypes.

    Tensors, arrays, numbers, bools, None, and sequences and mappings of these. Without tolerances
    those of the dtype hold (float32: rtol 1.3e-6, atol 1e-5; float64: 1e-7 both; integers 0).
    Raises AssertionError (`msg` replaces or rewrites its text), ValueError for one tolerance
    without the other, TypeError for things that cannot be compared.

    >>> import rushlight as torch
    >>> torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-6]))
    """
    if (rtol is None) != (atol is None):
        missing = "atol" if atol is None else "rtol"
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}."
        )
    rule = _Rule(
        allow_subclasses,
        rtol,
        atol,
        equal_nan,
        check_device,
        check_dtype,
        check_layout,
        check_stride,
    )
    try:
        rule.compare(actual, expected)
    except _Mismatch as mismatch:
        text = mismatch.text
        if mismatch.item:
            text += "\n\nThe failure occurred for item " + "".join(
                f"[{i!r}]" for i in mismatch.item
            )
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise AssertionError(text) from None


class _Rule:
    """What counts as close in one call of `assert_close`."""

    def __init__(
        self, allow_subclasses: bool, rtol: float | None, atol: float | None, equal_nan: bool,
        check_device: bool, check_dtype: bool, check_layout: bool, check_stride: bool,
    ):  # fmt: skip
        self._allow_subclasses = allow_subclasses
        self._tolerances = None if rtol is None or atol is None else (rtol, atol)
        self._equal_nan = equal_nan
        self._checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout}
        self._check_stride = check_stride

    def compare(self, actual: Any, expected: Any) -> None:
        """Compares two things of any kind; raises _Mismatch."""
        if actual is None or expected is None:
            if actual is not expected:
                raise _Mismatch(f"None mismatch: {actual} is not {expected}")
        elif isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
            if bool(actual) != bool(expected):
                raise _Mismatch(f"Booleans mismatch: {actual} is not {expected}")
        elif isinstance(actual, (int, float, complex)) and isinstance(
            expected, (int, float, complex)
        ):
            self._numbers(actual, expected)
        elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
            self._mappings(actual, expected)
        elif _is_sequence(actual) and _is_sequence(expected):
            self._sequences(actual, expected)
        else:
            self._tensors(self._tensor(actual, expected), self._tensor(expected, actual))

    def _tensor(self, value: Any, other: Any) -> Tensor:
        related = isinstance(value, type(other)) or isinstance(other, type(value))
        if isinstance(value, Tensor) and (
            type(value) is type(other) or self._allow_subclasses and related
        ):
            return value.detach()
        if isinstance(value, (np.ndarray, np.generic)) and related:
            return rushlight.from_numpy(np.asarray(value))
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(value)} and {type(other)}."
        )

    def _numbers(self, actual: complex, expected: complex) -> None:
        if self._checks["dtype"] and type(actual) is not type(expected):
            raise _Mismatch(f"The (d)types do not match: {type(actual)} != {type(expected)}.")
        exact = isinstance(actual, int) and isinstance(expected, int)
        rtol, atol = self._tolerances or ((0.0, 0.0) if exact else (1e-7, 1e-7))
        both_nan = self._equal_nan and actual != actual and expected != expected
        difference = abs(actual - expected) if actual != expected else 0
        if not both_nan and not difference <= atol + rtol * abs(expected):
            raise _Mismatch(_scalar_text(actual, expected, rtol, atol))

    def _mappings(self, actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
        missing = [k for k in expected if k not in actual]
        additional = [k for k in actual if k not in expected]
        if missing or additional:
            text = "The keys of the mappings do not match:"
            if missing:
                text += f"\nMissing keys in the actual mapping: {sorted(missing, key=str)}"
            if additional:
                text += f"\nAdditional keys in the actual mapping: {sorted(additional, key=str)}"
            raise _Mismatch(text)
        self._items([(key, actual[key], expected[key]) for key in expected])

    def _sequences(self, actual: Sequence[Any], expected: Sequence[Any]) -> None:
        if len(actual) != len(expected):
            raise _Mismatch(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            )
        self._items([(i, a, e) for i, (a, e) in enumerate(zip(actual, expected))])

    def _items(self, items: list[tuple[Any, Any, Any]]) -> None:
        for key, actual, expected in items:
            try:
                self.compare(actual, expected)
            except _Mismatch as mismatch:
                raise _Mismatch(mismatch.text, (key, *mismatch.item)) from None

    def _tensors(self, actual: Tensor, expected: Tensor) -> None:
        checks = {"shape": True, **self._checks}
        for name, checked in checks.items():
            mine, theirs = getattr(actual, name), getattr(expected, name)
            if checked and mine != theirs:
                raise _Mismatch(
                    f"The values for attribute '{name}' do not match: {mine} != {theirs}."
                )
        if self._check_stride and actual.stride() != expected.stride():
            raise _Mismatch(
                f"The values for attribute 'stride()' do not match: {actual.stride()} != "
                f"{expected.stride()}."
            )
        rtol, atol = self._tolerances or default_tolerances(actual, expected)
        mine, theirs = _numbers_of(actual), _numbers_of(expected)
        if rtol == atol == 0:
            both_nan = (mine != mine) & (theirs != theirs) if self._equal_nan else np.False_
            close = (mine == theirs) | both_nan
        else:
            mine, theirs = (
                a.astype(np.float64) if a.dtype == object else a for a in (mine, theirs)
            )
            close = np.isclose(mine, theirs, rtol, atol, self._equal_nan)
        if not close.all():
            raise _Mismatch(_tensor_text(mine, theirs, ~np.asarray(close), rtol, atol))


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _numbers_of(tensor: Tensor) -> Any:
    """An array in which differences can be computed: float64, complex128 or (for ints) exact."""
    if tensor.is_complex():
        return tensor.to(rushlight.complex128).numpy()
    if tensor.is_floating_point():
        return tensor.to(rushlight.float64).numpy()
    wide = tensor.dtype in (rushlight.int64, rushlight.uint64)
    return tensor.numpy().astype(object if wide else np.int64)


def _allowed(tolerance: float) -> str:
    return f" (up to {tolerance} allowed)" if tolerance else ""


def _head(what: str, rtol: float, atol: float) -> str:
    return f"{what} are not {'close' if rtol or atol else 'equal'}!\n\n"


def _scalar_text(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    difference = abs(actual - expected)
    relative = difference / abs(expected) if expected else float("inf")
    return (
        _head("Scalars", rtol, atol) + f"Expected {expected} but got {actual}.\n"
        f"Absolute difference: {difference}{_allowed(atol)}\n"
        f"Relative difference: {relative}{_allowed(rtol)}"
    )


def _tensor_text(actual: Any, expected: Any, wrong: Any, rtol: float, atol: float) -> str:
    if actual.ndim == 0:
        return _scalar_text(actual.item(), expected.item(), rtol, atol)
    with np.errstate(all="ignore"):
        difference = np.abs(actual - expected)
        scale = np.abs(expected).astype(np.float64)
        relative = difference.astype(np.float64) / scale
    difference, relative = np.where(wrong, difference, 0), np.where(wrong, relative, 0)
    count, total = int(wrong.sum()), wrong.size
    lines = [f"Mismatched elements: {count} / {total} ({count / total:.1%})"]
    for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        index = tuple(int(i) for i in np.unravel_index(np.argmax(values), values.shape))
        lines.append(
            f"Greatest {name} difference: {values[index]} at index {index}{_allowed(allowed)}"
        )
    return _head("Tensor-likes", rtol, atol) + "\n".join(lines)
