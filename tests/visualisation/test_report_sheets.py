"""A report draws its pictures once, and notes in one line what it cannot draw."""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.inference.overlays.masks import comparison_overlay
from s4mi.inference.overlays.saliency import MARGIN
from s4mi.inference.run_model import RunModel
from s4mi.recipes.report import report
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_record
from s4mi.reporting.results.hard_cases import Case, HardCases
from s4mi.reporting.results.runs import ReportRun, load_runs
from s4mi.visualisation import render, report_sheets
from s4mi.visualisation.case_sheets import segmentation_case_sheet
from s4mi.visualisation.contact_sheet import SIDE
from s4mi.visualisation.render import study_sheets
from s4mi.visualisation.report_sheets import MAX_RUNS, SheetRun, representative_runs

Quick = Callable[..., RunConfig]
MASKS = ("Predicted masks", "Best and worst cases with 50 %", "Best and worst cases with 100 %")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A copy of the data, and runs with 50 % and all of its masks."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(lesions, folder / "data")
    for fraction in (50, 100):
        train(quick(folder / "data", DEDL, epochs=1, label_fraction=fraction), folder / "runs" / f"dedl-{fraction}")
    return folder


@pytest.fixture
def made(trained: Path) -> Path:
    """Those runs, without cached sheets."""
    shutil.rmtree(trained / "runs" / "sheets", ignore_errors=True)
    return trained


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """Two techniques of classification."""
    folder = tmp_path_factory.mktemp("classified")
    vit = {"name": "finetune", "backbone": "tiny_vit", "weights": "none"}
    for name, method in (("cnn", TRANSFER), ("vit", vit)):
        train(quick(lesions, method, epochs=2, label_fraction=100), folder / name)
    return folder


def page_of(folder: Path, out: Path, **settings: bool) -> tuple[str, tuple[str, ...]]:
    made = report(folder, out, **settings)
    return out.read_text(encoding="utf-8"), made.notes


