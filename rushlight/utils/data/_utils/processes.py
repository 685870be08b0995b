"""Starting a worker process, asking it, and saying how it died."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import warnings
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn

from .transport import Channel, SharedFile, close_in_forks
from .worker import Answer, Job, run_pickled_worker, run_worker

__all__ = ["WorkerHandle", "start_workers", "stop_workers"]

_GRACE_SECONDS = 5.0  # for a worker to finish the batch it is at
_HURRIED_SECONDS = 0.2


class WorkerHandle:
    """The main process's view of one worker: its process, its channel, the tasks on their way."""

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.is_active = True  # False once its stream has ended
        self._asked = 0
        self._answered = 0

    @property
    def has_room(self) -> bool:
        return self._asked - self._answered < self.channel.window

    @property
    def outstanding(self) -> int:
        return self._asked - self._answered

    def ask(self, keys: Any) -> None:
        self._tell(("fetch", keys))
        self._asked += 1

    def restart(self) -> None:
        """Starts a new pass over the dataset."""
        self._tell(("restart", None))
        self.is_active = True

    def dismiss(self) -> None:
        """Lets the worker exit once it has done what it was asked."""
        self._tell(None)

    def _tell(self, message: Any) -> None:
        try:
            self.channel.send(message, self._asked)
        except (BrokenPipeError, ConnectionResetError):
            self._report_death()

    def answer(self) -> tuple[Answer, Any]:
        """Waits for the answer to the oldest task; RuntimeError if the worker has died."""
        try:
            answer: tuple[Answer, Any] = self.channel.receive(self._answered)
        except (EOFError, ConnectionResetError):
            self._report_death()
        self._answered += 1
        return answer

    def _report_death(self) -> NoReturn:
        self.process.join(_GRACE_SECONDS)
        raise RuntimeError(
            f"DataLoader worker (pid(s) {self.process.pid}) exited unexpectedly: "
            f"{_cause_of_death(self.process.exitcode)}"
        )


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is None:
        return "it closed its pipe but is still running"
    if exitcode >= 0:
        return (
            f"exit status {exitcode}. Its own error text, if any, is above; "
            "num_workers=0 runs the same code in this process"
        )
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hint = "; this is what the system does when memory runs out" if name == "SIGKILL" else ""
    return f"killed by signal {name}{hint}"


def start_workers(job: Job, context: BaseContext | None, window: int) -> list[WorkerHandle]:
    """Starts `job.num_workers` processes, each able to hold `window` tasks."""
    context = context or multiprocessing.get_context()
    forks = context.get_start_method() == "fork"
    payload: Any = job if forks else _pickled(job)
    workers: list[WorkerHandle] = []
    try:
        for worker_id in range(job.num_workers):
            workers.append(_start(payload, worker_id, context, window))
    except BaseException:
        stop_workers(workers, hurry=True)
        raise
    return workers


def _start(payload: Any, worker_id: int, context: Any, window: int) -> WorkerHandle:
    task_reader, task_writer = context.Pipe(duplex=False)
    answer_reader, answer_writer = context.Pipe(duplex=False)
    shared = SharedFile.open()
    mine = Channel(answer_reader, task_writer, shared, window)
    its = Channel(task_reader, answer_writer, shared, window)
    close_in_forks(mine)
    process = context.Process(
        target=run_pickled_worker if isinstance(payload, bytes) else run_worker,
        args=(payload, worker_id, its),
        name=f"DataLoader worker {worker_id}",
        daemon=True,
    )
    try:
        _start_quietly(process)
    except BaseException:
        mine.close()
        raise
    finally:
        task_reader.close()
        answer_writer.close()
    return WorkerHandle(process, mine)


def _start_quietly(process: Any) -> None:
    """Starts a process without Python 3.12's warning about threads that are only rushlight's own.

    The threads of the kernels are safe to fork beside; Python threads of the program may not be,
    and where there are any the warning stays.
    """
    if threading.active_count() > 1:
        process.start()
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*multi-threaded.*", category=DeprecationWarning)
        process.start()


def stop_workers(workers: list[WorkerHandle], hurry: bool = False) -> None:
    """Ends all workers: each finishes at most the batch it is at, or is killed some seconds later.

    With `hurry`, where something has gone wrong already, it is killed almost at once.
    """
    for worker in workers:
        worker.channel.close()
    deadline = time.monotonic() + (_HURRIED_SECONDS if hurry else _GRACE_SECONDS)
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
    for end in ("terminate", "kill"):
        for worker in workers:
            if worker.process.is_alive():
                getattr(worker.process, end)()
                worker.process.join(1.0)
    for worker in workers:
        if not worker.process.is_alive():
            worker.process.close()


def _pickled(job: Job) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(job))
    except Exception as error:
        culprit = _unpicklable_part(job, "")
        raise type(error)(
            f"[DataLoader] {culprit} can not be pickled, and this start method sends the dataset "
            f"to its workers as a pickle: {error}. Replace it (a lambda or local function by one "
            "at module level, an open file by its path), or use multiprocessing_context='fork'"
        ) from error


def _unpicklable_part(value: Any, path: str, depth: int = 4) -> str:
    """The path of the innermost attribute that can not be pickled, such as `dataset.transform`."""
    children = {f".{name}": child for name, child in getattr(value, "__dict__", {}).items()}
    if isinstance(value, dict):
        children = {f"[{key!r}]": child for key, child in value.items()}
    elif isinstance(value, (list, tuple)):
        children = {f"[{i}]": child for i, child in enumerate(value)}
    for step, child in children.items():
        try:
            ForkingPickler.dumps(child)
        except Exception:
            deeper = f"{path}{step}"
            return _unpicklable_part(child, deeper, depth - 1) if depth else deeper.lstrip(".")
    return path.lstrip(".") or type(value).__name__
