"""Checkpoints go both ways between rushlight and PyTorch, in both formats."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

import rushlight

DTYPES = [
    "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bfloat16", "bool",
    "complex64", "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2",
    "float8_e4m3fnuz", "float8_e5m2fnuz",
]  # fmt: skip
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])


def saved_by(library, obj, zipped=True, **options):
    file = io.BytesIO()
    library.save(obj, file, _use_new_zipfile_serialization=zipped, **options)
    file.seek(0)
    return file


def bits(tensor):
    """The tensor's bytes in the order of its indices, whatever the library and the dtype."""
    tensor = tensor.detach()
    width = tensor.element_size()
    if isinstance(tensor, rushlight.Tensor):
        return np.ascontiguousarray(tensor._array).tobytes()
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if width else b""


def example(library, zipped=True):
    base = library.arange(24.0).reshape(4, 6)
    names = DTYPES if zipped else DTYPES[:12]  # the stream format has only the older dtypes
    tensors = {n: library.tensor([0, 1, 1]).to(getattr(library, n)) for n in names}
    return OrderedDict(
        tensors=tensors, base=base, rows=base[1:3], turned=base.t(), strided=base[::2, 1::2],
        expanded=base[0].expand(3, 6), again=base, empty=library.zeros(0, 3),
        scalar=library.tensor(2.5), parameter=library.nn.Parameter(base[0]),
        frozen=library.nn.Parameter(library.ones(2), requires_grad=False),
        buffer=library.nn.Buffer(library.ones(2), persistent=False),
        nested=[1, "two", (3.0, None, True), {"k": library.ones(1)}, -(2**70)],
        size=library.Size([2, 3]), dtype=library.float16, device=library.device("cpu"),
        bytes=b"\x00\xff", set={1, 2}, text="żółw ☂", layout=library.strided,
        leaf=library.ones(2, requires_grad=True), number=1e300,
    )  # fmt: skip


def check(got, library, zipped=True):
    expected = example(library, zipped)
    assert list(got) == list(expected)
    for name, tensor in expected["tensors"].items():
        assert got["tensors"][name].dtype is tensor.dtype
        assert bits(got["tensors"][name]) == bits(tensor), name
    for name, value in expected.items():
        if isinstance(value, library.Tensor):
            mine = got[name]
            assert type(mine) is type(value) and mine.shape == value.shape, name
            assert mine.stride() == value.stride() and mine.requires_grad == value.requires_grad
            assert mine.storage_offset() == value.storage_offset(), name
            assert bits(mine) == bits(value), name
    for name in ("size", "dtype", "device", "bytes", "set", "text", "layout", "number"):
        assert got[name] == expected[name] and type(got[name]) is type(expected[name])
    assert got["nested"][:3] == expected["nested"][:3] and got["nested"][4] == -(2**70)
    assert got["again"] is got["base"]
    got["base"][1, 1] = 99.0
    assert got["rows"][0, 1] == 99.0 and got["turned"][1, 1] == 99.0


@FORMATS
def test_pytorch_reads_what_rushlight_writes(zipped):
    check(
        torch.load(saved_by(rushlight, example(rushlight, zipped), zipped), weights_only=True),
        torch,
        zipped,
    )


@FORMATS
def test_rushlight_reads_what_pytorch_writes(zipped):
    check(rushlight.load(saved_by(torch, example(torch, zipped), zipped)), rushlight, zipped)


@FORMATS
def test_rushlight_reads_its_own(zipped):
    check(
        rushlight.load(saved_by(rushlight, example(rushlight, zipped), zipped)), rushlight, zipped
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_pytorch_writes(protocol):
    check(rushlight.load(saved_by(torch, example(torch), pickle_protocol=protocol)), rushlight)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_rushlight_writes(protocol):
    file = saved_by(rushlight, example(rushlight), pickle_protocol=protocol)
    check(torch.load(file, weights_only=False), torch)


def test_the_records_are_those_of_pytorch():
    mine = zipfile.ZipFile(saved_by(rushlight, rushlight.ones(3)))
    theirs = zipfile.ZipFile(saved_by(torch, torch.ones(3)))
    assert mine.namelist() == theirs.namelist()
    for name in mine.namelist():
        if "serialization_id" not in name:
            assert mine.read(name) == theirs.read(name), name
    for record in mine.infolist():
        assert record.compress_type == zipfile.ZIP_STORED
    assert mine.testzip() is None


def network(library):
    library.manual_seed(0)
    nn = library.nn
    # No bias before the normalization: its gradient would be rounding noise, which Adam scales up.
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 3),
    )


