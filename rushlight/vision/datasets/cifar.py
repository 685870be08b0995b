"""CIFAR-10 and CIFAR-100: 32 × 32 colour pictures in pickled batches."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy

from .._pillow import pil_from_array
from ._batch_pickle import load_batch
from .utils import check_integrity, describe_file, download_and_extract_archive
from .vision import Transform, VisionDataset

__all__ = ["CIFAR10", "CIFAR100"]

_PIXELS = 3 * 32 * 32
SUBSET_FILE = "SUBSET.json"


class CIFAR10(VisionDataset):
    """60,000 pictures of ten classes (Krizhevsky 2009), 50,000 of them for training.

    `root` holds the folder `cifar-10-batches-py` as the official archive unpacks it; `download`
    fetches it. A folder with only a part of the data is read too if it declares itself by a file
    `SUBSET.json` with the sha256 and the number of records of each of its files. A sample is a PIL
    image and a class number. Raises RuntimeError if files are missing or damaged.

    `data` is uint8 `(N, 32, 32, 3)`, `targets` a list of ints, `classes` the names.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

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
        self._subset = _declared_subset(self._folder)
        if self._subset is not None:
            _check_subset(self._folder, self._subset)
            _announce_subset(self._folder, download)
        elif download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it; "
                f"looked in {self._folder}"
            )
        self._load_records()
        self._load_meta()

    @property
    def _folder(self) -> Path:
        return Path(self.root) / self.base_folder

    def _load_records(self) -> None:
        names = [name for name, _ in (self.train_list if self.train else self.test_list)]
        pixels: list[Any] = []
        self.targets: list[int] = []
        for name in names:
            if self._subset is not None and name not in self._subset:
                continue
            data, labels = _records(self._folder / name, self._subset)
            pixels.append(data)
            self.targets.extend(labels)
        if not pixels:
            raise RuntimeError(
                f"[{type(self).__name__}] the subset in {self._folder} has none of {names}"
            )
        planes = numpy.concatenate(pixels).reshape(-1, 3, 32, 32)
        # One contiguous copy, so that a picture's pixels lie together.
        self.data = numpy.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    def _load_meta(self) -> None:
        path = self._folder / self.meta["filename"]
        if not check_integrity(path, self.meta["md5"]):
            raise RuntimeError(
                "Dataset metadata file not found or corrupted. You can use download=True to "
                f"download it; looked for {path}"
            )
        self.classes: list[str] = load_batch(path)[self.meta["key"]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(pil_from_array(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def _check_integrity(self) -> bool:
        if self._subset is not None:
            return True
        files = self.train_list + self.test_list
        return all(check_integrity(self._folder / name, md5) for name, md5 in files)

    def download(self) -> None:
        """Fetches and unpacks the archive unless the files are there and whole."""
        if self._check_integrity():
            print("Files already downloaded and verified")
            return
        download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 pictures of a hundred classes (Krizhevsky 2009); otherwise as `CIFAR10`."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }


Subset = dict[str, dict[str, Any]]


def _declared_subset(folder: Path) -> Subset | None:
    """What `SUBSET.json` declares, by file name; None where there is no such file."""
    path = folder / SUBSET_FILE
    if not path.is_file():
        return None
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {
            str(name): {"sha256": str(entry["sha256"]), "records": int(entry["records"])}
            for name, entry in files.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(
            f"[dataset] {path} should map file names to sha256 and records under 'files': {error!r}"
        ) from error


def _check_subset(folder: Path, subset: Subset) -> None:
    for name, entry in subset.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise RuntimeError(f"[dataset] {SUBSET_FILE} declares {name}, which is not in {folder}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != entry["sha256"]:
            raise RuntimeError(
                f"[dataset] damaged: {describe_file(path)}; its sha256 is {digest[:12]}…, "
                f"{SUBSET_FILE} says {entry['sha256'][:12]}…"
            )


_announced: set[Path] = set()


def _announce_subset(folder: Path, download: bool) -> None:
    """Says once per folder that the data are not the whole set."""
    if folder.resolve() not in _announced:
        _announced.add(folder.resolve())
        print(f"Using the declared subset in {folder} (see {SUBSET_FILE})")
    elif download:
        print("Files already downloaded and verified")


def _records(path: Path, subset: Subset | None) -> tuple[numpy.ndarray[Any, Any], list[int]]:
    """The pixels `(N, 3072)` and labels of one batch file, checked against each other."""
    entry = load_batch(path)
    data, labels = entry.get("data"), entry.get("labels", entry.get("fine_labels"))
    count = None if subset is None else subset[path.name]["records"]
    whole = (
        isinstance(data, numpy.ndarray)
        and data.dtype == numpy.uint8
        and data.ndim == 2
        and data.shape[1] == _PIXELS
        and isinstance(labels, list)
        and len(labels) == len(data)
        and (count is None or count == len(data))
    )
    if not whole:
        shape = getattr(data, "shape", None)
        raise RuntimeError(
            f"[dataset] expected uint8 records of {_PIXELS} pixels and as many labels, "
            f"got data of shape {shape}: {describe_file(path)}"
        )
    return data, labels  # type: ignore[return-value]
