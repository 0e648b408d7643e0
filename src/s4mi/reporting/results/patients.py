"""Scores per patient, if patients have several images: a good mean may hide patients on whom a technique fails."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.stats import Interval
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.hard_cases import best_by_validation, extreme_fractions
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.per_image import image_values, over_patients, patients_of, unit_of
from s4mi.reporting.results.runs import ReportRun, RunKey, run_key, runs_by_key
from s4mi.reporting.results.scores import Metric, metric_of
from s4mi.reporting.results.tables import label_columns
from s4mi.reporting.results.test_predictions import patients_predicted, predictions_over_patients, share_correct

_Values = dict[str, list[tuple[float, ...]]]
"""By patient, the measures of each image."""
_Cell = tuple[Technique, LabelColumn, _Values]

WORST = 8
"""Number of patients listed by name."""


@dataclass(frozen=True)
class PatientInterval:
    """Score of one run with its interval over patients or images, for printing."""

    interval: Interval
    label: str
    unit: str


@dataclass(frozen=True)
class PatientRow:
    """Scores of one technique at one label fraction over patients; each patient counts once.

    Attributes:
        mean: mean over patients, with its interval. low: 10th percentile.
        images: number of different test images in all seeds.
    """

    technique: Technique
    column: LabelColumn
    mean: Interval
    median: float
    low: float
    worst: float
    images: int


@dataclass(frozen=True)
class PatientScore:
    """One patient: number of images, and the mean of each measure over images and seeds."""

    patient: str
    images: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class PatientList:
    """The worst patients of the technique that is best on validation at a label fraction."""

    technique: Technique
    column: LabelColumn
    seeds: int
    patients: tuple[PatientScore, ...]


@dataclass(frozen=True)
class PatientsSection:
    """Section on patients; without rows, `note` explains why there is no table.

    Attributes:
        measures: names of the per-image measures, the one in the table first.
    """

    measures: tuple[str, ...]
    note: str
    rows: tuple[PatientRow, ...] = ()
    worst: tuple[PatientList, ...] = ()

    @property
    def measure(self) -> str:
        return self.measures[0]


def run_over_patients(run: ReportRun, metric: Metric) -> PatientInterval | None:
    """Compute the score of a run over patients, in segmentation the mean per test image; None if it is unavailable."""
    if run.record.task == "segmentation":
        name = metric.label.removesuffix(" per image").removesuffix(" per patient")
        interval, patients = over_patients(run.images, metric), list(patients_of(run.images).values())
        label = f"{name} per test image"
    elif run.predictions is not None:
        interval = predictions_over_patients(run.predictions, metric, multilabel=run.record.task == "multilabel")
        patients = patients_predicted(run.predictions)
        label = f"Test {metric.label} over {unit_of(patients)}"
    else:
        return None
    if interval is None:
        return None
    return PatientInterval(interval, label, unit_of(patients))


def patients_section(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> PatientsSection | None:
    """Build the section of a comparison; None if no run has per-image results."""
    by_key = runs_by_key(runs)
    measures = _measures(comparison)
    cells: list[_Cell] = []
    for column in label_columns(comparison):
        if column.fraction in extreme_fractions(comparison):
            for technique in comparison.techniques:
                known = _by_patient(comparison.at(technique, column.fraction), measures, by_key)
                if known:
                    cells.append((technique, column, known))
    if not cells:
        return None
    most_images = max(len(images) for _, _, patients in cells for images in patients.values())
    if most_images == 1:
        n = max(len(patients) for _, _, patients in cells)
        if unit_of([name for _, _, patients in cells for name in patients]) == "patients":
            note = f"Each of the n = {n} test patients has one image, so scores per patient equal scores per image."
        else:
            note = f"Patients are unknown, so each of the n = {n} test images counts as a separate patient."
        if len({record.seed for record in comparison.records}) > 1:
            note += " n includes the test images of all seeds."
        return PatientsSection(tuple(measures), note)
    rows = [_row(technique, column, patients) for technique, column, patients in cells]
    return PatientsSection(tuple(measures), "", tuple(rows), tuple(_lists(comparison, metric, cells)))


def images_tested(comparison: Comparison, runs: Sequence[ReportRun]) -> set[str]:
    """The names of all test images of the comparison's runs."""
    by_key = runs_by_key(runs)
    known = [run for record in comparison.records if (run := by_key.get(run_key(record))) is not None]
    predicted = {name for run in known if run.predictions is not None for name in run.predictions.images}
    return predicted | {one.image for run in known for one in run.images}


def _lists(
    comparison: Comparison,
    metric: Metric,
    cells: Sequence[_Cell],
) -> list[PatientList]:
    lists = []
    for technique, column, patients in cells:
        chosen = best_by_validation(comparison, metric, fraction=column.fraction)
        if chosen is None or chosen.technique != technique:
            continue
        scores = [PatientScore(name, len(images), _means(images)) for name, images in patients.items()]
        scores.sort(key=lambda one: (one.values[0], -one.images, one.patient))
        lists.append(PatientList(technique, column, len(chosen.records), tuple(scores[:WORST])))
    return lists


def _row(technique: Technique, column: LabelColumn, patients: _Values) -> PatientRow:
    scores = [_means(images)[0] for images in patients.values()]
    return PatientRow(
        technique=technique,
        column=column,
        mean=patient_interval(scores, list(patients), rng=np.random.default_rng(0)),
        median=float(np.median(scores)),
        low=float(np.quantile(scores, 0.1, method="inverted_cdf")),
        worst=min(scores),
        images=sum(len(images) for images in patients.values()),
    )


def _measures(comparison: Comparison) -> dict[str, Metric | None]:
    """Names of the per-image measures, with their metric in segmentation."""
    if comparison.task == "segmentation":
        return {name: metric_of("segmentation", field) for name, field in (("IoU", "iou"), ("Dice", "dice"))}
    return {"share of correct labels" if comparison.task == "multilabel" else "accuracy": None}


def _by_patient(
    records: Sequence[RunRecord], measures: Mapping[str, Metric | None], runs: Mapping[RunKey, ReportRun]
) -> _Values:
    """By patient, the measures of each test image, averaged over the seeds that tested it."""
    values_by_image: dict[str, list[tuple[float, ...]]] = {}
    patient_by_image: dict[str, str] = {}
    for record in records:
        run = runs.get(run_key(record))
        if run is None:
            continue
        if run.predictions is not None:
            values = [share_correct(run.predictions, multilabel=record.task == "multilabel")]
            patient_by_image |= zip(run.predictions.images, patients_predicted(run.predictions), strict=True)
        else:
            values = [image_values(run.images, metric) for metric in measures.values() if metric is not None]
            patient_by_image |= patients_of(run.images)
        for image in values[0] if values else ():
            if all(image in each for each in values):
                values_by_image.setdefault(image, []).append(tuple(each[image] for each in values))
    patients: _Values = {}
    for image, over_seeds in values_by_image.items():
        patients.setdefault(patient_by_image[image], []).append(_means(over_seeds))
    return patients


def _means(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
