"""The frame: look-up, signatures, allocator, threads, fork, instruction sets, pure mode."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import rushlight
from rushlight.backends import Kernels, kernels, native_available
from rushlight.backends.reference.base import KernelBase

ROOT = Path(rushlight.__file__).resolve().parents[1]  # where the package under test lies


def run_python(code: str, timeout: float = 120, **variables: str) -> str:
    """What a fresh interpreter prints, with these environment variables set."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# ---------------------------------------------------------------------- look-up
def test_lookup() -> None:
    assert kernels(np.ones(2)) is kernels(np.zeros((), np.int8))

    class Sub(np.ndarray[Any, Any]):
        pass

    assert kernels(np.ones(2).view(Sub)) is kernels(np.ones(2))
    with pytest.raises(TypeError, match="numpy.ndarray.*got builtins.list"):
        kernels([1.0])  # type: ignore[arg-type]


def test_overrides_have_the_reference_signatures(native: Kernels) -> None:
    """A backend may not rename, reorder or drop a kernel's arguments."""
    compared = 0
    for name, function in inspect.getmembers(type(native), inspect.isfunction):
        if name.startswith("_"):
            continue
        base = getattr(Kernels, name)
        mine = [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
        theirs = [(p.name, p.default) for p in inspect.signature(base).parameters.values()]
        assert mine == theirs, name
        compared += 1
    assert compared > 100


def test_every_family_is_listed() -> None:
    assert issubclass(Kernels, KernelBase)
    for name in ("add", "matmul", "conv", "max_pool", "softmax", "batch_norm", "adam_step"):
        assert callable(getattr(Kernels, name))


def test_pure_mode() -> None:
    code = "import rushlight.backends as b; print(b.native_available())"
    assert run_python(code, RUSHLIGHT_PURE="1") == "False"


def test_missing_extension_is_said_once() -> None:
    code = """
import sys, warnings
sys.modules["rushlight.backends._native"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numpy, rushlight.backends as b
    b.kernels(numpy.ones(2)).add(numpy.ones(2), 1.0)
    b.kernels(numpy.ones(2)).add(numpy.ones(2), 1.0)
print(len([w for w in caught if "compiled kernels" in str(w.message)]), b.native_available())
"""
    assert run_python(code, RUSHLIGHT_PURE="0") == "1 False"


needs_native = pytest.mark.skipif(
    not native_available(), reason="the extension is not built; scripts/build-native builds it"
)
if native_available():
    from rushlight.backends import _native as frame


# ---------------------------------------------------------------------- allocator
@needs_native
def test_memory_is_aligned_counted_and_reused() -> None:
    frame.empty_cache()
    before = frame.memory_stats()
    blocks = [np.empty(n, np.uint8) for n in (1, 63, 64, 65, 1000, 70_000, 1 << 20, 5 << 20)]
    assert all(b.ctypes.data % 64 == 0 for b in blocks)
    held = frame.memory_stats()
    assert held["current"] - before["current"] >= sum(b.nbytes for b in blocks)
    assert held["peak"] >= held["current"]
    address = blocks[-1].ctypes.data
    del blocks
    after = frame.memory_stats()
    assert after["current"] == before["current"] and after["cached"] > 6 << 20
    assert np.empty(5 << 20, np.uint8).ctypes.data == address
    assert frame.memory_stats()["reused"] > after["reused"]
    frame.empty_cache()
    assert frame.memory_stats()["cached"] < 1 << 20


@needs_native
def test_zeros_are_zero_in_reused_memory() -> None:
    for n in (100, 100_000, 3_000_000):
        np.full(n, 7, np.uint8)
        assert not np.zeros(n, np.uint8).any()


@needs_native
def test_blocks_whose_pages_went_back() -> None:
    """Their neighbours keep their contents, and their addresses serve again, zeroed or not."""
    sizes = [(256 << 10) - 64, 256 << 10, 300_000, 1 << 20, 5_000_000, 16 << 20, (16 << 20) + 1]
    kept, given = [], []
    for n in sizes:
        kept.append(np.full(n, 3, np.uint8))
        given.append(np.full(n, 7, np.uint8))
        kept.append(np.full(n, 5, np.uint8))
    assert all(array.ctypes.data % 64 == 0 for array in (*kept, *given))
    current = frame.memory_stats()["current"]
    given.clear()
    assert frame.memory_stats()["current"] <= current - sum(sizes)
    frame.empty_cache()
    assert all((array == value).all() for array, value in zip(kept, [3, 5] * len(sizes)))
    for n in sizes:
        again = np.zeros(n, np.uint8)
        assert not again.any()
        given.append(again)
        again[:] = 9
    assert all((array == value).all() for array, value in zip(kept, [3, 5] * len(sizes)))
    assert all((array == 9).all() for array in given)


@needs_native
def test_resize_keeps_the_contents() -> None:
    for n in (10, 1000, 300_000):
        array = np.arange(n)
        array.resize(4 * n, refcheck=False)
        assert (array[:n] == np.arange(n)).all() and not array[n:].any()
        array.resize(n // 2, refcheck=False)
        assert (array == np.arange(n // 2)).all()


@needs_native
def test_cache_limit() -> None:
    limit = frame.memory_stats()["cache_limit"]
    try:
        frame.set_cache_limit(2 << 20)
        for n in (1 << 20, 2 << 20, 3 << 20):
            np.empty(n, np.uint8)
        assert frame.memory_stats()["cached"] <= (2 << 20) + (2 << 20) // 8
        with pytest.raises(ValueError, match="set_cache_limit"):
            frame.set_cache_limit(-1)
    finally:
        frame.set_cache_limit(limit)


@needs_native
def test_arrays_freed_by_other_threads() -> None:
    def churn(seed: int) -> None:
        rng = np.random.default_rng(seed)
        held: list[Any] = []
        for _ in range(300):
            held.append(np.ones(int(rng.integers(1, 100_000)), np.uint8))
            if len(held) > 8:
                assert (held.pop(int(rng.integers(0, 8))) == 1).all()
            if shared:
                shared.pop()
            shared.append(held[-1])

    shared: list[Any] = []
    threads = [threading.Thread(target=churn, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_other_threads_use_the_cache_too(native: Kernels) -> None:
    """NumPy's allocator is a context variable, and a thread starts with an empty context."""
    names = []

    def work() -> None:
        result = kernels(np.ones(1)).add(np.ones(1000, np.float32), 1.0)
        names.append(get_handler_name(result))
        names.append(get_handler_name(np.empty(1000)))  # NumPy's own arrays, from then on

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert names == ["rushlight_cache", "rushlight_cache"]


# ---------------------------------------------------------------------- threads and fork
@needs_native
def test_number_of_threads(native: Kernels) -> None:
    before = frame.num_threads()
    x = np.random.default_rng(0).normal(size=500_000).astype(np.float32)
    try:
        frame.set_num_threads(1)
        want = native.exp(x)
        for threads in (2, 4, 1, 3):
            frame.set_num_threads(threads)
            assert frame.num_threads() == threads
            for _ in range(20):
                np.testing.assert_array_equal(native.exp(x), want)
        with pytest.raises(RuntimeError, match="positive"):
            frame.set_num_threads(0)
    finally:
        frame.set_num_threads(before)


@needs_native
def test_thread_count_comes_from_the_environment() -> None:
    code = "from rushlight.backends import _native; print(_native.num_threads())"
    assert run_python(code, OMP_NUM_THREADS="3") == "3"
    assert int(run_python(code, OMP_NUM_THREADS="")) >= 1


@needs_native
def test_regions_from_several_python_threads(native: Kernels) -> None:
    before = frame.num_threads()
    x = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    want, wrong = native.exp(x), []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(native.exp(x), want):
                wrong.append(1)

    try:
        frame.set_num_threads(3)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not wrong and not any(thread.is_alive() for thread in threads)
    finally:
        frame.set_num_threads(before)


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_fork_after_a_parallel_region() -> None:
    code = """
import os, signal, time, warnings
import numpy as np
from rushlight.backends import kernels, _native
_native.set_num_threads(3)
k, x = kernels(np.ones(1)), np.ones(500_000, np.float32)
want = k.exp(x)
for pause in (0.0, 0.05):  # workers spinning, workers asleep
    k.exp(x)
    time.sleep(pause)
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        ok = all(np.array_equal(k.exp(x), want) for _ in range(10))
        os._exit(0 if ok else 1)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert np.array_equal(k.exp(x), want)
print("done")
"""
    # Python 3.12 and later warn that forking with threads is risky: that is what is tested here.
    code = code.replace(
        "import os,", "import warnings; warnings.simplefilter('ignore')\nimport os,", 1
    )
    assert run_python(code) == "done"


# ---------------------------------------------------------------------- instruction sets
@needs_native
def test_unknown_instruction_set_is_refused() -> None:
    code = """
try:
    import rushlight.backends
except RuntimeError as error:
    print(error)
"""
    message = run_python(code, RUSHLIGHT_ISA="z80")
    assert "'z80'" in message and frame.active_isa() in message
