"""Features of training images: how far new images are from them, by the network's own features."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.inference.predictor import Predictor
from s4mi.inference.run_model import RunModel
from s4mi.inference.unlike_training import UNLIKE_NAME
from s4mi.maths.feature_distance import NEIGHBOURS, WIDTH, distances, distances_of_each, projected, reach_of
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records.training_features import TRAINING_FEATURES_NAME, read_training_features
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]
TINY: dict[str, dict[str, Any]] = {
    "finetune": TRANSFER,
    "frozen": {"name": "frozen", "backbone": "tiny_resnet", "weights": "none"},
    "classical": {"name": "classical"},
    "dedl": DEDL,
    "mean_teacher": {"name": "mean_teacher", "network": "tiny_resnet", "passes": 2},
    "small_unet": {"name": "co_training", "network": "small_unet"},
    "cross_teaching": {
        "name": "cross_teaching", "cnn": "tiny_resnet", "transformer": "tiny_swin_unet", "transformer_weights": "none"
    },
    "frozen_segmenter": {"name": "frozen_segmenter", "backbone": "tiny_vit", "weights": "none", "width": 16,
                         "decoder_steps": 5, "turns": 1},
}  # fmt: skip
WITHOUT = {"name": "colour_clusters", "clusters": 3}


def test_distances_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    training, queries = projected(generator.normal(size=(40, 12))), projected(generator.normal(size=(7, 12)))
    oracle = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(training)
    np.testing.assert_allclose(distances(queries, training), oracle.kneighbors(queries)[0].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(distances_of_each(training), oracle.kneighbors()[0].mean(axis=1), atol=1e-5)


def test_a_projection_keeps_cosines() -> None:
    features = np.random.default_rng(1).normal(size=(50, 2048)) + 1
    short = projected(features)
    assert short.shape == (50, WIDTH)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert np.abs(short @ short.T - unit @ unit.T).max() < 4 / np.sqrt(WIDTH)
    np.testing.assert_array_equal(short, projected(features))


@pytest.mark.parametrize("count", [19, 60, 200])
def test_another_image_is_beyond_the_reach_in_at_most_five_percent(count: int) -> None:
    generator = np.random.default_rng(2)
    beyond = [
        generator.exponential() > reach_of(generator.exponential(size=count).astype(np.float32)) for _ in range(4000)
    ]
    assert 0.035 < np.mean(beyond) < 0.06


def test_with_few_distances_the_reach_is_the_largest() -> None:
    assert reach_of(np.array([3.0, 1, 2], dtype=np.float32)) == 3


@pytest.mark.long
@pytest.mark.parametrize("name", TINY)
def test_a_run_keeps_the_features_that_its_model_tells(name: str, lesions: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, TINY[name], epochs=1)
    train(config, tmp_path / "run")
    kept = read_training_features(tmp_path / "run")
    assert kept is not None
    assert (tmp_path / "run" / TRAINING_FEATURES_NAME).stat().st_size < 110_000
    prepared = prepare(config)
    rows = sorted(prepared.split.train)
    assert len(kept.features) == len(rows)
    model = RunModel(tmp_path / "run")
    predictor = Predictor((model,), tta=True)
    pixels = [predictor.read(load_manifest(lesions).rows[row].image) for row in rows[:5]]
    outputs = predictor.infer_with_features(np.concatenate([predictor.preprocess(image) for image in pixels]))
    np.testing.assert_allclose(projected(outputs[-1]), kept.features[:5], atol=2e-3)
    np.testing.assert_array_equal(
        outputs[0], predictor.infer(np.concatenate(list(map(predictor.preprocess, pixels))))[0]
    )


@pytest.mark.long
def test_a_method_without_features_says_nothing(lesions: Path, quick: Quick, tmp_path: Path, caplog: Any) -> None:
    train(quick(lesions, WITHOUT), tmp_path / "run")
    kept = read_training_features(tmp_path / "run")
    assert kept is not None
    assert len(kept.features) == 0
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        predict_run(tmp_path / "run", [lesions / "images"], tmp_path / "out")
    assert not [record for record in caplog.records if "earlier version" in record.getMessage()]


def test_images_far_in_features_are_listed_and_an_older_run_says_that_it_cannot(
    lesions: Path, quick: Quick, tmp_path: Path, caplog: Any
) -> None:
    run = tmp_path / "run"
    train(quick(lesions, TINY["frozen"]), run)
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for n in range(3):
        Image.fromarray(generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    predict_run(run, [folder], tmp_path / "out")
    with (tmp_path / "out" / UNLIKE_NAME).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["what"] == "features"]
    kept = read_training_features(run)
    assert kept is not None
    assert len(rows) == 3
    assert all(float(row["value"]) > float(row["training_high"]) for row in rows)
    assert float(rows[0]["training_high"]) == pytest.approx(kept.reach, rel=1e-3)
    (run / TRAINING_FEATURES_NAME).unlink()
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        predict_run(run, [folder], tmp_path / "older")
    (line,) = [record.getMessage() for record in caplog.records if "earlier version" in record.getMessage()]
    assert "\n" not in line
    with (tmp_path / "older" / UNLIKE_NAME).open(newline="") as file:
        assert all(row["what"] != "features" for row in csv.DictReader(file))
