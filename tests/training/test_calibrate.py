"""Calibration of a run is fitted on validation, on the predictions that `evaluate` makes there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.errors import S4miError
from s4mi.maths.calibration import best_threshold, fit_temperature, tempered
from s4mi.recipes.train import train
from s4mi.records import ClassificationScores, read_record
from s4mi.records.calibration import CALIBRATION_NAME, read_calibration, write_calibration
from s4mi.training.calibrate import calibrate_run
from s4mi.training.evaluate import evaluate
from s4mi.training.pixel_sample import spread_positions
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_fabric

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Path:
    """A run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, DEDL, epochs=2), folder / "segmentation")
    train(quick(lesions, TRANSFER, epochs=2), folder / "multiclass")
    train(quick(cells, TRANSFER, epochs=2), folder / "multilabel")
    return folder


@pytest.mark.parametrize("kind", ["segmentation", "multiclass", "multilabel"])
def test_training_leaves_what_the_command_would_and_it_helps_on_validation(runs: Path, kind: str) -> None:
    left = read_calibration(runs / kind)
    assert left is not None
    assert left.task == kind
    assert left.val.nll_calibrated <= left.val.nll + 1e-6
    assert left.test is not None
    assert calibrate_run(runs / kind).temperature == pytest.approx(left.temperature, rel=1e-3)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_it_is_learnt_from_the_answers_to_validation_images(runs: Path, kind: str) -> None:
    run = RunDir(runs / kind)
    config = run.config()
    fabric, prepared = make_fabric(config), prepare(config)
    scored = evaluate(fabric, load_method(fabric, config, prepared.task, run.best), config, prepared, "val")
    assert scored is not None
    assert scored.predictions is not None
    several = kind == "multilabel"
    truth = scored.predictions.truth.astype(np.int64) if several else scored.predictions.truth.argmax(axis=1)
    given = scored.predictions.probabilities.astype(np.float32)
    left = read_calibration(run.path)
    assert left is not None
    assert left.temperature == pytest.approx(
        fit_temperature(given, truth, multilabel=several, images=len(truth)), rel=1e-3
    )
    if several:
        sure = tempered(given, left.temperature, multilabel=True)
        for k, name in enumerate(left.classes):
            assert left.thresholds[name] == pytest.approx(best_threshold(sure[:, k], truth[:, k]), abs=1e-4)
    else:
        assert left.thresholds == {}


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_its_errors_before_are_those_on_record(runs: Path, kind: str) -> None:
    record, left = read_record(runs / kind), read_calibration(runs / kind)
    assert left is not None
    assert left.test is not None
    for scores, told in ((record.val, left.val), (record.test, left.test)):
        assert isinstance(scores, ClassificationScores)
        assert told.ece == pytest.approx(scores.calibration_error, abs=1e-4)


def test_pixels_are_spread_and_none_is_taken_twice() -> None:
    positions = spread_positions(64 * 64, 500)
    assert len(np.unique(positions)) == len(positions) > 490
    rows, columns = np.bincount(positions // 64, minlength=64), np.bincount(positions % 64, minlength=64)
    assert rows.min() >= 6
    assert columns.min() >= 4
    assert spread_positions(10, 20).tolist() == list(range(10))


def test_what_is_written_is_read_and_damage_is_one_line(runs: Path, tmp_path: Path) -> None:
    left = read_calibration(runs / "multilabel")
    assert left is not None
    write_calibration(left, tmp_path)
    assert read_calibration(tmp_path) == left
    assert read_calibration(tmp_path / "none") is None
    contents = json.loads((tmp_path / CALIBRATION_NAME).read_text())
    for damaged in ('{"temperature": 1', json.dumps({**contents, "temperature": 0})):
        (tmp_path / CALIBRATION_NAME).write_text(damaged)
        with pytest.raises(S4miError, match="recreate it with: s4mi calibrate") as error:
            read_calibration(tmp_path)
        assert "\n" not in str(error.value)


def test_a_run_whose_data_is_gone_is_one_line(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "multiclass", tmp_path / "run")
    text = (tmp_path / "run" / "config.yaml").read_text()
    gone = str(RunDir(runs / "multiclass").config().data.path)
    (tmp_path / "run" / "config.yaml").write_text(text.replace(gone, str(tmp_path / "gone")))
    with pytest.raises(S4miError, match="gone"):
        calibrate_run(tmp_path / "run")
