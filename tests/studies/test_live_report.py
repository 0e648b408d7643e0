"""The report while a study runs: after finished runs, on interruption, cheaply, and with what is left in one line."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import TRANSFER
from made_records import record, write_run
from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.studies import live_report
from s4mi.studies.events import Event, RunEnded, RunOutcome, RunStarted, StudyChecked
from s4mi.studies.live_report import SHARE, LiveReport
from s4mi.studies.progress_line import progress_line
from s4mi.studies.report import REPORT_NAME
from s4mi.studies.run import run_study


@pytest.fixture
def plan(tmp_path: Path) -> list[PlannedRun]:
    """Two techniques at two label fractions and two seeds."""
    contents = {
        "data": {"path": tmp_path}, "label_fractions": [10, 100], "seeds": [0, 1],
        "arms": [{"name": "mine", "method": TRANSFER}, {"name": "other", "method": TRANSFER}],
    }  # fmt: skip
    return list(plan_study(make_study(contents, origin="study.yaml"), tmp_path))


def ended(out: Path, planned: PlannedRun) -> RunEnded:
    """A run that finishes, with its record on disk."""
    made = record(0.6, seed=planned.config.seed, fraction=planned.config.amount.value, method=planned.arm)
    write_run(out / planned.name, made)
    return RunEnded(RunOutcome(planned, made))


def test_the_count_comes_first_and_then_what_is_left_most_of_it_first(plan: list[PlannedRun]) -> None:
    done = {plan[0].name: RunOutcome(plan[0], record(0.6))}
    line = progress_line(plan, done)
    assert line == "1 of 8 runs done; left: 4 of seed 1, 2 at 100 %, 1 of other."
    assert progress_line(plan, done, stopped=True).endswith("(interrupted: rerun the same command to go on).")
    failed = {**done, plan[1].name: RunOutcome(plan[1], None, "out of memory")}
    assert "1 failed" in progress_line(plan, failed)
    late = {run.name: RunOutcome(run, None, "needs", attempted=False, skipped=True) for run in plan[4:]}
    assert progress_line(plan, late | done).endswith("(no time left: rerun the same command with a larger budget to "
                                                     "train them).")  # fmt: skip
    assert progress_line(plan[:1], done) == "1 of 1 run done."


def test_a_report_is_written_while_the_study_runs_with_what_is_left(
    plan: list[PlannedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_report, "INTERVAL", 0.0)
    live = LiveReport(tmp_path, title="mine", sheets=False)
    live.handle(StudyChecked(tuple(plan), ()))
    assert not (tmp_path / REPORT_NAME).exists()
    live.handle(ended(tmp_path, plan[0]))
    page = (tmp_path / REPORT_NAME).read_text(encoding="utf-8")
    assert "1 of 8 runs done; left: 4 of seed 1, 2 at 100 %, 1 of other." in page
    assert "no longer lists" not in page


def test_writing_takes_a_small_share_of_the_time_however_many_runs_end(
    plan: list[PlannedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run each 0.1 s and 3 s a report: of 200 runs in 20 s, reports take what `SHARE` allows, and one more."""
    clock, written = [0.0], []

    def slow(*_: object, **about: Any) -> None:
        written.append(about["progress"])
        clock[0] += 3.0

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live_report, "write_study_report", slow)
    live = LiveReport(tmp_path, title="mine")
    live.handle(StudyChecked(tuple(plan), ()))
    for _ in range(2000):
        clock[0] += 0.1
        live.handle(RunEnded(RunOutcome(plan[0], record(0.6))))
    assert len(written) >= 2
    assert 3.0 * (len(written) - 1) <= SHARE * 200 + 3.0


def test_an_error_of_the_report_does_not_end_the_study(
    plan: list[PlannedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(live_report, "INTERVAL", 0.0)
    monkeypatch.setattr(live_report, "write_study_report", broken)
    live = LiveReport(tmp_path, title="mine")
    live.handle(StudyChecked(tuple(plan), ()))
    live.handle(RunEnded(RunOutcome(plan[0], record(0.6))))
    assert "the report could not be written yet: no space" in caplog.text


def test_after_a_kill_the_next_call_writes_the_report_before_it_trains(plan: list[PlannedRun], tmp_path: Path) -> None:
    finished = (ended(tmp_path, plan[0]).outcome,)
    LiveReport(tmp_path, title="mine", sheets=False).handle(StudyChecked(tuple(plan), finished))
    assert "1 of 8 runs done" in (tmp_path / REPORT_NAME).read_text(encoding="utf-8")


def test_sigterm_leaves_a_report(lesions: Path, cache_dir: Path, tmp_path: Path) -> None:
    contents = {
        "data": {"path": lesions, "image_size": 32, "cache": cache_dir}, "label_fractions": [50, 100], "seeds": [0],
        "settings": {"epochs": 1, "batch_size": 8, "hardware": {"accelerator": "cpu"}}, "arms": [{"method": TRANSFER}],
    }  # fmt: skip
    live = LiveReport(tmp_path, title="mine", sheets=False)
    started: list[str] = []

    def handle(event: Event) -> None:
        live.handle(event)
        if isinstance(event, RunStarted):
            started.append(event.planned.name)
            if len(started) == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    before: Callable[..., Any] | int | None = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_study(make_study(contents, origin="study.yaml"), tmp_path, on_event=handle)
    assert signal.getsignal(signal.SIGTERM) == before
    live.interrupted()
    page = (tmp_path / REPORT_NAME).read_text(encoding="utf-8")
    assert "1 of 2 runs done; left: 1 at 100 % (interrupted: rerun the same command to go on)." in page
