"""What a study sets for all its runs: how they are split, which labels count, and where else they are tested.

The defaults have changed once, and a study that was begun before keeps the older ones, so that its finished runs stay
what they are:

    1   the seed decides about the test part too, and only training images count as labels
    2   one test part for all seeds; the profiles `small` and `strong` count every label that a run reads
"""

from typing import Final

from s4mi.config.labels import LabelsConfig
from s4mi.config.layers import Settings
from s4mi.config.study import StudyConfig, StudyDataset
from s4mi.contract import MethodConfig
from s4mi.data.versions import annotated_tasks
from s4mi.home import expanded

DEFAULTS: Final = 2
"""Number of the current defaults."""
TEST_SEED: Final = 0
"""Seed of the test part that all seeds of a study share."""


def with_defaults(study: StudyConfig, number: int) -> StudyConfig:
    """Return the study with the defaults of this number for what its file leaves open."""
    if number >= DEFAULTS:
        return study
    first = {"resample": "test", "labels": LabelsConfig(count_validation=False), "selection": "validation"}
    return study.model_copy(update={key: value for key, value in first.items() if key not in study.model_fields_set})


def split_settings(study: StudyConfig, dataset: StudyDataset) -> Settings:
    """Return the split of the runs: with one test part for all seeds, unless the study resamples it too."""
    split = dataset.split or study.split
    if study.resample == "validation" and split.seed is None and split.test_seed is None:
        split = split.model_copy(update={"test_seed": TEST_SEED})
    return split.model_dump(mode="json", exclude_unset=True)  # a kind that nobody named stays so


def label_settings(study: StudyConfig) -> Settings:
    """Return what the file says of all runs about counting labels and choosing with them."""
    labels, selection = study.labels, study.selection
    counted = {} if labels is None else {"labels": labels.model_dump(mode="json", exclude_unset=True)}
    return counted if selection is None else {**counted, "selection": selection}


def external_settings(study: StudyConfig, dataset: StudyDataset, method: type[MethodConfig] | None) -> Settings:
    """Return the external test sets of the runs of a method, without those that are not annotated for its tasks."""
    if method is None or method.pretrains:
        return {}
    found = {}
    for name, test in (study.tests if dataset.tests is None else dataset.tests).items():
        tasks = annotated_tasks(expanded(test.path))
        if tasks is None or method.tasks & tasks:
            found[name] = test.model_dump(mode="json", exclude_unset=True)
    return {"tests": found}
