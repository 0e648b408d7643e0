"""The report of a study: only the runs of its plan, and a note on each run without a result."""

from pathlib import Path

from conftest import TRANSFER
from made_records import record, write_run
from s4mi.config import PlannedRun, make_run_config
from s4mi.studies.events import RunOutcome
from s4mi.studies.report import write_study_report


def outcomes(out: Path) -> list[RunOutcome]:
    """One finished run, one that failed, one that depends on it, and two skipped ones; another run lies beside them."""
    config = make_run_config({"data": {"path": "nowhere"}, "method": TRANSFER}, origin="run.yaml")
    planned = [PlannedRun(f"runs/{name}", config) for name in ("done", "failed", "waiting", "late", "later")]
    for name in ("runs/done", "runs/other"):
        write_run(out / name, record())
    return [
        RunOutcome(planned[0], record()),
        RunOutcome(planned[1], None, "out of memory"),
        RunOutcome(planned[2], None, "depends on runs/failed, which failed", attempted=False),
        RunOutcome(planned[3], None, "the budget is exhausted", attempted=False, skipped=True),
        RunOutcome(planned[4], None, "depends on runs/late, which was skipped", attempted=False, skipped=True),
    ]


def test_a_run_has_failed_unless_it_has_a_record_or_was_skipped(tmp_path: Path) -> None:
    assert [one.failed for one in outcomes(tmp_path)] == [False, True, True, False, False]


def test_the_report_notes_runs_without_a_result_and_leaves_out_others(tmp_path: Path) -> None:
    result = write_study_report(tmp_path, outcomes(tmp_path), title="mine", notes=["read this"], sheets=False)
    assert result.runs == 1
    assert result.files == (tmp_path / "report.html",)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (
        "<title>mine",
        "1 of 5 runs done; left: 2 failed, 1 of late, 1 of later (no time left",
        "runs/waiting: not run: depends on runs/failed, which failed",
        "read this",
        "not included: 1 run in this folder that the study no longer lists",
    ):
        assert text in page
