"""Saving and loading: what comes back, PyTorch's own files, and no files left half."""

from __future__ import annotations

import argparse
import collections
import copy
import io
import json
import os
import pathlib
import pickle
import stat
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from files import archive, group, integer, name, storage, tensor, text, zipped_by_python

import rushlight as torch
from rushlight.serialization import CheckpointError

DATA = Path(__file__).parent / "data"


def through_file(obj, **options):
    file = io.BytesIO()
    torch.save(obj, file, **options)
    file.seek(0)
    return torch.load(file)


# ---- files of PyTorch 1.13 -----------------------------------------------------------------------


@pytest.mark.parametrize("file", ["all_dtypes.pt", "all_dtypes.legacy.pth"])
def test_every_dtype(file):
    expected = json.loads((DATA / "expected.json").read_text())["all_dtypes"]
    got = torch.load(DATA / file)
    assert list(got) == list(expected)
    for key, value in got.items():
        wanted = expected[key]
        assert str(value.dtype) == wanted["dtype"] and list(value.shape) == wanted["shape"], key
        assert list(value.stride()) == wanted["stride"], key
        if wanted["values"] is not None:
            assert [str(v) for v in value.flatten().tolist()] == wanted["values"], key


@pytest.mark.parametrize("file", ["views_shared_storage.pt", "views_shared_storage.legacy.pth"])
@pytest.mark.parametrize("mmap", [None, True])
def test_views_share_their_memory(file, mmap):
    if mmap and file.endswith("pth"):
        pytest.skip("only zip checkpoints can be mapped; test_mapping says so")
    got = torch.load(DATA / file, mmap=mmap)
    base = got["base"]
    assert got["same_again"] is base
    for key in ("row_slice", "transposed", "strided", "expanded"):
        assert got[key].untyped_storage() == base.untyped_storage(), key
    assert got["transposed"].stride() == (1, 6) and got["strided"].storage_offset() == 1
    assert got["channels_last"].is_contiguous(memory_format=torch.channels_last)
    base[0, 1] = 100
    assert got["strided"][0, 0] == 100 and got["expanded"][2, 1] == 100
    assert base._version == got["transposed"]._version > 0


@pytest.mark.parametrize("file", ["mixed_objects.pt", "mixed_objects.legacy.pth"])
def test_other_objects(file):
    got = torch.load(DATA / file)
    assert isinstance(got["param"], torch.nn.Parameter) and got["param"].requires_grad
    assert got["size"] == torch.Size([2, 3]) and type(got["size"]) is torch.Size
    assert got["dtype"] is torch.float16 and got["device"] == torch.device("cpu")
    assert got["bytes"] == b"\x00\xff" and got["bigint"] == 2**80 and got["set"] == {1, 2}
    assert got["unicode"] == "żółw ☂" and got["nested"][2] == (3.0, None, True)


class LeNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 8, 5, padding=2)
        self.bn1 = torch.nn.BatchNorm2d(8)
        self.conv2 = torch.nn.Conv2d(8, 16, 5)
        self.fc1 = torch.nn.Linear(400, 84)
        self.fc2 = torch.nn.Linear(84, 10)

    def forward(self, x):
        F = torch.nn.functional
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def test_a_real_training_checkpoint_predicts_as_it_did():
    state = torch.load(DATA / "lenet_mnist_checkpoint.pt")
    model = LeNet()
    model.load_state_dict(state[next(k for k in state if "model" in k)])
    pixels = np.load(DATA / "mnist_first64.npz")["images"][:, None].astype("float32") / 255
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy((pixels - 0.1307) / 0.3081))
    expected = np.load(DATA / "lenet_mnist_expected.npz")["logits_first64"]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.load_state_dict(state[next(k for k in state if "opt" in k)])
    assert len(optimizer.state) == len(list(model.parameters()))


def test_cuda_tensors_need_map_location():
    data = archive(tensor(storage(where="cuda:1")))
    with pytest.raises(
        RuntimeError, match=r"Attempting to deserialize object on a CUDA device.*map_location"
    ):
        torch.load(io.BytesIO(data))
    seen = []
    rules = [
        "cpu", torch.device("cpu"), {"cuda:1": "cpu"}, lambda s, where: s,
        lambda s, where: seen.append((type(s).__name__, where)) or s.cpu(),
    ]  # fmt: skip
    for rule in rules:
        assert torch.load(io.BytesIO(data), map_location=rule).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert seen == [("FileStorage", "cuda:1")]
    for rule in ("cuda", {"cuda:1": "cuda:0"}, lambda s, where: None, lambda s, where: s.cuda()):
        with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
            torch.load(io.BytesIO(data), map_location=rule)
    with pytest.raises(RuntimeError, match="don't know how to restore"):
        torch.load(io.BytesIO(archive(tensor(storage(where="tpu")))))