def trained(library, optimizer):
    model = network(library)
    steps = getattr(library.optim, optimizer)(model.parameters(), lr=0.01)
    inputs = library.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    for _ in range(3):
        steps.zero_grad()
        library.nn.functional.cross_entropy(model(inputs), library.tensor([0, 2])).backward()
        steps.step()
    return model, steps


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize("source, target", [(rushlight, torch), (torch, rushlight)])
def test_training_goes_on_in_the_other_library(source, target, optimizer):
    model, steps = trained(source, optimizer)
    file = saved_by(
        source, {"model": model.state_dict(), "optimizer": steps.state_dict(), "epoch": 3}
    )
    state = target.load(file, weights_only=True)
    other, other_steps = trained(target, optimizer)
    other.load_state_dict(state["model"])
    other_steps.load_state_dict(state["optimizer"])
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert bits(mine) == bits(theirs)
    for m, lib, opt in ((model, source, steps), (other, target, other_steps)):
        opt.zero_grad()
        m(lib.linspace(0, 2, 128).reshape(2, 1, 8, 8)).square().sum().backward()
        opt.step()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), theirs.detach().numpy(), rtol=0, atol=1e-3
        )


def test_whole_modules_go_both_ways():
    for source, target in ((rushlight, torch), (torch, rushlight)):
        model = network(source).eval()
        loaded = target.load(saved_by(source, model), weights_only=False)
        assert str(loaded) == str(model) and not loaded.training
        inputs = np.linspace(-1, 1, 128, dtype="float32").reshape(2, 1, 8, 8)
        mine, theirs = model(source.from_numpy(inputs)), loaded(target.from_numpy(inputs))
        np.testing.assert_allclose(
            mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6
        )


def test_generators_and_random_states():
    for source, target in ((rushlight, torch), (torch, rushlight)):
        generator = source.Generator().manual_seed(5)
        source.rand(7, generator=generator)
        state = target.load(saved_by(source, {"state": generator.get_state()}))["state"]
        other = target.Generator()
        other.set_state(state)
        assert (
            source.rand(3, generator=generator).tolist() == target.rand(3, generator=other).tolist()
        )
        loaded = target.load(saved_by(source, generator), weights_only=False)
        assert (
            source.rand(3, generator=generator).tolist()
            == target.rand(3, generator=loaded).tolist()
        )


def test_numpy_values_are_read():
    values = {
        "scalar": np.float64(1.5),
        "array": np.arange(6, dtype="int32").reshape(2, 3),
        "text": np.array(["ab", "c"]),
        "fortran": np.asfortranarray(np.ones((2, 3))),
    }
    got = rushlight.load(saved_by(torch, values))
    for name, value in values.items():
        np.testing.assert_array_equal(got[name], value)
        assert got[name].dtype == value.dtype and type(got[name]) is type(value)


def test_parameter_attributes_survive():
    for source, target in ((rushlight, torch), (torch, rushlight)):
        parameter = source.nn.Parameter(source.ones(2))
        parameter.tag = "head"
        loaded = target.load(saved_by(source, [parameter]))[0]
        assert isinstance(loaded, target.nn.Parameter) and loaded.tag == "head"


def test_byte_order(monkeypatch):
    file = saved_by(
        torch, {"x": torch.arange(3, dtype=torch.int32), "c": torch.ones(1, dtype=torch.cfloat)}
    )
    archive = zipfile.ZipFile(file)
    swapped = io.BytesIO()
    with zipfile.ZipFile(swapped, "w") as out:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                data = np.frombuffer(data, "<u4").astype(">u4").tobytes()
            out.writestr(name, data)
    for library in (torch, rushlight):
        swapped.seek(0)
        got = library.load(swapped)
        assert got["x"].tolist() == [0, 1, 2] and got["c"].tolist() == [1]
