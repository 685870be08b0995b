"""The small modules and switches that programs mention."""

from __future__ import annotations

import importlib
import os
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import accelerator, compiler, distributed, jit, overrides, settings, types
from rushlight import multiprocessing as mp
from rushlight.backends import cuda, cudnn, mkl, mkldnn, mps, openmp
from rushlight.interop import dlpack

MODULES = [
    "accelerator", "amp", "compiler", "cuda", "cuda.amp", "distributed", "interop.dlpack", "jit",
    "multiprocessing", "overrides", "serialization", "settings", "testing", "types", "version",
    "backends.cudnn", "backends.mkldnn", "backends.cuda", "torch_version",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_every_listed_name_is_there(name):
    module = importlib.import_module("rushlight." + name)
    for public in module.__all__:
        assert hasattr(module, public), public
    assert len(set(module.__all__)) == len(module.__all__) and module.__doc__


def test_compile_is_the_identity():
    def double(x):
        return 2 * x

    assert (
        compiler.compile(double) is double
        and compiler.compile(mode="max-autotune")(double) is double
    )
    assert compiler.disable(double) is double and compiler.is_compiling() is False
    with pytest.raises(RuntimeError, match="mode or options"):
        compiler.compile(double, mode="default", options={})
    with pytest.raises(TypeError):
        compiler.compile(3)


def test_jit_marks_and_refuses():
    def f(x):
        return x

    assert (
        jit.ignore(f) is f
        and jit.ignore(drop=True)(f) is f
        and jit.unused(f) is f
        and jit.export(f) is f
    )
    assert jit.is_scripting() is False and not isinstance(torch.nn.Linear(1, 1), jit.ScriptModule)
    for refused in (lambda: jit.script(f), lambda: jit.trace(f, 1), lambda: jit.load("x.pt")):
        with pytest.raises(NotImplementedError, match="TorchScript"):
            refused()


def test_what_is_not_available_says_so():
    assert not distributed.is_available() and not distributed.is_initialized()
    with pytest.raises(AttributeError, match="one process"):
        distributed.init_process_group("gloo")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        distributed.nonsense  # noqa: B018
    assert not accelerator.is_available() and accelerator.device_count() == 0
    with pytest.raises(RuntimeError, match="none is available"):
        accelerator.current_device_index()
    assert not overrides.has_torch_function([torch.ones(1)]) and overrides.is_tensor_like(
        torch.ones(1)
    )
    with pytest.raises(NotImplementedError, match="__torch_function__"):
        overrides.handle_torch_function(len, [1], 1)
    with pytest.raises(NotImplementedError, match="vmap"):
        settings.vmap(len)
    assert types.Number and isinstance(torch.ones(1).untyped_storage(), types.Storage)


def test_backend_switches():
    assert (
        not any(m.is_available() for m in (cudnn, mkl, mkldnn, mps, openmp)) and not cuda.is_built()
    )
    with cudnn.flags(benchmark=True, deterministic=True):
        assert cudnn.benchmark and cudnn.deterministic and not cudnn.enabled
    assert not cudnn.benchmark and not cudnn.deterministic and cudnn.enabled
    assert cudnn.version() is None and cuda.matmul.allow_tf32 is False
    cuda.enable_flash_sdp(False)
    assert not cuda.flash_sdp_enabled()
    cuda.enable_flash_sdp(True)


def test_determinism_and_precision():
    settings.use_deterministic_algorithms(True, warn_only=True)
    assert (
        settings.are_deterministic_algorithms_enabled()
        and settings.get_deterministic_debug_mode() == 1
    )
    settings.set_deterministic_debug_mode("default")
    assert not settings.are_deterministic_algorithms_enabled()
    with pytest.raises(TypeError, match="must be bool"):
        settings.use_deterministic_algorithms(1)
    with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
        settings.set_deterministic_debug_mode("x")
    settings.set_float32_matmul_precision("high")
    assert settings.get_float32_matmul_precision() == "high"
    settings.set_float32_matmul_precision("highest")
    with pytest.warns(UserWarning, match="no effect"):
        settings.set_float32_matmul_precision("x")
    assert (
        settings.set_flush_denormal(True) is False and settings.is_autocast_enabled("cpu") is False
    )


def test_devices_and_type_names():
    settings.set_default_device("cpu")
    assert settings.get_default_device() == torch.device("cpu")
    with pytest.raises(AssertionError, match="CUDA"):
        settings.set_default_device("cuda")
    assert settings.typename(torch.ones(1, dtype=torch.int64)) == "torch.LongTensor"
    assert settings.typename(torch.nn.Linear(1, 1)) == "torch.nn.modules.linear.Linear"
    assert settings.typename([]) == "list" and settings.typename(3.0) == "float"
    with torch.inference_mode():
        made_inside = torch.ones(1) * 2
    assert settings.is_inference(made_inside) and not settings.is_inference(torch.ones(1))


# ---- DLPack --------------------------------------------------------------------------------------


def test_dlpack_shares_memory():
    array = np.arange(6.0).reshape(2, 3)
    tensor = dlpack.from_dlpack(array)
    tensor[0, 0] = 9
    assert array[0, 0] == 9 and dlpack.from_dlpack(array, copy=True).data_ptr() != tensor.data_ptr()
    assert np.from_dlpack(tensor)[0, 0] == 9
    assert dlpack.from_dlpack(dlpack.to_dlpack(tensor)).tolist() == tensor.tolist()
    assert dlpack.from_dlpack(tensor).data_ptr() == tensor.data_ptr()


def test_dlpack_refusals():
    with pytest.raises(TypeError, match="__dlpack__"):
        dlpack.from_dlpack(3)
    with pytest.raises(BufferError, match="detach"):
        dlpack.to_dlpack(torch.ones(1, requires_grad=True))
    with pytest.raises(AssertionError, match="CUDA"):
        dlpack.from_dlpack(np.ones(1), device="cuda")


# ---- processes -----------------------------------------------------------------------------------


def fill(index, tensor, queue):
    tensor[index] = index + 1
    queue.put((index, torch.full((2,), float(index))))


def fail(index):
    if index == 1:
        raise ValueError("wrong number")


def leave(index):
    os._exit(7)


def test_tensors_cross_between_processes():
    shared = torch.zeros(2).share_memory_()
    queue = mp.get_context("fork").SimpleQueue()
    mp.spawn(fill, (shared, queue), nprocs=2, start_method="fork")
    assert shared.tolist() == [1, 2]
    assert {i: t.tolist() for i, t in (queue.get(), queue.get())} == {0: [0, 0], 1: [1, 1]}


def test_the_first_error_is_the_callers():
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: wrong number") as caught:
        mp.spawn(fail, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="exit code 7") as caught:
        mp.spawn(leave, nprocs=1, start_method="fork")
    assert caught.value.exit_code == 7 and str(pickle.loads(pickle.dumps(caught.value))) == str(
        caught.value
    )


def test_it_is_pythons_multiprocessing():
    import multiprocessing

    assert mp.Process is multiprocessing.Process and mp.cpu_count() >= 1 and mp.Queue
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    with pytest.raises(AssertionError, match="file_system"):
        mp.set_sharing_strategy("telepathy")


# ---- testing -------------------------------------------------------------------------------------

close = torch.testing.assert_close
A, B = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5])


