"""Who makes the runs of a study: this process, or others that it starts, each of which may die alone."""

import logging
import multiprocessing
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Self, final

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import LOG_NAME
from s4mi.studies.worker import AttemptResult, Job, JobStarted, WorkerWarning, attempt, work
from s4mi.training.progress import Progress

GRACE = 10.0
"""Seconds that a run has to end its step when it is asked to."""
PATIENCE = 0.2
"""Seconds until somebody may look whether the study was asked to stop."""

ProgressHandler = Callable[[PlannedRun, Progress], None]
log = logging.getLogger("s4mi")


class WorkerPool(ABC):
    """Makes runs. Used as a context: at its end no run goes on."""

    @property
    @abstractmethod
    def free(self) -> bool:
        """Whether another run may begin now."""

    @abstractmethod
    def begin(self, planned: PlannedRun, job: Job) -> None:
        """Let a run begin."""

    @abstractmethod
    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        """The runs that have ended, after a moment perhaps none."""

    def end(self, planned: PlannedRun) -> None:  # noqa: B027 - a crew that cannot lets it come to its own end
        """End a run after its step; `wait` then says that it has ended, with some reason.

        Raises:
            S4miError: instead, where it is this process that makes the run.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """End what still runs, after its step if that does not take long."""


@final
class InProcessPool(WorkerPool):
    """This process makes one run after the other."""

    def __init__(self, moved: ProgressHandler) -> None:
        self._moved = moved
        self._next: tuple[PlannedRun, Job] | None = None

    @property
    def free(self) -> bool:
        return self._next is None

    def begin(self, planned: PlannedRun, job: Job) -> None:
        self._next = planned, job

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        if self._next is None:
            return []
        planned, job = self._next
        self._next = None
        return [(planned, attempt(job, lambda progress: self._moved(planned, progress)))]

    def end(self, planned: PlannedRun) -> None:
        raise S4miError(f"{planned.name} was ended early")

    def stop(self) -> None:
        self._next = None


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    gpu: str | None = None
    planned: PlannedRun | None = None
    job: Job | None = None
    ran: bool = False
    taken: bool = False

    def give(self, planned: PlannedRun, job: Job) -> None:
        """Send it a run; of one that is dead, `ProcessPool.wait` notices."""
        self.planned, self.job, self.taken = planned, job, False
        with suppress(OSError):
            self.connection.send(job)


@final
@dataclass
class ProcessPool(WorkerPool):
    """Processes that import everything once and then make one run after the other, `size` of them at a time.

    Each is started when it is first needed. A process that dies takes its run with it and is replaced. Of several GPUs,
    named as CUDA_VISIBLE_DEVICES does, each process sees one.
    """

    size: int
    threads: int
    moved: ProgressHandler
    gpus: Sequence[str] = ()
    _workers: list[_Worker] = field(default_factory=list)

    @property
    def free(self) -> bool:
        return len(self._busy) < self.size

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.planned is not None]

    def begin(self, planned: PlannedRun, job: Job) -> None:
        worker = next((worker for worker in self._workers if worker.planned is None), None)
        (worker or self._start()).give(planned, job)

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        wait([worker.connection for worker in self._busy], timeout=PATIENCE)
        ended = []
        for worker in self._busy:
            planned, result = worker.planned, self._listen(worker)
            if planned is not None and result is not None:
                ended.append((planned, result))
        return ended

    def end(self, planned: PlannedRun) -> None:
        for worker in self._busy:
            if worker.planned == planned:
                with suppress(OSError):
                    worker.connection.send(None)

    def stop(self) -> None:
        workers, self._workers = self._workers, []
        try:
            for worker in workers:
                with suppress(OSError):
                    worker.connection.send(None)
            end = time.monotonic() + GRACE
            while any(worker.process.is_alive() for worker in workers) and time.monotonic() < end:
                for worker in workers:
                    _drain(worker.connection)
                wait([worker.process.sentinel for worker in workers if worker.process.is_alive()], timeout=PATIENCE)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
                worker.connection.close()

    def _listen(self, worker: _Worker) -> AttemptResult | None:
        """Pass on what a worker tells; how its run ended, if it has."""
        while (planned := worker.planned) is not None:
            try:
                message = worker.connection.recv() if worker.connection.poll() else None
            except (EOFError, OSError):
                return self._replace(worker, planned)
            match message:
                case None:
                    return None
                case AttemptResult():
                    worker.planned, worker.ran = None, True
                    if message.unforeseen:
                        self._bury(worker)
                    return message
                case JobStarted():
                    worker.taken = True
                case WorkerWarning():
                    log.warning("%s: %s", planned.name, message.text)
                case _:
                    self.moved(planned, message)
        return None

    def _replace(self, worker: _Worker, planned: PlannedRun) -> AttemptResult | None:
        """A worker has died: that is how its run ended, unless it died before, with nothing to do."""
        how = self._bury(worker)
        if worker.ran and not worker.taken and worker.job is not None:
            self._start().give(planned, worker.job)
            return None
        return AttemptResult(f"{how}; see its {LOG_NAME}")

    def _bury(self, worker: _Worker) -> str:
        """Forget a worker that has ended or is about to, and say how it ended."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(GRACE)
        worker.process.kill()
        worker.process.join()
        code = worker.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "its process was killed (SIGKILL), perhaps for want of memory"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit status {code}"

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        gpu = next_gpu(self.gpus, [worker.gpu for worker in self._workers])
        process = context.Process(target=work, args=(there, self.threads, gpu), name="s4mi study")
        # Blocked, and so in the new process from its first moment: until it can see to it itself, Ctrl-C would kill it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        there.close()
        self._workers.append(_Worker(process, here, gpu))
        return self._workers[-1]


def next_gpu(gpus: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """The GPU that fewest workers have, the first of several; None where there is none."""
    return min(gpus, key=taken.count, default=None)


def visible_gpus(count: int, visible: str | None) -> list[str]:
    """Names of the `count` GPUs that this process sees, where `visible` is its CUDA_VISIBLE_DEVICES."""
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    return names[:count] if len(names) >= count else [str(number) for number in range(count)]


def _drain(connection: Connection) -> None:
    """Read what nobody needs any more: a worker whose pipe is full would wait instead of stopping."""
    with suppress(EOFError, OSError):
        while connection.poll():
            connection.recv()


@dataclass
class StopRequest:
    """Whether somebody has asked the study to stop."""

    made: bool = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Let the first Ctrl-C or SIGTERM be a request, and the second a KeyboardInterrupt, which waits for nothing."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # others cannot be interrupted
        yield request
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
