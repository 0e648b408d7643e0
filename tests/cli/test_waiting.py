"""Threads sleep while they wait where cores are shared, and nothing that the user has set is changed."""

import os
import subprocess
import sys

import pytest

from s4mi.cli.waiting import ASLEEP, SHARED, sleep_where_shared


def _loaded(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    load = share * (os.cpu_count() or 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))


def test_threads_sleep_where_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    _loaded(monkeypatch, SHARED)
    environment: dict[str, str] = {}
    assert sleep_where_shared(environment)
    assert environment == ASLEEP


def test_threads_spin_on_idle_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    _loaded(monkeypatch, SHARED - 0.01)
    environment: dict[str, str] = {}
    assert not sleep_where_shared(environment)
    assert not environment


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    _loaded(monkeypatch, 4)
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    sleep_where_shared(environment)
    assert environment["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_system_without_a_load_average_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", fail)
    assert not sleep_where_shared({})


def test_a_command_decides_before_it_imports_torch() -> None:
    code = (
        "import os, sys; os.getloadavg = lambda: (1e3, 0, 0); os.environ.pop('OMP_WAIT_POLICY', None)\n"
        "from s4mi.cli import main; sys.argv = ['s4mi', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules; print(os.environ['OMP_WAIT_POLICY'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == ASLEEP["OMP_WAIT_POLICY"]
