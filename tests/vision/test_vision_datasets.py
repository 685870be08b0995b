"""Data sets in their official formats, whole, partial and damaged."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader
from rushlight.vision import transforms
from rushlight.vision.datasets import (
    CIFAR10,
    EMNIST,
    MNIST,
    DatasetFolder,
    FakeData,
    FashionMNIST,
    ImageFolder,
    VisionDataset,
    mnist,
)
from rushlight.vision.datasets.utils import extract_archive

pytest.importorskip("PIL.Image", reason="the data sets give PIL images: needs the vision extra")


def declare(folder: Path, records: dict[str, int]) -> None:
    files = {
        name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(), "records": count}
        for name, count in records.items()
    }
    (folder / "SUBSET.json").write_text(json.dumps({"files": files}))


@pytest.fixture
def small_cifar(tmp_path: Path, data_folder: Path) -> Path:
    """A root with a declared subset of three records in `test_batch`."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    shutil.copy(data_folder / CIFAR10.base_folder / "batches.meta", folder)
    entry = {"labels": [1, 2, 3], "data": numpy.arange(3 * 3072).reshape(3, 3072).astype("uint8")}
    (folder / "test_batch").write_bytes(pickle.dumps(entry, protocol=4))
    declare(folder, {"batches.meta": 0, "test_batch": 3})
    return tmp_path


def test_cifar10_as_the_documents_use_it(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    data = CIFAR10(root=data_folder, train=True, download=True, transform=transform)
    assert any(word in capsys.readouterr().out for word in ("declared subset", "verified"))
    assert len(data) == 4000
    assert data.targets[:10] == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert data.classes[0] == "airplane" and data.class_to_idx["truck"] == 9
    means = (data.data / 255).mean((0, 1, 2))
    assert numpy.allclose(means, (0.4916, 0.4818, 0.4447), atol=1e-4)
    image, target = data[0]
    assert (image.shape, image.dtype, target) == ((3, 32, 32), torch.float32, 6)
    first = torch.from_numpy(data.data[0].transpose(2, 0, 1).copy()).to(torch.float32)
    assert torch.allclose(image, (first / 255 - 0.5) / 0.5, atol=1e-6)


def test_cifar10_through_the_loader(data_folder: Path) -> None:
    data = CIFAR10(data_folder, train=False, transform=transforms.ToTensor())
    images, labels = next(iter(DataLoader(data, batch_size=4)))
    assert images.shape == (4, 3, 32, 32) and labels.tolist() == data.targets[:4]
    assert sorted(set(data.targets)) == list(range(10)) and len(data) == 1000


def test_repr_tells_the_split_and_the_transforms(data_folder: Path) -> None:
    data = CIFAR10(
        str(data_folder), train=False, transform=transforms.ToTensor(), target_transform=str
    )
    assert repr(data).splitlines()[:4] == [
        "Dataset CIFAR10",
        "    Number of datapoints: 1000",
        f"    Root location: {data_folder}",
        "    Split: Test",
    ]
    assert "Transform: ToTensor()" in repr(data)
    assert data[0][1] == str(data.targets[0])


def test_a_subset_says_so_once(small_cifar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        CIFAR10(small_cifar, train=False, download=True)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Using the declared subset") and len(said) == 2
    assert said[1] == "Files already downloaded and verified"


def test_records_are_planes_of_red_green_and_blue(small_cifar: Path) -> None:
    data = CIFAR10(small_cifar, train=False)
    assert data.data.shape == (3, 32, 32, 3) and data.targets == [1, 2, 3]
    assert data.data[0, 0, 1].tolist() == [1, (1024 + 1) % 256, (2048 + 1) % 256]


def test_a_subset_without_the_wanted_split(small_cifar: Path) -> None:
    with pytest.raises(RuntimeError, match=r"has none of \['data_batch_1'"):
        CIFAR10(small_cifar, train=True)


def test_without_a_declaration_the_official_checksums_count(small_cifar: Path) -> None:
    (small_cifar / CIFAR10.base_folder / "SUBSET.json").unlink()
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        CIFAR10(small_cifar, train=False)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"", "an empty file"),
        (b"\0" * 600, "zeros"),
        (b"<!DOCTYPE html><p>404", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (pickle.dumps([1, 2]), "a pickle"),
        (pickle.dumps({"data": numpy.zeros((2, 5), "u1"), "labels": [0, 1]}, 4), "a pickle"),
        (pickle.dumps({"data": numpy.zeros((2, 3072), "u1"), "labels": [0]}, 4), "a pickle"),
    ],
)
def test_a_damaged_batch_says_what_it_looks_like(
    small_cifar: Path, content: bytes, looks: str
) -> None:
    path = small_cifar / CIFAR10.base_folder / "test_batch"
    path.write_bytes(content)
    declare(path.parent, {"batches.meta": 0, "test_batch": 3})
    with pytest.raises(RuntimeError, match=looks) as caught:
        CIFAR10(small_cifar, train=False)
    assert str(path) in str(caught.value) and str(len(content)) in str(caught.value)


