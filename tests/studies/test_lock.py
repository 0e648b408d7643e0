"""One study at a time in a folder; what filelock's `SoftFileLock` must do for that, and the messages to the user."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import SoftFileLock

from s4mi.errors import S4miError
from s4mi.studies.lock import LOCK_NAME, TIMEOUT, study_lock

HOLD = (
    "import sys\nfrom pathlib import Path\nfrom s4mi.errors import S4miError\n"
    "from s4mi.studies.lock import study_lock\n"
    "sys.stdin.readline()\n"
    "try:\n    with study_lock(Path(sys.argv[1])):\n        print('held', flush=True)\n"
    "        sys.stdin.readline()\n"
    "except S4miError:\n    print('refused', flush=True)\n"
)
Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that tries to hold the lock of a folder once it reads a line, until it reads another."""
    started: list[subprocess.Popen[str]] = []

    def start_process(folder: Path) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLD, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            )
        )  # fmt: skip
        return started[-1]

    yield start_process
    for process in started:
        process.kill()
        process.communicate()


def tell_to_lock(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def record(folder: Path) -> tuple[str, str, str]:
    """Process id, host and start token in the lock file."""
    pid, host, token = (folder / LOCK_NAME).read_text(encoding="utf-8").splitlines()
    return pid, host, token


def own_record(folder: Path) -> tuple[str, str, str]:
    """What a lock file contains that this process holds."""
    with SoftFileLock(folder / "other.lock"):
        pid, host, token = (folder / "other.lock").read_text(encoding="utf-8").splitlines()
        return pid, host, token


def write_record(folder: Path, *lines: str) -> None:
    (folder / LOCK_NAME).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(S4miError) as error:
        study_lock(folder).__enter__()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_lock_exists_while_it_is_held_and_names_its_holder(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with study_lock(folder):
        pid, host, _ = held = record(folder)
        assert pid == str(os.getpid())
        assert host.startswith(socket.gethostname())
        message = refusal(folder)
        assert message.startswith(f"{folder}: process {os.getpid()} on {socket.gethostname()}")
        assert f" has been running this study since {time.strftime('%Y-')}" in message
        assert message.endswith(f"; wait for it, or delete {folder / LOCK_NAME} if that process no longer exists")
        assert record(folder) == held
    assert not (folder / LOCK_NAME).exists()


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), study_lock(tmp_path):
        raise KeyError
    with study_lock(tmp_path):
        pass


def test_the_lock_of_another_live_process_is_kept_and_refused_at_once(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    tell_to_lock(process)
    assert answer(process) == "held"
    before = time.monotonic()
    assert f"process {process.pid} on " in refusal(tmp_path)
    assert time.monotonic() - before < TIMEOUT / 2
    assert record(tmp_path)[0] == str(process.pid)


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path)
    tell_to_lock(process)
    assert answer(process) == "held"
    process.kill()
    process.wait()
    with study_lock(tmp_path):
        assert record(tmp_path)[0] == str(os.getpid())


def test_a_later_process_with_the_same_id_does_not_hold_the_lock(tmp_path: Path) -> None:
    pid, host, token = own_record(tmp_path)
    write_record(tmp_path, pid, host, str(int(token) - 1))
    with study_lock(tmp_path):
        assert record(tmp_path) == (pid, host, token)


def test_the_lock_of_a_process_that_was_not_reaped_is_kept(tmp_path: Path, start: Start) -> None:
    """filelock cannot tell such a process from a live one; the message names the file to delete."""
    process = start(tmp_path)
    tell_to_lock(process)
    assert answer(process) == "held"
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but still in the process table
    assert refusal(tmp_path).endswith(f"delete {tmp_path / LOCK_NAME} if that process no longer exists")


@pytest.mark.parametrize(
    ("host", "shown"), [("elsewhere", "elsewhere"), ("node?pidns-f000012a", "node, PID namespace f000012a")]
)
def test_the_lock_of_another_host_or_container_is_kept(tmp_path: Path, host: str, shown: str) -> None:
    write_record(tmp_path, "7", host, "1")
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}: process 7 on {shown} has been running this study since ")
    assert f"delete {tmp_path / LOCK_NAME} if that process no longer exists" in message
    assert record(tmp_path) == ("7", host, "1")


OLD_RECORD = {"host": socket.gethostname(), "pid": 1, "started": "a boot 12345", "since": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize("text", ["{", "[1]", "7\n", json.dumps(OLD_RECORD)], ids=["cut", "list", "pid", "old format"])
def test_a_malformed_lock_or_one_of_the_old_format_is_taken_over(tmp_path: Path, text: str) -> None:
    """Whether its process still runs is not checked: filelock takes it over after two seconds without a change."""
    (tmp_path / LOCK_NAME).write_text(text)
    with study_lock(tmp_path):
        assert record(tmp_path)[0] == str(os.getpid())


def test_an_empty_lock_file_is_kept_and_the_message_names_it(tmp_path: Path) -> None:
    """filelock treats it as held by a release that wrote no process id."""
    (tmp_path / LOCK_NAME).touch()
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / LOCK_NAME}: names no process; ")
    assert message.endswith("delete the file if no study is running in this folder")
    assert (tmp_path / LOCK_NAME).exists()


def test_of_several_processes_that_find_an_abandoned_lock_one_takes_it_over(tmp_path: Path, start: Start) -> None:
    pid, host, token = own_record(tmp_path)
    write_record(tmp_path, pid, host, str(int(token) - 1))
    processes = [start(tmp_path) for _ in range(3)]
    for process in processes:
        tell_to_lock(process)
    assert sorted(answer(process) for process in processes) == ["held", "refused", "refused"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(S4miError, match=r"cannot be created \(.*\); choose another folder"):
        study_lock(tmp_path / "file" / "study").__enter__()
