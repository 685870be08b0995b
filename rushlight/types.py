"""Names for the types of PyTorch programs' annotations."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import Any

from .device import device as _device
from .size import Size
from .storage import UntypedStorage as Storage
from .tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Storage"]

Number = builtins.int | builtins.float | builtins.bool
Device = _device | str | builtins.int | None
FileLike = str | os.PathLike[str] | Any
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
_size = Size | list[builtins.int] | tuple[builtins.int, ...]
_TensorOrTensors = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge = _TensorOrTensors
PySymType = builtins.int