def test_a_truncated_batch(small_cifar: Path) -> None:
    path = small_cifar / CIFAR10.base_folder / "test_batch"
    truncate(path)
    with pytest.raises(RuntimeError, match="damaged.*sha256"):
        CIFAR10(small_cifar, train=False)
    declare(path.parent, {"batches.meta": 0, "test_batch": 3})
    with pytest.raises(RuntimeError, match="not a readable batch"):
        CIFAR10(small_cifar, train=False)


class _Runs:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_batch_is_executed(small_cifar: Path, tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    path = small_cifar / CIFAR10.base_folder / "test_batch"
    path.write_bytes(pickle.dumps({"data": _Runs(str(mark)), "labels": []}, protocol))
    declare(path.parent, {"batches.meta": 0, "test_batch": 3})
    with pytest.raises(RuntimeError, match="which is never loaded"):
        CIFAR10(small_cifar, train=False)
    assert not mark.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cnumpy\nndarray\n((I1000000000000\ntR.",  # calls ndarray with a huge shape
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",  # no state
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
        b"}(S'data'\ncnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I9\ntcnumpy\ndtype\n(S'O8'\n"
        b"tRI00\nS'xxxxxxxxxxxxxxxx'\ntbS'labels'\n]u.",  # an object array from bytes
    ],
)
def test_malformed_arrays_are_refused(small_cifar: Path, opcodes: bytes) -> None:
    path = small_cifar / CIFAR10.base_folder / "test_batch"
    path.write_bytes(opcodes)
    declare(path.parent, {"batches.meta": 0, "test_batch": 3})
    with pytest.raises(RuntimeError, match=r"\[dataset\]"):
        CIFAR10(small_cifar, train=False)


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"a": {}}}'])
def test_a_bad_declaration(small_cifar: Path, text: str) -> None:
    (small_cifar / CIFAR10.base_folder / "SUBSET.json").write_text(text)
    with pytest.raises(RuntimeError, match="SUBSET.json"):
        CIFAR10(small_cifar, train=False)


def test_a_declaration_that_points_elsewhere(small_cifar: Path) -> None:
    outside = small_cifar / "outside"
    outside.write_bytes(b"x")
    declare(small_cifar / CIFAR10.base_folder, {"../outside": 1})
    with pytest.raises(RuntimeError, match="declares"):
        CIFAR10(small_cifar, train=False)


def offline(*_: Any, **__: Any) -> Any:
    raise urllib.error.URLError("no route to host")


def test_download_without_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(RuntimeError, match="no route to host") as caught:
        CIFAR10(tmp_path, download=True)
    assert CIFAR10.url in str(caught.value)
    assert str(tmp_path / CIFAR10.filename) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="Error downloading train-images") as caught:
        MNIST(tmp_path, download=True)
    assert all(mirror in str(caught.value) for mirror in MNIST.mirrors)


class _SmallCIFAR(CIFAR10):
    """CIFAR-10's class for an archive of the test's own."""

    train_list = [["data_batch_1", ""]]
    test_list = [["test_batch", ""]]


def packed_cifar(folder: Path, data_folder: Path, extra: str | None = None) -> Path:
    entry = {"labels": [4], "data": numpy.zeros((1, 3072), "u1")}
    source = folder / "source" / CIFAR10.base_folder
    source.mkdir(parents=True)
    for name in ("data_batch_1", "test_batch"):
        (source / name).write_bytes(pickle.dumps(entry, protocol=4))
    shutil.copy(data_folder / CIFAR10.base_folder / "batches.meta", source)
    path = folder / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, CIFAR10.base_folder)
        if extra is not None:
            archive.add(source / "test_batch", extra)
    return path


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_download_and_unpacking(
    tmp_path: Path,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive = packed_cifar(tmp_path, data_folder)
    batch = tmp_path / "source" / CIFAR10.base_folder / "test_batch"
    monkeypatch.setattr(_SmallCIFAR, "url", archive.as_uri())
    monkeypatch.setattr(_SmallCIFAR, "tgz_md5", md5(archive))
    monkeypatch.setattr(_SmallCIFAR, "train_list", [["data_batch_1", md5(batch)]])
    monkeypatch.setattr(_SmallCIFAR, "test_list", [["test_batch", md5(batch)]])
    root = tmp_path / "root"
    for _ in range(2):
        assert _SmallCIFAR(root, download=True).targets == [4]
    said = capsys.readouterr().out
    assert said.count(f"Downloading {archive.as_uri()} to") == 1
    assert said.count("Files already downloaded and verified") == 1
    (root / CIFAR10.base_folder / "test_batch").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        _SmallCIFAR(root)
    assert _SmallCIFAR(root, download=True).targets == [4]  # unpacked anew


def test_a_download_with_another_checksum(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_SmallCIFAR, "url", packed_cifar(tmp_path, data_folder).as_uri())
    with pytest.raises(RuntimeError, match=f'expected "{CIFAR10.tgz_md5}"'):
        _SmallCIFAR(tmp_path / "root", download=True)
    assert list((tmp_path / "root").iterdir()) == []


def test_an_archive_that_writes_outside(tmp_path: Path, data_folder: Path) -> None:
    archive = packed_cifar(tmp_path, data_folder, extra="../../escaped")
    with pytest.raises(RuntimeError, match="escaped.*not unpacked"):
        extract_archive(archive, tmp_path / "a" / "b")
    assert not (tmp_path / "escaped").exists() and not (tmp_path / "a" / "b").exists()
    with pytest.raises(RuntimeError, match="unknown kind of archive"):
        extract_archive(Path(__file__), tmp_path)


def test_mnist_from_gzip_files(data_folder: Path) -> None:
    data = MNIST(data_folder, train=False, download=True)
    assert data.data.shape == (10000, 28, 28) and data.data.dtype == torch.uint8
    assert data.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert data.targets.dtype == torch.int64
    image, target = data[0]
    assert (image.mode, image.size, target) == ("L", (28, 28), 7)
    assert data.class_to_idx["9 - nine"] == 9


def test_mnist_training_statistics(data_folder: Path) -> None:
    pixels = MNIST(data_folder, train=True).data.numpy() / 255
    assert abs(pixels.mean() - 0.1307) < 1e-4 and abs(pixels.std() - 0.3081) < 1e-4


def write_idx(path: Path, array: numpy.ndarray[Any, Any], code: int = 8) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, code, array.ndim]) + sizes + array.tobytes())


