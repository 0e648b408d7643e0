"""`s4mi compare`, and the overlays of `s4mi predict`, from the command line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A segmentation run and a classification run."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, DEDL, epochs=1), folder / "dedl")
    train(quick(lesions, TRANSFER, epochs=1), folder / "classifier")
    return folder


def test_a_comparison_is_written_to_the_given_file(s4mi, runs: Path, lesions: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison.png"
    status, shown, _ = s4mi("compare", runs / "dedl", "--data", lesions, "-o", out, "--images", 2, "--split", "val")
    assert (status, shown.strip()) == (0, f"comparison: {out}")
    assert out.read_bytes().startswith(b"\x89PNG")


def test_comparing_a_classifier_is_one_line(s4mi, runs: Path, tmp_path: Path) -> None:
    status, shown, error = s4mi("compare", runs / "classifier", "-o", tmp_path / "comparison.png")
    assert (status, shown, error.count("\n")) == (1, "", 1)
    assert "predicts no masks" in error


def test_predict_prints_the_overlay_folder_and_the_legend(s4mi, runs: Path, lesions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, shown, _ = s4mi("predict", runs / "dedl", lesions, "-o", out, "--overlay", "--split", "test")
    assert status == 0
    legend = "correct green, missed orange, false positive purple, ground-truth outline white"
    assert f"overlays ({legend}): {out / 'overlays'}" in shown
    assert len(list((out / "overlays").glob("*.png"))) == len(list(out.glob("*.png"))) > 0


def test_a_part_of_a_plain_folder_is_one_line(s4mi, runs: Path, lesions: Path, tmp_path: Path) -> None:
    image = next(lesions.rglob("*.png"))
    status, shown, error = s4mi("predict", runs / "dedl", image, "-o", tmp_path / "out", "--split", "test")
    assert (status, shown, error.count("\n")) == (1, "", 1)
    assert "not a data set" in error


@pytest.mark.long
def test_a_report_without_sheets(s4mi, runs: Path, tmp_path: Path) -> None:
    for option, there in ((), True), (("--no-sheets",), False):
        status, _, error = s4mi("report", runs, "-o", tmp_path / "r.html", *option)
        assert (status, error) == (0, "")
        assert ("Predicted masks" in (tmp_path / "r.html").read_text(encoding="utf-8")) is there


def test_the_commands_import_no_torch_before_they_run() -> None:
    code = "import sys, s4mi.cli, s4mi.recipes.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
