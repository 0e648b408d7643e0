"""A report shows predicted masks where it can, and says in a line where it cannot."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL
from s4mi.config import RunConfig
from s4mi.recipes import report_sheets
from s4mi.recipes.report import report
from s4mi.recipes.report_sheets import MOST_RUNS, choose
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_record

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A copy of the data, and runs with 50 % and all of its masks."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(lesions, folder / "data")
    for fraction in (50, 100):
        train(quick(folder / "data", DEDL, epochs=1, label_fraction=fraction), folder / "runs" / f"dedl-{fraction}")
    return folder


def page_of(folder: Path, out: Path, **settings: bool) -> tuple[str, tuple[str, ...]]:
    made = report(folder, out, **settings)
    return out.read_text(encoding="utf-8"), made.notes


def test_a_report_of_segmentation_shows_masks(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs", tmp_path / "r.html")
    assert notes == ()
    assert page.count("Predicted masks") == 1
    assert "data:image/png;base64," in page


def test_without_sheets_there_is_no_picture_and_no_note(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs", tmp_path / "r.html", sheets=False)
    assert notes == ()
    assert "Predicted masks" not in page


def test_a_run_that_is_the_reports_own_folder_is_shown(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs" / "dedl-50", tmp_path / "r.html")
    assert notes == ()
    assert "Predicted masks" in page


def test_a_data_set_that_has_moved_is_a_note_without_a_place(made: Path, tmp_path: Path) -> None:
    (made / "data").rename(made / "moved")
    try:
        page, notes = page_of(made / "runs", tmp_path / "r.html")
    finally:
        (made / "moved").rename(made / "data")
    (note,) = notes
    assert "no sheet of predicted masks: its images are not where the runs saw them any more" in note
    assert str(made) not in note
    assert note.split(":")[1].strip() in page


def test_a_data_set_that_has_changed_is_a_note_without_a_place(made: Path, tmp_path: Path) -> None:
    manifest = made / "data" / "manifest.csv"
    before = manifest.read_text(encoding="utf-8")
    manifest.write_text("\n".join(before.splitlines()[:-1]) + "\n", encoding="utf-8")
    try:
        page, (note,) = page_of(made / "runs", tmp_path / "r.html")
    finally:
        manifest.write_text(before, encoding="utf-8")
    assert "which of its images are the test part" in note
    assert "\n" not in note
    assert str(made) not in note
    assert "no sheet of predicted masks" in page


def test_runs_without_their_weights_are_left_out(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    for weights in runs.rglob("best.safetensors"):
        weights.unlink()
    _, (note,) = page_of(runs, tmp_path / "r.html")
    assert note.endswith("no sheet of predicted masks: the best weights of its runs are not there any more")


def test_a_failure_that_nobody_foresaw_is_a_note(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(report_sheets, "compare_sheet", fail)
    page, (note,) = page_of(made / "runs", tmp_path / "r.html")
    assert note.endswith("no sheet of predicted masks: RuntimeError: out of memory")
    assert "<html" in page


def run_of(record: RunRecord, folder: Path, **changes: object) -> report_sheets._Run:
    changed = record.model_copy(update=changes)
    path = folder / f"{changed.technique}-{changed.label_fraction}-{changed.seed}-{changed.finished}"
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "best.safetensors").touch()
    return report_sheets._Run(changed, path)


def test_of_each_technique_the_fewest_labels_and_the_lowest_seed_are_shown(made: Path, tmp_path: Path) -> None:
    record = read_record(made / "runs" / "dedl-50")
    runs = [
        run_of(record, tmp_path, technique=technique, label_fraction=fraction, seed=seed, finished=finished)
        for technique in ("b", "a")
        for fraction in (100.0, 10.0, 50.0)
        for seed in (1, 0)
        for finished in ("2025-01-01", "2025-01-02")
    ]
    shown = [(run.record.technique, run.record.label_fraction, run.record.seed) for run in choose(runs)]
    assert shown == [("a", 10.0, 0), ("b", 10.0, 0)]
    assert {run.record.finished for run in choose(runs)} == {"2025-01-02"}, "of one run made twice, the latest"


def test_of_many_techniques_the_best_are_shown(made: Path, tmp_path: Path) -> None:
    record = read_record(made / "runs" / "dedl-50")
    assert record.test is not None
    scores = [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2]
    runs = [
        run_of(record, tmp_path, technique=f"t{i}", test=record.test.model_copy(update={"iou": iou}))
        for i, iou in enumerate(scores)
    ]
    assert [run.record.technique for run in choose(runs)] == [f"t{i}" for i in range(1, 7)]
    assert len(choose(runs)) == MOST_RUNS
