"""What a tensor says about itself, its memory, its views, and its bridge to NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import rushlight as torch

# ---- making them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, torch.int64), (1.0, torch.float32), (True, torch.bool), (1j, torch.complex64),
        ([1, 2.5], torch.float32), ([True, 2], torch.int64), ([[1], [2]], torch.int64),
        ([], torch.float32), (np.float64(1), torch.float64),
        (np.arange(3, dtype=np.int32), torch.int32),
        ([np.float64(1), np.float64(2)], torch.float64),
        ([1.0, np.float64(2)], torch.float64), ([[1.0, 2.0], np.ones(2)], torch.float64),
        ([1.0, 2j], torch.complex64), ([[0.5, 1], [True, 2]], torch.float32),
    ],
)  # fmt: skip
def test_dtype_is_inferred(data: object, dtype: torch.dtype) -> None:
    assert torch.tensor(data).dtype is dtype


def test_numbers_beside_a_tensor_that_wants_a_gradient() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    assert torch.tensor([1.0, x]).tolist() == [1.0, 2.0]


def test_ragged_data_is_refused() -> None:
    with pytest.raises(ValueError, match="expected sequence of length 2 at dim 1"):
        torch.tensor([[1, 2], [3]])


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.zeros(3, np.float32)
    copied, shared = torch.tensor(array), torch.from_numpy(array)
    array[0] = 5
    assert copied[0] == 0 and shared[0] == 5
    shared.add_(1)
    assert array[1] == 1
    assert shared.numpy() is not None and shared.numpy().base is not copied


def test_from_numpy_refuses_what_tensors_cannot_hold() -> None:
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(np.arange(3)[::-1])
    with pytest.raises(TypeError, match="can't convert np.ndarray of type str_"):
        torch.from_numpy(np.array(["a"]))
    with pytest.raises(ValueError, match="byte order"):
        torch.from_numpy(np.zeros(2, ">f4"))


def test_default_dtype() -> None:
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.tensor(1.0).dtype is torch.float64 and torch.rand(1).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(TypeError, match="floating-point"):
        torch.set_default_dtype(torch.int32)


# ---- promotion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (torch.ones(2, dtype=torch.int32), 1, torch.int32),
        (torch.ones(2, dtype=torch.int32), 1.5, torch.float32),
        (torch.ones(2, dtype=torch.float16), 1.5, torch.float16),
        (torch.ones(2), torch.tensor(1.0, dtype=torch.float64), torch.float32),
        (torch.ones(2, dtype=torch.int64), torch.tensor(1.0, dtype=torch.float64), torch.float64),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), torch.float64),
        (torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.bfloat16), torch.float32),
        (torch.ones(2, dtype=torch.uint8), torch.ones(2, dtype=torch.int8), torch.int16),
        (torch.ones(2, dtype=torch.bool), 1, torch.int64),
        (torch.ones(2), 1j, torch.complex64),
    ],
)  # fmt: skip
def test_promotion(a: torch.Tensor, b: object, dtype: torch.dtype) -> None:
    assert (a + b).dtype is dtype
    assert torch.result_type(a, b) is dtype


def test_integers_divide_to_floats_and_wrap_around() -> None:
    assert (torch.tensor([3, 4]) / 2).tolist() == [1.5, 2.0]
    assert (torch.tensor([3, -3]) // 2).tolist() == [1, -2]
    assert (torch.tensor([200], dtype=torch.uint8) + 100).tolist() == [44]
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.tensor([1]).add_(0.5)


# ---- views ---------------------------------------------------------------------------------


def test_views_share_memory_and_copies_do_not() -> None:
    x = torch.arange(12).reshape(3, 4)
    views = [x[1], x[:, 1:3], x.t(), x.view(2, 6), x.unsqueeze(0), x.detach(), x.expand(2, 3, 4),
             x.diagonal(), x.narrow(1, 1, 2), x.split(2)[0], x.unbind()[2],
             x.as_strided((2,), (5,))]  # fmt: skip
    for view in views:
        assert view.untyped_storage() == x.untyped_storage()
    for other in [x.clone(), x.t().contiguous(), x[torch.tensor([0])], x.flip(0), x.repeat(1, 2)]:
        assert other.untyped_storage() != x.untyped_storage()


def test_strides_and_offsets() -> None:
    x = torch.zeros(2, 3, 4)
    assert x.stride() == (12, 4, 1) and x.is_contiguous()
    y = x.transpose(0, 2)[1:]
    assert y.shape == (3, 3, 2) and y.stride() == (1, 4, 12) and y.storage_offset() == 1
    assert not y.is_contiguous()
    assert torch.zeros(3, 0).stride() == (1, 1)
    assert x.expand(5, 2, 3, 4).stride() == (0, 12, 4, 1)


def test_channels_last_keeps_shape_and_reorders_memory() -> None:
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    y = x.to(memory_format=torch.channels_last)
    assert y.stride() == (24, 1, 8, 2) and torch.equal(x, y)
    assert y.is_contiguous(memory_format=torch.channels_last) and not y.is_contiguous()


def test_setitem_with_everything() -> None:
    x = torch.zeros(4, 5)
    x[1] = 1
    x[:, 2] = torch.tensor([5.0, 6.0, 7.0, 8.0])
    x[x == 1] = 9
    x[torch.tensor([0, 0]), torch.tensor([3, 4])] = torch.tensor([2.0, 3.0])
    x[-1, ..., 0] = -1
    x[2:, 3:] += 4
    assert x.tolist() == [[0, 0, 5, 2, 3], [9, 9, 6, 9, 9], [0, 0, 7, 4, 4], [-1, 0, 8, 4, 4]]


def test_indexing_forms() -> None:
    x = torch.arange(24).reshape(2, 3, 4)
    assert x[1, 2, 3] == 23 and x[..., -1].shape == (2, 3) and x[None].shape == (1, 2, 3, 4)
    assert x[:, [0, 2]].shape == (2, 2, 4) and x[:, torch.tensor([True, False, True])].shape == (
        2,
        2,
        4,
    )
    assert x[x > 20].tolist() == [21, 22, 23] and x[[0, 1], [1, 2], [2, 3]].tolist() == [6, 23]
    assert x[True].shape == (1, 2, 3, 4) and x[1:0].shape == (0, 3, 4)
    with pytest.raises(IndexError, match="too many indices"):
        x[0, 0, 0, 0]


# ---- Python and NumPy ----------------------------------------------------------------------


def test_conversions_to_python() -> None:
    assert torch.tensor(3).item() == 3 and isinstance(torch.tensor(3).item(), int)
    assert float(torch.tensor([2.5])) == 2.5 and int(torch.tensor(2.9)) == 2
    assert [10, 20, 30][torch.tensor(1)] == 20 and f"{torch.tensor(1.5):.2f}" == "1.50"
    assert torch.tensor([[1, 2]]).tolist() == [[1, 2]] and len(torch.zeros(4, 2)) == 4
    assert 2 in torch.tensor([1, 2]) and [int(v) for v in torch.arange(3)] == [0, 1, 2]
    assert np.asarray(torch.ones(2)).dtype == np.float32
    assert torch.ones(2).bfloat16().tolist() == [1.0, 1.0]


def test_numpy_meets_tensors() -> None:
    x = torch.ones(2)
    assert isinstance(x * np.float64(2), torch.Tensor) and (x * np.float32(2)).tolist() == [2, 2]
    assert np.sum(x.numpy()) == 2
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(torch.ones(1, requires_grad=True))


def test_pickle_and_deepcopy() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    (x * 2).sum().backward()
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert torch.equal(again, x) and again.requires_grad and again is not x
        again.data.add_(1)
        assert x[0, 0] == 1
    assert torch.equal(copy.deepcopy(x).grad, x.grad)


def test_attributes_of_the_users_own() -> None:
    x = torch.ones(2)
    x.name = "mine"
    assert x.name == "mine" and copy.copy(x).name == "mine"


def test_large_and_deep_graphs_are_freed() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y  # freeing a chain of 100,000 nodes does not recurse
