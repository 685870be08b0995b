"""`torch.cuda` on a machine without a GPU answers as PyTorch's CPU build does."""

from __future__ import annotations

import pytest

import rushlight as torch

NOT_COMPILED = pytest.raises(
    AssertionError, match="Torch not compiled with CUDA enabled.*is_available"
)


def test_questions_have_answers():
    cuda = torch.cuda
    assert cuda.is_available() is False and cuda.device_count() == 0
    assert cuda.is_initialized() is False and cuda.is_bf16_supported() is False
    assert cuda.memory_allocated() == cuda.max_memory_allocated() == cuda.memory_reserved() == 0
    assert cuda.memory_stats() == {} and cuda.get_arch_list() == [] == cuda.get_rng_state_all()
    assert cuda.empty_cache() is None and cuda.reset_peak_memory_stats() is None
    assert cuda.manual_seed(1) is None and cuda.manual_seed_all(2) is None


@pytest.mark.parametrize("call", [
    "init", "current_device", "get_device_name", "get_device_capability", "get_device_properties",
    "synchronize", "current_stream", "default_stream", "get_rng_state", "mem_get_info",
])  # fmt: skip
def test_what_needs_a_device(call):
    with NOT_COMPILED:
        getattr(torch.cuda, call)()


def test_tensors_and_modules_do_not_move():
    for move in (
        lambda: torch.ones(1).cuda(),
        lambda: torch.ones(1).to("cuda"),
        lambda: torch.ones(1, device="cuda:0"),
        lambda: torch.nn.Linear(1, 1).cuda(),
        lambda: torch.cuda.set_device(0),
        lambda: torch.cuda.device(0).__enter__(),
    ):
        with NOT_COMPILED:
            move()


def test_streams_and_contexts():
    with pytest.raises(RuntimeError, match="requires CUDA support"):
        torch.cuda.Stream()
    with pytest.raises(RuntimeError, match="perf_counter"):
        torch.cuda.Event(enable_timing=True)
    with torch.cuda.stream(None), torch.cuda.device(-1), torch.cuda.device_of(torch.ones(1)):
        assert torch.ones(1).item() == 1


def test_every_public_name_is_there():
    for name in torch.cuda.__all__:
        assert getattr(torch.cuda, name) is not None or name == "default_generators"


def test_amp_switches_itself_off():
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = torch.cuda.amp.GradScaler()
    assert not scaler.is_enabled()
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        context = torch.amp.autocast("cuda", dtype=torch.float16)
    with context:
        loss = (weight * 3).sum()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() == -2 and loss.dtype is torch.float32
    with pytest.raises(NotImplementedError, match="enabled=False"):
        torch.amp.autocast("cpu", dtype=torch.bfloat16)
    with torch.amp.autocast("cpu", enabled=False):
        assert torch.ones(1).dtype is torch.float32
