"""Errors of the operating system and lack of memory are one line, in the command line and in Python."""

import errno
import inspect
import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import s4mi as package
from conftest import Command
from s4mi.errors import S4miError, one_line
from s4mi.system_errors import MEMORY, describe, system_errors


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (errno.ENOSPC, "the disk is full; free some space, then run the same command again: what is finished is kept"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.ENAMETOOLONG, "longer than the file system allows"),
        (errno.EISDIR, "is a folder, but a file is needed"),
        (errno.ENOTDIR, "is a file, but a folder is needed"),
    ],
)
def test_an_error_of_the_system_names_place_problem_and_what_to_do(code: int, part: str) -> None:
    line = describe(OSError(code, os.strerror(code), "/data/x.png"))
    assert line is not None
    assert line.startswith("/data/x.png: ")
    assert part in line


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
     OSError(errno.ENOMEM, "Cannot allocate memory")],
)  # fmt: skip
def test_lack_of_memory_is_named(error: Exception) -> None:
    assert describe(error) == MEMORY


def test_other_errors_stay_as_they_are() -> None:
    assert describe(ValueError("a bug")) is None
    with pytest.raises(KeyError), system_errors():
        raise KeyError("a bug")


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes of a file fail, in C too."""
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: save_file({"a": torch.zeros(1 << 16)}, path),
        lambda path: torch.save({"a": torch.zeros(1 << 16)}, path),
        lambda path: sqlite3.connect(path).execute("CREATE TABLE a AS SELECT zeroblob(100000)").connection.commit(),
        lambda path: path.write_bytes(bytes(1 << 16)),
    ],
)
def test_libraries_that_lose_the_number_are_understood(tmp_path: Path, write: Callable[[Path], object]) -> None:
    with limited_files(4096), pytest.raises(S4miError, match=r"larger than the system allows|disk"), system_errors():
        write(tmp_path / "file")


def test_an_output_that_is_a_folder_is_one_line(s4mi: Command, lesions: Path, tmp_path: Path) -> None:
    done = s4mi("data", "split", lesions, "-o", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is a folder" in done.stderr.lower() or "is a directory" in done.stderr.lower()
    with pytest.raises(S4miError):
        package.split(lesions, progress=False).save(tmp_path / ("x" * 300))


def test_messages_are_one_line_and_not_endless() -> None:
    assert one_line("a\nb\x00c") == "a b\\x00c"
    assert len(one_line("x" * 5000)) < 300
    assert "(5,000 characters)" in one_line("x" * 5000)
    assert str(S4miError("place: 'v'\nhint")) == "place: 'v' hint"


def test_every_function_and_method_of_the_api_has_the_handler() -> None:
    """Whatever a public name calls: lack of space in it is one line."""
    without = []
    for name in package.__all__:
        member = getattr(package, name)
        if isinstance(member, type) and member.__module__.startswith("s4mi.api"):
            for inner, one in vars(member).items():
                function = one.fget if isinstance(one, property) else getattr(one, "func", one)
                if not inner.startswith("_") and inspect.isfunction(function) and not _handles(function):
                    without.append(f"{name}.{inner}")
        elif inspect.isfunction(member) and member.__module__.startswith("s4mi.api") and not _handles(member):
            without.append(name)
    assert without == []


def _handles(function: Callable[..., object]) -> bool:
    """Whether a function is decorated with `system_errors`, which shows in the code that it runs."""
    while function is not None:
        if "_recreate_cm" in function.__code__.co_names:
            return True
        function = getattr(function, "__wrapped__", None)  # type: ignore[assignment]
    return False


def test_objects_of_the_api_name_a_lost_disk(lesions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = package.Dataset(lesions)

    def lost(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(lesions))

    monkeypatch.setattr(Path, "open", lost)
    monkeypatch.setattr(Path, "read_text", lost)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    for use in (lambda: package.Dataset(lesions), lambda: package.Run(tmp_path).record):
        with pytest.raises(S4miError, match=f"{lesions}: the disk reports an error"):
            use()
    assert data.name
