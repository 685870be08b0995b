"""safetensors files, read and written through the `safetensors` package.

>>> import pytest; _ = pytest.importorskip("safetensors")
>>> import rushlight as torch
>>> from rushlight.interop import safetensors
>>> safetensors.load(safetensors.save({"w": torch.ones(2)}))
{'w': tensor([1., 1.])}
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import ml_dtypes
import numpy as np

from ..autograd.variable import TensorBase, wrap
from ..dtypes import from_numpy_dtype

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

# safetensors' names of the element types.
_DTYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U64": np.uint64,
    "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_, "C64": np.complex64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip
# The same, as the package's writer spells them.
_WRITTEN = {np.dtype(t): np.dtype(t).name for t in _DTYPES.values()}


def _package() -> Any:
    try:
        safetensors = importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError(
            "[safetensors] the package is not installed; install it with "
            'pip install "rushlight[safetensors]"'
        ) from error
    return safetensors


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a safetensors file that is in memory.

    ValueError for an element type that rushlight does not have; the package's SafetensorError for a
    damaged file.
    """
    entries = _package().deserialize(data)
    return {name: _tensor(name, entry) for name, entry in entries}


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file."""
    from ..ops.create import resolve_device

    resolve_device(device)
    with open(filename, "rb") as file:
        return load(file.read())


def _tensor(name: str, entry: dict[str, Any]) -> Any:
    kind = _DTYPES.get(entry["dtype"])
    if kind is None:
        raise ValueError(
            f"[safetensors] tensor {name!r} has element type {entry['dtype']}, which rushlight does "
            "not have"
        )
    array = np.frombuffer(bytearray(entry["data"]), np.uint8).view(kind)
    return wrap(array.reshape(entry["shape"]))


def save(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with these tensors.

    RuntimeError for tensors that share memory: the format keeps each by itself.
    """
    return bytes(_package().serialize(_entries(tensors), metadata=metadata))


def save_file(
    tensors: dict[str, Any], filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Writes a safetensors file; like `torch.save`, in one step."""
    from .checkpoint_write import write_atomically

    data = save(tensors, metadata)
    write_atomically(os.fspath(filename), lambda file: file.write(data))


def _entries(tensors: dict[str, Any]) -> dict[str, Any]:
    owner: dict[int, str] = {}
    entries = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, TensorBase):
            raise ValueError(f"[safetensors] {name!r} is a {type(tensor).__name__}, not a tensor")
        array = tensor._array
        from_numpy_dtype(array.dtype)
        if array.size:
            other = owner.setdefault(tensor.untyped_storage().data_ptr(), name)  # type:
            ignore[attr-defined] if other != name:
                raise RuntimeError(
                    f"[safetensors] Some tensors share memory: {other!r} and {name!r}; the format "
                    "keeps each "
                    "by itself. Use save_model for a module with tied weights, or clone() one of "
                    "them"
                )
        entries[name] = {
            "dtype": _WRITTEN[array.dtype], "shape": array.shape,
            "data": np.ascontiguousarray(array).tobytes(),
        }  # fmt: skip
    return entries


def save_model(
    model: Any, filename: str | os.PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Writes a module's tensors; of those that are the same memory (tied weights) only one."""
    kept: dict[str, Any] = {}
    seen: dict[Any, str] = {}
    notes = dict(metadata or {})
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        first = seen.setdefault(place, name) if tensor.numel() else name
        if first == name:
            kept[name] = tensor
        else:
            notes[name] = first  # as the package's own writer notes it
    save_file(kept, filename, notes or None)


def load_model(
    model: Any, filename: str | os.PathLike[str], strict: bool = True, device: Any = "cpu"
) -> tuple[list[str], list[str]]:
    """Fills a module from a safetensors file; the missing and the unexpected names.

    Names that are tied to one in the file are not missing. RuntimeError for others if `strict`.
    """
    state = load_file(filename, device)
    own = model.state_dict()
    present = {own[name].data_ptr() for name in state if name in own}
    result = model.load_state_dict(state, strict=False)
    missing = [n for n in result.missing_keys if own[n].data_ptr() not in present]
    if strict and (missing or result.unexpected_keys):
        raise RuntimeError(
            f"[safetensors] Error(s) in loading {filename} into {type(model).__name__}: missing "
            f"{missing}, "
            f"unexpected {list(result.unexpected_keys)}"
        )
    return missing, list(result.unexpected_keys)
