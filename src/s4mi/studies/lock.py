"""One study at a time in a folder: a lock that names its owner, and that an owner who is gone does not keep.

The file appears with `O_EXCL`, so one of several takers wins. A lock whose process has ended on this host is taken
over under a second lock of the operating system: otherwise two that find it abandoned could each remove the other's.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from s4mi.errors import S4miError
from s4mi.training.environment import now

LOCK_NAME = "study.lock"
WRITING = 2.0
"""Seconds that a taker has to write its name into the file that it has made."""


@dataclass(frozen=True)
class Owner:
    """A process, told apart from a later one of the same number by when it was started."""

    host: str
    pid: int
    started: str
    since: str


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a study's folder, which is made if it is not there.

    Raises:
        S4miError: another process holds it, which is named; or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    me = Owner(socket.gethostname(), os.getpid(), started_at(os.getpid()) or "", now())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _create(path, me):
            _take_over(path, me)
    except OSError as error:
        raise S4miError(f"{path}: cannot be made ({error.strerror or error}); choose another folder") from error
    try:
        yield
    finally:
        if _read(path) == me:
            path.unlink()


def started_at(pid: int) -> str | None:
    """When a process on this host was started, in words that no other process of the same number has; None: it is gone.

    A process that has ended and whose parent has not noticed yet is gone.
    """
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        state, *fields = rest.split()
        return None if state in "ZX" else f"{boot} {fields[18]}"  # field 22 of proc(5): ticks since the boot
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    with suppress(OSError):  # macOS
        answer = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
        )
        return answer.stdout.strip() or None
    return None


def _create(path: Path, owner: Owner) -> bool:
    """Whether the lock was free and is the owner's now."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(owner)))
    except OSError:
        path.unlink()
        raise
    return True


def _take_over(path: Path, me: Owner) -> None:
    """Take the lock from an owner who is gone.

    Raises:
        S4miError: the owner is not gone, or is on another host, where nobody here can tell.
    """
    with FileLock(path.with_name(f".{path.name}.guard")):
        owner = _patiently(path)
        if owner is not None and owner.host != me.host:
            raise S4miError(
                f"{path.parent}: process {owner.pid} on {owner.host} has run this study since {owner.since}; wait for "
                f"it, or delete {path} if it is gone"
            )
        if owner is not None and started_at(owner.pid) == owner.started:
            raise S4miError(
                f"{path.parent}: process {owner.pid} on this machine has run this study since {owner.since}; wait for "
                "it, or choose another folder"
            )
        path.unlink(missing_ok=True)
        if not _create(path, me):
            raise S4miError(f"{path.parent}: another process has just begun to run this study; wait for it")


def _patiently(path: Path) -> Owner | None:
    """Who holds the lock; None where nobody has, or one that ended before it could write its name."""
    for _ in range(20):
        owner = _read(path)
        if owner is not None or not path.exists():
            return owner
        time.sleep(WRITING / 20)
    return None


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
