"""Element types: what a tensor's numbers are, and how two types meet in one operation.

A `dtype` is a small frozen value that names a NumPy type (bfloat16 and the float8 types come from
ml_dtypes). Promotion follows PyTorch: the *category* decides first (bool < integer < floating <
complex), the width second, and a 0-dim tensor or a Python number only ever raises the category.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "Category", "dtype", "finfo", "iinfo", "promote_types", "from_numpy_dtype", "number_dtype",
    "get_default_dtype", "set_default_dtype", "can_cast", "ALL_DTYPES",
]  # fmt: skip


class Category(IntEnum):
    """Rank of a dtype in promotion; a higher category always wins."""

    BOOL = 0
    INTEGER = 1
    FLOATING = 2
    COMPLEX = 3


class dtype:
    """The element type of a tensor, such as `rushlight.float32`.

    >>> import rushlight as torch
    >>> torch.float32.itemsize, torch.int64.is_floating_point, torch.half
    (4, False, torch.float16)
    """

    __slots__ = ("name", "numpy", "category", "itemsize", "is_signed", "__weakref__")

    name: str
    numpy: np.dtype[Any]
    category: Category
    itemsize: int
    is_signed: bool

    def __init__(self, name: str, numpy_type: Any, category: Category, is_signed: bool = True):
        self.name = name
        self.numpy = np.dtype(numpy_type)
        self.category = category
        self.itemsize = self.numpy.itemsize
        self.is_signed = is_signed

    @property
    def is_floating_point(self) -> bool:
        return self.category is Category.FLOATING

    @property
    def is_complex(self) -> bool:
        return self.category is Category.COMPLEX

    def to_real(self) -> dtype:
        """The real type of a complex one (`complex64` → `float32`); a real type is itself."""
        return _REAL_OF.get(self, self)

    def to_complex(self) -> dtype:
        """The complex type of the same precision (`float32` → `complex64`)."""
        return self if self.is_complex else _COMPLEX_OF.get(self, complex64)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name


bool_ = dtype("bool", np.bool_, Category.BOOL, is_signed=False)
uint8 = dtype("uint8", np.uint8, Category.INTEGER, is_signed=False)
uint16 = dtype("uint16", np.uint16, Category.INTEGER, is_signed=False)
uint32 = dtype("uint32", np.uint32, Category.INTEGER, is_signed=False)
uint64 = dtype("uint64", np.uint64, Category.INTEGER, is_signed=False)
int8 = dtype("int8", np.int8, Category.INTEGER)
int16 = dtype("int16", np.int16, Category.INTEGER)
int32 = dtype("int32", np.int32, Category.INTEGER)
int64 = dtype("int64", np.int64, Category.INTEGER)
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn, Category.FLOATING)
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2, Category.FLOATING)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, Category.FLOATING)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, Category.FLOATING)
float16 = dtype("float16", np.float16, Category.FLOATING)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, Category.FLOATING)
float32 = dtype("float32", np.float32, Category.FLOATING)
float64 = dtype("float64", np.float64, Category.FLOATING)
complex64 = dtype("complex64", np.complex64, Category.COMPLEX)
complex128 = dtype("complex128", np.complex128, Category.COMPLEX)

half, float_, double = float16, float32, float64
short, int_, long = int16, int32, int64
cfloat, cdouble = complex64, complex128

BY_NUMPY: dict[np.dtype[Any], dtype] = {
    d.numpy: d
    for d in (
        bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
        float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz,
        float16, bfloat16, float32, float64, complex64, complex128,
    )
}  # fmt: skip
ALL_DTYPES: tuple[dtype, ...] = tuple(BY_NUMPY.values())
_REAL_OF = {complex64: float32, complex128: float64}
_COMPLEX_OF = {float16: complex64, bfloat16: complex64, float32: complex64, float64: complex128}


def from_numpy_dtype(numpy_dtype: np.dtype[Any]) -> dtype:
    """The dtype of a NumPy type; TypeError, as PyTorch's, for one that tensors cannot hold."""
    found = BY_NUMPY.get(numpy_dtype)
    if found is None:
        native = numpy_dtype.newbyteorder("=")
        if native is not numpy_dtype and native in BY_NUMPY:
            raise ValueError(
                f"[from_numpy] the array's byte order ({numpy_dtype.str}) is not this machine's; "
                "convert it with array.astype(array.dtype.newbyteorder('='))"
            )
        raise TypeError(
            f"can't convert np.ndarray of type {numpy_dtype.type.__name__}. The supported types "
            "are: " + ", ".join(d.name for d in ALL_DTYPES) + "."
        )
    return found


