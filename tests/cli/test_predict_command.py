"""`s4mi predict` and `s4mi calibrate` as a user meets them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from conftest import TRANSFER
from s4mi.cli import app
from s4mi.config import RunConfig
from s4mi.recipes.train import train


def s4mi(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Callable[..., RunConfig]) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for seed in (0, 1):
        train(quick(lesions, TRANSFER, epochs=1, seed=seed), folder / f"runs/a-seed{seed}")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (20, 30), (90, 40, 20)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path / "images"


def test_a_study_names_the_runs_it_predicts_with_and_goes_on(tmp_path: Path, study: Path, images: Path) -> None:
    first = s4mi("predict", study, images, "-o", tmp_path / "out", "--ensemble", "--tta")
    assert first.exit_code == 0, first.output
    assert (
        "\npredicted by a: all 2 seeds (validation f1_macro " in first.output
    )  # after a warning: the images are noise
    assert f"2 images predicted: {tmp_path / 'out' / 'predictions.csv'}" in first.output
    again = s4mi("predict", study, images, "-o", tmp_path / "out", "--ensemble", "--tta", "--resume")
    assert "2 images predicted, 2 of them by an earlier run of this command" in again.output


def test_a_broken_image_ends_with_status_1_after_all_others(tmp_path: Path, study: Path, images: Path) -> None:
    (images / "c.png").write_bytes(b"no image")
    done = s4mi("predict", study / "runs/a-seed0", images, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "2 images predicted" in done.output
    assert f"1 image could not be predicted: {tmp_path / 'out' / 'errors.csv'}" in done.output


def test_calibrate_prints_what_it_did_and_writes_it(tmp_path: Path, study: Path) -> None:
    shutil.copytree(study / "runs/a-seed0", tmp_path / "run")
    done = s4mi("calibrate", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "temperature" in done.output
    assert done.output.rstrip().endswith(str(tmp_path / "run" / "calibration.json"))
    printed = json.loads(s4mi("calibrate", tmp_path / "run", "--json").stdout)
    assert printed == json.loads((tmp_path / "run" / "calibration.json").read_text())