# ---- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}]
)
def test_round_trip(options):
    base = torch.arange(6.0).reshape(2, 3)
    obj = {
        "t": base, "v": base.t(), "e": base[:0], "s": torch.tensor(3),
        "l": [1, (2.5, None), {True}],
        "p": torch.nn.Parameter(base), "o": OrderedDict(a=1), "b": b"x", 5: "é",
    }  # fmt: skip
    got = through_file(obj, **options)
    assert (
        list(got) == list(obj) and got["l"] == obj["l"] and got["o"] == obj["o"] and got[5] == "é"
    )
    assert got["t"].tolist() == base.tolist() and got["v"].stride() == (1, 3)
    assert (
        got["e"].shape == (0, 3) and got["s"].shape == () and type(got["p"]) is torch.nn.Parameter
    )
    got["t"].zero_()
    assert got["v"].sum() == 0 and got["p"].sum() == 0


def test_state_dicts_of_modules_and_optimizers():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    got = through_file({"m": model.state_dict(), "o": optimizer.state_dict()})
    assert got["m"]._metadata == model.state_dict()._metadata
    model.load_state_dict(got["m"])
    optimizer.load_state_dict(got["o"])
    assert str(got["o"]["param_groups"]) == str(optimizer.state_dict()["param_groups"])


def test_tied_weights_stay_tied():
    layer = torch.nn.Linear(2, 2)
    got = through_file({"a": layer.state_dict()["weight"], "b": layer.state_dict()["weight"].t()})
    assert got["a"].untyped_storage() == got["b"].untyped_storage()


def test_a_view_of_much_more_is_warned_of():
    big = torch.zeros(1_000_000)
    with pytest.warns(UserWarning, match=r"need 40 bytes of a storage of 4000000.*clone\(\)"):
        got = through_file(big[:10])
    assert got.untyped_storage().nbytes() == 4_000_000
    assert through_file([big[:600_000], big[5:]])[0].shape == (600_000,)  # most of it is needed


def test_one_memory_as_two_types_is_refused():
    x = torch.zeros(4)
    with pytest.raises(RuntimeError, match="different types"):
        torch.save([x, x.view(torch.int32)], io.BytesIO())


def test_mapping(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"x": torch.arange(5.0), "y": torch.ones(3, dtype=torch.bfloat16)}, path)
    got = torch.load(path, mmap=True)
    got["x"][0] = 9
    assert got["x"].tolist() == [9, 1, 2, 3, 4] and got["y"].float().tolist() == [1, 1, 1]
    assert got["x"].untyped_storage().nbytes() == 20
    assert torch.load(path)["x"][0] == 0
    with pytest.raises(ValueError, match="file path"):
        torch.load(io.BytesIO(path.read_bytes()), mmap=True)
    with pytest.raises(CheckpointError, match="zip format"):
        torch.load(DATA / "all_dtypes.legacy.pth", mmap=True)


def test_python_2_strings():
    code = b"U\x03\xc3\xa9!"
    assert torch.load(io.BytesIO(archive(code))) == "é!"
    assert torch.load(io.BytesIO(archive(code)), encoding="latin1") == "Ã©!"
    assert torch.load(io.BytesIO(archive(code)), encoding="bytes") == b"\xc3\xa9!"


