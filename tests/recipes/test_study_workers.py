"""A study in processes of its own: the same runs, and what dies takes nothing else with it."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from conftest import TRANSFER
from s4mi.config import StudyConfig, make_study, plan_study
from s4mi.engine.checkpoint import load_weights
from s4mi.recipes.study import run_study
from s4mi.recipes.study_events import Begun, Ended, Event, Failed, Moved
from s4mi.recipes.study_folder import read_failure
from s4mi.recipes.study_lock import LOCK_NAME
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_epochs

SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip
PRETRAINING = "pretraining/simclr-seed0"
SCRATCH = "runs/transfer-from-scratch-tiny_resnet-100pct-seed0"
TUNED = "runs/simclr-tiny_resnet-100pct-seed0"
EPOCHS = 12


@dataclass(frozen=True)
class Studied:
    """A study of three runs: pre-training, and one from scratch and one from it."""

    contents: dict[str, Any]

    def __call__(self, **changes: Any) -> StudyConfig:
        return make_study({**self.contents, **changes}, origin="study.yaml")

    def file(self, path: Path) -> Path:
        path.write_text(yaml.safe_dump(self.contents), encoding="utf-8")
        return path


@pytest.fixture(scope="module")
def studied(lesions: Path, cache_dir: Path) -> Studied:
    """One label fraction, one seed, enough epochs to interrupt."""
    return Studied(
        {
            "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
            "label_fractions": [100],
            "seeds": [0],
            "settings": {
                "epochs": EPOCHS, "batch_size": 8, "optim": {"lr": 1e-3},
                "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0, "threads": 1},
            },
            "pretraining": {"simclr": {"method": SIMCLR}},
            "arms": [{"method": TRANSFER}, {"method": TRANSFER, "pretraining": "simclr"}],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, studied: Studied) -> Path:
    """The study's runs made one by one through `train`."""
    out = tmp_path_factory.mktemp("undisturbed")
    for planned in plan_study(studied(), out):
        train(planned.config, out / planned.name)
    return out


def assert_same(out: Path, undisturbed: Path) -> None:
    """Every run ended with the same weights and scores, each epoch was trained once, and nothing is left of faults."""
    for name in (PRETRAINING, SCRATCH, TUNED):
        weights = [load_weights(folder / name / "checkpoints" / "last.safetensors") for folder in (out, undisturbed)]
        torch.testing.assert_close(*weights, rtol=0, atol=0)
        assert [epoch.epoch for epoch in read_epochs(out / name)] == list(range(1, EPOCHS + 1))
        assert [epoch.losses for epoch in read_epochs(out / name)] == [
            epoch.losses for epoch in read_epochs(undisturbed / name)
        ]
        records = [json.loads((folder / name / "record.json").read_text()) for folder in (out, undisturbed)]
        assert records[0].get("test") == records[1].get("test")
        assert read_failure(out / name) is None
    assert not (out / LOCK_NAME).exists()


def kill_workers(number: int = signal.SIGKILL) -> None:
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, number)


