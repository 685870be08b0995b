"""MNIST and the sets in its format: 28 × 28 gray pictures in idx files."""

from __future__ import annotations

import gzip
import math
import os
import shutil
import string
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy

import rushlight
from rushlight import Tensor

from .._pillow import pil_from_array
from .utils import describe_file, download_and_extract_archive, extract_archive
from .vision import Transform, VisionDataset

__all__ = ["EMNIST", "KMNIST", "MNIST", "FashionMNIST", "read_idx"]

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> numpy.ndarray[Any, Any]:
    """The array in an idx file, plain or gzipped.

    Two zero bytes, a type code, the number of dimensions, the sizes as big-endian uint32, then the
    values. Raises RuntimeError for a file that is damaged, truncated or something else.
    """
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            contents = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RuntimeError(f"[read_idx] damaged: {describe_file(path)} ({error})") from error
    if len(contents) < 4 or contents[:2] != b"\0\0" or contents[2] not in _IDX_TYPES:
        raise RuntimeError(f"[read_idx] not an idx file: {describe_file(path)}")
    rank = contents[3]
    start = 4 + 4 * rank
    dtype = numpy.dtype(_IDX_TYPES[contents[2]])
    shape = struct.unpack(f">{rank}I", contents[4:start]) if len(contents) >= start else ()
    expected = start + math.prod(shape) * dtype.itemsize
    if len(contents) != expected:
        raise RuntimeError(
            f"[read_idx] expected {expected} bytes for shape {shape}, got {len(contents)}: "
            f"{describe_file(path)}"
        )
    values = numpy.frombuffer(contents, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


class MNIST(VisionDataset):
    """70,000 handwritten digits (LeCun, Cortes, Burges), 60,000 of them for training.

    `root/MNIST/raw` holds the four idx files, gzipped or not; `download` fetches them. A sample is
    a PIL image and a class number. Raises RuntimeError if files are missing or damaged.

    `data` is a uint8 tensor `(N, 28, 28)`, `targets` an int64 tensor `(N,)`.
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it; "
                f"looked for {', '.join(self._needed_files())} in {self.raw_folder}"
            )
        self.data, self.targets = self._load_data()

    @property
    def _file_prefix(self) -> str:
        return "train" if self.train else "t10k"

    def _needed_files(self) -> list[str]:
        prefix = self._file_prefix
        return [f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"]

    def _find(self, name: str) -> Path | None:
        """Where a file lies, plain or gzipped."""
        for candidate in (Path(self.raw_folder, name), Path(self.raw_folder, name + ".gz")):
            if candidate.is_file():
                return candidate
        return None

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images_path, labels_path = (self._find(name) for name in self._needed_files())
        assert images_path is not None and labels_path is not None
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3 or images.dtype != numpy.uint8 or labels.shape != images.shape[:1]:
            raise RuntimeError(
                f"[{type(self).__name__}] expected uint8 images (N, H, W) and N labels; got "
                f"{images.shape} in {images_path} and {labels.shape} in {labels_path}"
            )
        return rushlight.from_numpy(images), rushlight.from_numpy(labels.astype(numpy.int64))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture = pil_from_array(self.data[index].numpy())
        return self._transformed(picture, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def raw_folder(self) -> str:
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def _check_exists(self) -> bool:
        return all(self._find(name) is not None for name in self._needed_files())

    def download(self) -> None:
        """Fetches the files that are missing, from the first mirror that answers."""
        for filename, md5 in self.resources:
            if self._find(filename.removesuffix(".gz")) is None:
                self._download_from_mirrors(filename, md5)

    def _download_from_mirrors(self, filename: str, md5: str) -> None:
        failures = []
        for mirror in self.mirrors:
            try:
                download_and_extract_archive(
                    f"{mirror}{filename}", self.raw_folder, filename=filename, md5=md5
                )
                return
            except RuntimeError as error:
                failures.append(f"Tried {mirror}, got:\n{error}")
        raise RuntimeError(f"Error downloading {filename}:\n" + "\n".join(failures))

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"

    @property
    def train_labels(self) -> Tensor:
        return self._renamed("train_labels", self.targets, "targets")

    @property
    def test_labels(self) -> Tensor:
        return self._renamed("test_labels", self.targets, "targets")

    @property
    def train_data(self) -> Tensor:
        return self._renamed("train_data", self.data, "data")

    @property
    def test_data(self) -> Tensor:
        return self._renamed("test_data", self.data, "data")

    @staticmethod
    def _renamed(old: str, value: Tensor, new: str) -> Tensor:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        return value


class FashionMNIST(MNIST):
    """70,000 pictures of clothes in ten classes (Xiao, Rasul, Vollgraf 2017), as `MNIST`."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """70,000 cursive Japanese characters in ten classes (Clanuwat et al. 2018), as `MNIST`."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MERGED = [name for name in _LETTERS if name not in "cijklmopsuvwxyz"]  # like their capitals


class EMNIST(MNIST):
    """Handwritten letters and digits (Cohen et al. 2017) in one of six `splits`, as `MNIST`.

    The pictures are transposed, as in the official files. ValueError for an unknown split.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict = {
        "byclass": list(_LETTERS),
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        if split not in self.splits:
            raise ValueError(
                f"Unknown value '{split}' for argument split. Valid values are {set(self.splits)}."
            )
        self.split = split
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    @property
    def _file_prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def download(self) -> None:
        """Fetches and unpacks all splits unless this one's files are there."""
        if self._check_exists():
            return
        download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)
        unpacked = Path(self.raw_folder, "gzip")
        for packed in sorted(unpacked.glob("*.gz")):
            extract_archive(packed, self.raw_folder)
        shutil.rmtree(unpacked)
