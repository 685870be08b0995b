"""DataLoader with worker processes: results, seeds, failures, deaths, shutdown."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
from rushlight.utils.data._utils import transport

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

METHODS = multiprocessing.get_all_start_methods()


class Squares(Dataset[Any]):
    """Sample i is (a tensor full of i, i², a dict); large enough for shared memory."""

    def __init__(self, length: int = 11, side: int = 40) -> None:
        self.length, self.side = length, side

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return torch.full((self.side, self.side), float(index)), index**2, {"name": str(index)}


class Ranges(IterableDataset[int]):
    """Worker w yields 10 w, 10 w + 1, … ; as many as the w-th length."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = lengths

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        assert info is not None and info.dataset is self
        return iter(range(10 * info.id, 10 * info.id + self.lengths[info.id]))


class Acts(Dataset[Any]):
    """Does something at one index, elsewhere returns the index."""

    def __init__(self, action: str, at: int = 3) -> None:
        self.action, self.at = action, at

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index != self.at:
            return index
        if self.action == "raise":
            raise KeyError("no such\npicture")
        if self.action == "exit":
            os._exit(7)
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action == "sleep":
            time.sleep(1000)
        return lambda: "not picklable"


def collected(loader: Any) -> list[int]:
    return [number for batch in loader for number in batch.tolist()]


def wait_until_no_children(seconds: float = 20.0) -> list[Any]:
    end = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < end:
        gc.collect()  # the frames of an exception that was raised before may hold an iterator
        time.sleep(0.02)
    return multiprocessing.active_children()


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_batches_as_without_workers(workers: int, in_order: bool) -> None:
    data = Squares()
    plain = list(DataLoader(data, batch_size=3))
    got = list(DataLoader(data, batch_size=3, num_workers=workers, in_order=in_order))
    if not in_order:
        got.sort(key=lambda batch: batch[1][0].item())
    assert len(got) == len(plain)
    for (x, y, names), (px, py, pnames) in zip(got, plain, strict=True):
        assert torch.equal(x, px) and torch.equal(y, py) and names == pnames


@pytest.mark.parametrize("method", METHODS)
def test_every_start_method(method: str) -> None:
    loader = DataLoader(Squares(5), 2, num_workers=2, multiprocessing_context=method)
    assert [y.tolist() for _, y, _ in loader] == [[0, 1], [4, 9], [16]]
    assert loader.dataset[2][0].sum().item() == 3200.0


@pytest.mark.parametrize("side", [1, 7, 40, 300])
def test_batches_of_every_size_can_be_written_to_and_kept(side: int) -> None:
    kept = list(DataLoader(Squares(12, side), 2, num_workers=2))
    for k, (x, _, _) in enumerate(kept):
        assert x.unique().tolist() == [2.0 * k, 2.0 * k + 1]
        x.add_(1)


def many_types(_: Any) -> dict[str, Any]:
    parameter = torch.zeros(2).requires_grad_()
    return {
        "dtypes": [
            torch.ones(3, dtype=getattr(torch, name))
            for name in ("bool", "uint8", "int16", "float16", "bfloat16", "float64", "complex64")
        ],
        "scalar": torch.tensor(5),
        "empty": torch.empty(0, 3),
        "view": torch.arange(6).reshape(2, 3).t(),
        "parameter": parameter,
        "same": parameter,
        "array": numpy.arange(3000),
        "other": {"text": ["é"], "none": None},
    }


