import platform
import subprocess
import sys
from pathlib import Path

import pytest

from s4mi.config import make_run_config
from s4mi.engine.memory import give_back_memory, keep_freed_memory
from s4mi.training.run_method import make_fabric

GLIBC = platform.libc_ver()[0] == "glibc"
BLOCK = 64 << 20
"""Bytes: by default, glibc returns a block of this size to the system when it is freed."""

FAULTS = f"""
import os, resource, sys
import torch
from s4mi.engine.memory import keep_freed_memory
def fill():
    torch.empty({BLOCK}, dtype=torch.uint8).fill_(1)
def count(setting):
    if setting != "not":
        assert keep_freed_memory() is (setting == "keep")
    for _ in range(16):  # holes must be as large as a block with its alignment
        fill()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        fill()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
for setting in sys.argv[1:]:
    if os.fork() == 0:  # the memory of a process of its own, and torch imported once
        count(setting)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def faults(*settings: str, **environment: str) -> list[int]:
    """Page faults while a block is freed and allocated eight times, with memory kept, refused to be kept, or not."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, *settings], env=environment, capture_output=True, text=True, check=True
    )
    return [int(line) for line in done.stdout.split()]


@pytest.mark.long
@pytest.mark.skipif(not GLIBC, reason="applies to glibc only")
def test_a_block_is_allocated_by_the_system_once() -> None:
    kept, given_back = faults("keep", "not")
    assert kept < given_back / 4


@pytest.mark.long
@pytest.mark.skipif(not GLIBC, reason="applies to glibc only")
def test_malloc_settings_of_the_user_are_respected() -> None:
    (refused,) = faults("refuse", MALLOC_TRIM_THRESHOLD_="1000000")
    assert refused >= 0


def test_another_c_library_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not keep_freed_memory()
    give_back_memory()


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_keeps_memory_if_so_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    calls = []
    monkeypatch.setattr("s4mi.training.run_method.keep_freed_memory", lambda: calls.append(True))
    hardware = {"accelerator": "cpu", "keep_memory": keep}
    contents = {
        "data": {"path": str(tmp_path)},
        "method": {"name": "finetune", "weights": "none"},
        "hardware": hardware,
    }
    make_fabric(make_run_config(contents, origin="test"))
    assert calls == [True] * keep