def test_mnist_from_plain_files_and_the_other_sets(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    write_idx(raw / "t10k-images-idx3-ubyte", numpy.arange(2 * 784, dtype="u1").reshape(2, 28, 28))
    write_idx(raw / "t10k-labels-idx1-ubyte", numpy.array([9, 0], "u1"))
    data = FashionMNIST(tmp_path, train=False)
    assert data.classes[data[0][1]] == "Ankle boot" and len(data) == 2
    with pytest.raises(RuntimeError, match="Dataset not found"):
        FashionMNIST(tmp_path, train=True)
    with pytest.raises(ValueError, match="Unknown value 'x' for argument split"):
        EMNIST(tmp_path, "x")
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    write_idx(raw / "emnist-letters-test-images-idx3-ubyte", numpy.zeros((1, 28, 28), "u1"))
    write_idx(raw / "emnist-letters-test-labels-idx1-ubyte", numpy.array([26], "u1"))
    letters = EMNIST(tmp_path, "letters", train=False)
    assert letters.classes[letters[0][1]] == "z" and len(EMNIST.classes_split_dict["bymerge"]) == 47


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_idx_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / ("file" + suffix)
    plain = tmp_path / "plain"
    write_idx(plain, numpy.arange(6, dtype="u1").reshape(2, 3))
    whole = plain.read_bytes()
    pack = gzip.compress if suffix else bytes
    path.write_bytes(pack(whole))
    assert mnist.read_idx(path).tolist() == [[0, 1, 2], [3, 4, 5]]
    for content in (b"", b"\0\0", whole[:-1], whole + b"x", b"\0\0\x07" + whole[3:], b"<html>"):
        path.write_bytes(pack(content))
        with pytest.raises(RuntimeError, match="read_idx"):
            mnist.read_idx(path)
    if suffix:
        path.write_bytes(gzip.compress(whole)[:-4])
        with pytest.raises(RuntimeError, match="damaged"):
            mnist.read_idx(path)


def test_idx_types_are_big_endian_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ints"
    write_idx(path, numpy.array([1, -2], ">i4"), code=0x0C)
    values = mnist.read_idx(path)
    assert values.tolist() == [1, -2] and values.dtype == numpy.int32


def test_image_folder(tmp_path: Path, picture: Any) -> None:
    for name in ("cat/a.png", "cat/deep/b.PNG", "dog/c.jpg", "dog/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            picture.convert("L").save(path)
    data = ImageFolder(tmp_path)
    assert data.classes == ["cat", "dog"] and data.targets == [0, 0, 1]
    assert data.imgs is data.samples and data[2][0].mode == "RGB"
    lengths = DatasetFolder(
        tmp_path, loader=os.path.getsize, extensions=(".txt",), allow_empty=True
    )
    assert len(lengths) == 1 and lengths[0] == (10, 1)
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes cat.*\.txt"):
        DatasetFolder(tmp_path, loader=str, extensions=(".txt",))
    with pytest.raises(ValueError, match="Both extensions and is_valid_file"):
        DatasetFolder(tmp_path, loader=str)


def test_image_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        ImageFolder(tmp_path)


def test_fake_data_is_repeatable_and_leaves_the_stream_alone() -> None:
    data = FakeData(size=3, image_size=(3, 8, 8), num_classes=5)
    torch.manual_seed(1)
    expected = torch.rand(1).item()
    torch.manual_seed(1)
    first, again = data[1], data[1]
    assert torch.rand(1).item() == expected
    assert first[0].tobytes() == again[0].tobytes() and first[1] == again[1] < 5
    with pytest.raises(IndexError):
        data[3]


def test_transforms_exclude_the_separate_ones() -> None:
    with pytest.raises(ValueError, match="Only transforms or"):
        VisionDataset("x", transforms=lambda x, y: (x, y), transform=str)
