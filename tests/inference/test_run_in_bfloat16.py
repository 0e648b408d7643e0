"""A run predicts in bfloat16 where that changes no decision, and says so in its folder and that of its predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.engine.cpu import bfloat16
from s4mi.errors import S4miError
from s4mi.inference.run_model import RunModel
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records.precision import PRECISION_NAME, read_precision
from s4mi.visualisation.report_sheets import WEIGHTS_NAME

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def run(lesions: Path, quick: Quick, tmp_path: Path) -> Path:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    return tmp_path / "run"


def test_decisions_and_features_are_those_of_float32(run: Path, pixels: np.ndarray) -> None:
    assert (run / WEIGHTS_NAME).is_file()
    exact, fast = RunModel(run), RunModel(run, precision="bf16")
    assert (exact.precision, fast.precision) == ("32", "bf16")
    for model in (exact, fast):
        model.take_features()  # those of loading
    one, other = exact.logits(pixels), fast.logits(pixels)
    np.testing.assert_array_equal(one.argmax(1), other.argmax(1))
    np.testing.assert_allclose(one, other, atol=0.05)
    features, rounded = exact.take_features(), fast.take_features()
    assert features is not None
    assert rounded is not None
    assert len(features) == len(rounded) == len(pixels)
    np.testing.assert_allclose(rounded, features, atol=0.05 * np.abs(features).max())
    assert np.any(rounded != features)  # those of the pass in bfloat16, of all images


def test_the_check_is_kept_with_the_run_and_not_made_again(run: Path, pixels: np.ndarray) -> None:
    RunModel(run, precision="bf16").logits(pixels)
    model = RunModel(run)
    check = read_precision(run, model.info.digest)
    assert check is not None
    assert check.used
    assert read_precision(run, "other weights") is None
    written = (run / PRECISION_NAME).stat().st_mtime_ns
    RunModel(run, precision="bf16").logits(pixels)
    assert (run / PRECISION_NAME).stat().st_mtime_ns == written


def test_a_run_that_was_refused_stays_in_float32(run: Path, pixels: np.ndarray) -> None:
    RunModel(run, precision="bf16").logits(pixels)
    contents = json.loads((run / PRECISION_NAME).read_text())
    (run / PRECISION_NAME).write_text(json.dumps({**contents, "used": False}))
    assert RunModel(run, precision="bf16").precision == "32"


def test_auto_is_bfloat16_for_large_networks_on_processors_that_have_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda: True)
    assert RunModel(run, precision="auto").precision == "32"  # 0.3 million weights
    monkeypatch.setattr(bfloat16, "LEAST_WEIGHTS", 1)
    assert RunModel(run, precision="auto").precision == "bf16"
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda: False)
    assert RunModel(run, precision="auto").precision == "32"


def test_a_precision_that_the_run_names_is_used(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, TRANSFER, epochs=1, hardware={"accelerator": "cpu", "precision": "32"})
    train(config, tmp_path / "run")
    assert RunModel(tmp_path / "run", precision="bf16").precision == "32"


@pytest.mark.long
def test_predictions_of_two_precisions_are_not_mixed(run: Path, lesions: Path, tmp_path: Path) -> None:
    out, images = tmp_path / "out", [lesions / "images"]
    predict_run(run, images, tmp_path / "exact", precision="32")
    predict_run(run, images, out, precision="bf16")
    assert json.loads((out / "predict.json").read_text())["precision"] == ["bf16"]
    for column in ("id", "decision"):
        one, other = (polars.read_csv(folder / "predictions.csv")[column] for folder in (out, tmp_path / "exact"))
        assert one.to_list() == other.to_list()
    with pytest.raises(S4miError, match="were made with precision bf16, not 32"):
        predict_run(run, images, out, precision="32", resume=True)
    settings = json.loads((tmp_path / "exact" / "predict.json").read_text())
    del settings["precision"]  # as older versions wrote it
    (tmp_path / "exact" / "predict.json").write_text(json.dumps(settings))
    assert predict_run(run, images, tmp_path / "exact", precision="32", resume=True).kept > 0


@pytest.mark.long
def test_masks_are_those_of_float32_but_for_one_pixel_in_a_thousand(
    lesions: Path, quick: Quick, tmp_path: Path, pixels: np.ndarray
) -> None:
    train(quick(lesions, DEDL, epochs=1), tmp_path / "run")
    fast = RunModel(tmp_path / "run", precision="bf16")
    one, other = RunModel(tmp_path / "run").logits(pixels), fast.logits(pixels)
    assert (one.argmax(1) == other.argmax(1)).mean() >= 0.999
    check = read_precision(tmp_path / "run", fast.info.digest)
    assert check is not None
    assert check.used == (check.equal >= 0.999)
