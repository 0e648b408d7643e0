"""Folds inside the labels know patients, and which labels are known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.training.out_of_fold import label_folds
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]


def test_methods_are_told_the_patients_of_the_training_images(lesions: Path, quick: Quick) -> None:
    prepared = prepare(quick(lesions, TRANSFER))
    task, rows = prepared.task, prepared.manifest.rows
    assert task.train_rows == prepared.split.train
    patients = task.patients_of(task.train_rows)
    names = [rows[row].group for row in task.train_rows]
    assert 1 < len(set(names)) < len(names)
    assert len(set(zip(names, patients, strict=True))) == len(set(names)) == len(set(patients))
    assert [rows[patient].group for patient in patients] == names


def test_a_class_of_which_one_patient_alone_is_known_to_lack_it_keeps_this_patient_in_training(
    lesions: Path, quick: Quick
) -> None:
    """Its head would have no negative otherwise: of all other images, it is shown or unknown."""
    config = quick(lesions, TRANSFER)
    prepared = prepare(config)
    labelled = list(prepared.split.labelled)
    shows = np.zeros((len(prepared.manifest.rows), 2), dtype=bool)
    unknown = np.zeros_like(shows)
    shows[labelled[::2]] = True
    group = prepared.manifest.rows[labelled[0]].group
    own = [row for row in labelled if prepared.manifest.rows[row].group == group]
    unknown[labelled, 1] = ~shows[labelled, 1]
    shows[own, 1], unknown[own, 1] = False, False
    made = replace(prepared, task=replace(prepared.task, kind="multilabel"), shows=shows, unknown=unknown)
    found = label_folds(config, made)
    assert found
    for held in found:
        truth = made.truth(np.delete(np.asarray(labelled), held).tolist())
        assert (truth == 0).any(axis=0).all()
        assert (truth == 1).any(axis=0).all()