def test_big_endian_files():
    data = archive(None, {"byteorder": b"big", "data/0": np.arange(6, dtype=">f4").tobytes()})
    assert torch.load(io.BytesIO(data)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_plain_data_classes_need_weights_only_false():
    obj = [argparse.Namespace(lr=0.1, layers=[1, 2]), collections.defaultdict(list, a=[1]),
           pathlib.PurePosixPath("a/b"), range(3), collections.Counter("aab")]  # fmt: skip
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    with pytest.raises(CheckpointError, match="weights_only=False adds"):
        torch.load(file, weights_only=True)
    file.seek(0)
    assert torch.load(file, weights_only=False) == obj


class Point:
    def __init__(self, x=0):
        self.x = x


def make_pair(a, b):
    return [a, b]


def test_safe_globals():
    file = io.BytesIO()
    torch.save(Point(3), file)
    for weights_only in (True, False):
        file.seek(0)
        with pytest.raises(CheckpointError, match="Point"):
            torch.load(file, weights_only=weights_only)
    file.seek(0)
    with torch.serialization.safe_globals([Point]):
        assert torch.serialization.get_safe_globals() == [Point]
        assert torch.load(file).x == 3
    assert torch.serialization.get_safe_globals() == []
    torch.serialization.add_safe_globals([(make_pair, "old.name.pair")])
    try:
        code = name("old.name", "pair") + group(integer(1), text("b")) + b"R"
        assert torch.load(io.BytesIO(archive(code))) == [1, "b"]
    finally:
        torch.serialization.clear_safe_globals()
    with pytest.raises(TypeError, match="class or a function"):
        torch.serialization.add_safe_globals(["os.system"])


def test_numpy_values():
    obj = {
        "f": np.float32(1.5),
        "i": np.int64(-3),
        "a": np.arange(6.0).reshape(2, 3),
        "s": np.array(["ab"]),
    }
    got = through_file(obj)
    for key, value in obj.items():
        np.testing.assert_array_equal(got[key], value)
        assert type(got[key]) is type(value)


def test_pickle_and_deepcopy_still_work():
    x = torch.nn.Parameter(torch.arange(3.0))
    for other in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert type(other) is torch.nn.Parameter and other.tolist() == [0, 1, 2]


# ---- writing -------------------------------------------------------------------------------------


def test_the_layout_of_an_archive(tmp_path):
    torch.save(torch.ones(3), tmp_path / "my model.v2.pt")
    with zipfile.ZipFile(tmp_path / "my model.v2.pt") as records:
        assert records.testzip() is None
        names = records.namelist()
        assert names[0] == "my model.v2/data.pkl" and "my model.v2/data/0" in names
        assert records.read("my model.v2/byteorder") == sys.byteorder.encode()
        with open(tmp_path / "my model.v2.pt", "rb") as file:
            for info in records.infolist():
                file.seek(info.header_offset + 26)
                name_size, extra_size = (int.from_bytes(file.read(2), "little") for _ in range(2))
                assert (info.header_offset + 30 + name_size + extra_size) % 64 == 0


def test_the_same_object_gives_the_same_bytes():
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        torch.save({"a": torch.ones(3)}, file)
    assert files[0].getvalue() == files[1].getvalue()


class FailsAfter:
    """Wraps a file so that the write which passes a limit fails, as on a full disk."""

    def __init__(self, file, limit):
        self._file, self._left = file, limit

    def write(self, data):
        self._left -= len(data)
        if self._left < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.pt"
    torch.save(torch.zeros(2), path)
    before, size = path.read_bytes(), path.stat().st_size
    real = os.fdopen
    for limit in range(0, size, 97):
        monkeypatch.setattr(os, "fdopen", lambda *a, limit=limit: FailsAfter(real(*a), limit))
        with pytest.raises(OSError, match="No space"):
            torch.save(torch.ones(2), path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.pt"]


def test_an_object_that_cannot_be_pickled_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.pt"
    torch.save(torch.zeros(2), path)
    with pytest.raises(Exception, match="pickle|lambda"):
        torch.save([torch.ones(2), lambda: 0], path)
    assert torch.load(path).tolist() == [0, 0] and os.listdir(tmp_path) == ["m.pt"]


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")
def test_modes_and_links_are_kept(tmp_path):
    path, link = tmp_path / "m.pt", tmp_path / "link.pt"
    torch.save(1, path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    link.symlink_to(path)
    torch.save(2, link)
    assert (
        link.is_symlink() and torch.load(path) == 2 and stat.S_IMODE(path.stat().st_mode) == 0o640
    )
    torch.save(3, os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_wrong_destinations(tmp_path):
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save(1, tmp_path / "no" / "m.pt")
    with pytest.raises(AttributeError, match="'write'"):
        torch.save(1, 5)
    with pytest.raises(AttributeError, match="'read'"):
        torch.load(5)
    with pytest.raises(ValueError, match="pickle_module"):
        torch.save(1, io.BytesIO(), pickle_module=json)


def test_streams_one_after_another():
    file = io.BytesIO()
    for value in (torch.ones(2), "between", torch.zeros(1)):
        torch.save(value, file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert torch.load(file).tolist() == [1, 1] and torch.load(file) == "between"
    assert torch.load(file).tolist() == [0]


def test_archives_of_other_writers():
    records = [("x/data.pkl", pickle.dumps({"a": 1}, 2)), ("x/version", b"3")]
    assert torch.load(io.BytesIO(zipped_by_python(records))) == {"a": 1}
