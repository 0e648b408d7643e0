"""Estimated training times, checked by hand; and notes on runs made with other versions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.records import Cost, FitRecord, LabelCounts, PretrainingRecord, RunRecord
from s4mi.studies.cost_model import CostModel
from s4mi.training.versions import version_note

Quick = Callable[..., RunConfig]
SIMCLR: dict[str, Any] = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}


def record(*, seconds: float, images: float, labelled: int, percent: float, epochs: int = 3) -> RunRecord:
    """Record of a run that processed `images` images in all epochs."""
    return RunRecord.model_construct(
        task="multiclass", epochs=epochs, label_fraction=percent, versions={}, git_revision=None,
        cost=Cost.model_construct(seconds=seconds, images_per_second=images / seconds),
        labels=LabelCounts.model_construct(train_labelled=labelled),
    )  # fmt: skip


def test_a_run_of_an_unknown_kind_has_no_estimate(lesions: Path, quick: Quick) -> None:
    cost_model = CostModel()
    assert cost_model.seconds(quick(lesions, TRANSFER)) is None
    cost_model.add_record(quick(lesions, TRANSFER), record(seconds=10, images=100, labelled=40, percent=100))
    assert cost_model.seconds(quick(lesions, DEDL)) is None
    assert cost_model.seconds(quick(lesions, TRANSFER, batch_size=4)) is None
    assert cost_model.seconds(quick(lesions, {**TRANSFER, "backbone": "tiny_vit"})) is None


def test_runs_that_differ_only_in_their_seed_are_averaged(lesions: Path, quick: Quick) -> None:
    cost_model = CostModel()
    for seed, seconds in enumerate((10.0, 20.0)):
        cost_model.add_record(
            quick(lesions, TRANSFER, seed=seed), record(seconds=seconds, images=99, labelled=40, percent=100)
        )
    assert cost_model.seconds(quick(lesions, TRANSFER, seed=7)) == 15


def test_other_runs_take_the_seconds_per_image_times_the_images(lesions: Path, quick: Quick) -> None:
    cost_model = CostModel()
    cost_model.add_record(quick(lesions, TRANSFER, epochs=3), record(seconds=12, images=120, labelled=40, percent=100))
    # 40 labelled images at 100 %; 0.1 s an image
    assert cost_model.seconds(quick(lesions, TRANSFER, epochs=6)) == pytest.approx(0.1 * 40 * 6)
    assert cost_model.seconds(quick(lesions, TRANSFER, epochs=3, label_fraction=50)) == pytest.approx(0.1 * 20 * 3)
    assert cost_model.seconds(quick(lesions, TRANSFER, epochs=3, label_fraction="10 images")) == pytest.approx(
        0.1 * 10 * 3
    )
    assert cost_model.seconds(quick(lesions, TRANSFER, epochs=2, epoch_steps=5)) == pytest.approx(0.1 * 5 * 8 * 2)


def test_pre_training_processes_as_many_images_per_epoch_as_others_of_its_kind(lesions: Path, quick: Quick) -> None:
    cost_model = CostModel()
    done = PretrainingRecord.model_construct(epochs=3, cost=Cost.model_construct(seconds=12, images_per_second=10))
    cost_model.add_record(quick(lesions, SIMCLR, epochs=3), done)
    assert cost_model.seconds(quick(lesions, SIMCLR, epochs=9)) == pytest.approx(36)


def test_a_fitted_run_uses_its_images_once_and_its_features_are_not_its_own_cost(lesions: Path, quick: Quick) -> None:
    """Two seconds for 20 images, after 40 seconds of encoding; five times the labels take five times the fit."""
    settings = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}
    fit = FitRecord(features=[], seconds=2, notes=[], chosen={}, scores={})
    done = record(seconds=42, images=420, labelled=20, percent=10, epochs=1)
    done = done.model_copy(update={"fit": fit, "cost": Cost.model_construct(seconds=42, images_per_second=10)})
    cost_model = CostModel()
    cost_model.add_record(quick(lesions, settings, epochs=20, epoch_steps=10, label_fraction=10), done)
    later = quick(lesions, settings, epochs=20, epoch_steps=10, label_fraction=50)
    assert cost_model.seconds(later) == pytest.approx(10)


def made_with(versions: dict[str, str], revision: str | None = None) -> RunRecord:
    return RunRecord.model_construct(versions=versions, git_revision=revision)


def test_the_same_code_needs_no_note() -> None:
    same = {"torch": "2.15.0", "timm": "1.0"}
    assert version_note([]) is None
    assert version_note([made_with(same), made_with({**same, "python": "3.13"}, "abc")], current=same) is None


def test_what_differs_is_named_with_how_many_runs_are_on_each_side() -> None:
    old, new = {"torch": "2.14.0", "timm": "1.0"}, {"torch": "2.15.0", "timm": "1.0"}
    records = [made_with(old, "0123456789"), made_with(old, "0123456789"), made_with(new)]
    note = version_note(records)
    assert note is not None
    assert note.endswith(": torch 2.14.0 (2 runs), 2.15.0 (1 run)")
    note = version_note(records, current=new)
    assert note is not None
    assert note.endswith(": torch 2.14.0 (2 runs), 2.15.0 (1 run and now)")
    note = version_note(records[:2], current=new, revision="9876543210")
    assert note is not None
    assert note.endswith(": torch 2.14.0 (2 runs), 2.15.0 (now); revision of s4mi 01234567 (2 runs), 98765432 (now)")


def test_what_is_fitted_at_once_says_nothing_of_what_is_trained_by_epochs(lesions: Path, quick: Quick) -> None:
    """A forest that takes 2.4 s an image made a network of 2,560 image passes look like hours."""
    cost_model = CostModel()
    forest = quick(lesions, {"name": "classical_segmenter"})
    cost_model.add_record(forest, record(seconds=39, images=16, labelled=16, percent=100, epochs=1))
    assert cost_model.estimate(quick(lesions, TRANSFER, epoch_steps=8)) is None
    cost_model.add_record(quick(lesions, TRANSFER, epochs=3), record(seconds=12, images=120, labelled=40, percent=100))
    assert cost_model.estimate(quick(lesions, DEDL, epochs=1, epoch_steps=5)) == pytest.approx(0.1 * 1.5 * 5 * 8)
