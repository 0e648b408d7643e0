"""A study in Python: run, compared, its best run used and its report shown."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s4mi
from conftest import TRANSFER
from parsed_page import Page
from s4mi.config import RunConfig, make_study
from s4mi.errors import S4miError
from s4mi.records import read_record
from s4mi.reporting.results.few import few_words
from s4mi.reporting.results.runs import load_runs
from s4mi.reporting.results.scores import MAJORITY
from s4mi.reporting.results.tables import result_tables
from s4mi.studies import live_report
from s4mi.studies.events import Event, RunEnded, RunStarted

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def contents(lesions: Path, cache_dir: Path) -> dict[str, Any]:
    """Two arms, of which the second cannot be trained; one seed and two label fractions."""
    return {
        "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
        "label_fractions": [50, 100],
        "seeds": [0, 1],
        "settings": {"epochs": 1, "batch_size": 8, "hardware": {"accelerator": "cpu"}},
        "arms": [
            {"name": "works", "method": TRANSFER},
            {"name": "fails", "method": TRANSFER, "optim": {"lr": 1e30}, "epochs": 2, "label_fractions": [100]},
        ],
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, Any]) -> s4mi.Study:
    """The study, run in this process."""
    return s4mi.run_study(contents, tmp_path_factory.mktemp("study") / "out", progress=False)


@pytest.mark.long
def test_the_table_has_a_row_a_technique_and_fraction_with_the_mean_over_seeds(study: s4mi.Study) -> None:
    rows = [row for row in study.table.to_dicts() if row["method"] != MAJORITY]
    assert [row["label_fraction"] for row in rows] == [50.0, 100.0]
    for row in rows:
        runs = [read_record(study.path / f"runs/works-{row['label_fraction']:.0f}pct-seed{seed}") for seed in (0, 1)]
        scores = [run.test.f1_macro for run in runs if run.test is not None and run.test.kind == "classification"]
        assert row["metric"] == "f1_macro"
        assert row["n"] == 2
        assert row["mean"] == pytest.approx(np.mean(scores))
    found, _ = load_runs(study.path)
    cells = [cell.interval for one in result_tables([run.record for run in found], found) for cell in one.rows[0].cells]
    assert [(row["low"], row["high"], row["few"]) for row in rows] == [
        (cell.low, cell.high, few_words(cell) or None) for cell in cells if cell is not None
    ], "the intervals of the report"
    scored = study.scores.filter(part="test", metric="f1_macro")
    assert set(scored["run"]) == {str(run.path.relative_to(study.path)) for run in study.runs}


def test_what_failed_is_listed_with_its_reason(study: s4mi.Study) -> None:
    assert len(study.runs) == 4
    failures = study.failures.to_dicts()
    assert [row["run"] for row in failures] == ["runs/fails-100pct-seed0", "runs/fails-100pct-seed1"]
    assert all(row["status"] == "failed twice" and "not finite" in row["reason"] for row in failures)
    assert repr(study).endswith("4 of 6 runs finished")


def test_the_best_run_is_the_best_by_validation(study: s4mi.Study) -> None:
    best = study.best()
    assert best.path in [run.path for run in study.runs]
    assert study.load().runs == (best.path,)
    assert len(study.load(ensemble=True).runs) == 2
    with pytest.raises(S4miError, match="no finished segmentation run"):
        study.best(task="segmentation")


@pytest.mark.long
def test_running_it_again_goes_on_where_it_was(
    study: s4mi.Study, contents: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = {run.path: (run.path / "record.json").stat().st_mtime_ns for run in study.runs}
    ended: list[Event] = []
    config = make_study(contents, origin="test")
    s4mi.run_study(config, study.path, settings={"seeds": [0, 1]}, progress=ended.append)
    assert {event.outcome.planned.name for event in ended if isinstance(event, RunEnded)} == {
        "runs/fails-100pct-seed0",
        "runs/fails-100pct-seed1",
    }
    assert {run.path: (run.path / "record.json").stat().st_mtime_ns for run in study.runs} == before
    assert "2 of 6 runs have no result; see Study.failures" in caplog.messages


def test_the_report_is_shown_inline_and_counts_the_runs_of_the_study(study: s4mi.Study, tmp_path: Path) -> None:
    report = study.report(sheets=False, title="<b>Mine")
    assert report.path == study.path / "report.html"
    assert report.runs == 4
    assert any("fails" in note for note in report.notes)
    (frame,) = Page(report._repr_html_()).all("iframe")
    inside = frame["srcdoc"]
    assert inside.replace('<base href="about:srcdoc">', "") == report.path.read_text(encoding="utf-8")
    assert "&lt;b&gt;Mine" in inside
    tables = study.report(tmp_path / "r.md", sheets=False)
    assert "macro F1" in Page(tables._repr_html_()).text
    assert s4mi.report(study, tmp_path / "all.html", sheets=False).runs == 4


def test_notebooks_show_a_study_and_its_curve(study: s4mi.Study) -> None:
    shown = Page(study._repr_html_())
    assert "4 of 6 runs finished" in shown.text
    assert "2 runs without a result; see .failures" in shown.text
    assert "50 % (" in shown.text
    assert "by number of labelled images" in study.plot().title
    with pytest.raises(S4miError, match=r"no such comparison; pass dataset= and task= of one of: synthetic-lesions"):
        study.plot(task="segmentation")


def test_any_folder_with_runs_is_a_study(study: s4mi.Study, tmp_path: Path) -> None:
    below = s4mi.Study(study.path / "runs")
    assert len(below.runs) == 4
    assert below.table.equals(study.table)
    with pytest.raises(S4miError, match="holds no run"):
        s4mi.Study(tmp_path)
    with pytest.raises(S4miError, match="no such folder"):
        s4mi.Study(tmp_path / "none")


def test_errors_are_those_of_the_command(contents: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"^settings: arms"):
        s4mi.run_study({**contents, "arms": [{"method": "finetune", "pretraining": "dino"}]}, tmp_path / "out")
    with pytest.raises(S4miError, match=r"none\.yaml: [^\n]*; write a run file"):
        s4mi.run_study(tmp_path / "none.yaml", tmp_path / "out")


@pytest.mark.slow
def test_workers_run_it_too(contents: dict[str, Any], tmp_path: Path) -> None:
    study = s4mi.run_study(
        contents, tmp_path / "out", settings=["seeds=[0]", "label_fractions=[100]"], workers=2, progress=False
    )
    assert len(study.runs) == 1
    assert len(study.failures) == 1


@pytest.mark.long
def test_the_report_stands_beside_the_runs_while_they_train_on_interruption_and_at_the_end(
    contents: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_report, "INTERVAL", 0.0)
    works, page, during = {**contents, "arms": contents["arms"][:1], "seeds": [0]}, tmp_path / "mine/report.html", []

    def stop(event: Event) -> None:
        if isinstance(event, RunStarted):
            during.append("1 of 2 runs done; left: 1 at 100 %." in page.read_text() if page.exists() else None)
            if len(during) == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        s4mi.run_study(works, tmp_path / "mine", progress=stop)
    assert during == [None, True], "no page before the first run ends; after it, one with what is left"
    assert "left: 1 at 100 % (interrupted: rerun the same command to go on)." in page.read_text()
    s4mi.run_study(works, tmp_path / "mine", progress=False)
    assert "2 of 2 runs done." in page.read_text()
    page.unlink()
    s4mi.run_study(works, tmp_path / "mine", progress=False, report=False)
    assert not page.exists()
