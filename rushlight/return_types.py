"""The named tuples that some operations return, such as `max(dim=…)` → `(values, indices)`."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, ClassVar

__all__ = [
    "aminmax", "cummax", "cummin", "frexp", "kthvalue", "linalg_cholesky_ex", "linalg_eig",
    "linalg_eigh", "linalg_inv_ex", "linalg_ldl_factor", "linalg_lstsq", "linalg_lu",
    "linalg_lu_factor", "linalg_qr", "linalg_slogdet", "linalg_solve_ex", "linalg_svd", "max",
    "median", "min", "mode", "nanmedian", "qr", "slogdet", "sort", "svd", "topk",
    "triangular_solve",
]  # fmt: skip


class _NamedFields(tuple[Any, ...]):
    """A tuple whose fields have names, and which prints each on its own line, as PyTorch's do."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]]

    def __new__(cls, *values: Any) -> Any:
        if len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, got {len(values)}")
        return tuple.__new__(cls, values)

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        """From an iterable of all fields, as `collections.namedtuple`'s."""
        return cls(*values)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        lines = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{lines})"


def _make(name: str, *fields: str) -> Any:
    getters = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    own = {"__slots__": (), "__module__": __name__, "_fields": fields}
    return type(name, (_NamedFields,), {**own, **getters})


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
frexp = _make("frexp", "mantissa", "exponent")
qr = _make("qr", "Q", "R")
svd = _make("svd", "U", "S", "V")
slogdet = _make("slogdet", "sign", "logabsdet")
triangular_solve = _make("triangular_solve", "solution", "cloned_coefficient")
linalg_cholesky_ex = _make("linalg_cholesky_ex", "L", "info")
linalg_eig = _make("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = _make("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = _make("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor = _make("linalg_ldl_factor", "LD", "pivots")
linalg_lstsq = _make("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = _make("linalg_lu", "P", "L", "U")
linalg_lu_factor = _make("linalg_lu_factor", "LU", "pivots")
linalg_qr = _make("linalg_qr", "Q", "R")
linalg_slogdet = _make("linalg_slogdet", "sign", "logabsdet")
linalg_solve_ex = _make("linalg_solve_ex", "result", "info")
linalg_svd = _make("linalg_svd", "U", "S", "Vh")
