"""PyTorch's old tensor classes, such as `FloatTensor`: callable, and usable in `isinstance`."""

from __future__ import annotations

from typing import Any

from . import dtypes
from .autograd.variable import TensorBase
from .dtypes import dtype as DType
from .formats import legacy_type_name
from .ops.create import empty
from .ops.from_data import tensor

__all__ = ["FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor", "LongTensor",
           "IntTensor", "ShortTensor", "CharTensor", "ByteTensor", "BoolTensor"]  # fmt: skip


class LegacyType:
    """Makes tensors of one dtype: `LongTensor([1, 2])`, `FloatTensor(2, 3)` (unset)."""

    def __init__(self, d: DType):
        self.dtype = d
        self.__name__ = legacy_type_name(d).removeprefix("torch.")

    def __call__(self, *args: Any) -> Any:
        if len(args) == 1 and not isinstance(args[0], int):
            data = args[0]
            if isinstance(data, TensorBase):
                return data.to(self.dtype)
            return tensor(data, dtype=self.dtype)
        return empty(*(args or (0,)), dtype=self.dtype)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, TensorBase) and value.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


FloatTensor, DoubleTensor = LegacyType(dtypes.float32), LegacyType(dtypes.float64)
HalfTensor, BFloat16Tensor = LegacyType(dtypes.float16), LegacyType(dtypes.bfloat16)
LongTensor, IntTensor = LegacyType(dtypes.int64), LegacyType(dtypes.int32)
ShortTensor, CharTensor = LegacyType(dtypes.int16), LegacyType(dtypes.int8)
ByteTensor, BoolTensor = LegacyType(dtypes.uint8), LegacyType(dtypes.bool_)
