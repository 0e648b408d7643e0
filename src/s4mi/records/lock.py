"""A lock file that the operating system releases when its process ends, however it ends.

The file is removed with the lock; one that a killed process left is taken over. On file systems without locks, nothing
is kept apart.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records.atomic import make_folder

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def file_lock(path: Path, *, busy: str | None = None, private: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, whose folder is created if it does not exist, and removed if it is still empty then.

    Args:
        busy: message if another process holds the lock; None: wait for it.
        private: only the owner may open the file.

    Raises:
        S4miError: another process holds the lock and `busy` is given.
        OSError: the folder cannot be written.
    """
    created, descriptor = _acquire(path, 0o600 if private else 0o666, busy)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        with suppress(OSError):  # not empty
            for folder in reversed(created):
                folder.rmdir()


def _acquire(path: Path, mode: int, busy: str | None) -> tuple[list[Path], int]:
    """Return the folders that were created, and the open lock file."""
    created: list[Path] = []
    while True:
        created = make_folder(path.parent) or created
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        except FileNotFoundError:
            if path.is_symlink():
                raise
            continue  # the holder before removed the folder that it had created
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
            same = os.fstat(descriptor).st_ino == path.stat().st_ino
        except FileNotFoundError:  # the holder before removed it
            same = False
        except BlockingIOError as error:
            os.close(descriptor)
            raise S4miError(f"{path.parent}: {busy}") from error
        except OSError as error:
            if error.errno in NO_LOCKS:
                return created, descriptor
            os.close(descriptor)
            raise
        except BaseException:
            os.close(descriptor)
            raise
        if same:
            return created, descriptor
        os.close(descriptor)
