"""Data sets, caches, runs and studies written before the packages were renamed still open and go on."""

import csv
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Command
from s4mi.inference.model_metadata import SourceRun
from s4mi.records import read_any_record, read_record
from s4mi.records.calibration import read_calibration
from s4mi.reporting.results.runs import load_runs

ARCHIVE = Path(__file__).parent / "older_folders/before-layout.tar.xz"
WRITTEN_IN = "/srv/s4mi-0.1"
TEXTS = {".yaml", ".json", ".csv", ".txt", ".jsonl"}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The folders as an older s4mi left them, with their own paths in their settings."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "older", filter="data")
    for path in (tmp_path / "older").rglob("*"):
        if path.is_file() and path.suffix in TEXTS:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(WRITTEN_IN, str(tmp_path / "older")), encoding="utf-8")
    return tmp_path / "older"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def caches(older: Path) -> set[str]:
    """Names of the decode caches; beside them is what versions since then keep."""
    return {path.name for path in (older / "cache").iterdir() if path.is_dir() and path.name != "copies"}


def test_a_classification_run_predicts_what_it_did(s4mi: Command, older: Path) -> None:
    done = s4mi("predict", older / "classification", older / "data", "-o", older / "out", "--split", "test")
    assert done.returncode == 0, done.stderr
    now, then = rows(older / "out/predictions.csv"), rows(older / "expected/classification/predictions.csv")
    assert [row["id"] for row in now] == [row["id"] for row in then]
    assert [row["decision"] for row in now] == [row["decision"] for row in then]
    for ours, theirs in zip(now, then, strict=True):
        for name in ("nevus", "melanoma", "seborrheic_keratosis"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=2e-6)


def test_a_segmentation_run_predicts_the_masks_it_did(s4mi: Command, older: Path) -> None:
    done = s4mi("predict", older / "segmentation", older / "data", "-o", older / "out", "--split", "test")
    assert done.returncode == 0, done.stderr
    expected = sorted((older / "expected/segmentation").glob("*.png"))
    assert len(expected) == 6
    for path in expected:
        then, now = (np.asarray(Image.open(folder / path.name)) for folder in (path.parent, older / "out"))
        assert (then != now).mean() <= 0.002  # rounding differs between processors where two classes are as likely


def test_its_records_are_read_with_the_names_of_today(older: Path) -> None:
    record = read_record(older / "segmentation")
    assert record.member in record.members
    assert set(record.members) == {"cnn", "transformer", "average"}
    assert record.members[record.member].test == record.test
    calibration = read_calibration(older / "classification")
    assert calibration is not None
    assert calibration.val.predictions == record.labels.val
    runs, notes = load_runs(older / "study")
    assert not notes
    assert all(run.predictions is not None and len(run.predictions.images) == record.labels.test for run in runs)


def test_the_data_set_and_its_cache_are_used_as_they_are(s4mi: Command, older: Path) -> None:
    before = caches(older)
    assert s4mi("data", "check", older / "data").returncode == 0
    done = s4mi("evaluate", older / "classification")
    assert done.returncode == 0, done.stderr
    assert caches(older) == before


def test_an_interrupted_run_goes_on_after_its_last_epoch(s4mi: Command, older: Path) -> None:
    first = (older / "interrupted/metrics.jsonl").read_text(encoding="utf-8")
    done = s4mi("train", older / "interrupted/config.yaml", "-o", older / "interrupted", "--resume")
    assert done.returncode == 0, done.stderr
    lines = (older / "interrupted/metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert lines[0] == first
    assert len(lines) == 2
    assert read_any_record(older / "interrupted").epochs == 2


def test_a_finished_study_is_not_run_again(s4mi: Command, older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(older)
    before = {path: path.read_bytes() for path in older.rglob("record.json")}
    shutil.rmtree(older / "study/sheets", ignore_errors=True)
    done = s4mi("study", "run", "study.yaml", "-o", "study", "--no-sheets")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 runs already finished" in done.stdout
    assert {path: path.read_bytes() for path in older.rglob("record.json")} == before
    assert (older / "study/report.html").exists()


def test_the_member_of_an_older_exported_model_is_read() -> None:
    known: dict[str, object] = {name: "" for name in SourceRun.model_fields if name != "member"}
    known |= {"seed": 0, "synthetic": True}
    older = SourceRun.model_validate({**known, "reading": "cnn"})
    assert older.member == "cnn"
