"""Files that appear complete or not at all, with permissions that suit what they hold.

A file is written under a temporary name that holds the process id, `.s4mi-<host>-<pid>-<number>-<random>`, and renamed.
What killed processes left behind is removed by the next process that writes into the same folder.

Permissions follow the umask; what is `private`, such as images of patients, only its owner may read: files 0600,
folders 0700. What is replaced keeps its permissions.
"""

import errno
import functools
import hashlib
import itertools
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = re.compile(r"\.s4mi-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-\d+-[0-9a-f]{8}(\..*)?")
"""Names of unfinished files and folders."""
_numbers = itertools.count()
_swept: set[tuple[int, Path]] = set()


def write_text_atomically(path: Path, text: str, *, private: bool = False) -> None:
    """Write `text` so that readers see either the old file or the new one, even after a power failure."""
    write_bytes_atomically(path, text.encode("utf-8"), private=private)


def write_bytes_atomically(path: Path, contents: bytes, *, private: bool = False, flush: bool = True) -> None:
    """Write `contents` as `write_text_atomically` does; `private` and `flush` as in `replacing`."""
    with replacing(path, private=private, flush=flush) as draft, draft.open("wb") as file:
        file.write(contents)


@contextmanager
def replacing(path: Path, *, private: bool = False, flush: bool = True) -> Iterator[Path]:
    """Yield an empty temporary file with the suffixes of `path`, which replaces `path` unless an exception is raised.

    Args:
        private: only the owner may read it, and enter folders that are created for it.
        flush: wait until it is on the disk; if not, as one of many small files, `flush_all` must follow.

    Raises:
        OSError: the file cannot be written; `filename` of the error is `path`.
    """
    with naming(path):
        make_folder(path.parent, private=private)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        draft = temporary_beside(path)
        mode = 0o600 if private else 0o666
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        try:
            mode = stat.S_IMODE(draft.stat().st_mode)
            with suppress(FileNotFoundError):
                mode = stat.S_IMODE(path.stat().st_mode)
            yield draft
            if flush:
                sync(draft)
            draft.chmod(mode)  # some libraries replace the file by one of their own, with permissions of their own
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the operating system that name a temporary file, or none, the name of `path`."""
    try:
        yield
    except OSError as error:
        named = error.filename
        if error.errno is not None and (named is None or TEMPORARY.fullmatch(Path(os.fsdecode(named)).name)):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def temporary_beside(path: Path) -> Path:
    """Return an unused temporary name beside `path`, after removing what killed processes left there."""
    sweep(path.parent)
    suffix = "".join(path.suffixes[-2:])  # .nii.gz; writers choose the format by it
    suffix = suffix if len(os.fsencode(suffix)) <= 40 else ""
    name = f".s4mi-{_host()}-{os.getpid()}-{next(_numbers)}-{secrets.token_hex(4)}{suffix}"
    return path.with_name(name)


def sweep(folder: Path) -> None:
    """Remove the unfinished files and folders that ended processes of this host left in `folder`; once per process."""
    if (os.getpid(), folder) in _swept:
        return
    _swept.add((os.getpid(), folder))
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = TEMPORARY.fullmatch(entry.name)
            if found and found["host"] == _host() and not is_alive(int(found["pid"])):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)


def make_folder(folder: Path, *, private: bool = False) -> list[Path]:
    """Create a folder and its parents and return those created, topmost first; `private`: for their owner alone.

    Raises:
        OSError: it cannot be created.
    """
    wanted, missing = folder, []
    while not folder.exists():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    if not wanted.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(wanted))
    return missing[::-1]


def make_private(folder: Path) -> None:
    """Create a folder that only the owner may enter, for images of patients; an existing one keeps its permissions.

    Raises:
        OSError: it cannot be created.
    """
    make_folder(folder.parent)
    make_folder(folder, private=True)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_all() -> None:
    """Flush all files that were written without: a thousand times faster than one after the other."""
    os.sync()


@functools.cache
def _host() -> str:
    """Identify this host and container: process ids mean nothing elsewhere."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.blake2b(f"{socket.gethostname()}\0{namespace}".encode(), digest_size=4).hexdigest()


def is_alive(pid: int) -> bool:
    """Whether a process of this host runs; one that has ended and is not reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    try:  # a killed process stays a zombie until its parent, or the first process of the machine, asks for its status
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return not status.rpartition(")")[2].startswith(" Z")
    except OSError:
        return True
