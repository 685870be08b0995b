"""Every program of the documents runs, unmodified, and prints what PyTorch prints.

The texts in `expected/` were printed by PyTorch 2.13 running the same files.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight.backends import native_available

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"

spec = importlib.util.spec_from_file_location("comparing", HERE / "comparing.py")
comparing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(comparing)

# name: (rtol, atol, lines that may differ because training amplifies the last bit)
PRINTED = {
    "01_tensors": (0.0, 0.0, ()),
    "02_autograd": (2e-2, 0.0, ()),
    "03_two_layer_net": (2e-2, 0.0, ()),
    "04_neural_networks": (1e-5, 2e-4, ()),
    "08_rnn_sin_cos": (2e-2, 1e-4, ()),
    "10_devices": (0.0, 1e-4, ()),
}


def run(command: list[str], cwd: Path, timeout: float = 600) -> str:
    """What a program prints; its errors are shown if it fails."""
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, *command], cwd=cwd, env=environment, timeout=timeout,
                          capture_output=True, text=True, encoding="utf-8")  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("name", PRINTED)
def test_prints_what_pytorch_prints(name: str, tmp_path: Path) -> None:
    rtol, atol, _ = PRINTED[name]
    extra = ["--out", str(tmp_path)] if name.startswith("08") else []
    got = run(["-m", "rushlight", str(EXAMPLES / f"{name}.py"), *extra], tmp_path)
    got = "".join(x for x in got.splitlines(True) if not x.startswith(("picture", "no picture")))
    expected = (HERE / "expected" / f"{name}.txt").read_text(encoding="utf-8")
    assert comparing.differences(got, expected, rtol, atol) == []


def as_rushlight(source: str) -> str:
    """The program with `import rushlight as torch` in place of `import torch`."""
    source = re.sub(r"^import torch$", "import rushlight as torch", source, flags=re.M)
    source = re.sub(r"^import torch\.(\S+) as", r"import rushlight.\1 as", source, flags=re.M)
    return re.sub(r"^from torch import", "from rushlight import", source, flags=re.M)


@pytest.mark.parametrize("name", ["01_tensors", "04_neural_networks", "10_devices"])
def test_prints_the_same_when_imported_by_name(name: str, tmp_path: Path) -> None:
    script = tmp_path / f"{name}.py"
    script.write_text(as_rushlight((EXAMPLES / f"{name}.py").read_text(encoding="utf-8")),
                      encoding="utf-8")  # fmt: skip
    rtol, atol, _ = PRINTED[name]
    expected = (HERE / "expected" / f"{name}.txt").read_text(encoding="utf-8")
    assert comparing.differences(run([str(script)], tmp_path), expected, rtol, atol) == []


def test_resnet_trains_and_fine_tunes(tmp_path: Path) -> None:
    out = run(["-m", "rushlight", str(EXAMPLES / "05_resnet18.py"), "--random"], tmp_path)
    assert "torch.Size([1, 1000])" in out
    assert "conv1 changed: True" in out
    assert "trained: ['fc.weight', 'fc.bias']" in out
    assert "frozen layers unchanged: True" in out
    losses = [float(m) for m in re.findall(r"^\d (\d+\.\d+)$", out, flags=re.M)]
    assert len(losses) == 5 and losses[-1] < losses[0]


def test_cifar_classifier_learns_saves_and_draws(tmp_path: Path) -> None:
    arguments = ["--epochs", "2", "--out", str(tmp_path), "--workers", "2"]
    out = run(["-m", "rushlight", str(EXAMPLES / "06_cifar10.py"), *arguments], tmp_path)
    losses = [float(m) for m in re.findall(r"loss: (\d+\.\d+)", out)]
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert "<All keys matched successfully>" in out
    accuracy = int(re.search(r"on the 1000 test images: (\d+) %", out).group(1))
    assert accuracy > 15  # two short epochs: well above the 10 % of guessing
    assert len(re.findall(r"Accuracy for class: ", out)) == 10
    assert (tmp_path / "cifar_net.pth").stat().st_size > 200_000


@pytest.mark.skipif(
    not native_available(), reason="60,000 pictures take the reference kernels many minutes"
)
def test_mnist_reaches_98_5_percent_in_one_epoch(tmp_path: Path) -> None:
    out = run(["-m", "rushlight", str(EXAMPLES / "07_mnist.py")], tmp_path)
    accuracy = float(re.search(r"10000 test digits: (\d+\.\d+) %", out).group(1))
    assert accuracy >= 98.5


def test_words_cluster(tmp_path: Path) -> None:
    out = run(["-m", "rushlight", str(EXAMPLES / "09_words.py")], tmp_path)
    expected = (HERE / "expected" / "09_words.txt").read_text(encoding="utf-8")
    assert out.splitlines()[:5] == expected.splitlines()[:5]
    near_king = set(re.search(r"near 'king': (.*)", out).group(1).split(", "))
    assert near_king & {"richard", "iii", "henry", "edward", "vi", "prince", "duke"}
    assert "glove.6B.100d.sample.txt.gz (100, 100)" in out
    assert "word2vec.sample.txt (20, 300)" in out
    assert "Embedding(20, 300) False" in out
