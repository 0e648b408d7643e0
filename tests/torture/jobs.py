"""Run command lines in forks of this process, which has imported everything: a job costs what its command costs."""

import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HANGS = 90.0
"""Seconds after which a command hangs."""
STARTED_BY_IMPORTS = ("jemalloc_bg_thd", "polars-ooc-clea")
"""Threads that do nothing."""
ELSEWHERE = tempfile.TemporaryDirectory(prefix="s4mi-torture-")
"""Working folder of the commands, for outputs whose names are damaged words."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (negative: killed by that signal), what it printed, and whether it hung."""

    status: int
    output: str
    hung: bool = False

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.output or self.status not in (0, 1, 2, -signal.SIGKILL)


def run_forked(
    arguments: Sequence[object],
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], str] = str,
    kill_after: float | None = None,
    seconds: float = HANGS,
    home: Path | None = None,
) -> Ended:
    """Run a command line in a fork.

    Args:
        before: called in the fork before the command. after: called after it; what it returns is printed.
        kill_after: seconds after which it is killed.
        home: home folder of the command.
    """
    child, reading = begin(arguments, before=before, after=after, home=home)
    return collect(child, reading, kill_after=kill_after, seconds=seconds)


def begin(
    arguments: Sequence[object],
    *,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], str] = str,
    home: Path | None = None,
) -> tuple[int, int]:
    """Start a command line in a fork, as `run_forked`; return its process id and where what it prints is read."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = fork_elsewhere(lambda: _command(arguments, before, after), writing, home=home)
    return child, reading


def in_fork(function: Callable[[], object]) -> Ended:
    """Run a function in a fork: threads that it starts would make later forks of this process hang."""
    return run_forked(("--version",), before=lambda: sys.stdout.write(str(function() or "")), seconds=600)


def fork_elsewhere(work: Callable[[], int], writing: int, *, home: Path | None = None) -> int:
    """Run a function in a fork, the leader of a session, in a temporary folder; return its process id.

    Args:
        work: returns the exit status of the fork.
        writing: where what it prints goes; closed in this process.
        home: its home folder.
    """
    until = time.monotonic() + 5
    while (threads := _busy_threads()) and time.monotonic() < until:
        time.sleep(0.01)  # a thread that was joined is gone a moment later
    if threads:
        raise AssertionError(f"threads in this process: {threads}; its forks would wait for locks that these hold")
    child = os.fork()
    if child:
        os.close(writing)
        return child
    status = 70
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(writing, stream)
        os.close(writing)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
        os.chdir(ELSEWHERE.name)
        if home is not None:
            os.environ["HOME"] = str(home)
        status = work()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _busy_threads() -> list[str]:
    """Names of the other threads of this process, but for those that start when a library is imported."""
    names = [
        (task / "comm").read_text().strip()
        for task in Path("/proc/self/task").iterdir()
        if task.name != f"{os.getpid()}"
    ]
    return [name for name in names if name not in STARTED_BY_IMPORTS]


def call(function: Callable[[], int]) -> int:
    """Call a function and return its exit status; 71 if it ends in a traceback, which is printed."""
    try:
        return function()
    except Exception:
        traceback.print_exc()
        return 71


def call_main(arguments: Sequence[object]) -> int:
    """Run a command line in this process and return its exit status; 71 if it ends in a traceback, which is printed."""
    from s4mi.cli import main

    sys.argv = ["s4mi", *map(str, arguments)]
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        return 71
    return 0


def _command(arguments: Sequence[object], before: Callable[[], object], after: Callable[[], str]) -> int:
    before()
    status = call_main(arguments)
    sys.stdout.write(after())
    return status


def collect(child: int, reading: int, *, kill_after: float | None = None, seconds: float = HANGS) -> Ended:
    """Wait for a command; kill it after `kill_after` seconds, or as one that hangs after `seconds`."""
    start, output, killed = time.monotonic(), b"", False
    while True:
        limit = seconds if kill_after is None or killed else kill_after
        left = start + limit - time.monotonic()
        ready, _, _ = select.select([reading], [], [], max(0.0, min(0.2, left)))
        if not ready and left > 0:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:  # workers that it started may hold the pipe a little longer
                os.close(reading)
                return Ended(os.waitstatus_to_exitcode(status), output.decode(errors="replace"))
        elif ready:
            part = os.read(reading, 1 << 16)
            if not part:
                break
            output += part
        elif kill_after is not None and not killed:
            killed = True
            os.killpg(child, signal.SIGKILL)
        else:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
            return Ended(-signal.SIGKILL, output.decode(errors="replace"), hung=True)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), output.decode(errors="replace"))


def limit_files(size: int) -> None:
    """Let every write beyond `size` bytes of a file fail in this process, in C too."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
