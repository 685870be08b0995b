"""Names for the types of PyTorch programs' annotations."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import Any, Union

from .device import device as _device
from .dtypes import dtype as _dtype
from .formats import layout as _layout
from .size import Size
from .storage import UntypedStorage as Storage
from .tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number = Union[builtins.int, builtins.float, builtins.bool]
Device = Union[_device, str, builtins.int, None]
FileLike = Union[str, os.PathLike[str], Any]
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
_size = Union[Size, list[builtins.int], tuple[builtins.int, ...]]
_TensorOrTensors = Union[Tensor, Sequence[Tensor]]
_TensorOrTensorsOrGradEdge = _TensorOrTensors
PySymType = builtins.int
