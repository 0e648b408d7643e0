"""Evaluation from stored features is evaluation of the images, to the last digit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.config import RunConfig
from s4mi.contract import POOLED, FittedClassifier
from s4mi.recipes.train import train
from s4mi.training import evaluate as evaluation
from s4mi.training import training_features
from s4mi.training.feature_stores import feature_store
from s4mi.training.prepare import prepare
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_fabric
from s4mi.training.stored_inputs import pooled_of_rows, store_of

Quick = Callable[..., RunConfig]
FROZEN: dict[str, Any] = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}


@pytest.mark.parametrize("tile", [None, 32], ids=["whole", "tiles"])
def test_predictions_and_features_are_those_of_the_pixels(
    tile: int | None, tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick(lesions, FROZEN, data={} if tile is None else {"tile": tile}, task="multiclass")
    train(config, tmp_path / "run")
    fabric, prepared = make_fabric(config), prepare(config)
    method = load_method(fabric, config, prepared.task, RunDir(tmp_path / "run").best)
    assert isinstance(method, FittedClassifier)
    assert store_of(method.extractors) is feature_store(config, fabric)
    entries = prepared.cache.entries_of(list(prepared.split.test))
    assert tile is None or len(entries) > len(prepared.split.test)
    found, described = [], []
    for stored in (True, False):
        if not stored:
            monkeypatch.setattr(evaluation, "store_of", lambda _: None)
            monkeypatch.setattr(training_features, "store_of", lambda _: None)
        scored = evaluation.evaluate(fabric, method, config, prepared, "test")
        assert scored is not None
        assert scored.predictions is not None
        found.append(scored.predictions.probabilities)
        described.append(training_features.describe_training_features(fabric, method, prepared))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert described[0].features.shape == described[1].features.shape
    np.testing.assert_allclose(described[0].features, described[1].features, rtol=1e-5, atol=1e-6)


def test_features_of_rows_are_in_their_order_and_means_of_tiles(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, FROZEN, data={"tile": 32, "cache": tmp_path / "cache"}, task="multiclass")
    train(config, tmp_path / "run")
    fabric, prepared = make_fabric(config), prepare(config)
    method = load_method(fabric, config, prepared.task, RunDir(tmp_path / "run").best)
    assert isinstance(method, FittedClassifier)
    store, encoder, cache = feature_store(config, fabric), method.extractors[0], prepared.cache
    rows = [17, 3, 40, 5]
    found = pooled_of_rows(store, encoder, cache, rows)
    for row, features in zip(rows, found, strict=True):
        own = np.flatnonzero(cache.row == row)
        assert len(own) > 1
        expected = store.of_entries(encoder, cache, own)[POOLED].numpy().mean(axis=0)
        np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_extractors_of_several_stores_or_none_have_no_common_one(lesions: Path, quick: Quick) -> None:
    assert store_of([]) is None
    config = quick(lesions, FROZEN, task="multiclass", epochs=1)
    method = config.method.build(prepare(config).task)
    assert isinstance(method, FittedClassifier)
    assert store_of(method.extractors) is None
