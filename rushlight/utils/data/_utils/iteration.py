"""The iterators behind `iter(loader)`: in this process, or over worker processes."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import rushlight

from ..sampler import draw_seed
from .fetch import make_fetcher
from .processes import WorkerHandle, start_workers, stop_workers
from .worker import Answer, Job

if TYPE_CHECKING:
    from ..dataloader import DataLoader


class _BaseDataLoaderIter:
    """Draws the keys of batches from the sampler; subclasses turn them into batches.

    Every iterator draws one base seed from the loader's generator, workers or none, after it has
    made the sampler's iterator: the order in which PyTorch draws.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._dataset = loader.dataset
        self._index_sampler = loader._index_sampler
        self._timeout = loader.timeout
        if loader.pin_memory:
            _warn_about_pinning(loader)
        self._sampler_iter: Iterator[Any] = iter(self._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._num_yielded = 0
        self._expected_length = loader._iterable_length
        self._num_workers = loader.num_workers

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        if self._expected_length is not None and self._num_yielded > self._expected_length:
            self._warn_about_length()
        return data

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _warn_about_length(self) -> None:
        advice = (
            " With worker processes each iterates its own copy of the dataset: split the stream "
            "by get_worker_info()."
        )
        warnings.warn(
            f"Length of IterableDataset {self._dataset} was reported to be "
            f"{self._expected_length} (when accessing len(dataloader)), but {self._num_yielded} "
            f"samples have been fetched.{advice if self._num_workers else ''}",
            stacklevel=3,
        )


def _warn_about_pinning(loader: DataLoader[Any]) -> None:
    if loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as the device; "
            f"ignore pin_memory_device='{loader.pin_memory_device}'.",
            stacklevel=5,
        )
    if not rushlight.cuda.is_available():
        warnings.warn(
            "'pin_memory' argument is set as true but no accelerator is found, "
            "then device pinned memory won't be used.",
            stacklevel=5,
        )


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("timeout needs worker processes; use num_workers > 0 or timeout=0")
        self._fetch = make_fetcher(
            self._dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )

    def _next_data(self) -> Any:
        return self._fetch(next(self._sampler_iter))


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Keeps every worker busy with `prefetch_factor` tasks and yields their answers.

    In order, tasks go round the workers and answers are taken in the same order, straight from the
    worker whose turn it is: the other answers wait in their pipes and regions of memory.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        assert loader.prefetch_factor is not None
        if loader.prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 with num_workers > 0")
        self._workers: list[WorkerHandle] = []  # so that __del__ works if starting them fails
        self._in_order = loader.in_order
        self._persistent_workers = loader.persistent_workers
        job = Job(
            self._dataset,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
            self._base_seed,
            loader.worker_init_fn,
            loader.num_workers,
        )
        self._workers = start_workers(job, loader.multiprocessing_context, loader.prefetch_factor)
        self._begin_pass()

    def _begin_pass(self) -> None:
        self._turns: deque[WorkerHandle] = deque()  # whose answers are due, oldest task first
        self._next_worker = 0
        self._keys_left = True
        self._hand_out_tasks()

    def _reset(self, loader: DataLoader[Any]) -> None:
        """Starts a new pass with the same worker processes."""
        while self._turns:
            self._turns.popleft().answer()
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._expected_length = loader._iterable_length
        for worker in self._workers:
            worker.restart()
        self._begin_pass()

    def _hand_out_tasks(self) -> None:
        while self._keys_left and (worker := self._worker_to_ask()) is not None:
            try:
                keys = next(self._sampler_iter)
            except StopIteration:
                self._keys_left = False
                if not self._persistent_workers:
                    for idle in self._workers:
                        idle.dismiss()  # they exit while the last batches are being used
                return
            worker.ask(keys)
            self._turns.append(worker)

    def _worker_to_ask(self) -> WorkerHandle | None:
        """The worker that gets the next task, or None if it has its hands full."""
        if not self._in_order:
            idle = [w for w in self._workers if w.is_active and w.has_room]
            return min(idle, key=lambda worker: worker.outstanding, default=None)
        for step in range(len(self._workers)):
            place = (self._next_worker + step) % len(self._workers)
            worker = self._workers[place]
            if worker.is_active:
                if not worker.has_room:
                    return None
                self._next_worker = (place + 1) % len(self._workers)
                return worker
        return None

    def _next_data(self) -> Any:
        while self._turns:
            try:
                kind, data = self._next_answer()
            except BaseException:  # a dead worker, a timeout, Ctrl-C
                self._shutdown_workers(hurry=True)
                raise
            if kind is Answer.BATCH:
                return data
            if kind is Answer.FAILED:
                data.reraise()
        if not self._persistent_workers:
            self._shutdown_workers()
        raise StopIteration

    def _next_answer(self) -> tuple[Answer, Any]:
        worker = self._worker_to_hear()
        kind, data = worker.answer()
        self._turns.remove(worker)
        if kind is Answer.ENDED:
            worker.is_active = False
        self._hand_out_tasks()
        return kind, data

    def _worker_to_hear(self) -> WorkerHandle:
        """The worker whose answer comes next; RuntimeError if that takes longer than `timeout`."""
        timeout = self._timeout if self._timeout > 0 else None
        if self._in_order:
            worker = self._turns[0]
            if timeout is None or worker.channel.reader.poll(timeout):
                return worker
        else:
            by_reader = {worker.channel.reader: worker for worker in self._turns}
            for reader in wait(list(by_reader), timeout):
                return by_reader[reader]  # type: ignore[index]
        raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")

    def _shutdown_workers(self, hurry: bool = False) -> None:
        workers, self._workers = self._workers, []
        self._turns = deque()
        self._keys_left = False
        stop_workers(workers, hurry)

    def __del__(self) -> None:
        if getattr(self, "_workers", None):
            self._shutdown_workers()
