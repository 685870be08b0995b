"""What a load must refuse: damaged files, and files that were made to do harm."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import tarfile
import warnings
from pathlib import Path

import pytest
from files import (
    PROTOCOL,
    archive,
    group,
    integer,
    name,
    storage,
    stream,
    tensor,
    text,
    zipped_by_python,
)  # fmt: skip

import rushlight as torch
from rushlight.serialization import CheckpointError

DATA = Path(__file__).parent / "data"


def load(data: bytes, **options):
    return torch.load(io.BytesIO(data), **options)


def test_the_hand_made_files_are_sound():
    for data in (archive(), stream(tensor_in_stream())):
        assert load(data).tolist() == [[0, 1, 2], [3, 4, 5]]


def tensor_in_stream(**options) -> bytes:
    memory = group(
        text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(6), b"N"
    )
    return tensor(memory + b"Q", **options)


LOOKS = [
    (b"", "empty"),
    (b"\x00", "zeros"),
    (b"x", "starting with"),
    (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "git-lfs"),
    (b"\x1f\x8b\x08\x00" + b"x" * 40, "gzip"),
    (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "PNG"),
    (struct.pack("<Q", 2) + b"{}" + b"x" * 40, "safetensors"),
    (pickle.dumps({"a": 1}), "magic number"),
    (archive()[:200], "central directory"),
]


@pytest.mark.parametrize("data, said", LOOKS, ids=[s for _, s in LOOKS])
def test_the_error_says_what_the_file_looks_like(tmp_path, data, said):
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=said) as caught:
        torch.load(path)
    assert isinstance(caught.value, pickle.UnpicklingError) and isinstance(
        caught.value, RuntimeError
    )
    assert isinstance(caught.value, EOFError) == (not data)
    if data:
        assert str(path) in str(caught.value) and f"({len(data)} bytes)" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "no.pt")


@pytest.mark.parametrize(
    "make", [archive, lambda: stream(tensor_in_stream())], ids=["zip", "stream"]
)
def test_cut_off_anywhere(make):
    whole = make()
    for length in range(len(whole)):
        with pytest.raises(CheckpointError):
            load(whole[:length])


def test_random_damage_gives_an_error_or_a_tensor():
    chance = random.Random(0)
    for whole in (archive(), stream(tensor_in_stream()), (DATA / "mixed_objects.pt").read_bytes()):
        for _ in range(400):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    load(bytes(data))
                except (CheckpointError, RuntimeError):
                    continue


# ---- zip -----------------------------------------------------------------------------------------

PICKLE = ("a/data.pkl", PROTOCOL + b"N.")


@pytest.mark.parametrize("records, options, said", [
    ([PICKLE, PICKLE], {}, "twice"),
    ([PICKLE, ("b/data.pkl", b"x")], {}, "one folder"),
    ([("data.pkl", PROTOCOL + b"N.")], {}, "one folder"),
    ([PICKLE, ("a/../../x", b"x")], {}, "unsafe name"),
    ([PICKLE, ("/etc/x", b"x")], {}, "unsafe name"),
    ([("a/other", b"x")], {}, "no record"),
    ([PICKLE, ("a/constants.pkl", b"x")], {}, "TorchScript"),
    ([PICKLE, ("a/byteorder", b"middle")], {}, "byte order"),
    ([PICKLE], {"compression": 8}, "compressed"),
], ids=lambda v: v if isinstance(v, str) else None)  # fmt: skip
def test_refused_archives(records, options, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's writer warns of the duplicate name
        data = zipped_by_python(records, **options)
    with pytest.raises(CheckpointError, match=said):
        load(data)


def test_headers_that_disagree():
    data = bytearray(archive())
    at = data.index(b"archive/version")  # the local header, not the directory
    data[at + 8 : at + 15] = b"VERSION"
    with pytest.raises(CheckpointError, match="contradicts the directory"):
        load(bytes(data))


def test_checksums_are_checked_and_may_be_absent():
    whole = archive()
    at = whole.index(struct.pack("<6f", *range(6)))
    damaged = bytearray(whole)
    damaged[at] ^= 1
    with pytest.raises(CheckpointError, match="checksum"):
        load(bytes(damaged))
    blank = bytearray(whole)
    for position in range(len(blank) - 4):
        if blank[position : position + 4] == b"PK\x03\x04":
            blank[position + 14 : position + 18] = bytes(4)
        if blank[position : position + 4] == b"PK\x01\x02":
            blank[position + 16 : position + 20] = bytes(4)
    assert load(bytes(blank)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_stream_with_an_archive_behind_it():
    with pytest.raises(CheckpointError, match="in one"):
        load(stream(tensor_in_stream()) + archive())


def test_any_prefix_and_further_records():
    data = zipped_by_python([("odd name/data.pkl", PROTOCOL + b"K\x07."), ("odd name/more", b"x")])
    assert load(data) == 7


# ---- tensors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"size": (2, 4)},
    {"size": (7,), "stride": (1,)},
    {"offset": 1},
    {"offset": -1},
    {"offset": 2**70},
    {"size": (-1, 3)},
    {"size": (2**40, 2**40)},
    {"size": (2**63,), "stride": (0,)},
    {"stride": (-3, 1)},
    {"stride": (2**62, 2**62)},
    {"stride": (3,)},
    {"size": (1,) * 65, "stride": (1,) * 65},
    {"size": (0,), "stride": (1,), "offset": 7},
    {"requires_grad": b"K\x01"},
    {"memory": b"K\x01"},
    {"memory": storage(count=5)},
    {"memory": storage(count=7)},
    {"memory": storage(count=-1)},
    {"memory": storage(count=2**62)},
    {"memory": storage(kind="DoubleStorage")},
    {"memory": storage(key="1")},
    {"memory": storage(key="../data.pkl")},
    {"memory": storage(kind="Tensor")},
    {"memory": text("storage") + b"Q"},
], ids=repr)  # fmt: skip
def test_refused_tensors(options):
    with pytest.raises(CheckpointError):
        load(archive(tensor(**options)))


def test_integers_that_require_a_gradient():
    memory = storage(kind="IntStorage")
    with pytest.raises(CheckpointError, match="requires_grad"):
        load(archive(tensor(memory, requires_grad=b"\x88")))


def test_one_record_under_two_types():
    both = group(tensor(), tensor(storage(kind="IntStorage")))
    with pytest.raises(CheckpointError, match="two ways"):
        load(archive(both))


@pytest.mark.parametrize("stream_options", [
    {"keys": []},
    {"keys": ["0", "1"]},
    {"tail": struct.pack("<q", 6)},
    {"tail": struct.pack("<q6f", 5, *range(6))},
    {"tail": struct.pack("<q6f", -1, *range(6))},
], ids=repr)  # fmt: skip
def test_refused_streams(stream_options):
    with pytest.raises(CheckpointError):
        load(stream(tensor_in_stream(), **stream_options))


def test_a_storage_larger_than_the_file_is_not_allocated():
    memory = group(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"),
                   integer(2**40), b"N") + b"Q"  # fmt: skip
    with pytest.raises(CheckpointError, match="larger than the file"):
        load(stream(tensor(memory)))


def test_tensors_of_other_kinds():
    for file in ("sparse_and_quantized.pt", "sparse_and_quantized.legacy.pth"):
        with pytest.raises(CheckpointError, match="sparse tensor, which rushlight does not have"):
            torch.load(DATA / file)


# ---- pickles -------------------------------------------------------------------------------------

CALLS = [
    ("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
    ("__builtin__", "exec"), ("builtins", "getattr"), ("builtins", "__import__"),
    ("runpy", "_run_code"), ("ctypes", "CDLL"), ("pkgutil", "resolve_name"), ("pydoc", "locate"),
    ("operator", "attrgetter"), ("functools", "partial"), ("pickle", "loads"),
    ("types", "CodeType"), ("_io", "FileIO"), ("bdb", "Bdb.run"), ("torch.serialization", "load"),
    ("torch.jit.unsupported_tensor_ops", "execWrapper"), ("torch.utils.collect_env", "run"),
    ("numpy.testing._private.utils", "runstring"), ("torch", "load"), ("rushlight", "save"),
    ("torch.hub", "load"), ("sys", "modules"), ("torch._C", "_jit_init"),
]  # fmt: skip


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("module, attribute", CALLS, ids=".".join)
def test_nothing_is_called(module, attribute, weights_only, tmp_path):
    target = tmp_path / "made-by-the-file"
    argument = group(text(f"touch {target}"))
    for code in (
        name(module, attribute) + argument + b"R",
        text(module) + text(attribute) + b"\x93" + argument + b"R",
        name(module, attribute) + argument + b"\x81",
        b"(" + text("x") + b"i" + f"{module}\n{attribute}\n".encode(),
        b"(" + name(module, attribute) + text("x") + b"o",
    ):
        with pytest.raises(CheckpointError, match="Unsupported global|no opcode|not called"):
            load(archive(code), weights_only=weights_only)
    assert not target.exists()


@pytest.mark.parametrize("code", [
    b"]" + integer(1) + integer(2) + b"s",
    b"](" + integer(1) + integer(2) + b"u",
    b"}" + integer(1) + b"a",
    b"N" + integer(1) + b"a",
    b"}(" + integer(1) + b"e",
    b"](" + integer(1) + b"\x90",
    b"\x8f]\x85(" + b"\x90",
    b"}(" + integer(1) + b"u",
    b"}]" + integer(1) + b"s",
    tensor() + b"}(" + text("_array") + integer(1) + b"ub",
    tensor() + b"}(" + text("backward") + integer(1) + b"ub",
    name("torch", "float32") + b")R",
    name("torch", "Tensor") + b")R",
    name("torch._utils", "_rebuild_tensor_v2") + b")R",
    name("torch._utils", "_rebuild_tensor_v2") + b"]R",
    name("torch", "Size") + group(group(integer(-1))) + b"R",
    name("torch", "device") + group(text("toaster")) + b"R",
    name("collections", "OrderedDict") + b")R}(" + text("items") + integer(1) + b"ub",
    name("numpy", "dtype") + group(text("O8"), b"\x89", b"\x88") + b"R",
    name("numpy", "dtype") + group(text("f4,O"), b"\x89", b"\x88") + b"R",
    name("builtins", "bytearray") + group(integer(10**12)) + b"R",
    b"a", b"t", b"R", b"0", b"b", b"\x93", b"s", b"",
    b"h\x05", b"r\xff\xff\xff\xff", b"p99999999999\n", b"p-1\n",
    b"\x8d" + struct.pack("<Q", 2**62), b"B" + b"\xff" * 4, b"X" + b"\xff" * 4,
    b"T\xff\xff\xff\xff",
    b"\x8b\xff\xff\xff\xff", b"\x8b\x00\x00\x00\xf0", b"\x96" + struct.pack("<Q", 2**40),
    b"I" + b"9" * 100_000 + b"\n", b"I12", b"S'abc\n", b"Iabc\n", b"X\x01\x00\x00\x00\xff",
    b"\x82\x01", b"\x97", b"\x98", b"\x99", b"P0\n", b"\x80\x06N",
    b"(" * 20_000, b"N" * 2, b"(N",
], ids=lambda c: repr(c[:24]))  # fmt: skip
@pytest.mark.parametrize("weights_only", [True, False])
def test_refused_pickles(code, weights_only):
    with pytest.raises(CheckpointError):
        load(archive(code), weights_only=weights_only)


def test_deep_nesting_is_built_and_let_go():
    depth = 100_000
    assert load(archive(b"]" * depth + b"a" * (depth - 1)))[0][0]
    with pytest.raises(CheckpointError, match="nested too deeply"):
        load(archive(b"}" + b")" + b"\x85" * depth + integer(1) + b"s"))


def test_many_keys_and_keys_of_other_types():
    count = 100_000
    items = b"".join(integer(i) + b"N" for i in range(count))
    assert len(load(archive(b"}(" + items + b"u"))) == count
    assert load(archive(b"}(" + integer(1) + b"N\x88\x85Nu")) == {1: None, (True,): None}


def test_a_tensor_as_key_is_refused():
    with pytest.raises(CheckpointError):
        load(archive(b"}]Ns"))


def test_every_refused_name_is_listed():
    code = group(name("os", "system"), name("a.b", "C"), name("collections", "OrderedDict"))
    with pytest.raises(CheckpointError, match="names a.b.C, os.system"):
        load(archive(code))
    assert torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(archive(code))) == [
        "a.b.C", "os.system",
    ]  # fmt: skip


def test_a_whole_module_needs_weights_only_false():
    with pytest.raises(CheckpointError, match=r"Unsupported global.*state_dict\(\)"):
        torch.load(DATA / "whole_module.pt", weights_only=True)
    model = torch.load(DATA / "whole_module.pt", weights_only=False)
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear"]
    assert model(torch.ones(1, 4)).shape == (1, 2)


def test_tar_files_with_unsafe_members(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for member in ("sys_info", "../storages", "tensors", "pickle"):
            info = tarfile.TarInfo(member)
            info.size = 1
            out.addfile(info, io.BytesIO(b"."))
    with pytest.raises(CheckpointError, match="storages"):
        load(file.getvalue())
    assert os.listdir(tmp_path) == []