def test_a_report_of_segmentation_shows_masks(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs", tmp_path / "r.html")
    assert notes == ()
    assert [page.count(f"<strong>{title}") for title in MASKS] == [1, 1, 1]
    assert len(re.findall(r"data:image/(?:png|jpeg);base64,", page)) == 3
    assert page.count('alt="') == 3


def test_without_sheets_there_is_no_picture_and_no_note(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs", tmp_path / "r.html", sheets=False)
    assert notes == ()
    assert "Predicted masks" not in page
    assert "data:image" not in page
    assert not (made / "runs" / "sheets").exists()


def test_a_report_of_a_single_run_folder_shows_it(made: Path, tmp_path: Path) -> None:
    page, notes = page_of(made / "runs" / "dedl-50", tmp_path / "r.html")
    assert notes == ()
    assert "Predicted masks" in page


def test_a_moved_data_set_is_a_note_without_paths(made: Path, tmp_path: Path) -> None:
    (made / "data").rename(made / "moved")
    try:
        page, notes = page_of(made / "runs", tmp_path / "r.html")
    finally:
        (made / "moved").rename(made / "data")
    (note,) = notes
    assert (
        "could not draw predicted masks, best and worst cases at 50 %, best and worst cases at 100 %: its data set is"
        in note
    )
    assert str(made) not in note
    assert note.split(":")[1].strip() in page


def test_a_changed_data_set_is_a_note_without_paths(made: Path, tmp_path: Path) -> None:
    manifest = made / "data" / "manifest.csv"
    before = manifest.read_text(encoding="utf-8")
    manifest.write_text("\n".join(before.splitlines()[:-1]) + "\n", encoding="utf-8")
    try:
        page, (note,) = page_of(made / "runs", tmp_path / "r.html")
    finally:
        manifest.write_text(before, encoding="utf-8")
    assert "its test part is unknown" in note
    assert "\n" not in note
    assert str(made) not in note
    assert "could not draw predicted masks" in page


def test_runs_without_weights_are_a_note(made: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(made / "runs", runs)
    for weights in runs.rglob("best.safetensors"):
        weights.unlink()
    _, (note,) = page_of(runs, tmp_path / "r.html")
    assert "could not draw predicted masks, best" in note
    assert note.endswith(": the best weights of its runs no longer exist")


def test_an_unexpected_error_is_a_note(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(report_sheets, "_masks", fail)
    page, (note,) = page_of(made / "runs", tmp_path / "r.html")
    assert note.endswith("could not draw predicted masks: RuntimeError: out of memory")
    assert "<html" in page


def run_of(record: RunRecord, folder: Path, **changes: object) -> SheetRun:
    changed = record.model_copy(update=changes)
    path = folder / f"{changed.technique}-{changed.label_fraction}-{changed.seed}-{changed.finished}"
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "best.safetensors").touch()
    return SheetRun(ReportRun(changed, (), "", path.name), path)


def test_each_technique_is_shown_with_the_fewest_labels_and_the_lowest_seed(made: Path, tmp_path: Path) -> None:
    record = read_record(made / "runs" / "dedl-50")
    runs = [
        run_of(record, tmp_path, technique=technique, label_fraction=fraction, seed=seed, finished=finished)
        for technique in ("b", "a")
        for fraction in (100.0, 10.0, 50.0)
        for seed in (1, 0)
        for finished in ("2025-01-01", "2025-01-02")
    ]
    shown = [(run.record.technique, run.record.label_fraction, run.record.seed) for run in representative_runs(runs)]
    assert shown == [("a", 10.0, 0), ("b", 10.0, 0)]
    assert {run.record.finished for run in representative_runs(runs)} == {"2025-01-02"}, (
        "the latest of two repetitions of a run"
    )


def test_the_techniques_with_the_best_validation_scores_are_shown(made: Path, tmp_path: Path) -> None:
    record = read_record(made / "runs" / "dedl-50")
    assert record.val is not None
    scores = [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2]
    runs = [
        run_of(record, tmp_path, technique=f"t{i}", val=record.val.model_copy(update={"iou": iou}))
        for i, iou in enumerate(scores)
    ]
    assert [run.record.technique for run in representative_runs(runs)] == [f"t{i}" for i in range(1, 7)]
    assert len(representative_runs(runs)) == MAX_RUNS


def test_classification_shows_saliency_maps_cases_and_disagreement(classified: Path, tmp_path: Path) -> None:
    sheets, notes = study_sheets(classified, load_runs(classified)[0])
    assert notes == []
    titles = [sheet.title for sheet in sheets]
    assert titles[:2] == ["Saliency maps", "Best and worst cases with 100 % of the labels"]
    assert set(titles[2:]) <= {"Where the techniques disagree"}
    for sheet in sheets:
        picture = Image.open(io.BytesIO(sheet.png))
        assert picture.width > 200
        assert sheet.alt
        assert sheet.caption
    (cases,) = (sheet for sheet in sheets if sheet.title.startswith("Best and worst"))
    runs, _ = load_runs(classified)
    best = max(runs, key=lambda run: run.record.val.f1_macro)
    assert best.record.backbone in cases.caption
    wrong = (best.predictions.truth != best.predictions.decisions).any(axis=1).sum()
    assert f"{wrong} of {len(best.predictions.images)} test images are misclassified" in cases.caption


def test_unchanged_runs_are_drawn_once(classified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _ = load_runs(classified)
    before, _ = study_sheets(classified, runs)

    def fail(*_: object, **__: object) -> bytes:
        raise AssertionError("drawn again")

    for name in ("_saliency", "_case_sheet", "_disputed"):
        monkeypatch.setattr(report_sheets, name, fail)
    monkeypatch.setattr(render, "load_manifest", fail)
    after, notes = study_sheets(classified, runs)
    assert notes == []
    assert [sheet.png for sheet in after] == [sheet.png for sheet in before]
    changed = [
        ReportRun(
            run.record.model_copy(update={"finished": "2030"}), (), "", run.directory, predictions=run.predictions
        )
        for run in runs
    ]
    none, (note,) = study_sheets(classified, changed)
    assert none == []
    assert "AssertionError: drawn again" in note


def test_no_sheet_is_drawn_after_the_time_limit(made: Path) -> None:
    sheets, (note,) = study_sheets(made / "runs", load_runs(made / "runs")[0], seconds=-1)
    assert sheets == []
    assert note.endswith("time limit for pictures reached; run s4mi report again to draw the rest")
    again, notes = study_sheets(made / "runs", load_runs(made / "runs")[0])
    assert (len(again), notes) == (3, [])


def test_segmentation_cases_show_the_recorded_iou(made: Path) -> None:
    runs, _ = load_runs(made / "runs")
    sheets, _ = study_sheets(made / "runs", runs)
    run = next(run for run in runs if run.record.label_fraction == 100)
    worst = min((one.iou["lesion"], one.image) for one in run.images)
    sheet = next(sheet for sheet in sheets if sheet.title.startswith("Best and worst cases with 100 %"))
    assert f"{worst[1]} IoU {worst[0]:.3f}" in sheet.alt


def test_a_run_without_predictions_still_shows_saliency_maps(classified: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(classified, runs)
    for table in runs.rglob("test_predictions.csv"):
        table.unlink()
    sheets, notes = study_sheets(runs, load_runs(runs)[0])
    assert notes == []
    assert [sheet.title for sheet in sheets] == ["Saliency maps"]


def test_the_size_of_the_pictures_of_a_page_is_limited(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _ = load_runs(made / "runs")
    before, _ = study_sheets(made / "runs", runs)
    monkeypatch.setattr(render, "MAX_BYTES", len(before[0].png) + 10)
    sheets, (note,) = study_sheets(made / "runs", runs)
    assert [sheet.title for sheet in sheets] == ["Predicted masks"]
    assert "could not draw best and worst cases at 50 %, best and worst cases at 100 %: " in note


def test_a_case_shows_correct_missed_and_false_positive_pixels(made: Path, lesions: Path) -> None:
    """The sheet contains the overlay of the mask that the run predicts."""
    run, manifest = made / "runs" / "dedl-100", load_manifest(lesions)
    (row,) = (row for row in manifest.rows if row.id == load_runs(run)[0][0].images[0].image)
    cases = HardCases((Case(row.id, 0.5),), (), images=1)
    sheet = np.asarray(Image.open(io.BytesIO(segmentation_case_sheet(cases, manifest, run)))).astype(int)
    assert row.mask is not None
    truth, predicted = read_mask(row.mask, manifest.spec.mask_values), RunModel(run).mask(row.image)
    picture = comparison_overlay(read_image(row.image, manifest.spec.rule), truth, predicted, outlined=False)
    expected = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(int)
    left = MARGIN + 2 * (SIDE + 5)
    tops = [y for y in range(60) if (sheet[y : y + SIDE, left : left + SIDE] == expected).all()]
    assert len(tops) == 1


def test_a_report_whose_sheets_are_there_imports_no_torch(classified: Path, tmp_path: Path) -> None:
    report(classified, tmp_path / "first.html")
    code = (
        "import sys; from pathlib import Path; from s4mi.recipes.report import report; "
        f"made = report(Path({str(classified)!r}), Path({str(tmp_path / 'r.html')!r})); "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "r.html").read_text().count("<img") == (tmp_path / "first.html").read_text().count("<img") > 0
