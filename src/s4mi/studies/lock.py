"""One study at a time in a folder: a lock file that names the process holding it.

`filelock.SoftFileLock` writes the process id, the host and a start token of the process. It keeps the lock of a live
process and of any process on another host, and takes over the lock of a process that has ended on this host, also where
its process id is in use again. It keeps whatever it cannot prove dead: a process that its parent has not reaped, one of
another container (PID namespace), an empty file, and every lock that was left behind on a file system that cannot
exchange two names in one step, such as NFS. The message then names the file to delete.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLock, Timeout

from s4mi.errors import S4miError

LOCK_NAME = "study.lock"
TIMEOUT = 3.0
"""Seconds to wait for a lock file that names no process; filelock takes a malformed one over when unchanged for 2 s."""
POLL_INTERVAL = 0.1


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


def _describe_holder(path: Path) -> str:
    """Return the message that names the holder of a lock, and what to do."""
    try:
        pid, host, *_ = path.read_text(encoding="utf-8", errors="replace").splitlines()
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    except (OSError, ValueError):
        return f"{path}: names no process; rerun the command, or delete the file if no study is running in this folder"
    host = host.replace("?pidns-", ", PID namespace ")  # filelock appends it inside a container
    return (
        f"{path.parent}: process {pid} on {host} has been running this study since {since}; wait for it, or delete "
        f"{path} if that process no longer exists"
    )
