"""A report covers all finished runs, and lists what is unfinished or unreadable."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.errors import S4miError
from s4mi.recipes.report import report
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A finished run, an unfinished run, and a pre-training run."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, TRANSFER, epochs=1), folder / "deep" / "done")
    shutil.copytree(folder / "deep" / "done", folder / "half")
    (folder / "half" / "record.json").unlink()
    train(quick(lesions, {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}, epochs=1), folder / "pre")
    return folder


@pytest.mark.long
def test_the_page_holds_what_is_finished_and_names_what_is_not(runs: Path, tmp_path: Path) -> None:
    made = report(runs, tmp_path / "report.html", title="Mine & yours")
    assert (made.runs, made.pretrainings) == (1, 1)
    assert [note.split(":")[0] for note in made.notes] == ["half"]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>Mine &amp; yours</h1>" in text
    assert "1 run in this folder is not included: 1 unfinished." in text
    assert "1 of 1 epochs" in text.split("Failed and unfinished runs")[-1]
    assert "Pre-training without labels" in text
    assert "Map of the features of tiny_resnet after simclr" in text


def test_without_a_title_the_page_has_the_folders_name(runs: Path, tmp_path: Path) -> None:
    report(runs, tmp_path / "report.html")
    assert f"<h1>{runs.name}</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("ending", "start"), [("csv", "dataset,task"), ("md", "# "), ("tex", "% needs")])
def test_another_ending_writes_the_tables_alone(runs: Path, tmp_path: Path, ending: str, start: str) -> None:
    report(runs, tmp_path / f"table.{ending}")
    assert (tmp_path / f"table.{ending}").read_text(encoding="utf-8").startswith(start)


def test_a_folder_of_unfinished_runs_still_has_a_page(runs: Path, tmp_path: Path) -> None:
    made = report(runs / "half", tmp_path / "report.html")
    assert (made.runs, made.pretrainings, len(made.notes)) == (0, 0, 1)
    assert "There is no finished run yet." in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folder", "out", "message"),
    [
        ("nowhere", "r.html", "no such folder"),
        (".", "r.html", "contains no run; create one with: s4mi train"),
        (".", "r.pdf", r"unknown report format '\.pdf'; use \.html, \.csv, \.md, \.tex"),
        (".", "report", "a report needs a suffix; use"),
    ],
)
def test_what_cannot_be_reported_is_one_line(tmp_path: Path, folder: str, out: str, message: str) -> None:
    with pytest.raises(S4miError, match=message):
        report(tmp_path / folder, tmp_path / out)


def test_a_report_names_no_folder_of_the_machine(runs: Path, lesions: Path, tmp_path: Path) -> None:
    for ending in ("html", "md", "tex", "csv"):
        report(runs, tmp_path / f"r.{ending}", notes=[f"{tmp_path}/secret/x: wrong"])
        text = (tmp_path / f"r.{ending}").read_text(encoding="utf-8")
        assert str(lesions.parent) not in text
        assert str(tmp_path) not in text
    assert "…/x: wrong" in (tmp_path / "r.md").read_text(encoding="utf-8")


def test_csv_writes_a_second_file_with_a_row_a_score(runs: Path, tmp_path: Path) -> None:
    made = report(runs, tmp_path / "r.csv")
    assert made.files == (tmp_path / "r.csv", tmp_path / "r-runs.csv")
    assert "deep/done" in made.files[1].read_text(encoding="utf-8")


def test_the_data_card_is_made_of_what_training_recorded(runs: Path, tmp_path: Path) -> None:
    report(runs, tmp_path / "r.html", sheets=False)
    text = (tmp_path / "r.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "random, grouped by patient, stratified, 70:10:20" in text
    assert "60 (60 PNG)" in text
    assert "None found. Checked in every run" in text
    assert "Energy was not measured" in text or "hardware counters" in text


def test_runs_of_different_code_are_noted(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    path = tmp_path / "runs/deep/done/record.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"timm": "', '"timm": "0.0.'), encoding="utf-8")
    assert any(
        "runs were made with different versions" in note for note in report(tmp_path / "runs", tmp_path / "r.md").notes
    )
