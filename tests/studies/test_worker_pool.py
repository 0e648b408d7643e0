"""A study in worker processes: the same runs, and a process that dies stops no other run."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disturbed_study import (
    PRETRAINING,
    SCRATCH,
    TUNED,
    Disturber,
    Studied,
    assert_same,
    command,
    study_of_three,
    train_undisturbed,
    wait_until,
    wait_until_gone,
)
from s4mi.records import RunRecord, read_epochs, read_failure
from s4mi.studies.events import Event, RunProgress, RunStarted
from s4mi.studies.lock import LOCK_NAME
from s4mi.studies.run import run_study
from s4mi.studies.worker_pool import next_gpu, visible_gpus


@pytest.fixture(scope="module")
def studied(lesions: Path, cache_dir: Path) -> Studied:
    return study_of_three(lesions, cache_dir)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, studied: Studied) -> Path:
    return train_undisturbed(studied, tmp_path_factory.mktemp("undisturbed"))


def kill_workers(number: int = signal.SIGKILL) -> None:
    children = multiprocessing.active_children()
    assert children
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, number)


@pytest.mark.long
def test_two_workers_give_the_results_of_train_even_if_a_worker_is_killed(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    on_event = Disturber(kill_workers)  # both, including the idle one
    outcomes = run_study(studied(), tmp_path, workers=2, on_event=on_event)
    assert [outcome.reason for outcome in outcomes] == [""] * 3
    assert on_event.max_active == 2
    assert on_event.done
    assert on_event.failures == ["worker process killed (SIGKILL), possibly out of memory; see its log.txt"]
    assert_same(tmp_path, undisturbed)
    assert multiprocessing.active_children() == []
    log = (tmp_path / TUNED / "log.txt").read_text()
    assert log.count("starts or resumes the run") == 2
    assert log.count("finished") == 1


@pytest.mark.slow
def test_the_death_of_an_idle_worker_is_not_a_failure_of_the_next_run(
    tmp_path: Path, studied: Studied, undisturbed: Path
) -> None:
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunStarted) and event.planned.name == TUNED:
            kill_workers(signal.SIGSTOP)  # it is sent the run but never reads it
            threading.Timer(1, kill_workers).start()

    shutil.copytree(undisturbed / PRETRAINING, tmp_path / PRETRAINING)
    outcomes = run_study(studied(), tmp_path, workers=1, on_event=on_event)
    assert [outcome.reason for outcome in outcomes] == [""] * 3
    assert [event.planned.name for event in events if isinstance(event, RunStarted)] == [SCRATCH, TUNED]
    assert_same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_run_whose_process_always_dies_fails_alone(tmp_path: Path, studied: Studied, undisturbed: Path) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, RunProgress) and event.planned.name == SCRATCH:
            kill_workers(signal.SIGSEGV)

    shutil.copytree(undisturbed / PRETRAINING, tmp_path / PRETRAINING)
    by_name = {
        outcome.planned.name: outcome for outcome in run_study(studied(), tmp_path, workers=1, on_event=on_event)
    }
    assert by_name[SCRATCH].record is None
    assert by_name[SCRATCH].reason == "worker process terminated by SIGSEGV; see its log.txt"
    failure = read_failure(tmp_path / SCRATCH)
    assert failure is not None
    assert failure.attempts == 2
    assert "Segmentation fault" in (tmp_path / SCRATCH / "log.txt").read_text()
    assert isinstance(by_name[TUNED].record, RunRecord)


@given(count=st.integers(1, 5), workers=st.integers(0, 12), deaths=st.lists(st.integers(0, 11), max_size=6))
def test_workers_are_distributed_evenly_over_gpus_also_after_deaths(
    count: int, workers: int, deaths: list[int]
) -> None:
    gpus = [f"GPU-{number}" for number in range(count)]
    taken: list[str | None] = []
    for _ in range(workers):
        taken.append(next_gpu(gpus, taken))
    assert taken == [gpus[number % count] for number in range(workers)]
    for index in deaths:  # each is replaced at once
        if workers:
            dead = taken.pop(index % workers)
            taken.append(next_gpu(gpus, taken))
            assert taken.count(dead) >= workers // count
    assert max((taken.count(gpu) for gpu in gpus), default=0) - min(taken.count(gpu) for gpu in gpus) <= 1


def test_without_gpus_a_worker_has_none() -> None:
    assert next_gpu([], [None, None]) is None
    assert visible_gpus(0, None) == visible_gpus(0, "") == []


def test_gpus_have_the_names_of_the_environment() -> None:
    assert visible_gpus(3, None) == ["0", "1", "2"]
    assert visible_gpus(2, "3, 5") == ["3", "5"]
    assert visible_gpus(1, "GPU-8a1b") == ["GPU-8a1b"]
    assert visible_gpus(1, "2,-1,0") == ["2"]  # CUDA ignores everything after an invalid GPU


def test_a_worker_limits_its_resources_before_it_imports_torch() -> None:
    code = (
        "import os, sys\nfrom s4mi.studies.worker import limit_resources\nlimit_resources(3, 'GPU-8a1b')\n"
        "print(*(os.environ[name] for name in ('OMP_NUM_THREADS', 'LOKY_MAX_CPU_COUNT', 'CUDA_VISIBLE_DEVICES')))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3", "GPU-8a1b", "False"]


def test_threads_are_divided_unless_the_study_sets_them(tmp_path: Path, studied: Studied,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    class Submitted(Exception):  # noqa: N818
        pass

    seen: list[tuple[int, int, int | None]] = []

    class EmptyPool:
        def __init__(self, size: int, threads: int, _on_progress: Callable[..., None], _gpus: object) -> None:
            self.size, self.threads, self.has_capacity, self.together = size, threads, True, size

        def __enter__(self) -> "EmptyPool":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def submit(self, _planned: object, job: Any) -> None:
            seen.append((self.size, self.threads, job.config.hardware.threads))
            raise Submitted

    monkeypatch.setattr("s4mi.studies.run.ProcessPool", EmptyPool)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    settings = {"epochs": 1, "hardware": {"accelerator": "cpu"}}
    for number, (workers, changes) in enumerate([(2, {"settings": settings}), (9, {"settings": settings}), (2, {})]):
        with pytest.raises(Submitted):
            run_study(studied(**changes), tmp_path / str(number), workers=workers)
    assert seen == [(2, 3, 3), (9, 1, 1), (2, 3, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False], ids=["ctrl-c", "sigterm"])
def test_a_stopped_study_exits_at_once_and_trains_nothing_twice(
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
    assert errors.count("rerun the same command to resume") == 1
    assert "interrupted; finished work" not in errors
    wait_until_gone(process.pid)
    assert not (out / LOCK_NAME).exists()
    assert not (out / TUNED / "record.json").exists()
    before = {name: (out / name / "metrics.jsonl").read_text() for name in (PRETRAINING, TUNED)}
    again = command(study, out, "--workers", "2")
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    for name, lines in before.items():  # including seconds: they were not trained again
        assert (out / name / "metrics.jsonl").read_text().startswith(lines)
    assert_same(out, undisturbed)


@pytest.mark.slow
def test_the_workers_of_a_killed_study_end_and_it_resumes(tmp_path: Path, studied: Studied, undisturbed: Path) -> None:
    study, out = studied.file(tmp_path / "study.yaml"), tmp_path / "out"
    process = command(study, out)
    wait_until(lambda: len(read_epochs(out / SCRATCH)) >= 3, process)
    os.killpg(process.pid, signal.SIGSTOP)  # or it might finish before the other starts
    refused = command(study, out)
    _, errors = refused.communicate(timeout=120)
    os.killpg(process.pid, signal.SIGCONT)
    assert refused.returncode == 1
    assert re.search(rf"process {process.pid} on \S+ has been running this study since", errors)
    process.kill()
    process.communicate()
    assert (out / LOCK_NAME).exists()
    wait_until_gone(process.pid)
    again = command(study, out)
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert_same(out, undisturbed)
