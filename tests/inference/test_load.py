"""The best run of a folder is selected by validation scores, never by test scores."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.errors import S4miError
from s4mi.inference.load import load_models, select_runs
from s4mi.inference.predictor import Predictor
from s4mi.recipes.train import train
from s4mi.records.calibration import CALIBRATION_NAME, read_calibration

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    for seed in (0, 1):
        train(quick(lesions, TRANSFER, epochs=1, seed=seed), folder / f"a-seed{seed}")
    train(quick(lesions, DEDL, epochs=1), folder / "masks")
    return folder


def study(folder: Path, run: Path, scores: dict[str, float]) -> Path:
    """Copies of a run with these validation scores, and with opposite test scores."""
    for name, score in scores.items():
        shutil.copytree(run, folder / name)
        record = json.loads((run / "record.json").read_text())
        record["val"]["f1_macro"], record["test"]["f1_macro"] = score, 1 - score
        (folder / name / "record.json").write_text(json.dumps(record))
    return folder


@pytest.mark.long
def test_the_technique_with_the_best_mean_predicts_with_its_best_seed(tmp_path: Path, trained: Path) -> None:
    scores = {"runs/a-seed0": 0.9, "runs/a-seed1": 0.1, "runs/b-seed0": 0.6, "runs/b-seed1": 0.7, "runs/c-seed0": 0.95}
    folder = study(tmp_path, trained / "a-seed0", scores)
    selected = select_runs(folder)
    assert selected.runs == (folder / "runs/b-seed1",)
    assert selected.why == "b: best seed b-seed1 (validation f1_macro 0.650, mean of 2 seeds)"
    selected = select_runs(folder, ensemble=True)
    assert selected.runs == (folder / "runs/b-seed0", folder / "runs/b-seed1")
    assert "all 2 seeds" in selected.why


@pytest.mark.long
def test_of_a_technique_at_several_label_fractions_the_largest_counts(tmp_path: Path, trained: Path) -> None:
    scores = {"runs/a-10pct-seed0": 0.9, "runs/a-100pct-seed0": 0.6, "runs/b-50images-seed0": 0.7, "runs/c-seed0": 0.5}
    folder = study(tmp_path, trained / "a-seed0", scores)
    for name, fraction in (("a-10pct-seed0", 10.0), ("a-100pct-seed0", 100.0), ("b-50images-seed0", 43.1)):
        record = json.loads((folder / "runs" / name / "record.json").read_text())
        (folder / "runs" / name / "record.json").write_text(json.dumps(record | {"label_fraction": fraction}))
    assert select_runs(folder).runs == (folder / "runs/b-50images-seed0",)
    shutil.rmtree(folder / "runs/b-50images-seed0")
    assert select_runs(folder).why == "a-100pct: best seed a-100pct-seed0 (validation f1_macro 0.600, mean of 1 seed)"


def test_a_larger_label_fraction_counts_though_fewer_of_its_seeds_are_finished(tmp_path: Path, trained: Path) -> None:
    scores = {"runs/a-10pct-seed0": 0.9, "runs/a-10pct-seed1": 0.9, "runs/a-100pct-seed0": 0.6}
    folder = study(tmp_path, trained / "a-seed0", scores)
    for name in ("a-10pct-seed0", "a-10pct-seed1"):
        record = json.loads((folder / "runs" / name / "record.json").read_text())
        (folder / "runs" / name / "record.json").write_text(json.dumps(record | {"label_fraction": 10.0}))
    assert select_runs(folder).runs == (folder / "runs/a-100pct-seed0",)


def test_runs_chosen_without_validation_predict_where_there_is_nothing_to_choose(tmp_path: Path, trained: Path) -> None:
    one = study(tmp_path / "one", trained / "a-seed0", {"runs/a-seed1": 0.1, "runs/a-seed0": 0.2})
    two = study(tmp_path / "two", trained / "a-seed0", {"runs/a-seed0": 0.1, "runs/b-seed0": 0.2})
    for run in [*(one / "runs").iterdir(), *(two / "runs").iterdir()]:
        record = json.loads((run / "record.json").read_text())
        record["val"] = None
        (run / "record.json").write_text(json.dumps(record))
    selected = select_runs(one)
    assert selected.runs == (one / "runs/a-seed0",)
    assert "chosen without validation" in selected.why
    with pytest.raises(S4miError, match="no finished run with a validation score"):
        select_runs(two)


def test_only_runs_on_the_newest_labels_count(tmp_path: Path, trained: Path) -> None:
    scores = {"runs/a-seed0": 0.9, "runs/a-v2-seed0": 0.5, "runs/b-v2-seed0": 0.6, "superseded/c-seed0": 0.99}
    folder = study(tmp_path, trained / "a-seed0", scores)
    for name in ("a-v2-seed0", "b-v2-seed0"):
        record = json.loads((folder / "runs" / name / "record.json").read_text())
        record["data"]["version"] = 2
        (folder / "runs" / name / "record.json").write_text(json.dumps(record))
    assert select_runs(folder).runs == (folder / "runs/b-v2-seed0",)


def test_one_of_two_tasks_must_be_chosen(tmp_path: Path, trained: Path) -> None:
    folder = study(tmp_path, trained / "a-seed0", {"runs/a-seed0": 0.9})
    shutil.copytree(trained / "masks", folder / "runs/masks-seed0")
    with pytest.raises(S4miError, match="--task"):
        select_runs(folder)
    assert select_runs(folder, task="segmentation").runs == (folder / "runs/masks-seed0",)
    assert select_runs(folder, task="multiclass").runs == (folder / "runs/a-seed0",)
    with pytest.raises(S4miError, match="no finished multilabel run"):
        select_runs(folder, task="multilabel")


def test_runs_on_two_data_sets_are_not_compared(tmp_path: Path, trained: Path) -> None:
    folder = study(tmp_path, trained / "a-seed0", {"x/runs/a-seed0": 0.9, "y/runs/a-seed0": 0.5})
    record = json.loads((folder / "y/runs/a-seed0/record.json").read_text()) | {"dataset": "others"}
    (folder / "y/runs/a-seed0/record.json").write_text(json.dumps(record))
    with pytest.raises(S4miError, match=r"cannot be compared: .*others, multiclass by f1_macro"):
        select_runs(folder)


def test_a_single_run_is_selected_as_it_is(trained: Path) -> None:
    assert select_runs(trained / "masks").runs == (trained / "masks",)


def test_an_ensemble_predicts_the_mean_of_its_runs(tmp_path: Path, trained: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(trained / f"a-seed{seed}", tmp_path / f"runs/a-seed{seed}")
    ensemble = load_models(tmp_path, ensemble=True)
    images = [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)]
    each = [next(Predictor((model,)).predict(images)) for model in ensemble.models]
    assert len(each) == 2
    assert not np.allclose(each[0], each[1])
    np.testing.assert_allclose(next(Predictor(ensemble.models).predict(images)), np.mean(each, axis=0), atol=1e-6)


def test_an_uncalibrated_run_is_calibrated_once_and_predicts_uncalibrated_without_its_data(
    tmp_path: Path, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "a-seed0", run)
    (run / CALIBRATION_NAME).unlink()
    assert load_models(run, raw=True).models[0].calibration is None
    assert not (run / CALIBRATION_NAME).exists()
    calibration = load_models(run).models[0].calibration
    assert calibration is not None
    expected = read_calibration(trained / "a-seed0")
    assert expected is not None
    assert calibration.temperature == pytest.approx(expected.temperature, rel=1e-3)
    (run / CALIBRATION_NAME).unlink()
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("/data\n", "/gone\n"))
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        assert load_models(run).models[0].calibration is None
    assert "not calibrated, so its probabilities are uncalibrated" in caplog.text


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("nothing", {}, "no such folder; pass the folder of a run or of a study"),
        ("masks/checkpoints", {}, r"not a run \(no config\.yaml\), and contains no finished run"),
        (".", {}, "its runs cannot be compared: .*multiclass by f1_macro and segmentation by iou"),
        (".", {"task": "multilabel"}, "no finished multilabel run, only multiclass and segmentation; choose with"),
        ("masks", {"ensemble": True}, "is a single run; leave out --ensemble"),
        ("masks/config.yaml", {}, "neither a run folder nor an exported model"),
        ("masks/config.yaml", {"ensemble": True}, "is a single file; leave out --ensemble"),
    ],
)
def test_what_cannot_predict_is_one_line(trained: Path, path: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(S4miError, match=message) as error:
        load_models(trained / path, **options)
    assert "\n" not in str(error.value)
