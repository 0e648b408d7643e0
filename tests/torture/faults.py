"""Disturb the file operations of a process: count them, kill before one of them, let one and all later ones fail.

An audit hook sees every file that Python opens for writing, renames, creates or removes. What libraries write in C is
seen by a limit on the size of files, and by kills at any time.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

OPERATIONS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.chmod"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
IGNORED = ("/dev/", "/proc/")


class Disturbance:
    """What happens before each file operation of this process; one per process, as audit hooks stay for ever."""

    def __init__(self) -> None:
        self.count = 0
        self.at: Callable[[int, str], None] | None = None
        self._inside = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.at is None or self._inside or event not in OPERATIONS:
            return
        if event == "open":
            _, mode, flags = (*arguments, None, None)[:3]
            writes = isinstance(flags, int) and flags & WRITING
            if not writes and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        self._inside = True
        try:
            place = str(arguments[0])
            if place.startswith(IGNORED) or isinstance(arguments[0], int):
                return
            self.count += 1
            self.at(self.count, event)
        finally:
            self._inside = False


def kill_at(number: int) -> Callable[[int, str], None]:
    """Kill the process before its operation of that number, as a power failure would."""

    def at(count: int, event: str) -> None:
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def fail_from(number: int, code: int) -> Callable[[int, str], None]:
    """Let that operation and all later ones fail that need space or a writable disk."""

    def at(count: int, event: str) -> None:
        if count >= number and event in ("open", "os.mkdir", "os.rename"):
            raise OSError(code, os.strerror(code))

    return at
