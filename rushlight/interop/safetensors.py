"""safetensors files: tensors by name, and nothing else.

A file is the length of a JSON header (8 bytes, little-endian), the header
`{name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [start, end]}}`, and the bytes of all
tensors, little-endian and in row-major order. The reader makes every check that the format's own
library makes: names once, extents that fit, follow one another without gaps, and fill the file.

>>> import rushlight as torch
>>> from rushlight.interop import safetensors
>>> safetensors.load(safetensors.save({"w": torch.ones(2)}))
{'w': tensor([1., 1.])}
"""

from __future__ import annotations

import json
import os
import sys
from math import prod
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
_MAX_HEADER = 100_000_000
_MAX_DIMS = 64
_METADATA = "__metadata__"


# ---- reading -------------------------------------------------------------------------------------


def load(data: bytes) -> dict[str, Any]:
    """The tensors of a safetensors file that is in memory; CheckpointError for a damaged one."""
    header, start = _header(data)
    header.pop(_METADATA, None)
    entries = sorted(
        ((name, *_entry(name, value)) for name, value in header.items()), key=lambda e: e[3:]
    )
    end = 0
    tensors = {}
    for name, kind, shape, first, last in entries:
        if first != end:
            raise CheckpointError(
                f"[safetensors] tensor {name!r} starts at byte {first} of the data, where byte "
                f"{end} was expected: tensors overlap or leave a gap"
            )
        end = last
        if start + end > len(data):
            raise CheckpointError(f"[safetensors] tensor {name!r} ends beyond the end of the file")
        tensors[name] = _tensor(data[start + first : start + last], kind, shape)
    if start + end != len(data):
        raise CheckpointError(
            f"[safetensors] the file has {len(data) - start - end} bytes behind its last tensor"
        )
    return {name: tensors[name] for name in header}


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """The tensors of a safetensors file; CheckpointError for a damaged one."""
    from ..ops.create import resolve_device

    resolve_device(device)
    with open(filename, "rb") as file:
        return load(file.read())


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header as a dict, and where the tensors' bytes start."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, _MAX_HEADER):
        raise CheckpointError(
            f"[safetensors] a file of {len(data)} bytes cannot have a header of {length}; it is "
            "cut short, or no safetensors file"
        )
    try:
        header = json.loads(
            data[8 : 8 + length].decode("utf-8"),
            object_pairs_hook=_dict_of_unique_names,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"[safetensors] the header is no sound JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError("[safetensors] the header is no JSON object")
    notes = header.get(_METADATA, {})
    if not isinstance(notes, dict) or not all(isinstance(v, str) for v in notes.values()):
        raise CheckpointError("[safetensors] the metadata is not text by name")
    return header, 8 + length


def _dict_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _entry(name: str, value: Any) -> tuple[Any, tuple[int, ...], int, int]:
    """Type, shape and extent of a tensor, checked against one another."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"[safetensors] tensor {name!r} is described by {shown(value)}")
    kind = _DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if kind is None:
        raise CheckpointError(
            f"[safetensors] tensor {name!r} has element type {shown(value['dtype'])}, which "
            "rushlight does not have"
        )
    shape, offsets = value["shape"], value["data_offsets"]
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"[safetensors] tensor {name!r} has a malformed shape or extent")
    first, last = offsets
    if last - first != prod(shape) * np.dtype(kind).itemsize:
        raise CheckpointError(
            f"[safetensors] tensor {name!r} of shape {shape} has {last - first} bytes"
        )
    return kind, tuple(shape), first, last


def _counts(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= _MAX_DIMS
        and all(type(n) is int and 0 <= n < 1 << 63 for n in values)
    )


def _tensor(data: bytes, kind: Any, shape: tuple[int, ...]) -> Any:
    array = np.frombuffer(bytearray(data), np.uint8).view(kind).reshape(shape)
    return wrap(array.byteswap() if sys.byteorder == "big" else array)


# ---- writing -------------------------------------------------------------------------------------


def save(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file with these tensors.

    RuntimeError for tensors that share memory, as the format keeps each by itself; ValueError for
    what is no tensor, or of a dtype without a name in the format.
    """
    arrays = _separate_arrays(tensors)
    # Wide elements first, so that each tensor lies at a multiple of its element size.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": _NAMES[arrays[name].dtype],
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    data = [arrays[name].tobytes() for name in order]
    return b"".join([len(text).to_bytes(8, "little"), text, *data])


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