@pytest.mark.parametrize("actual, expected, said", [
    (A, B, r"1 / 2 \(50.0%\)\nGreatest absolute difference: 0.5 at index \(1,\) \(up to 1e-05"),
    (A, torch.ones(3), r"'shape' do not match: torch.Size\(\[2\]\) != torch.Size\(\[3\]\)"),
    (A, A.double(), "attribute 'dtype' do not match: torch.float32 != torch.float64"),
    (torch.tensor([1, 2]), torch.tensor([1, 3]), r"not equal!\n\nMismatched elements: 1 / 2"),
    (1.0, 1.2, "Expected 1.2 but got 1.0"),
    (1, 1.0, "types do not match"),
    (True, False, "Booleans mismatch"),
    (None, 1, "None mismatch"),
    ([A], [A, A], "length of the sequences mismatch: 1 != 2"),
    ({"a": A}, {"b": A}, r"Missing keys in the actual mapping: \['b'\]\nAdditional keys"),
    ({"a": [A]}, {"a": [B]}, r"failure occurred for item \['a'\]\[0\]"),
    (torch.tensor([float("nan")]), torch.tensor([float("nan")]), "Mismatched elements: 1 / 1"),
    (np.ones(2), np.zeros(2), "Mismatched elements: 2 / 2"),
], ids=lambda v: v[:20] if isinstance(v, str) else None)  # fmt: skip
def test_assert_close_says_what_differs(actual, expected, said):
    with pytest.raises(AssertionError, match=said):
        close(actual, expected)


def test_assert_close_accepts_and_refuses():
    close(A, A + 1e-6)
    close([A, {"k": (1, 2.0, None)}], [A.clone(), {"k": (1, 2.0, None)}])
    close(A, A.double(), check_dtype=False)
    close(torch.tensor(float("nan")), torch.tensor(float("nan")), equal_nan=True)
    close(A, B, rtol=0, atol=0.5)
    close(torch.tensor([2**62]), torch.tensor([2**62]))
    with pytest.raises(AssertionError):
        close(torch.tensor([2**62]), torch.tensor([2**62 + 1]))
    with pytest.raises(AssertionError, match="^mine: Tensor-likes"):
        close(A, B, msg=lambda text: "mine: " + text)
    with pytest.raises(ValueError, match="no atol"):
        close(A, A, rtol=1.0)
    with pytest.raises(TypeError, match="No comparison pair"):
        close("a", "a")
    with pytest.raises(TypeError, match="No comparison pair"):
        close(torch.tensor(1.0), 1.0)


def test_make_tensor():
    make = torch.testing.make_tensor
    for name in ("float32", "bfloat16", "complex64", "int8", "uint8", "bool", "int64"):
        dtype = getattr(torch, name)
        made = make(4, 5, dtype=dtype)
        assert made.dtype is dtype and made.shape == (4, 5)
    values = make((100,), dtype=torch.int32)
    assert values.min() >= -9 and values.max() <= 9
    assert make((100,), dtype=torch.uint8).max() <= 9
    assert (make((200,), dtype=torch.int32, exclude_zero=True) != 0).all()
    assert not make(3, 4, dtype=torch.float32, noncontiguous=True).is_contiguous()
    assert make(2, dtype=torch.float64, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="integral"):
        make(2, dtype=torch.int32, requires_grad=True)
    with pytest.raises(ValueError, match="less than"):
        make(2, dtype=torch.int32, low=3, high=2)
