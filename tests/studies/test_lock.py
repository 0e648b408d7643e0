"""One study at a time in a folder."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from s4mi.errors import S4miError
from s4mi.studies import lock as module
from s4mi.studies.lock import LOCK_NAME, started_at, study_lock


def ended() -> tuple[int, str]:
    """A process that is gone, and when it was started."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = started_at(process.pid)
    assert started is not None
    process.communicate(b"\n")
    return process.pid, started


def write_lock(folder: Path, **changes: object) -> None:
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": started_at(os.getpid()), "since": "2026"}
    (folder / LOCK_NAME).write_text(json.dumps({**owner, **changes}), encoding="utf-8")


def test_a_lock_is_there_while_it_is_held_and_names_its_owner(tmp_path: Path) -> None:
    with study_lock(tmp_path / "study"):
        owner = json.loads((tmp_path / "study" / LOCK_NAME).read_text())
        assert (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())
        with pytest.raises(S4miError, match=f"process {os.getpid()} on this machine"), study_lock(tmp_path / "study"):
            pass
        assert json.loads((tmp_path / "study" / LOCK_NAME).read_text()) == owner
    assert not (tmp_path / "study" / LOCK_NAME).exists()


def test_an_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), study_lock(tmp_path):
        raise KeyError
    with study_lock(tmp_path):
        pass


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    pid, started = ended()
    write_lock(tmp_path, pid=pid, started=started)
    with study_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()


def test_a_later_process_of_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    write_lock(tmp_path, started="another boot 12345")
    with study_lock(tmp_path):
        pass


def test_a_process_that_has_ended_unnoticed_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the list of processes
    assert started_at(process.pid) is None
    process.wait()


def test_the_lock_of_another_host_is_kept_and_the_message_says_how_to_go_on(tmp_path: Path) -> None:
    write_lock(tmp_path, host="elsewhere", pid=7)
    with pytest.raises(S4miError, match=r"process 7 on elsewhere .* delete .*study\.lock if it is gone"):
        study_lock(tmp_path).__enter__()
    assert json.loads((tmp_path / LOCK_NAME).read_text())["host"] == "elsewhere"


@pytest.mark.parametrize("text", ["", "{", '{"host": "here"}', "[1]"])
def test_a_lock_without_an_owner_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(module, "WRITING", 0.1)
    (tmp_path / LOCK_NAME).write_text(text)
    with study_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()


def test_of_many_that_find_an_abandoned_lock_one_takes_it(tmp_path: Path) -> None:
    pid, started = ended()
    write_lock(tmp_path, pid=pid, started=started)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom s4mi.errors import S4miError\n"
        "from s4mi.studies.lock import study_lock\n"
        "sys.stdin.readline()\n"
        "try:\n    with study_lock(Path(sys.argv[1])):\n        print('held', flush=True)\n"
        "        sys.stdin.readline()\n"
        "except S4miError:\n    print('refused', flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    takers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(3)
    ]
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
    said = [taker.stdout.readline().strip() for taker in takers if taker.stdout is not None]
    for taker in takers:
        taker.communicate("\n")
    assert sorted(said) == ["held", "refused", "refused"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(S4miError, match=r"cannot be made \(.*\); choose another folder"):
        study_lock(tmp_path / "file" / "study").__enter__()
