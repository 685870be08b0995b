"""safetensors files: round trips, and every check of the format violated once."""

from __future__ import annotations

import json

import pytest

import rushlight as torch
from rushlight.interop import safetensors
from rushlight.serialization import CheckpointError

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64",
    "uint32", "uint16", "uint8", "bool", "complex64", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip


def file_of(header, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_round_trip(tmp_path):
    tensors = {n: torch.tensor([[1, 0], [2, 1]]).to(getattr(torch, n)) for n in DTYPES}
    tensors["turned"] = torch.arange(6).reshape(2, 3).t()
    tensors["empty"], tensors["scalar"] = torch.zeros(0, 2), torch.tensor(3.0)
    path = tmp_path / "m.safetensors"
    safetensors.save_file(tensors, path, {"made": "by hand", "ż": "ó"})
    got = safetensors.load_file(path)
    assert set(got) == set(tensors)
    for key, value in got.items():
        assert value.dtype is tensors[key].dtype and value.shape == tensors[key].shape, key
        assert value.tolist() == tensors[key].tolist(), key
    got["float32"].add_(1)  # memory of its own


def test_tied_weights(tmp_path):
    with pytest.raises(RuntimeError, match="share memory: 'b' and 'c'"):
        safetensors.save({"a": torch.ones(2), "b": (x := torch.ones(2)), "c": x[1:]})
    path = tmp_path / "m.safetensors"
    tied = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    safetensors.save_model(tied, path)
    assert "1.weight" not in safetensors.load_file(path)
    assert safetensors.load_model(tied, path) == ([], [])
    with pytest.raises(RuntimeError, match="missing"):
        safetensors.load_model(torch.nn.Linear(2, 2), path)


def test_a_sound_file_by_hand():
    data = file_of({"a": entry(), "__metadata__": {"k": "v"}}, b"\0\0\x80\x3f" * 2)
    assert safetensors.load(data)["a"].tolist() == [1, 1]
    padded = json.dumps({"a": entry(shape=(0,), offsets=(0, 0))}).encode() + b"   "
    assert safetensors.load(file_of(padded))["a"].shape == (0,)


@pytest.mark.parametrize("data", [
    b"",
    b"\0" * 7,
    file_of({}, length=2**63),
    file_of({}, length=3),
    file_of(b"{"),
    file_of(b"[]"),
    file_of({"__metadata__": {"k": 1}}),
    file_of({"a": entry()}, b"x" * 7),
    file_of({"a": entry()}, b"x" * 9),
    file_of({"a": entry(offsets=(8, 16))}, b"x" * 16),
    file_of({"a": entry(), "b": entry()}, b"x" * 8),
    file_of({"a": entry(), "b": entry(offsets=(4, 12))}, b"x" * 12),
    file_of({"a": entry(shape=(3,))}, b"x" * 8),
    file_of({"a": entry(shape=(2**62, 4))}, b"x" * 8),
    file_of({"a": entry(shape=(-2,))}, b"x" * 8),
    file_of({"a": entry(dtype="F99")}, b"x" * 8),
    file_of({"a": 1}),
])  # fmt: skip
def test_refused_files(data):
    with pytest.raises(CheckpointError, match="not a sound safetensors file"):
        safetensors.load(data)


def test_what_cannot_be_saved():
    with pytest.raises(ValueError, match="not a tensor"):
        safetensors.save({"a": [1.0]})
    with pytest.raises(ValueError, match="the format lacks"):
        safetensors.save({"a": torch.zeros(1, dtype=torch.complex128)})
