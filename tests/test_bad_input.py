"""Bad input: each mistake gives one clear error of PyTorch's class, and nothing hangs."""

from __future__ import annotations

import gzip
import pickle
import traceback
from pathlib import Path

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def text_of(error: BaseException) -> str:
    """The whole message as a user sees it, notes included."""
    return "".join(traceback.format_exception_only(type(error), error))


# ---- shapes --------------------------------------------------------------------------------


def test_mm_names_the_operation_both_shapes_and_the_dimension() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.mm(torch.ones(2, 3), torch.ones(4, 5))
    message = text_of(caught.value)
    assert "[mm]" in message and "2x3 and 4x5" in message
    assert "3 columns" in message and "4 rows" in message


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU())
        self.fc1 = nn.Linear(400, 120)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc1(torch.flatten(self.features(x), 1))


def test_linear_names_the_module_that_was_called() -> None:
    with pytest.raises(RuntimeError) as caught:
        Net()(torch.ones(1, 3, 8, 8))
    message = text_of(caught.value)
    assert "[linear]" in message and "1x96 and 400x120" in message
    assert "in_features" in message
    assert "fc1" in message and "Net" in message


def test_conv2d_names_channels_and_module() -> None:
    with pytest.raises(RuntimeError) as caught:
        Net()(torch.ones(1, 1, 8, 8))
    message = text_of(caught.value)
    assert "[conv2d]" in message and "expected input[1, 1, 8, 8] to have 3 channels" in message
    assert "but got 1 channels" in message
    assert "features.0" in message


def test_conv2d_refuses_a_kernel_larger_than_its_input() -> None:
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 5, 5))


def test_broadcasting_mismatch() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2, 3) + torch.ones(2, 4)
    assert "3" in str(caught.value) and "4" in str(caught.value)


def test_view_of_a_wrong_size() -> None:
    with pytest.raises(RuntimeError, match=r"shape '\[4\]' is invalid for input of size 6"):
        torch.ones(2, 3).view(4)


def test_index_out_of_range() -> None:
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 3"):
        torch.ones(3)[5]
    with pytest.raises(IndexError, match="Dimension out of range"):
        torch.ones(3).sum(2)


# ---- dtypes and classes --------------------------------------------------------------------


def test_targets_of_a_wrong_dtype() -> None:
    with pytest.raises(RuntimeError, match=r"expected scalar type Long.*Int.*\.long\(\)"):
        F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1], dtype=torch.int32))


def test_target_class_out_of_range() -> None:
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 7]))


def test_targets_of_another_batch_size() -> None:
    with pytest.raises(ValueError, match=r"batch_size \(2\) to match target batch_size \(3\)"):
        F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1, 2]))


def test_dtypes_that_do_not_match() -> None:
    with pytest.raises(RuntimeError, match="Float != Double"):
        torch.mm(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.float64))


def test_word_number_out_of_range() -> None:
    with pytest.raises(IndexError, match="index 9 for a table of 3 rows"):
        nn.Embedding(3, 2)(torch.tensor([9]))


def test_mean_of_integers() -> None:
    with pytest.raises(RuntimeError, match="Got: Long"):
        torch.tensor([1, 2]).mean()


def test_unknown_name_says_what_is_near() -> None:
    with pytest.raises(AttributeError, match="did you mean 'matmul'"):
        torch.matmull  # noqa: B018


# ---- backward ------------------------------------------------------------------------------


def test_backward_on_a_non_scalar() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(
        RuntimeError, match="grad can be implicitly created only for scalar outputs"
    ):
        (x * 2).backward()


def test_backward_without_a_graph() -> None:
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        torch.ones(1).backward()


def test_backward_twice() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_changed_saved_tensor_names_the_operation_and_the_line() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    z = y * y
    y.add_(1)  # this line is named
    line = test_changed_saved_tensor_names_the_operation_and_the_line.__code__.co_firstlineno + 4
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    message = str(caught.value)
    assert "modified by an inplace operation" in message
    assert "MulBackward0" in message and "add_" in message
    assert f"test_bad_input.py:{line}" in message


def test_leaf_changed_in_place() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        x[0] = 3


def test_gradients_for_integers() -> None:
    with pytest.raises(RuntimeError, match="floating point and complex"):
        torch.tensor([1], requires_grad=True)


def test_function_that_returns_too_few_gradients() -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="expected 2, got 1"):
        Two.apply(x, x).backward()


def test_numpy_of_a_tensor_in_a_graph() -> None:
    with pytest.raises(RuntimeError, match=r"tensor.detach\(\).numpy\(\)"):
        torch.ones(1, requires_grad=True).numpy()


# ---- files ---------------------------------------------------------------------------------


def cifar_folder(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    return folder


def test_truncated_picture_file(tmp_path: Path) -> None:
    from rushlight.vision import datasets

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                 "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):  # fmt: skip
        (raw / f"{name}.gz").write_bytes(gzip.compress(b"\0\0\x08\x03\0\0")[:-4])
    with pytest.raises((RuntimeError, ValueError, EOFError, OSError)) as caught:
        datasets.MNIST(str(tmp_path))
    assert "train-images" in text_of(caught.value)


def test_pickled_call_in_a_data_file_is_not_executed(tmp_path: Path) -> None:
    from rushlight.vision.datasets._batch_pickle import load_batch

    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    file = cifar_folder(tmp_path) / "data_batch_1"
    file.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(Exception, match="data_batch_1"):
        load_batch(file)
    assert not marker.exists()


def test_missing_dataset(tmp_path: Path) -> None:
    from rushlight.vision import datasets

    with pytest.raises(RuntimeError, match="download=True"):
        datasets.CIFAR10(str(tmp_path))


def test_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "none.pth")


# ---- workers -------------------------------------------------------------------------------


class Failing(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 5:
            raise KeyError("no such picture")
        return torch.zeros(2)


class Dying(Failing):
    def __getitem__(self, index: int) -> torch.Tensor:
        import os
        import signal

        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(2)


def test_worker_that_raises_shows_the_original_traceback() -> None:
    loader = torch.utils.data.DataLoader(Failing(), batch_size=2, num_workers=1)
    with pytest.raises(KeyError) as caught:
        list(loader)
    message = text_of(caught.value)
    assert "no such picture" in message and "DataLoader worker process" in message
    assert "__getitem__" in message


def test_worker_that_dies_is_named() -> None:
    loader = torch.utils.data.DataLoader(Dying(), batch_size=2, num_workers=1)
    with pytest.raises(RuntimeError, match=r"DataLoader worker .*exited unexpectedly"):
        list(loader)