def test_two_workers_leave_what_train_leaves_and_outlive_a_worker_that_is_killed(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    told: list[Event] = []
    running: set[str] = set()
    most = 0
    killed: list[str] = []

    def tell(event: Event) -> None:
        nonlocal most
        told.append(event)
        if isinstance(event, Begun):
            running.add(event.planned.name)
            most = max(most, len(running))
        elif isinstance(event, Failed):
            running.discard(event.planned.name)
        elif isinstance(event, Ended):
            running.discard(event.outcome.planned.name)
        elif (
            isinstance(event, Moved)
            and not killed
            and event.planned.name == TUNED
            and event.progress.epoch == EPOCHS // 2
        ):
            killed.append(event.planned.name)
            kill_workers()  # both of them, the idle one too

    outcomes = run_study(studied(), tmp_path, workers=2, tell=tell)
    assert [outcome.failure for outcome in outcomes] == [""] * 3
    assert most == 2
    assert killed == [TUNED]
    assert [event.reason for event in told if isinstance(event, Failed) and event.planned.name == TUNED] == [
        "its process was killed (SIGKILL), perhaps for want of memory; see its log.txt"
    ]
    assert_same(tmp_path, undisturbed)
    assert multiprocessing.active_children() == []
    log = (tmp_path / TUNED / "log.txt").read_text()
    assert log.count("begins or goes on") == 2
    assert log.count("finished") == 1


@pytest.mark.slow
def test_the_death_of_an_idle_worker_is_no_failure_of_the_run_that_it_is_given(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if isinstance(event, Begun) and event.planned.name == TUNED:
            kill_workers(signal.SIGSTOP)  # it is sent the run, and never reads it
            threading.Timer(1, kill_workers).start()

    shutil.copytree(undisturbed / PRETRAINING, tmp_path / PRETRAINING)
    outcomes = run_study(studied(), tmp_path, workers=1, tell=tell)
    assert [outcome.failure for outcome in outcomes] == [""] * 3
    assert [event.planned.name for event in told if isinstance(event, Begun)] == [SCRATCH, TUNED]
    assert_same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_run_whose_process_dies_each_time_is_lost_alone(tmp_path: Path, studied: Studied, undisturbed: Path) -> None:
    def tell(event: Event) -> None:
        if isinstance(event, Moved) and event.planned.name == SCRATCH:
            kill_workers(signal.SIGSEGV)

    shutil.copytree(undisturbed / PRETRAINING, tmp_path / PRETRAINING)
    by_name = {outcome.planned.name: outcome for outcome in run_study(studied(), tmp_path, workers=1, tell=tell)}
    assert by_name[SCRATCH].record is None
    assert by_name[SCRATCH].failure == "its process was ended by SIGSEGV; see its log.txt"
    failure = read_failure(tmp_path / SCRATCH)
    assert failure is not None
    assert failure.attempts == 2
    assert "Segmentation fault" in (tmp_path / SCRATCH / "log.txt").read_text()
    assert isinstance(by_name[TUNED].record, RunRecord)


def test_threads_are_divided_unless_the_study_says_how_many(tmp_path: Path, studied: Studied,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    class Enough(Exception):  # noqa: N818
        pass

    seen: list[tuple[int, int, int | None]] = []

    class Nobody:
        def __init__(self, size: int, threads: int, _moved: Callable[..., None]) -> None:
            self.size, self.threads, self.free = size, threads, True

        def __enter__(self) -> "Nobody":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def begin(self, _planned: object, job: Any) -> None:
            seen.append((self.size, self.threads, job.config.hardware.threads))
            raise Enough

    monkeypatch.setattr("s4mi.recipes.study.Workers", Nobody)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    settings = {"epochs": 1, "hardware": {"accelerator": "cpu"}}
    for number, (workers, changes) in enumerate([(2, {"settings": settings}), (9, {"settings": settings}), (2, {})]):
        with pytest.raises(Enough):
            run_study(studied(**changes), tmp_path / str(number), workers=workers)
    assert seen == [(2, 3, 3), (9, 1, 1), (2, 3, 1)]


def command(study: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """`s4mi study run`, in a group of processes of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "s4mi", "study", "run", str(study), "-o", str(out), *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_until(there: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 240
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_gone(leader: int) -> None:
    """No process of a group is left; that which Python keeps for shared memory ends a moment after the others."""
    end = time.monotonic() + 30
    while True:
        listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        left = [rest for group, state, *rest in rows if int(group) == leader and not state.startswith("Z")]
        if not left:
            return
        assert time.monotonic() < end, left
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False], ids=["ctrl-c", "sigterm"])
def test_a_study_that_is_stopped_leaves_at_once_and_trains_nothing_twice(
    tmp_path: Path, studied: Studied, undisturbed: Path, to_all: bool
) -> None:
    study, out = studied.file(tmp_path / "study.yaml"), tmp_path / "out"
    process = command(study, out, "--workers", "2")
    wait_until(lambda: len(read_epochs(out / TUNED)) >= 3, process)
    if to_all:
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the workers as well
    else:
        process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "go on from here with the same command" in errors
    wait_until_gone(process.pid)
    assert not (out / LOCK_NAME).exists()
    assert not (out / TUNED / "record.json").exists()
    before = {name: (out / name / "metrics.jsonl").read_text() for name in (PRETRAINING, TUNED)}
    again = command(study, out, "--workers", "2")
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    for name, lines in before.items():  # seconds and all: they were not trained again
        assert (out / name / "metrics.jsonl").read_text().startswith(lines)
    assert_same(out, undisturbed)


@pytest.mark.slow
def test_a_study_that_is_killed_takes_its_workers_along_and_goes_on(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    study, out = studied.file(tmp_path / "study.yaml"), tmp_path / "out"
    process = command(study, out)
    wait_until(lambda: len(read_epochs(out / SCRATCH)) >= 3, process)
    os.killpg(process.pid, signal.SIGSTOP)  # or it might be done before the other has begun
    refused = command(study, out)
    _, errors = refused.communicate(timeout=120)
    os.killpg(process.pid, signal.SIGCONT)
    assert refused.returncode == 1
    assert f"process {process.pid} on this machine has run this study since" in errors
    process.kill()
    process.communicate()
    assert (out / LOCK_NAME).exists()
    wait_until_gone(process.pid)
    again = command(study, out)
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert_same(out, undisturbed)
