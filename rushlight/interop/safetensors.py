"""safetensors files: tensors by name, and nothing else.

The format is read and written by the `safetensors` package (an extra), which validates every file;
here its bytes become tensors, bfloat16 and float8 included, and its errors become ours.

>>> import rushlight as torch
>>> from rushlight.interop import safetensors
>>> safetensors.load(safetensors.save({"w": torch.ones(2)}))
{'w': tensor([1., 1.])}
"""

from __future__ import annotations

import os
import sys
from typing import Any

import ml_dtypes
import numpy as np

from ..autograd.variable import TensorBase, wrap
from ..storage import UntypedStorage
from .checkpoint_errors import CheckpointError, shown
from .checkpoint_write import write_atomically

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

# safetensors' names of the element types.
_DTYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U64": np.uint64,
    "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_, "C64": np.complex64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip
_NAMES = {np.dtype(t): name for name, t in _DTYPES.items()}


def _library() -> Any:
    """The `safetensors` package; an error that says how to get it if it is missing."""
    try:
        import safetensors
    except ImportError:
        raise ImportError(
            "[safetensors] the package 'safetensors' is not installed: "
            'pip install "rushlight[safetensors]"'
        ) from None
    return safetensors


# ---- reading -------------------------------------------------------------------------------------


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a safetensors file that is in memory; CheckpointError for a damaged one."""
    library = _library()
    try:
        entries = library.deserialize(bytes(data))
    except library.SafetensorError as error:
        raise CheckpointError(
            f"not a sound safetensors file ({len(data)} bytes): {error}"
        ) from None
    return {name: _tensor(name, entry) for name, entry in entries}


def _tensor(name: str, entry: dict[str, Any]) -> Any:
    kind = _DTYPES.get(entry["dtype"])
    if kind is None:
        raise CheckpointError(
            f"tensor {shown(name)} has the type {entry['dtype']}, which rushlight does not have"
        )
    array = np.frombuffer(bytearray(entry["data"]), np.dtype(kind)).reshape(entry["shape"])
    return wrap(array.byteswap() if sys.byteorder == "big" else array)


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file; CheckpointError for a damaged one."""
    from ..ops.from_data import resolve_device

    resolve_device(device)
    with open(filename, "rb") as file:
        return load(file.read())


# ---- writing -------------------------------------------------------------------------------------


def save(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with these tensors.

    RuntimeError for tensors that share memory, as the format keeps each by itself; ValueError for
    what is no tensor, or of a dtype without a name in the format.
    """
    library = _library()
    arrays = {name: np.asarray(a, order="C") for name, a in _separate_arrays(tensors).items()}
    entries = {
        name: library.TensorSpec(
            dtype=a.dtype.name, shape=a.shape, data_ptr=a.ctypes.data, data_len=a.nbytes
        )
        for name, a in arrays.items()
    }
    return bytes(library.serialize(entries, metadata=metadata or None))


def _separate_arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors' arrays, little-endian, after they were found to share no memory."""
    owner: dict[int, str] = {}
    arrays = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, TensorBase):
            raise ValueError(f"[safetensors] {name!r} is a {type(tensor).__name__}, not a tensor")
        array = tensor._array
        if array.dtype not in _NAMES:
            raise ValueError(f"[safetensors] {name!r} is of {array.dtype}, which the format lacks")
        other = owner.setdefault(UntypedStorage(array).data_ptr(), name) if array.size else name
        if other != name:
            raise RuntimeError(
                f"[safetensors] Some tensors share memory: {other!r} and {name!r}; the format "
                "keeps each by itself. Use save_model for a module with tied weights, or clone() "
                "one of them"
            )
        arrays[name] = array.byteswap() if sys.byteorder == "big" else array
    return arrays


def save_file(
    tensors: dict[str, Any],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Writes a safetensors file; like `torch.save`, in one step."""
    data = save(tensors, metadata)
    write_atomically(os.fspath(filename), lambda file: file.write(data))


# ---- modules -------------------------------------------------------------------------------------


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
            notes[name] = first  # as the format's own library notes it
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
            f"{missing}, unexpected {list(result.unexpected_keys)}"
        )
    return missing, list(result.unexpected_keys)
