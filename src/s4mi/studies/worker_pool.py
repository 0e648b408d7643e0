"""Worker pools that train the runs of a study: this process, or worker processes, each of which may die alone."""

import multiprocessing
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Self, final

from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.records import LOG_NAME
from s4mi.studies.repeated_warnings import RepeatedWarnings
from s4mi.studies.worker import AttemptResult, Job, JobStarted, WorkerWarning, attempt, worker_main
from s4mi.training.progress import Progress

STOP_TIMEOUT = 10.0
"""Seconds that a run has to complete its step when it is asked to stop."""
POLL_INTERVAL = 0.2
"""Seconds after which `wait` returns without a result, so that the study can check whether it was asked to stop."""

ProgressHandler = Callable[[PlannedRun, Progress], None]


class WorkerPool(ABC):
    """Trains runs. Used as a context manager: when it exits, no run is active."""

    @property
    @abstractmethod
    def has_capacity(self) -> bool:
        """Whether another run can be submitted now."""

    @property
    def together(self) -> int:
        """Number of runs that are trained at a time."""
        return 1

    @abstractmethod
    def submit(self, planned: PlannedRun, job: Job) -> None:
        """Start a run."""

    @abstractmethod
    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        """Return the runs that have ended since the last call, after a short time perhaps none."""

    def cancel(self, planned: PlannedRun) -> None:  # noqa: B027 - a pool without it lets the run finish
        """End a run after its current step; `wait` then returns it with some reason.

        Raises:
            S4miError: instead, if this process trains the run.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """End the active runs, after their current step if that does not take long."""


@final
class InProcessPool(WorkerPool):
    """Trains one run after the other in this process."""

    def __init__(self, on_progress: ProgressHandler) -> None:
        self._on_progress = on_progress
        self._next: tuple[PlannedRun, Job] | None = None

    @property
    def has_capacity(self) -> bool:
        return self._next is None

    def submit(self, planned: PlannedRun, job: Job) -> None:
        self._next = planned, job

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        if self._next is None:
            return []
        planned, job = self._next
        self._next = None
        return [(planned, attempt(job, lambda progress: self._on_progress(planned, progress)))]

    def cancel(self, planned: PlannedRun) -> None:
        raise S4miError(f"{planned.name}: cancelled")

    def stop(self) -> None:
        self._next = None


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    gpu: str | None = None
    planned: PlannedRun | None = None
    job: Job | None = None
    job_started: bool = False
    has_finished_a_job: bool = False

    def send(self, planned: PlannedRun, job: Job) -> None:
        """Send a run to the worker; `ProcessPool.wait` notices if it is dead."""
        self.planned, self.job, self.job_started = planned, job, False
        with suppress(OSError):
            self.connection.send(job)


@final
@dataclass
class ProcessPool(WorkerPool):
    """Pool of `size` worker processes, each of which imports the libraries once and trains one run after the other.

    A process is started when it is first needed, and replaced when it dies, which ends its run. If there are several
    GPUs, named as in CUDA_VISIBLE_DEVICES, each process sees one.
    """

    size: int
    threads: int
    on_progress: ProgressHandler
    gpus: Sequence[str] = ()
    _workers: list[_Worker] = field(default_factory=list)
    _warnings: RepeatedWarnings = field(default_factory=RepeatedWarnings)

    @property
    def has_capacity(self) -> bool:
        return len(self._busy) < self.size

    @property
    def together(self) -> int:
        return self.size

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.planned is not None]

    def submit(self, planned: PlannedRun, job: Job) -> None:
        worker = next((worker for worker in self._workers if worker.planned is None), None)
        (worker or self._start_worker()).send(planned, job)

    def wait(self) -> list[tuple[PlannedRun, AttemptResult]]:
        wait([worker.connection for worker in self._busy], timeout=POLL_INTERVAL)
        ended = []
        for worker in self._busy:
            planned, result = worker.planned, self._receive(worker)
            if planned is not None and result is not None:
                ended.append((planned, result))
        return ended

    def cancel(self, planned: PlannedRun) -> None:
        for worker in self._busy:
            if worker.planned == planned:
                with suppress(OSError):
                    worker.connection.send(None)

    def stop(self) -> None:
        workers, self._workers = self._workers, []
        self._warnings.finish()
        try:
            for worker in workers:
                with suppress(OSError):
                    worker.connection.send(None)
            end = time.monotonic() + STOP_TIMEOUT
            while any(worker.process.is_alive() for worker in workers) and time.monotonic() < end:
                for worker in workers:
                    _drain(worker.connection)
                alive = [worker.process.sentinel for worker in workers if worker.process.is_alive()]
                wait(alive, timeout=POLL_INTERVAL)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
                worker.connection.close()

    def _receive(self, worker: _Worker) -> AttemptResult | None:
        """Handle the messages of a worker, and return how its run ended, if it has."""
        while (planned := worker.planned) is not None:
            try:
                message = worker.connection.recv() if worker.connection.poll() else None
            except (EOFError, OSError):
                return self._handle_death(worker)
            match message:
                case None:
                    return None
                case AttemptResult():
                    worker.planned, worker.has_finished_a_job = None, True
                    if message.unexpected:
                        self._remove_worker(worker)
                    return message
                case JobStarted():
                    worker.job_started = True
                case WorkerWarning():
                    self._warnings.show(planned.name, message.text)
                case _:
                    self.on_progress(planned, message)
        return None

    def _handle_death(self, worker: _Worker) -> AttemptResult | None:
        """Return the death of a worker as the result of its run; None if it died idle and another takes the run."""
        cause = self._remove_worker(worker)
        died_idle = worker.has_finished_a_job and not worker.job_started
        if died_idle and worker.planned is not None and worker.job is not None:
            self._start_worker().send(worker.planned, worker.job)
            return None
        return AttemptResult(f"{cause}; see its {LOG_NAME}")

    def _remove_worker(self, worker: _Worker) -> str:
        """Remove a worker that has ended or is about to, and return how it ended."""
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(STOP_TIMEOUT)
        worker.process.kill()
        worker.process.join()
        code = worker.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "worker process killed (SIGKILL), possibly out of memory"
        if code < 0:
            return f"worker process terminated by {signal.Signals(-code).name}"
        return f"worker process exited with status {code}"

    def _start_worker(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        gpu = next_gpu(self.gpus, [worker.gpu for worker in self._workers])
        process = context.Process(target=worker_main, args=(theirs, self.threads, gpu), name="s4mi study")
        # Blocked here and so inherited: until the new process ignores SIGINT itself, Ctrl-C would kill it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        self._workers.append(_Worker(process, ours, gpu))
        return self._workers[-1]


def check_importable(plan: Sequence[PlannedRun]) -> None:
    """Refuse methods that other processes cannot import: those of a notebook or console, which is not a file.

    Raises:
        S4miError: the line names the method.
    """
    if hasattr(sys.modules["__main__"], "__file__"):
        return
    for planned in plan:
        method = planned.config.method
        if type(method).__module__ == "__main__":
            raise S4miError(
                f"method {method.name!r} is defined in the notebook or console: worker processes cannot import it; "
                "use workers=0 or put it in a module"
            )


def next_gpu(gpus: Sequence[str], assigned: Sequence[str | None]) -> str | None:
    """Return the first of the GPUs with the fewest workers; None if there is no GPU."""
    return min(gpus, key=assigned.count, default=None)


def visible_gpus(count: int, visible: str | None) -> list[str]:
    """Return the names of the `count` GPUs that this process sees; `visible` is its CUDA_VISIBLE_DEVICES."""
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    return names[:count] if len(names) >= count else [str(number) for number in range(count)]


def _drain(connection: Connection) -> None:
    """Discard messages: a worker whose pipe is full would wait instead of stopping."""
    with suppress(EOFError, OSError):
        while connection.poll():
            connection.recv()
