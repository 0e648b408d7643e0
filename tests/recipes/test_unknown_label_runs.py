"""Runs on a data set of which some labels are unknown for one class: no image is dropped (report row B4)."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from s4mi.config import RunConfig
from s4mi.data.checks.check import check_path
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.recipes.train import train
from s4mi.records import ClassificationScores, RunRecord, read_record
from s4mi.reporting.results.test_predictions import read_predictions, share_correct
from s4mi.studies.run_id import _manifest_contents
from s4mi.training.data_state import data_state
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]
HIDDEN = 2
"""Of every so many images one class is unknown."""


@pytest.fixture(scope="module")
def partly(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn cells, with the first class unknown in every second image."""
    folder = tmp_path_factory.mktemp("partly") / "data"
    shutil.copytree(cells, folder)
    manifest = load_manifest(folder)
    name = manifest.spec.classes[0]
    rows = [
        row
        if number % HIDDEN
        else replace(row, labels=tuple(one for one in row.labels or () if one != name), unknown=(name,))
        for number, row in enumerate(manifest.rows)
    ]
    write_dataset(folder, manifest.spec, rows)
    return folder


def test_a_manifest_keeps_which_labels_are_unknown(partly: Path, cells: Path) -> None:
    whole, part = load_manifest(cells), load_manifest(partly)
    assert all(row.labels is not None for row in part.rows)
    assert [bool(row.unknown) for row in part.rows] == [number % HIDDEN == 0 for number in range(len(part.rows))]
    assert _manifest_contents(whole) != _manifest_contents(part)


def test_data_check_counts_unknown_labels_by_class(partly: Path) -> None:
    (report,) = check_path(partly, duplicates=False)
    assert report.summary is not None
    assert report.summary.labelled == report.summary.images
    assert report.summary.unknown == {load_manifest(partly).spec.classes[0]: 20}


@pytest.mark.long
@pytest.mark.parametrize("method", ["finetune", "frozen"])
def test_no_image_is_lost_and_scores_are_of_the_known_labels(
    method: str, partly: Path, quick: Quick, tmp_path: Path
) -> None:
    config = quick(partly, {"name": method, "backbone": "tiny_resnet", "weights": "none"}, task="multilabel", epochs=1)
    record = train(config, tmp_path / "run")
    assert isinstance(record, RunRecord)
    assert record.labels.train_labelled == record.labels.train_images
    predictions = read_predictions(tmp_path / "run")
    assert predictions is not None
    assert predictions.known is not None
    assert predictions.known[:, 1:].all()
    assert not predictions.known[:, 0].all()
    scores = record.test
    assert isinstance(scores, ClassificationScores)
    known = predictions.known
    assert scores.f1_micro == pytest.approx(f1_score(predictions.truth[known], predictions.decisions[known]))
    assert np.array(scores.confusion)[0].sum() == known[:, 0].sum()
    right = share_correct(predictions, multilabel=True)
    assert right[predictions.images[0]] == pytest.approx(
        (predictions.truth == predictions.decisions)[0][known[0]].mean()
    )
    assert read_record(tmp_path / "run").test == scores


def test_a_label_that_becomes_unknown_changes_the_state_of_the_data(partly: Path, cells: Path, quick: Quick) -> None:
    states = []
    for folder in (cells, partly):
        config = quick(folder, {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}, task="multilabel")
        states.append(data_state(config, prepare(config)))
    changed = [name for name, hashes in states[0].rows.items() if hashes != states[1].rows[name]]
    assert len(changed) == 20