_default_dtype = float32


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors made from Python numbers (`float32` at start)."""
    return _default_dtype


def set_default_dtype(d: dtype) -> None:
    """Sets the default floating-point dtype; TypeError if `d` is not a floating-point dtype."""
    global _default_dtype
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(
            "only floating-point types are supported as the default type; "
            f"set_default_dtype got {d!r}"
        )
    _default_dtype = d


def number_dtype(value: complex) -> dtype:
    """The dtype a tensor made from this Python number would have."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default_dtype
    return _default_dtype.to_complex()


# Integer pairs whose common type is neither of the two.
_MIXED_INTEGERS = {frozenset((uint8, int8)): int16}
_PRECISION = {
    float8_e4m3fn: 0, float8_e5m2: 0, float8_e4m3fnuz: 0, float8_e5m2fnuz: 0,
    float16: 1, bfloat16: 1, float32: 2, float64: 3, complex64: 2, complex128: 3,
}  # fmt: skip
_promoted: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both can be converted to without changing category.

    >>> import rushlight as torch
    >>> torch.promote_types(torch.int32, torch.float16)
    torch.float16
    """
    if type1 is type2:
        return type1
    found = _promoted.get((type1, type2))
    if found is None:
        found = _promoted[type1, type2] = _promote(type1, type2)
    return found


def _promote(a: dtype, b: dtype) -> dtype:
    if a.category != b.category:
        low, high = (a, b) if a.category < b.category else (b, a)
        if high.is_complex and low.is_floating_point and _PRECISION[low] > _PRECISION[high]:
            return low.to_complex()
        return high
    if a.category is Category.INTEGER:
        return _promote_integers(a, b)
    if _PRECISION[a] == _PRECISION[b]:  # two different 16-bit (or 8-bit) floats
        return float32
    return a if _PRECISION[a] > _PRECISION[b] else b


def _promote_integers(a: dtype, b: dtype) -> dtype:
    wide_unsigned = {uint16, uint32, uint64}
    if (a in wide_unsigned or b in wide_unsigned) and a.is_signed != b.is_signed:
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{a.name.capitalize()} and {b.name.capitalize()}"
        )
    if mixed := _MIXED_INTEGERS.get(frozenset((a, b))):
        return mixed
    if a.itemsize == b.itemsize:
        return a if a.is_signed else b
    return a if a.itemsize > b.itemsize else b


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether promotion rules let a result of type `from_` be stored as type `to`.

    >>> import rushlight as torch
    >>> torch.can_cast(torch.double, torch.float), torch.can_cast(torch.float, torch.int)
    (True, False)
    """
    return from_.category <= to.category


class finfo:
    """Limits of a floating-point dtype, as `torch.finfo`: `eps max min tiny smallest_normal bits`.

    >>> import rushlight as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: dtype | None = None):
        type = get_default_dtype() if type is None else type
        if not (type.is_floating_point or type.is_complex):
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{type!r}'"
            )
        limits: Any = ml_dtypes.finfo(type.to_real().numpy)  # type: ignore[no-untyped-call]
        self.dtype = type.to_real().name
        self.bits = int(limits.bits)
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype, as `torch.iinfo`: `min max bits`.

    >>> import rushlight as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type: dtype):
        if type.category is not Category.INTEGER:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                f"'{type!r}'"
            )
        limits = np.iinfo(type.numpy)
        self.dtype = type.name
        self.bits, self.min, self.max = limits.bits, int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
