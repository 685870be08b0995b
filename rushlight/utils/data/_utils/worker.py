"""A worker process: seeds itself, then answers tasks (keys of a batch) with batches until told to
stop or until the main process is gone."""

from __future__ import annotations

import pickle
import random
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

import numpy
import numpy.random  # loaded here so that forked workers need not load it, one by one

import rushlight

from ..dataset import IterableDataset
from .fetch import Fetcher, make_fetcher
from .transport import Channel, close_in_forks

__all__ = [
    "Answer",
    "Job",
    "WorkerFailure",
    "WorkerInfo",
    "get_worker_info",
    "run_pickled_worker",
    "run_worker",
]


@dataclass(frozen=True)
class WorkerInfo:
    """What `get_worker_info` tells in a worker: its number, of how many, its seed, its dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The `WorkerInfo` of this worker process, or None in the main process.

    >>> import rushlight as torch
    >>> torch.utils.data.get_worker_info() is None
    True
    """
    return _worker_info


@dataclass(frozen=True)
class Job:
    """All that the workers of one iterator have in common; pickled once where it is pickled."""

    dataset: Any
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], Any] | None
    num_workers: int


class Answer(Enum):
    """What kind of answer a worker gives."""

    BATCH = 0
    ENDED = 1  # the worker's stream has no more samples
    FAILED = 2


class WorkerFailure:
    """An exception caught in a worker, as its type and the text of its traceback."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.error_type = type(error)
        original = "".join(traceback.format_exception(error))
        self.message = f"Caught {type(error).__name__} {where}.\nOriginal {original}"

    def reraise(self) -> NoReturn:
        """Raises the original exception type with the worker's traceback as its message."""
        message = _Verbatim(self.message) if issubclass(self.error_type, KeyError) else self.message
        try:
            error = self.error_type(message)
        except Exception:  # a constructor that wants other arguments
            error = RuntimeError(message)
        raise error


class _Verbatim(str):
    """A KeyError shows the repr of its message, in which line breaks would be escapes."""

    def __repr__(self) -> str:
        return str(self)


def numpy_seed(base_seed: int, worker_id: int) -> list[int]:
    """The four words that seed `numpy.random` in a worker, those of NumPy's own seed hash.

    Four words of entropy: the worker's number, the low and the high half of the base seed, and 0.
    """
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return [int(word) for word in numpy.random.SeedSequence(entropy).generate_state(4)]


def run_worker(job: Job, worker_id: int, channel: Channel) -> None:
    """The body of a worker process."""
    close_in_forks(channel)
    _restore_signals()
    rushlight.set_num_threads(1)
    where = f"in DataLoader worker process {worker_id}"
    fetch: Fetcher | None = None
    failure: WorkerFailure | None = None
    try:
        _seed_everything(job, worker_id)
        if job.init_fn is not None:
            job.init_fn(worker_id)
        fetch = _new_pass(job)
    except Exception as error:
        failure = WorkerFailure(error, where)
    try:
        _answer_tasks(job, channel, fetch, failure, where)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the main process has closed its end: the iterator was dropped


def run_pickled_worker(job: bytes, worker_id: int, channel: Channel) -> None:
    """`run_worker` where the process starts afresh and its job comes as a pickle."""
    run_worker(pickle.loads(job), worker_id, channel)


def _answer_tasks(
    job: Job, channel: Channel, fetch: Fetcher | None, failure: WorkerFailure | None, where: str
) -> None:
    turn = 0
    ended = False
    while (task := channel.receive(turn)) is not None:
        kind, keys = task
        if kind == "restart":
            ended = False
            if failure is None:
                fetch = _new_pass(job)
            continue
        if fetch is None:
            channel.send((Answer.FAILED, failure), turn)
        elif ended:
            channel.send((Answer.ENDED, None), turn)
        else:
            ended = _answer(job, channel, fetch, keys, turn, where)
        turn += 1


def _answer(job: Job, channel: Channel, fetch: Fetcher, keys: Any, turn: int, where: str) -> bool:
    """Sends the batch, or why there is none; whether the worker's stream has ended."""
    try:
        batch = fetch(keys)
    except Exception as error:
        if isinstance(error, StopIteration) and isinstance(job.dataset, IterableDataset):
            channel.send((Answer.ENDED, None), turn)
            return True
        _send_failure(channel, WorkerFailure(error, where), turn)
        return False
    try:
        channel.send((Answer.BATCH, batch), turn)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # the batch can not be pickled
        _send_failure(channel, WorkerFailure(error, where), turn)
    return False


def _send_failure(channel: Channel, failure: WorkerFailure, turn: int) -> None:
    try:
        channel.send((Answer.FAILED, failure), turn)
    except Exception:  # an exception class that can not be pickled, such as a local one
        failure.error_type = RuntimeError
        channel.send((Answer.FAILED, failure), turn)


def _new_pass(job: Job) -> Fetcher:
    return make_fetcher(job.dataset, job.auto_collation, job.collate_fn, job.drop_last)


def _seed_everything(job: Job, worker_id: int) -> None:
    global _worker_info
    seed = job.base_seed + worker_id
    random.seed(seed)
    rushlight.manual_seed(seed)
    numpy.random.seed(numpy_seed(job.base_seed, worker_id))
    _worker_info = WorkerInfo(worker_id, job.num_workers, seed, job.dataset)


def _restore_signals() -> None:
    # Ctrl-C reaches the whole process group; the main process answers it and stops the workers.
    # SIGTERM must end a worker whatever handler the main program has installed for itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
