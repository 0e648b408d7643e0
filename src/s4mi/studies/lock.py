"""One study at a time in a folder: a lock file that names the process holding it.

`filelock.SoftFileLock` writes the process id, the host and a start token of the process. It keeps the lock of a live
process and of any process on another host, and takes over the lock of a process that has ended on this host, also where
its process id is in use again. It keeps whatever it cannot prove dead: a process that its parent has not reaped, one of
another container (PID namespace), an empty file, and every lock that was left behind on a file system that cannot
exchange two names in one step, such as NFS. The message then names the file to delete.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLock, Timeout

from s4mi.errors import S4miError
from s4mi.records.atomic import is_alive

LOCK_NAME = "study.lock"
TIMEOUT = 3.0
"""Seconds to wait for a lock file that names no process; filelock takes a malformed one over when unchanged for 2 s."""
POLL_INTERVAL = 0.1
NAMESPACE = "?pidns-"
"""What filelock puts between host and PID namespace inside a container."""


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a study's folder, which is created if it does not exist.

    Raises:
        S4miError: another process holds the lock; or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    lock = SoftFileLock(path, timeout=TIMEOUT, poll_interval=POLL_INTERVAL)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(cancel_check=lambda: lock.pid is not None)  # waits only while no holder is named
    except Timeout as error:
        raise S4miError(_describe_holder(path)) from error
    except OSError as error:
        raise S4miError(f"{path}: cannot be created ({error.strerror or error}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def running_since(folder: Path) -> float | None:
    """When the process that runs the study in a folder took its lock, in seconds since 1970; None if none runs it.

    The lock of another host is believed, as its process ids mean nothing here.
    """
    try:
        pid, host, since = _holder(folder / LOCK_NAME)
        is_elsewhere = host.partition(NAMESPACE)[0] != socket.gethostname()
        return since if is_elsewhere or is_alive(int(pid)) else None
    except (OSError, ValueError):
        return None


def _holder(path: Path) -> tuple[str, str, float]:
    """Read process id and host from a lock, and when it was taken.

    Raises:
        OSError, ValueError: there is no lock, or it names no process.
    """
    pid, host, *_ = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return pid, host, path.stat().st_mtime


def _describe_holder(path: Path) -> str:
    """Return the message that names the holder of a lock, and what to do."""
    try:
        pid, host, taken = _holder(path)
    except (OSError, ValueError):
        return f"{path}: names no process; rerun the command, or delete the file if no study is running in this folder"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(taken))
    host = host.replace(NAMESPACE, ", PID namespace ")
    return (
        f"{path.parent}: process {pid} on {host} has been running this study since {since}; wait for it, or delete "
        f"{path} if that process no longer exists"
    )
