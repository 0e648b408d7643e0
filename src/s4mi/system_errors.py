"""Errors of the operating system and lack of memory as one line: place, what happened, what to do, what is kept.

Libraries wrap these errors in types of their own and lose the number (safetensors, torch, SQLite); those are found by
their text.
"""

import errno
import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from s4mi.errors import S4miError

KEPT = "then run the same command again: what is finished is kept"
MEMORY = f"not enough memory; use smaller images, tiles (data.tile) or batches, or a machine with more, {KEPT}"
_HINTS = {
    errno.ENOSPC: ("the disk is full", f"free some space, {KEPT}"),
    errno.EDQUOT: ("the disk quota is used up", f"free some space, {KEPT}"),
    errno.EFBIG: (
        "the file would be larger than the system allows",
        "raise the limit (ulimit -f) or choose another disk",
    ),
    errno.EROFS: ("the file system is read-only", "choose another folder"),
    errno.EACCES: ("permission denied", "change the permissions, or choose another folder"),
    errno.EPERM: ("operation not permitted", "change the permissions, or choose another folder"),
    errno.ENAMETOOLONG: ("the name is longer than the file system allows", "choose a shorter one"),
    errno.EISDIR: ("is a folder, but a file is needed", "choose another name"),
    errno.ENOTDIR: ("is a file, but a folder is needed", "choose another name"),
    errno.EEXIST: ("exists already", "choose another name"),
    errno.ENOTEMPTY: ("exists already", "choose another name"),
    errno.ENOENT: ("does not exist", "correct the path"),
    errno.ELOOP: ("links to itself", "correct the link"),
    errno.EMFILE: ("too many files are open", f"raise the limit (ulimit -n), {KEPT}"),
    errno.ENFILE: ("too many files are open", f"close other programs, {KEPT}"),
    errno.EIO: ("the disk reports an error", f"check the disk, {KEPT}"),
    errno.ESTALE: ("the network folder is gone", f"mount it again, {KEPT}"),
}
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|bad[_ ]alloc|Insufficient memory|Unable to allocate"
    r"|Failed to allocate memory|can't start new thread",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\(os error (\d+)\)")  # of safetensors
_TEXTS = {
    "database or disk is full": errno.ENOSPC,
    "disk I/O error": errno.EIO,
    "readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "PytorchStreamWriter failed": errno.ENOSPC,
    "inline_container.cc": errno.ENOSPC,  # "[enforce fail at inline_container.cc:…] . unexpected pos", of torch.save
}


@contextmanager
def system_errors() -> Iterator[None]:
    """Raise errors of the operating system and lack of memory as `S4miError`; also a decorator of functions.

    Raises:
        S4miError: such an error, in one line.
    """
    try:
        yield
    except S4miError:
        raise
    except Exception as error:
        message = describe(error)
        if message is None:
            raise
        raise S4miError(message) from error


def describe(error: BaseException) -> str | None:
    """Return the line for an error of the operating system or lack of memory, or None for any other error."""
    if isinstance(error, BrokenPipeError):
        return None
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return MEMORY
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return MEMORY if error.errno == errno.ENOMEM else _line(error.errno, _place(error))
    found = _number_in(text)
    if found is not None and not isinstance(error, KeyError):
        return MEMORY if found == errno.ENOMEM else _line(found, _place(error))
    if (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(text)) or _is_opencv_memory(error):
        return MEMORY
    if isinstance(error, ValueError) and "embedded null" in text:
        return "a file name holds the character NUL, which no file system allows; correct the name"
    if isinstance(error, OSError):
        return f"{text.splitlines()[0] if text else type(error).__name__}; check the file or the disk"
    return None


@functools.cache
def _codes() -> frozenset[int]:
    return frozenset(errno.errorcode)


def _number_in(text: str) -> int | None:
    found = _NUMBER.search(text)
    if found and int(found[1]) in _codes():
        return int(found[1])
    return next((number for part, number in _TEXTS.items() if part in text), None)


def _is_opencv_memory(error: BaseException) -> bool:
    return type(error).__module__.startswith("cv2") and getattr(error, "code", 0) == -4  # CV_StsNoMem


def _line(number: int, place: str) -> str:
    problem, hint = _HINTS.get(number, (os.strerror(number), f"check the file or the disk, {KEPT}"))
    return f"{place}{': ' if place else ''}{problem}; {hint}"


def _place(error: BaseException) -> str:
    """Return the file that an error is about."""
    for name in (getattr(error, "filename2", None), getattr(error, "filename", None)):
        if name is not None and not isinstance(name, int):
            return os.fsdecode(name)
    return ""
