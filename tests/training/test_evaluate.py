"""Evaluation reads the run's own split at the images' own size."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.errors import S4miError
from s4mi.maths.classification_metrics import score_multiclass, score_multilabel
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records import ClassificationScores, SegmentationScores, read_record
from s4mi.reporting.results.test_predictions import read_predictions
from s4mi.training.evaluate import evaluate_run, page_classes

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A segmentation run on tiles of 20 pixels: 3 × 3 of them cover an image of 48."""
    run = tmp_path_factory.mktemp("runs") / "tiled"
    train(quick(lesions, DEDL, data={"tile": 20}), run)
    return run


@pytest.mark.long
def test_evaluating_again_gives_the_recorded_scores(tiled: Path) -> None:
    assert evaluate_run(tiled, "test") == read_record(tiled).test
    assert evaluate_run(tiled, "val") == read_record(tiled).val


def test_stitched_scores_are_those_of_the_predicted_masks_where_windows_do_not_overlap(
    tmp_path: Path, tiled: Path, lesions: Path
) -> None:
    manifest = load_manifest(lesions)
    test = json.loads((tiled / "split.json").read_text())["test"]
    rows = [row for row in manifest.rows if row.id in test]
    predict_run(tiled, [row.image for row in rows], tmp_path, overlap=0)
    overlap = union = 0
    for row in rows:
        assert row.mask is not None
        truth = read_mask(row.mask, manifest.spec.mask_values) == 1
        predicted = read_mask(tmp_path / f"{row.image.stem}.png", manifest.spec.mask_values) == 1
        overlap += int((truth & predicted).sum())
        union += int((truth | predicted).sum())
    scores = evaluate_run(tiled, "test")
    assert isinstance(scores, SegmentationScores)
    assert scores.iou == pytest.approx(overlap / union)


def test_a_page_is_put_together_from_its_tiles(tiled: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, DEDL, data={"tile": 20})
    logits = torch.zeros(9, 2, 32, 32)
    logits[4, 1] = 5  # the middle tile is all foreground
    page = page_classes(logits, config, (48, 48))
    expected = np.zeros((48, 48), dtype=np.uint8)
    expected[20:40, 20:40] = 1
    np.testing.assert_array_equal(page, expected)


def test_a_changed_split_is_refused(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, TRANSFER, epochs=1)
    train(config, tmp_path / "run")
    path = tmp_path / "run" / "split.json"
    path.write_text(path.read_text().replace('"hash": "', '"hash": "0', 1))
    with pytest.raises(S4miError, match="train again, or restore the manifest"):
        evaluate_run(tmp_path / "run", "test")


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="not a run"):
        evaluate_run(tmp_path, "test")


def test_classification_on_tiles_answers_once_an_image(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    record = train(quick(lesions, TRANSFER, epochs=1, data={"tile": 20}), tmp_path / "run")
    assert isinstance(record.test, ClassificationScores)
    assert record.test.images == record.labels.test


@pytest.mark.long
@pytest.mark.parametrize("several", [False, True])
def test_answers_to_test_images_give_the_recorded_scores(
    tmp_path: Path, lesions: Path, cells: Path, quick: Quick, several: bool
) -> None:
    folder = cells if several else lesions
    train(quick(folder, TRANSFER, epochs=2, data={"tile": 20}), tmp_path / "run")
    test, given = read_record(tmp_path / "run").test, read_predictions(tmp_path / "run")
    assert isinstance(test, ClassificationScores)
    parts = json.loads((tmp_path / "run" / "split.json").read_text())["test"]
    rows = {row.id: row for row in load_manifest(folder).rows}
    assert list(given.images) == [row for row in rows if row in parts], "every test image once, in order"
    assert given.groups == tuple(rows[image].group for image in given.images)
    for n, image in enumerate(given.images):
        assert {given.classes[k] for k in np.flatnonzero(given.truth[n])} == set(rows[image].labels or ())
    probabilities, truth = torch.from_numpy(given.probabilities).float(), torch.from_numpy(given.truth).long()
    if several:
        again = score_multilabel(probabilities, truth, given.classes, majority=torch.zeros(len(given.classes)))
        assert (given.decisions == (given.probabilities > 0.5)).all()
    else:
        again = score_multiclass(probabilities, truth.argmax(dim=1), given.classes, majority=0)
        assert (given.decisions.argmax(axis=1) == given.probabilities.argmax(axis=1)).all()
    assert again.model_copy(update={"majority_f1_macro": test.majority_f1_macro}) == test


def test_predictions_of_damaged_weights_are_no_scores(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best.safetensors"
    weights = load_file(best)
    damaged = next(name for name in weights if name.startswith("head."))
    save_file({**weights, damaged: torch.full_like(weights[damaged], torch.nan)}, best)
    with pytest.raises(S4miError, match="predictions are not finite: the weights are damaged; train the run again"):
        evaluate_run(tmp_path / "run", "test")
