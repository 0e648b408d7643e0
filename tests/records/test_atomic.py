"""Files appear whole or not at all; what killed processes left is removed; locks end with their process."""

import fcntl
import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s4mi.data.sources.synthetic import write_synthetic
from s4mi.engine.checkpoint import save_best
from s4mi.errors import S4miError
from s4mi.records.atomic import TEMPORARY, make_private, replacing, temporary_beside, write_text_atomically
from s4mi.records.lock import file_lock


def _die_while_writing(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def _fail_while_writing(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text("new")
        raise ZeroDivisionError


def _die_while_holding(path: Path) -> None:
    with file_lock(path):
        os.kill(os.getpid(), signal.SIGKILL)


def _hold(path: Path, seconds: float) -> None:
    with file_lock(path):
        time.sleep(seconds)


def _run(function, *arguments: object) -> None:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    _run(_die_while_writing, path)
    (left,) = tmp_path.iterdir()
    assert TEMPORARY.fullmatch(left.name)
    _run(write_text_atomically, path, "whole")
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_text() == "whole"


def test_files_that_a_living_process_writes_are_left(tmp_path: Path) -> None:
    draft = temporary_beside(tmp_path / "b.txt")
    draft.touch()
    _run(write_text_atomically, tmp_path / "a.csv", "whole")
    assert draft.exists()


def test_a_failed_write_keeps_the_old_file_and_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError):
        _fail_while_writing(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"
    write_text_atomically(path, "new", private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_private_files_and_folders_are_their_owners(tmp_path: Path) -> None:
    make_private(tmp_path / "set")
    write_text_atomically(tmp_path / "set" / "images" / "a.txt", "x", private=True)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("set", "set/images", "set/images/a.txt")]
    assert modes == [0o700, 0o700, 0o600]


def test_weights_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        save_best(tmp_path, {"a": torch.zeros(3)}, epoch=1)
        with replacing(tmp_path / "b.safetensors") as draft:
            save_file({"a": torch.zeros(3)}, draft)
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("best.safetensors", "b.safetensors")]
    assert modes == [0o640, 0o640]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / ("n" * 255), "x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


def test_the_lock_of_a_killed_process_is_taken_over_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock"
    _run(_die_while_holding, path)
    assert path.exists()
    with file_lock(path, busy="busy"):
        pass
    assert not path.exists()


def test_a_held_lock_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(path, 5.0))
    process.start()
    while not path.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    with pytest.raises(S4miError, match="another process"), file_lock(path, busy="another process; wait"):
        pass
    process.kill()
    process.join()


def test_a_folder_made_for_a_lock_goes_with_it(tmp_path: Path) -> None:
    with file_lock(tmp_path / "new" / "run" / ".lock"):
        pass
    assert not (tmp_path / "new").exists()


def test_a_lock_is_taken_though_its_folder_went_with_the_holder_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock, waited = tmp_path / "new" / "run" / ".lock", fcntl.flock, []

    def after_the_holder(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if not waited:  # the holder before had created the folder, and removes it with its lock
            waited.append(descriptor)
            path.unlink()
            path.parent.rmdir()

    monkeypatch.setattr("s4mi.records.lock.fcntl.flock", after_the_holder)
    with file_lock(path):
        assert path.exists()
    assert not path.parent.exists()


def test_many_small_files_wait_for_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for each of 2,000 copied images took ten times as long as copying them."""
    waits = {"fsync": 0, "sync": 0}
    for name in waits:
        monkeypatch.setattr(os, name, lambda *_, name=name: waits.update({name: waits[name] + 1}))
    write_synthetic("lesions", tmp_path / "data", count=20, size=32, seed=1)
    assert waits["sync"] == 1
    assert waits["fsync"] <= 4