def test_a_collate_function_may_return_anything() -> None:
    (got,) = DataLoader(range(1), num_workers=1, collate_fn=many_types)
    expected = many_types(0)
    for a, b in zip(got["dtypes"], expected["dtypes"], strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    assert got["scalar"].shape == () and got["scalar"].item() == 5
    assert got["empty"].shape == (0, 3)
    assert got["view"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert got["parameter"].requires_grad and got["parameter"] is got["same"]
    assert (got["array"] == expected["array"]).all() and got["other"] == expected["other"]


def with_graph(_: Any) -> Any:
    return torch.ones(2).requires_grad_() * 2


def test_a_graph_can_not_be_sent() -> None:
    with pytest.raises(RuntimeError, match="detach"):
        list(DataLoader(range(1), num_workers=1, collate_fn=with_graph))


def test_large_keys_and_large_batches_do_not_block_each_other() -> None:
    data = Squares(6000, 3)
    loader = DataLoader(data, batch_size=3000, num_workers=1, prefetch_factor=2)
    assert [len(y) for _, y, _ in loader] == [3000, 3000]


def test_without_shared_memory_everything_goes_through_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport.SharedFile, "open", classmethod(lambda cls: None))
    loader = DataLoader(Squares(9, 200), 2, num_workers=2)
    assert [y.tolist() for _, y, _ in loader] == [[0, 1], [4, 9], [16, 25], [36, 49], [64]]


@pytest.mark.skipif("fork" not in METHODS, reason="the shortage is put in place before a fork")
def test_a_shortage_of_shared_memory_is_said_and_survived(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transport.SharedFile, "reserve", full)
    loader = DataLoader(Squares(7, 60), 2, num_workers=1, multiprocessing_context="fork")
    assert [y.tolist() for _, y, _ in loader] == [[0, 1], [4, 9], [16, 25], [36]]
    assert "no shared memory" in capfd.readouterr().err


@pytest.mark.parametrize("lengths", [(3, 0, 5), (0, 0, 4), (5, 5, 5), (0, 0, 0)])
def test_streams_go_round_the_workers_that_still_have_samples(lengths: tuple[int, ...]) -> None:
    rows = [[10 * w + i for i in range(n)] for w, n in enumerate(lengths)]
    expected = [row[i] for i in range(6) for row in rows if i < len(row)]
    assert collected(DataLoader(Ranges(*lengths), num_workers=3)) == expected


def test_streams_are_batched_in_each_worker() -> None:
    loader = DataLoader(Ranges(3, 5), batch_size=2, num_workers=2)
    assert [b.tolist() for b in loader] == [[0, 1], [10, 11], [2], [12, 13], [14]]
    assert list(DataLoader(Ranges(2, 1), batch_size=None, num_workers=2)) == [0, 10, 1]


def draws(_: Any) -> Any:
    info = get_worker_info()
    assert info is not None
    return (
        info.id,
        info.seed,
        torch.initial_seed(),
        random.getrandbits(64),
        torch.rand(1).item(),
        numpy.random.randint(1 << 31),
        torch.get_num_threads(),
    )


# Recorded from PyTorch 2.13 under manual_seed(3).
def test_seeds_are_pytorchs() -> None:
    torch.manual_seed(3)
    got = list(DataLoader(range(2), num_workers=2, collate_fn=draws))
    assert got == RECORDED


STARTED: list[int] = []


def remember(worker_id: int) -> None:
    STARTED.append(worker_id)


def started(_: Any) -> list[int]:
    return STARTED


def test_worker_init_fn_runs_once_in_each_worker() -> None:
    loader = DataLoader(range(4), num_workers=2, worker_init_fn=remember, collate_fn=started)
    assert list(loader) == [[0], [1], [0], [1]]
    assert STARTED == []


def fail_at_start(worker_id: int) -> None:
    raise ValueError(f"worker {worker_id} is not ready")


def test_a_failing_worker_init_fn_is_reported() -> None:
    loader = DataLoader(range(4), num_workers=1, worker_init_fn=fail_at_start)
    with pytest.raises(ValueError, match="worker 0 is not ready"):
        list(loader)


def test_persistent_workers_serve_every_pass() -> None:
    loader = DataLoader(range(5), 2, num_workers=2, persistent_workers=True, collate_fn=pids)
    first, second = list(loader), list(loader)
    assert first == second and len(set(first)) == 2
    next(iter(loader))  # a pass broken off
    assert list(loader) == first
    del loader
    gc.collect()
    assert not wait_until_no_children()


def pids(_: Any) -> int:
    return os.getpid()


def test_a_worker_that_raises() -> None:
    loader = DataLoader(Acts("raise"), num_workers=2)
    with pytest.raises(KeyError) as caught:
        list(loader)
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 1.\nOriginal Traceback")
    assert "raise KeyError(" in text and "__getitem__" in text
    del caught  # its frames hold the iterator, which could go on
    gc.collect()
    assert not wait_until_no_children()


def test_iteration_can_go_on_after_an_error() -> None:
    iterator = iter(DataLoader(Acts("raise", at=1), num_workers=2))
    assert next(iterator).tolist() == [0]
    with pytest.raises(KeyError):
        next(iterator)
    assert [batch.item() for batch in iterator] == [2, 3, 4, 5, 6, 7]


class _Odd(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)


def raise_odd(_: Any) -> Any:
    raise _Odd(3, "three")


def raise_local(_: Any) -> Any:
    class Local(Exception):
        pass

    raise Local("from here")


@pytest.mark.parametrize("collate_fn", [raise_odd, raise_local])
def test_an_exception_that_can_not_be_rebuilt_becomes_a_runtime_error(collate_fn: Any) -> None:
    with pytest.raises(RuntimeError, match="Caught (_Odd|Local) in DataLoader worker process 0"):
        list(DataLoader(range(1), num_workers=1, collate_fn=collate_fn))


def test_a_batch_that_can_not_be_pickled_is_an_error_not_a_hang() -> None:
    loader = DataLoader(Acts("lambda", at=0), batch_size=None, num_workers=1)
    with pytest.raises(Exception, match=r"(?s)Caught .*lambda"):
        list(loader)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize(
    ("action", "cause"), [("exit", "exit status 7"), ("kill", "killed by signal SIGKILL")]
)
def test_a_worker_that_dies(action: str, cause: str, in_order: bool) -> None:
    loader = DataLoader(Acts(action), num_workers=2, in_order=in_order)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited") as caught:
        list(loader)
    assert cause in str(caught.value)
    assert not wait_until_no_children()


def test_a_worker_that_dies_while_it_has_nothing_to_do() -> None:
    iterator = iter(DataLoader(range(100), num_workers=1))
    next(iterator)
    time.sleep(0.2)
    os.kill(iterator._workers[0].process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="SIGKILL"):
        list(iterator)


@pytest.mark.parametrize("in_order", [True, False])
def test_timeout(in_order: bool) -> None:
    loader = DataLoader(Acts("sleep", at=0), num_workers=1, timeout=0.5, in_order=in_order)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.5 seconds"):
        list(loader)
    assert time.monotonic() - begin < 30
    assert not wait_until_no_children()


def test_deleting_the_iterator_ends_the_workers_at_once() -> None:
    iterator = iter(DataLoader(Squares(1000), 2, num_workers=2))
    next(iterator)
    begin = time.monotonic()
    del iterator
    gc.collect()
    assert not multiprocessing.active_children()
    assert time.monotonic() - begin < 4


def test_nothing_is_left_open() -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("open files are counted in /proc, which this system does not have")
    list(DataLoader(Squares(6), 2, num_workers=2))
    gc.collect()
    before = open_files()
    for _ in range(3):
        list(DataLoader(Squares(6), 2, num_workers=2))
        next(iter(DataLoader(Squares(6), 2, num_workers=2)))
    gc.collect()
    assert open_files() <= before


def test_two_loaders_at_the_same_time_do_not_hold_each_other() -> None:
    first = iter(DataLoader(Squares(20), 2, num_workers=2))
    second = iter(DataLoader(Squares(20), 2, num_workers=2))  # forked while the first is running
    next(first), next(second)
    del first
    gc.collect()
    assert sum(len(y) for _, y, _ in second) == 18


@pytest.mark.parametrize("method", [m for m in METHODS if m != "fork"])
def test_what_can_not_be_pickled_is_named(method: str) -> None:
    data = Squares()
    data.transform = [lambda x: x]  # type: ignore[attr-defined]
    loader = DataLoader(data, num_workers=1, multiprocessing_context=method)
    with pytest.raises(Exception, match=r"dataset\.transform\[0\] can not be pickled"):
        list(loader)


def test_keys_are_not_drawn_further_ahead_than_prefetch_factor_says() -> None:
    drawn: list[int] = []

    def keys() -> Iterator[int]:
        for i in range(20):
            drawn.append(i)
            yield i

    class Watched:
        def __iter__(self) -> Iterator[int]:
            return keys()

    iterator = iter(DataLoader(range(20), sampler=Watched(), num_workers=2, prefetch_factor=3))
    assert len(drawn) == 6
    next(iterator)
    assert len(drawn) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals and process groups")
def test_ctrl_c_leaves_no_process_behind() -> None:
    program = textwrap.dedent(
        """
        import signal, sys, time, os
        import rushlight as torch
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        class Slow(torch.utils.data.Dataset):
            def __len__(self): return 1000
            def __getitem__(self, i):
                time.sleep(0.05)
                return i
        if __name__ == "__main__":
            it = iter(torch.utils.data.DataLoader(Slow(), num_workers=2))
            next(it)
            print(*[w.process.pid for w in it._workers], flush=True)
            for _ in it:
                pass
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert len(workers) == 2 and "KeyboardInterrupt" in errors
    assert errors.count("Traceback") == 1  # the workers say nothing of their own
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
def test_workers_end_when_the_main_process_is_killed() -> None:
    program = (
        "import rushlight as torch, time\n"
        "it = iter(torch.utils.data.DataLoader(range(10000), num_workers=2))\n"
        "next(it)\n"
        "print(*[w.process.pid for w in it._workers], flush=True)\n"
        "time.sleep(100)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    process.kill()
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 20
    while any(_is_running(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(_is_running(pid) for pid in workers)


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_threads_of_the_program_may_run_meanwhile() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert collected(DataLoader(range(6), 2, num_workers=2)) == list(range(6))
    finally:
        stop.set()
        thread.join()


RECORDED = [
    (
        0,
        937055941807507096,
        937055941807507096,
        3873621934227509516,
        0.2876076102256775,
        1629881162,
        1,
    ),
    (
        1,
        937055941807507097,
        937055941807507097,
        12298975431891801254,
        0.7470175623893738,
        582168465,
        1,
    ),
]
