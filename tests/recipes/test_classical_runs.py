"""Runs of the methods without a network: from settings to record, to the loaded model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s4mi.config import RunConfig
from s4mi.inference.run_model import RunModel
from s4mi.recipes.train import train
from s4mi.records import RunRecord, SegmentationScores
from s4mi.records.calibration import read_calibration

Quick = Callable[..., RunConfig]
FOREST = {"name": "classical_segmenter", "trees": 8, "pixels": 2000}
LEAST = {"forest": 0.5, "kmeans": 0.15, "otsu": 0.15}
"""The synthetic lesions have hairs and vignettes, which colours alone do not tell from lesions."""


def done(config: RunConfig, run: Path) -> RunRecord:
    record = train(config, run)
    assert isinstance(record, RunRecord)
    return record


@pytest.mark.long
@pytest.mark.parametrize("head", ["logistic", "boosting"])
def test_a_classical_run_is_scored_calibrated_and_loaded(
    head: str, lesions: Path, quick: Quick, cache_dir: Path, tmp_path: Path
) -> None:
    config = quick(lesions, {"name": "classical", "head": head}, label_fraction=50, data={"cache": cache_dir})
    record = done(config, tmp_path / head)
    assert record.fit is not None
    assert [each.name for each in record.fit.features] == ["classical"]
    assert record.fit.chosen["head"] == head
    assert record.test is not None
    assert read_calibration(tmp_path / head) is not None
    model = RunModel(tmp_path / head)
    assert model._method.logits(torch.rand(2, 3, 32, 32)).shape == (2, len(model.task.classes))


@pytest.mark.long
@pytest.mark.parametrize("name", ["forest", "kmeans", "otsu"])
def test_a_segmenter_without_a_network_finds_lesions(
    name: str, lesions: Path, quick: Quick, cache_dir: Path, tmp_path: Path
) -> None:
    method = FOREST if name == "forest" else {"name": "colour_clusters", "algorithm": name}
    config = quick(lesions, method, task="segmentation", data={"cache": cache_dir})
    record = done(config, tmp_path / name)
    assert isinstance(record.test, SegmentationScores)
    assert record.test.iou > LEAST[name]
    assert RunModel(tmp_path / name)._method.logits(torch.rand(1, 3, 32, 32)).shape == (1, 2, 32, 32)
