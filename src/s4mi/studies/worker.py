"""One attempt at a run, and a process that makes one after the other.

Nothing here imports torch before the process has said how many threads it may take.
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

EVERY = 0.2
"""Seconds between two words on how far a run is."""

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class Job:
    """A run to be made, or to be gone on with, in a folder."""

    config: "RunConfig"
    run: Path


@dataclass(frozen=True)
class JobStarted:
    """The job has reached the process."""


@dataclass(frozen=True)
class WorkerWarning:
    """A warning of the run, which is in its log already."""

    text: str


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended: well, if `reason` is empty.

    `full`: there is no room left on the disk. `unforeseen`: it was no bad input, so that the process may be damaged.
    """

    reason: str = ""
    full: bool = False
    unforeseen: bool = False


def attempt(job: Job, watch: "ProgressCallback") -> AttemptResult:
    """Train, and say in one line what went wrong. An interruption goes through."""
    from s4mi.errors import S4miError
    from s4mi.recipes.train import train
    from s4mi.studies.run_state import disk_is_full

    try:
        with _logged(job.run / LOG_NAME):
            log.info("process %d on %s begins or goes on", os.getpid(), socket.gethostname())
            train(job.config, job.run, resume=True, watch=watch)
            log.info("finished")
    except S4miError as error:
        return AttemptResult(str(error), full=disk_is_full(error, job.run))
    except Exception as error:
        _append(job.run / LOG_NAME, traceback.format_exc())
        return _unforeseen(error, job.run)
    return AttemptResult()


def work(parent: Connection, threads: int, gpu: str | None = None) -> None:
    """Make the runs that `parent` sends, until it sends None or is gone. A message during a run ends it after a step.

    `gpu`: the only one that this process sees, as CUDA_VISIBLE_DEVICES names it; None: all that there are.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    divide_threads(threads, gpu)
    log.addHandler(ForwardWarnings(parent.send))
    while True:
        try:
            job = parent.recv()
        except EOFError:
            return
        if job is None:
            return
        parent.send(JobStarted())
        result = execute(job, parent.send, parent.poll)
        if result is None:
            return
        parent.send(result)
        if result.unforeseen:
            return


def divide_threads(threads: int, gpu: str | None = None) -> None:
    """Let the libraries of this process, none of which may be imported yet, keep to some threads and to one GPU."""
    for name in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        os.environ[name] = str(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    log.setLevel(logging.INFO)


def execute(job: Job, tell: "Callable[[Progress], None]", asked: Callable[[], bool]) -> AttemptResult | None:
    """One attempt in a process that is there for runs; None where it was asked to end before the run had.

    What is printed on the way, also by libraries and by a crash, goes to the log of the run.
    """
    try:
        with _printed_to(job.run / LOG_NAME):
            faulthandler.enable(2)
            result = attempt(job, _watcher(tell, asked))
    except OSError as error:  # not even the log can be written
        result = _unforeseen(error, job.run)
    except KeyboardInterrupt:
        return None
    _clear()
    return result


def _watcher(tell: "Callable[[Progress], None]", asked: Callable[[], bool]) -> "ProgressCallback":
    """Tells how far the run is, not too often, and ends it when that was asked for."""
    said = -EVERY
    before: tuple[str, int] = ("", 0)

    def watch(progress: "Progress") -> None:
        nonlocal said, before
        if asked():
            raise KeyboardInterrupt
        after = (progress.phase, 0 if progress.latest is None else progress.latest.epoch)
        if after != before or time.monotonic() - said >= EVERY:
            said, before = time.monotonic(), after
            tell(progress)

    return watch


class ForwardWarnings(logging.Handler):
    """Warnings to whoever shows the study."""

    def __init__(self, tell: Callable[[WorkerWarning], None]) -> None:
        super().__init__(level=logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(WorkerWarning(record.getMessage()))


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


@contextmanager
def _printed_to(path: Path) -> Iterator[None]:
    """Let everything that this process prints go to a file, and afterwards nowhere."""
    _redirect(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        _redirect(os.open(os.devnull, os.O_WRONLY))


def _redirect(descriptor: int) -> None:
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _append(path: Path, text: str) -> None:
    with (
        suppress(OSError),
        path.open("a", encoding="utf-8") as file,
    ):  # what went wrong may be that nothing can be written
        file.write(text)


def _unforeseen(error: Exception, run: Path) -> AttemptResult:
    from s4mi.studies.run_state import disk_is_full

    return AttemptResult(_in_a_line(error), full=disk_is_full(error, run), unforeseen=True)


def _in_a_line(error: Exception) -> str:
    """What went wrong and where; the last line of this package that was reached says more than one of a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(__file__).parents[2])] or frames
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{place}"


def _clear() -> None:
    """Give back what the run has held."""
    import torch

    from s4mi.engine.memory import give_back_memory

    gc.collect()
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _end_with_parent() -> None:
    """A parent that was killed asks nobody to stop, and its lock is free: another study may begin with the same run."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
