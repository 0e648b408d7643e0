"""A run reads no label but those that it counts: whatever the others say, it is the same to the bit."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.recipes.train import train
from s4mi.records import RunRecord, TaskKind
from s4mi.records.calibration import read_calibration
from s4mi.training.out_of_fold import label_folds
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]
FROZEN: dict[str, Any] = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}
FINETUNE: dict[str, Any] = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
TWO_UNETS: dict[str, Any] = {"name": "cross_pseudo_supervision", "network": "tiny_resnet", "weights": "none"}
TOKENS: dict[str, Any] = {
    "name": "frozen_segmenter", "head": "linear", "strength": 0.01, "backbone": "tiny_resnet", "weights": "none",
}  # fmt: skip
COUNTED: dict[str, Any] = {"labels": {"count_validation": True, "hold_out": 0.25}, "label_fraction": 60}


def trained(config: RunConfig, run: Path) -> RunRecord:
    record = train(config, run)
    assert isinstance(record, RunRecord)
    return record


def with_other_labels(folder: Path, kept: set[str], out: Path, *, erase: bool) -> Path:
    """A copy of a data set, all of whose annotations but those of the images `kept` are erased or those of others."""
    shutil.copytree(folder, out)
    manifest = load_manifest(out)
    classes, rows = manifest.spec.classes, []
    for row in manifest.rows:
        if row.id not in kept:
            wrong = tuple(name for name in classes if name not in (row.labels or ()))[:1]
            row = replace(row, labels=None if erase else wrong)
            if erase:
                row = replace(row, mask=None)
            elif row.mask is not None:
                mask = np.asarray(Image.open(row.mask))
                Image.fromarray(mask.max() - mask).save(row.mask)
        rows.append(row)
    write_dataset(out, manifest.spec, rows)
    return out


@pytest.mark.parametrize("erase", [True, False], ids=["erased", "changed"])
@pytest.mark.parametrize(
    ("method", "task", "selection"),
    [
        (FROZEN, "multiclass", "validation"),
        (FROZEN, "multiclass", "cross_validation"),
        (FINETUNE, "multiclass", "validation"),
        (FINETUNE, "multiclass", "last"),
        (TWO_UNETS, "segmentation", "validation"),
        (TOKENS, "segmentation", "cross_validation"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_labels_outside_the_budget_change_nothing(
    method: dict[str, Any], task: TaskKind, selection: str, erase: bool, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    own: dict[str, Any] = {**COUNTED, "selection": selection, "task": task, "epochs": 2}
    first = trained(quick(lesions, method, **own), tmp_path / "first")
    split = json.loads((tmp_path / "first" / "split.json").read_text())
    kept = {*split["labelled"], *split["val"], *split["test"]}
    others = [name for name in split["train"] if name not in kept]
    assert len(others) > 10
    changed = with_other_labels(lesions, kept, tmp_path / "changed", erase=erase)
    saved = {"split": {"kind": "file", "file": tmp_path / "first" / "split.json"}, "label_fraction": "saved"}
    second = trained(quick(changed, method, **{**own, **saved}), tmp_path / "second")
    for name in ("checkpoints/best.safetensors", "test_predictions.csv", "test_images.csv", "calibration.json"):
        before, after = (tmp_path / run / name for run in ("first", "second"))
        assert before.exists() == after.exists()
        assert not before.exists() or before.read_bytes() == after.read_bytes()
    for field in ("test", "val", "last_test", "labels", "selection", "best_epoch", "member"):
        assert getattr(first, field) == getattr(second, field), field
    assert first.labels_hash != second.labels_hash or task == "segmentation"


def test_the_counted_labels_are_those_trained_on_and_those_chosen_with(
    lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    record = trained(quick(lesions, FINETUNE, **COUNTED, epochs=2), tmp_path / "run")
    prepared = prepare(quick(lesions, FINETUNE, **COUNTED, epochs=2))
    chosen_with = prepared.annotated("val")
    assert record.labels.validation == len(chosen_with) > 0
    assert record.labels.train_labelled == len(prepared.split.labelled)
    assert record.labels.n == record.labels.read == len(prepared.split.labelled) + len(chosen_with)
    assert record.labels.beside == 0
    outside_test = len(lesion_rows(lesions)) - len(prepared.split.test)
    assert record.labels.n == pytest.approx(0.6 * outside_test, abs=1.5)
    assert record.selection is not None
    assert (record.selection.used, record.selection.labels) == ("validation", len(chosen_with))
    assert record.label_fraction == 60


def lesion_rows(folder: Path) -> tuple[object, ...]:
    return load_manifest(folder).rows


def test_the_way_of_the_paper_reads_the_validation_part_besides(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    record = trained(quick(lesions, FROZEN, label_fraction=50), tmp_path / "run")
    assert not record.labels.counted
    assert record.labels.n == record.labels.train_labelled
    assert record.labels.beside == record.labels.validation == record.labels.val > 0


def test_the_last_epoch_is_chosen_with_nothing(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, FINETUNE, **COUNTED, selection="last")
    record = trained(config, tmp_path / "run")
    assert (record.best_epoch, record.val, record.last_test) == (3, None, None)
    assert record.selection is not None
    assert (record.selection.used, record.selection.labels, record.selection.note) == ("last", 0, "")
    assert record.labels.validation == 0
    assert record.labels.n == record.labels.train_labelled
    assert not record.ended_improving
    assert read_calibration(tmp_path / "run") is None


def test_a_trained_network_is_not_cross_validated_and_says_so(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    runs = {
        name: trained(quick(lesions, FINETUNE, **COUNTED, epochs=1, selection=name), tmp_path / name)
        for name in ("cross_validation", "validation")
    }
    assert runs["cross_validation"].test == runs["validation"].test
    selection = runs["cross_validation"].selection
    assert selection is not None
    assert (selection.asked, selection.used) == ("cross_validation", "validation")
    assert "per fold" in selection.note


def test_too_few_labels_fall_back_to_the_last_epoch(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, FINETUNE, **{**COUNTED, "label_fraction": "4 images"}, epochs=2)
    record = trained(config, tmp_path / "run")
    assert record.selection is not None
    assert (record.selection.asked, record.selection.used) == ("validation", "last")
    assert "too few to hold any out" in record.selection.note
    assert (record.labels.n, record.labels.validation, record.best_epoch) == (4, 0, 2)
    assert read_calibration(tmp_path / "run") is None


def test_a_head_is_calibrated_on_predictions_of_heads_that_have_not_seen_the_image(
    lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    """Every fold is fitted again here, as a run of its own on the labels of the other folds."""
    config = quick(lesions, FROZEN, **COUNTED, selection="cross_validation")
    record = trained(config, tmp_path / "run")
    prepared = prepare(config)
    rows = np.asarray(prepared.split.labelled)
    folds = label_folds(config, prepared)
    patient = [row.group for row in prepared.manifest.rows]
    for held in folds:
        seen = np.delete(rows, held)
        assert not {patient[row] for row in rows[held]} & {patient[row] for row in seen}
    assert record.val is not None
    assert record.val.images == sum(map(len, folds))
    calibration = read_calibration(tmp_path / "run")
    assert calibration is not None
    assert calibration.images == record.val.images
    assert record.selection is not None
    assert record.selection.labels == record.val.images
    assert record.labels.n == record.labels.train_labelled  # all of them are fitted to


def test_folds_do_not_change_the_fit(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    weights = []
    for selection in ("cross_validation", "last"):
        trained(quick(lesions, FROZEN, **COUNTED, selection=selection), tmp_path / selection)
        weights.append((tmp_path / selection / "checkpoints" / "best.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_clusters_are_named_by_validation_masks_which_count(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    picie = {"name": "picie", "backbone": "tiny_resnet", "weights": "none", "width": 16, "clusters": 4}
    own: dict[str, Any] = {"labels": {"count_validation": True}, "epochs": 2}
    last = trained(quick(lesions, picie, **own, selection="last"), tmp_path / "last")
    assert last.label_fraction == 0
    assert last.labels.train_labelled == 0
    assert last.labels.n == last.labels.validation == last.labels.val > 0
    assert last.selection is not None
    assert (last.selection.used, last.best_epoch) == ("last", 2)
    assert "clusters" in last.selection.note
    assert last.test is not None
    assert last.test.kind == "segmentation"
    chosen = trained(quick(lesions, picie, **own), tmp_path / "chosen")
    if chosen.best_epoch == 2:  # the same weights, so the classes must have been given alike
        assert chosen.test == last.test
    else:
        assert chosen.last_test is not None
