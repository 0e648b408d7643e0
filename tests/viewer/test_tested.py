"""Predictions of test images that a run has in its folder are on the page what `s4mi predict` says of them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.data.row import Row
from s4mi.data.versions import load_version, write_version
from s4mi.inference.load import load_models
from s4mi.inference.predictor import Predictor
from s4mi.maths.acquisition import binary, entropy
from s4mi.recipes.train import train
from s4mi.records.calibration import read_calibration, write_calibration
from s4mi.reporting.results.test_predictions import read_predictions
from s4mi.viewer.prediction_store import ImagePrediction
from s4mi.viewer.run_list import open_runs
from s4mi.viewer.runs import ViewRun, agreement_of
from viewer_tab import Tab

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def labeller(cells: Path, quick: Quick, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of several labels whose temperature and thresholds change decisions."""
    run = tmp_path_factory.mktemp("runs") / "labeller"
    train(quick(cells, TRANSFER, epochs=1), run)
    calibration = read_calibration(run)
    assert calibration is not None
    changed = {
        "temperature": 0.5,
        "thresholds": dict(zip(calibration.classes, (0.2, 0.9, 0.48, 0.5, 0.52), strict=True)),
    }
    write_calibration(calibration.model_copy(update=changed), run)
    return run


def opened(data: Path, run: Path, open_tab: Callable[..., Tab]) -> ViewRun:
    tab = open_tab(data, read_only=True)
    open_runs(tab.space, [run], None)
    return tab.space.runs["r0"]


def test_labels_probabilities_and_doubt_are_those_of_predict(
    cells: Path, labeller: Path, open_tab: Callable[..., Tab]
) -> None:
    shown, predictor, tested = opened(cells, labeller, open_tab), Predictor(load_models(labeller).models), 0
    for n, row in enumerate(load_manifest(cells).rows):
        one = shown.describe_image(n, row)
        if one is None:
            continue
        tested += 1
        (p,) = predictor.predict([predictor.read(row.image)])
        assert tuple(one["labels"]) == predictor.labels(p)
        assert [*one["probabilities"].values()] == pytest.approx(p.tolist(), abs=2e-3)
        assert one["doubt"] == pytest.approx(float(entropy(binary(p)).mean()), abs=2e-3)
        assert one["score"]["value"] == (set(row.labels or ()) == set(one["labels"]))
    raw = read_predictions(labeller)
    assert raw is not None
    assert tested == len(raw.images) > 0


def test_a_run_on_a_later_version_of_the_data_set_has_its_test_predictions(
    lesions: Path, quick: Quick, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(lesions, tmp_path / "lesions"))
    first = load_version(data)
    row = first.rows[0]
    other = next(name for name in first.spec.classes if (name,) != row.labels)
    write_version(first, first.spec, [replace(row, labels=(other,)), *first.rows[1:]])
    record = train(quick(data, TRANSFER, epochs=1), tmp_path / "run")
    assert record.dataset == "synthetic-lesions, version 2"
    raw = read_predictions(tmp_path / "run")
    assert raw is not None
    assert opened(data, tmp_path / "run", open_tab).describe()["known"] == len(raw.images)


def test_predictions_are_made_again_for_a_run_that_is_calibrated_again(
    cells: Path, labeller: Path, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(labeller, tmp_path / "run"))
    shown = opened(cells, run, open_tab)
    n = int(np.flatnonzero([shown.summary(n) is None for n in range(40)])[0])
    shown.keep(n, load_manifest(cells).rows[n], ImagePrediction(("other",), {"other": 0.6}, 0.9))
    assert opened(cells, run, open_tab).summary(n) is not None
    calibration = read_calibration(run)
    assert calibration is not None
    write_calibration(calibration.model_copy(update={"thresholds": {"other": 0.7}}), run)
    assert opened(cells, run, open_tab).summary(n) is None


@pytest.mark.parametrize(
    ("labels", "agreement"), [(("a",), 1), (("a", "b"), 1), (("b",), 0), ((), 0), (("a", "c"), 0), (("a", "b", "c"), 0)]
)
def test_a_label_that_is_unknown_contradicts_no_prediction(labels: tuple[str, ...], agreement: float) -> None:
    row = Row("x", Path("x.png"), None, ("a",), None, None, 2, unknown=("b",))
    assert agreement_of(row, labels) == agreement
    assert agreement_of(replace(row, labels=None, unknown=()), labels) is None
