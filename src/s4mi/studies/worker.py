"""One attempt at a run, and the main function of a worker process, which trains one run after the other.

This module imports torch only after the process has limited its threads.
"""

import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.records import LOG_NAME

if TYPE_CHECKING:
    from s4mi.config import RunConfig
    from s4mi.training.progress import Progress, ProgressCallback

PATIENCE = 30.0
"""Seconds that a run waits for a process which trains it already: a worker of a lost cluster ends a step later."""
REPORT_INTERVAL = 0.2
"""Seconds between two progress messages of a run."""

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class Job:
    """A run to train or to resume in the folder `run`."""

    config: "RunConfig"
    run: Path


@dataclass(frozen=True)
class JobStarted:
    """The worker has received the job."""


@dataclass(frozen=True)
class WorkerWarning:
    """A warning of the run, which its log contains too."""

    text: str


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended.

    Attributes:
        reason: why it failed, in one line; empty if the run has finished.
        disk_full: it failed because the disk is full.
        unexpected: it failed with an error other than `S4miError`, so that the process may be in a bad state.
    """

    reason: str = ""
    disk_full: bool = False
    unexpected: bool = False


def attempt(job: Job, on_progress: "ProgressCallback") -> AttemptResult:
    """Train a run and return how that ended; KeyboardInterrupt is passed on."""
    from s4mi.errors import S4miError
    from s4mi.recipes.train import train
    from s4mi.studies.run_state import disk_is_full
    from s4mi.training.run_dir import wait_for_only_process

    try:
        with _log_to(job.run / LOG_NAME):
            wait_for_only_process(job.run, seconds=PATIENCE)
            log.info("process %d on %s starts or resumes the run", os.getpid(), socket.gethostname())
            train(job.config, job.run, resume=True, watch=on_progress)
            log.info("finished")
    except S4miError as error:
        return AttemptResult(str(error), disk_full=disk_is_full(error, job.run))
    except Exception as error:
        _append(job.run / LOG_NAME, traceback.format_exc())
        return _unexpected(error, job.run)
    return AttemptResult()


def worker_main(parent: Connection, threads: int, gpu: str | None = None) -> None:
    """Train the runs that `parent` sends until it sends None or is gone; a message during a run ends it after a step.

    Args:
        gpu: the only GPU that this process sees, named as in CUDA_VISIBLE_DEVICES; None: all.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    limit_resources(threads, gpu)
    log.addHandler(ForwardWarnings(parent.send))
    while True:
        try:
            job = parent.recv()
        except EOFError:
            return
        if job is None:
            return
        parent.send(JobStarted())
        result = run_job(job, parent.send, parent.poll)
        if result is None:
            return
        parent.send(result)
        if result.unexpected:
            return


def limit_resources(threads: int, gpu: str | None = None) -> None:
    """Limit the libraries of this process, none of which may be imported yet, to some threads and one GPU."""
    for name in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        os.environ[name] = str(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    log.setLevel(logging.INFO)


def run_job(job: Job, send: "Callable[[Progress], None]", stop_requested: Callable[[], bool]) -> AttemptResult | None:
    """Make one attempt in a worker process; None if it was stopped before the run had ended.

    Everything printed meanwhile, also by libraries and by a crash, is written to the log of the run.
    """
    try:
        with _redirect_output(job.run / LOG_NAME):
            faulthandler.enable(2)
            result = attempt(job, _progress_callback(send, stop_requested))
    except OSError as error:  # the log itself cannot be written
        result = _unexpected(error, job.run)
    except KeyboardInterrupt:
        return None
    _free_memory()
    return result


def _progress_callback(send: "Callable[[Progress], None]", stop_requested: Callable[[], bool]) -> "ProgressCallback":
    """Return a callback that sends progress at most once an interval, and ends the run when a stop is requested."""
    sent_at = -REPORT_INTERVAL
    sent: tuple[str, int] = ("", 0)

    def on_progress(progress: "Progress") -> None:
        nonlocal sent_at, sent
        if stop_requested():
            raise KeyboardInterrupt
        current = (progress.phase, 0 if progress.latest is None else progress.latest.epoch)
        if current != sent or time.monotonic() - sent_at >= REPORT_INTERVAL:
            sent_at, sent = time.monotonic(), current
            send(progress)

    return on_progress


class ForwardWarnings(logging.Handler):
    """Logging handler that sends warnings to the process that displays the study."""

    def __init__(self, send: Callable[[WorkerWarning], None]) -> None:
        super().__init__(level=logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(WorkerWarning(record.getMessage()))


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


@contextmanager
def _redirect_output(path: Path) -> Iterator[None]:
    """Append all output of this process to a file, and discard output afterwards."""
    _redirect_to(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        _redirect_to(os.open(os.devnull, os.O_WRONLY))


def _redirect_to(descriptor: int) -> None:
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _append(path: Path, text: str) -> None:
    with suppress(OSError), path.open("a", encoding="utf-8") as file:  # the error may be that nothing can be written
        file.write(text)


def _unexpected(error: Exception, run: Path) -> AttemptResult:
    from s4mi.studies.run_state import disk_is_full

    return AttemptResult(_one_line(error), disk_full=disk_is_full(error, run), unexpected=True)


def _one_line(error: Exception) -> str:
    """The error with the last line of this package in its traceback, which says more than one in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(__file__).parents[1]
    own_frames = [frame for frame in frames if Path(frame.filename).is_relative_to(package)] or frames
    location = f" ({Path(own_frames[-1].filename).name}:{own_frames[-1].lineno})" if own_frames else ""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{location}"


def _free_memory() -> None:
    """Free the memory that the run has used."""
    import torch

    from s4mi.engine.memory import give_back_memory

    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _exit_with_parent() -> None:
    """Exit when the parent dies: a killed parent stops no worker, and another study may start the same run."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
