"""The display of a running study: lines, and the table on a terminal."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from conftest import TRANSFER
from s4mi.cli.study_progress import ProgressLines, ProgressTable, outcome_line
from s4mi.config import PlannedRun, RunConfig
from s4mi.records import Cost, RunRecord, SegmentationScores
from s4mi.studies.events import AttemptFailed, RunEnded, RunOutcome, RunPostponed, RunProgress, RunStarted, StudyChecked
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]


@pytest.fixture
def planned_run(lesions: Path, quick: Quick) -> PlannedRun:
    return PlannedRun("runs/one", quick(lesions, TRANSFER))


def test_a_run_without_scores_has_a_line_too(planned_run: PlannedRun) -> None:
    record = RunRecord.model_construct(
        epochs=3, metric="iou", test=None, val=None, cost=Cost.model_construct(seconds=7.2)
    )
    assert outcome_line(RunOutcome(planned_run, record)) == "runs/one: 3 epochs in 7 s, not scored"


def test_a_score_is_shown_with_its_part_and_number_of_images(planned_run: PlannedRun) -> None:
    cost = Cost.model_construct(seconds=4.0)
    scores = SegmentationScores.model_construct(images=6, iou=0.86149)
    tested = RunRecord.model_construct(epochs=3, metric="iou", test=scores, val=None, cost=cost)
    assert outcome_line(RunOutcome(planned_run, tested)) == "runs/one: iou 0.861 on 6 test images, in 4 s"
    one = SegmentationScores.model_construct(images=1, iou=0.86149)
    alone = RunRecord.model_construct(epochs=3, metric="iou", test=None, val=one, cost=cost)
    assert outcome_line(RunOutcome(planned_run, alone)) == "runs/one: iou 0.861 on 1 validation image, in 4 s"


def test_without_a_terminal_a_line_is_printed_when_a_run_starts(
    planned_run: PlannedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ProgressLines()
    lines.handle(RunStarted(planned_run, 1))
    lines.handle(RunStarted(planned_run, 2))
    lines.handle(RunStarted(planned_run, 1, 36))
    lines.handle(RunPostponed(planned_run, "too slow"))
    assert capsys.readouterr().out.splitlines() == [
        "runs/one: started",
        "runs/one: started again",
        f"runs/one: goes on after epoch 36 of {planned_run.config.epochs}",
        "runs/one: postponed: too slow",
    ]


def test_the_table_shows_active_and_failed_runs_and_the_time_left(planned_run: PlannedRun, quick: Quick) -> None:
    others = tuple(PlannedRun(f"runs/{name}", planned_run.config) for name in ("two", "three", "four"))
    shown = Console(file=io.StringIO(), force_terminal=True, width=100, legacy_windows=False)
    table = ProgressTable(shown)
    table.handle(StudyChecked((planned_run, *others), finished=()))
    table.handle(RunStarted(planned_run, 1))
    progress = Progress("train", done=30, total=100, epoch=3, epochs=10, seconds_left=600)
    table.handle(RunProgress(planned_run, progress))
    table.handle(RunStarted(others[0], 1))
    table.handle(AttemptFailed(others[0], "loss is not finite"))
    table.handle(RunEnded(RunOutcome(others[1], None, "no such backbone")))
    with shown.capture() as captured:
        shown.print(table._render())
    text = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    first, running, *failures = text.splitlines()
    assert first.startswith("0 of 4 finished · 1 running · 2 pending · 2 failed · at least 10 min left")
    assert re.match(r"runs/one\s.*epoch 3/10\s+10 min left", running)
    assert [line.strip() for line in failures] == [
        "runs/two: will be retried: loss is not finite", "runs/three: no such backbone",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 60, 80])
def test_the_names_of_active_runs_are_whole_on_a_narrow_terminal(planned_run: PlannedRun, width: int) -> None:
    shown = Console(file=io.StringIO(), force_terminal=True, width=width, legacy_windows=False)
    names = [f"runs/cross_teaching-tiny_resnet-100pct-seed{seed}" for seed in (1, 11)]
    table = ProgressTable(shown)
    for name in names:
        one = PlannedRun(name, planned_run.config)
        table.handle(RunStarted(one, 1))
        table.handle(RunProgress(one, Progress("evaluate", done=3, total=10, epoch=3, epochs=10, seconds_left=600)))
    with shown.capture() as captured:
        shown.print(table._render())
    lines = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    text = "".join(line.strip() for line in lines) if width < 50 else "\n".join(lines)
    assert all(name in text for name in names)
    assert all(len(line.rstrip()) <= width for line in lines)
