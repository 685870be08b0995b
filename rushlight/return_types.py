"""The named tuples that some operations return, such as `max(dim=…)` → `(values, indices)`."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

__all__ = ["aminmax", "cummax", "cummin", "kthvalue", "max", "median", "min", "mode", "nanmedian",
           "sort", "topk"]  # fmt: skip


class _Printed:
    """Prints each field on its own line, as PyTorch's return types do."""

    __slots__ = ()

    def __repr__(self) -> str:
        fields: tuple[str, ...] = getattr(self, "_fields")
        lines = ",\n".join(f"{name}={value!r}" for name, value in zip(fields, self))  # type: ignore[call-overload]
        return f"torch.return_types.{type(self).__name__}(\n{lines})"


def _make(name: str, *fields: str) -> Any:
    base: Any = namedtuple(name, fields)  # type: ignore[misc]
    return type(name, (_Printed, base), {"__slots__": (), "__module__": __name__})


max = _make("max", "values", "indices")
min = _make("min", "values", "indices")
median = _make("median", "values", "indices")
nanmedian = _make("nanmedian", "values", "indices")
mode = _make("mode", "values", "indices")
sort = _make("sort", "values", "indices")
topk = _make("topk", "values", "indices")
kthvalue = _make("kthvalue", "values", "indices")
cummax = _make("cummax", "values", "indices")
cummin = _make("cummin", "values", "indices")
aminmax = _make("aminmax", "min", "max")
