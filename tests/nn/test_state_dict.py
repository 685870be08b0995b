"""state_dict and load_state_dict."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn


def test_keys_metadata_and_sharing() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = net.state_dict()
    assert list(state) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert state._metadata == {"": {"version": 1}, "0": {"version": 1}, "1": {"version": 2}}
    assert not state["0.weight"].requires_grad
    state["0.weight"].zero_()
    assert net[0].weight.abs().sum().item() == 0
    assert net.state_dict(keep_vars=True)["0.weight"] is net[0].weight


def test_success_prints_one_line() -> None:
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    result = a.load_state_dict(b.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert torch.equal(a.weight, b.weight) and a.weight is not b.weight


def test_every_difference_is_listed() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    state = net.state_dict()
    del state["1.bias"]
    state["1.extra"] = torch.ones(1)
    state["0.weight"] = torch.ones(2, 2)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "1.bias". \n'
        '\tUnexpected key(s) in state_dict: "1.extra". \n'
        "\tsize mismatch for 0.weight: copying a param with shape torch.Size([2, 2]) from "
        "checkpoint, the shape in current model is torch.Size([2, 3])."
    )


def test_not_strict_returns_the_differences() -> None:
    net = nn.Linear(3, 2)
    result = net.load_state_dict({"weight": torch.zeros(2, 3), "more": torch.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"] and result.unexpected_keys == ["more"]
    assert net.weight.abs().sum().item() == 0
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1, 2])  # type: ignore[arg-type]


def test_assign_takes_the_tensors_themselves() -> None:
    net = nn.Linear(3, 2)
    given = {"weight": torch.zeros(2, 3, dtype=torch.float64), "bias": torch.zeros(2)}
    net.load_state_dict(given, assign=True)
    assert net.weight.dtype == torch.float64 and net.weight.requires_grad
    given["bias"][0] = 5.0
    assert net.bias[0].item() == 5.0


def test_non_persistent_buffers_stay_out() -> None:
    module = nn.Module()
    module.kept = nn.Buffer(torch.ones(1))
    module.scratch = nn.Buffer(torch.ones(1), persistent=False)
    assert list(module.state_dict()) == ["kept"]
    assert repr(module.load_state_dict({"kept": torch.zeros(1)})).startswith("<All keys")


def test_extra_state_and_hooks() -> None:
    class Counter(nn.Module):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    one, two = Counter(), Counter()
    one.count = 7
    order: list[str] = []
    one.register_state_dict_pre_hook(lambda m, prefix, keep: order.append("pre"))
    one.register_state_dict_post_hook(lambda m, state, prefix, meta: order.append("post"))
    two.register_load_state_dict_pre_hook(lambda *args: order.append("load pre"))
    two.register_load_state_dict_post_hook(lambda m, keys: order.append("load post"))
    two.load_state_dict(one.state_dict())
    assert two.count == 7
    assert order == ["pre", "post", "load pre", "load post"]


def test_batch_norm_reads_files_without_the_count() -> None:
    net = nn.BatchNorm1d(2)
    state = dict(net.state_dict())
    del state["num_batches_tracked"]
    assert repr(net.load_state_dict(state)).startswith("<All keys")


def test_prefix_of_data_parallel_can_be_taken_off() -> None:
    net = nn.Linear(2, 1)
    state = nn.DataParallel(net).state_dict()
    assert list(state) == ["module.weight", "module.bias"]
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert repr(net.load_state_dict(state)).startswith("<All keys")
