"""Runs on images with and without masks: the files they write, and the ensemble member they choose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import DEDL
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records import RunRecord, SegmentationScores, read_epochs, read_record
from s4mi.training.evaluate import evaluate_run
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]

CROSS_TEACHING = {
    "name": "cross_teaching",
    "cnn": "tiny_resnet",
    "transformer": "tiny_swin_unet",
    "transformer_weights": "none",
}
FROZEN_TEACHER = {
    "name": "frozen_teacher", "network": "tiny_resnet", "teacher": "tiny_vit", "teacher_weights": "none",
    "teacher_steps": 3, "folds": 2,
}  # fmt: skip
AUTOENCODER = {**DEDL, "autoencoder": [8]}
FEW = {"label_fraction": 25, "epochs": 3, "epoch_steps": 3}


class StoppedError(Exception):
    pass


def stop_after(epoch: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.latest is not None and progress.latest.epoch == epoch:
            raise StoppedError

    return watch


@pytest.fixture(scope="module", params=[CROSS_TEACHING, AUTOENCODER], ids=["cross_teaching", "dedl"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick
) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    train(quick(lesions, request.param, **FEW), run)
    return run


@pytest.mark.long
def test_validation_chooses_the_reading_of_the_best_epoch(finished: Path) -> None:
    record, epochs = read_record(finished), read_epochs(finished)
    of_each = {name: epochs[record.best_epoch - 1].val[f"iou of {name}"] for name in record.members}
    assert len(of_each) > 1
    assert of_each[record.member] == max(of_each.values())
    assert epochs[record.best_epoch - 1].val["iou"] == of_each[record.member]
    assert record.best_epoch == max(epochs, key=lambda epoch: epoch.val["iou"]).epoch


def test_the_record_has_every_reading_and_its_scores_are_the_chosen_one_s(finished: Path) -> None:
    record = read_record(finished)
    for part in ("val", "test"):
        scores = getattr(record, part)
        assert scores == getattr(record.members[record.member], part)
        others = [getattr(reading, part) for name, reading in record.members.items() if name != record.member]
        assert all(other.hd95 is None for other in others)
        assert len({other.iou for other in [*others, scores]}) > 1


@pytest.mark.long
def test_evaluating_again_gives_the_scores_of_the_chosen_reading(finished: Path) -> None:
    assert evaluate_run(finished, "test") == read_record(finished).test


def test_what_is_predicted_is_what_was_scored(finished: Path, lesions: Path, tmp_path: Path) -> None:
    predict_run(finished, [lesions], tmp_path, part="test")
    by_id = {row.id: row for row in load_manifest(lesions).rows}
    overlap = union = 0
    for path in tmp_path.glob("*.png"):
        row = by_id[path.stem]
        assert row.mask is not None
        predicted, truth = (np.asarray(Image.open(place)) > 0 for place in (path, row.mask))
        overlap, union = overlap + int((predicted & truth).sum()), union + int((predicted | truth).sum())
    test = read_record(finished).test
    assert isinstance(test, SegmentationScores)
    assert test.iou == pytest.approx(overlap / union)


def test_a_run_counts_the_images_whose_masks_it_read(finished: Path) -> None:
    labels = read_record(finished).labels
    assert labels.train_labelled == pytest.approx(labels.train_images / 4, abs=2)  # whole patients


STATEFUL: list[Any] = [
    CROSS_TEACHING,
    {"name": "mean_teacher", "network": "tiny_resnet", "passes": 2},
    {"name": "self_training", "network": "tiny_resnet", "rounds": 2},
    {"name": "adversarial", "network": "tiny_resnet", "evaluator": 4},
    {"name": "weak_to_strong", "network": "tiny_resnet", "confidence": 0.5},
    pytest.param(
        {"name": "weak_to_strong", "network": "dpt/tiny_vit", "confidence": 0.5, "complementary": True},
        marks=pytest.mark.slow,
    ),
    {"name": "cross_pseudo_supervision", "network": "frozen/tiny_vit"},
    FROZEN_TEACHER,
]


@pytest.mark.long
@pytest.mark.parametrize("method", STATEFUL, ids=lambda method: str(method["name"]))
def test_a_run_stopped_in_between_resumes_to_the_same_weights(
    method: dict[str, Any], tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    config = quick(lesions, method, **FEW)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop_after(2))
    resumed = train(config, tmp_path / "run", resume=True)
    for name in ("last", "best"):
        weights = [load_file(tmp_path / run / "checkpoints" / f"{name}.safetensors") for run in ("whole", "run")]
        torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert isinstance(whole, RunRecord)
    assert isinstance(resumed, RunRecord)
    assert (resumed.test, resumed.member) == (whole.test, whole.member)


@pytest.mark.long
@pytest.mark.parametrize("method", [CROSS_TEACHING, FROZEN_TEACHER], ids=["cross_teaching", "frozen_teacher"])
def test_one_image_with_a_mask_is_enough_and_any_size_will_do(
    method: dict[str, Any], tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    config = quick(lesions, method, data={"image_size": 33}, label_fraction="1 images", epochs=1, epoch_steps=2)
    record = train(config, tmp_path)
    assert isinstance(record, RunRecord)
    assert record.labels.train_labelled == 1
    assert record.test is not None


@pytest.mark.long
def test_with_every_mask_the_batch_is_labelled_but_for_one_image(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    record = train(quick(lesions, CROSS_TEACHING, epochs=1), tmp_path)
    assert isinstance(record, RunRecord)
    steps = -(-record.labels.train_images // 7)  # batches of 8
    assert record.cost.images_per_second * record.cost.seconds == pytest.approx(8 * steps)


def test_without_room_for_both_kinds_of_images_nothing_begins(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    with pytest.raises(S4miError, match="batch_size must be at least 2, for images with and without masks"):
        quick(lesions, CROSS_TEACHING, batch_size=1)
    assert not list(tmp_path.iterdir())
