"""Scores of single patients, where a patient has several images: a good mean may hide whom a technique fails."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.stats import Interval
from s4mi.records import RunRecord
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.hard_cases import best_by_validation, ends_of
from s4mi.report.results.per_image import image_values, over_patients, patients_of, unit_of
from s4mi.report.results.runs import ReportRun, RunKey, run_key, runs_by_key
from s4mi.report.results.scores import Metric, metric_of
from s4mi.report.results.tables import LabelColumn, label_columns
from s4mi.report.results.test_predictions import patients_predicted, predictions_over_patients, share_right

WORST = 8
"""Patients that are listed by name."""


@dataclass(frozen=True)
class PatientInterval:
    """A score of one run and how far it can be trusted, made for printing."""

    interval: Interval
    label: str
    unit: str


@dataclass(frozen=True)
class PatientRow:
    """How one technique does on patients at one label fraction; each patient counts once.

    Attributes:
        mean: over patients, with its interval. low: the tenth of the patients that is worst lies at or below it.
        images: test images, in all seeds together each once.
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
    """One patient: number of images, and the mean over them and over seeds of each measure."""

    patient: str
    images: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class PatientList:
    """The worst patients of the technique that validation chose at a label fraction."""

    technique: Technique
    column: LabelColumn
    seeds: int
    patients: tuple[PatientScore, ...]


@dataclass(frozen=True)
class PatientsSection:
    """What the page says on patients; without rows, `note` says why there is no table.

    Attributes:
        measures: names of what is measured on an image, the one of the table first.
    """

    measures: tuple[str, ...]
    note: str
    rows: tuple[PatientRow, ...] = ()
    worst: tuple[PatientList, ...] = ()

    @property
    def measure(self) -> str:
        return self.measures[0]


def run_over_patients(run: ReportRun, metric: Metric) -> PatientInterval | None:
    """The score of a run over patients: of classification itself, of segmentation that of a test image."""
    if run.record.task == "segmentation":
        label = metric.label.removesuffix(" per image").removesuffix(" per patient")
        interval, whose = over_patients(run.images, metric), list(patients_of(run.images).values())
        label = f"{label} of a test image"
    elif run.predictions is not None:
        interval = predictions_over_patients(run.predictions, metric, multilabel=run.record.task == "multilabel")
        whose, label = (
            patients_predicted(run.predictions),
            f"Test {metric.label} over {unit_of(patients_predicted(run.predictions))}",
        )
    else:
        return None
    if interval is None:
        return None
    return PatientInterval(_possible(interval) if metric.bounded else interval, label, unit_of(whose))


def patients_section(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun]) -> PatientsSection | None:
    """The section of a comparison; None where no run left anything on single images."""
    by_key = runs_by_key(runs)
    measures = _measures(comparison)
    cells: list[tuple[Technique, LabelColumn, dict[str, list[tuple[float, ...]]]]] = []
    for column in label_columns(comparison):
        if column.fraction in ends_of(comparison):
            for technique in comparison.techniques:
                known = _by_patient(comparison.at(technique, column.fraction), measures, by_key)
                if known:
                    cells.append((technique, column, known))
    if not cells:
        return None
    most = max(len(images) for _, _, patients in cells for images in patients.values())
    names = [name for _, _, patients in cells for name in patients]
    if most == 1:
        known_people = unit_of(names) == "patients"
        n = max(len(patients) for _, _, patients in cells)
        note = (
            f"Each of the n = {n} test patients has one image, so scores of patients are those of images."
            if known_people
            else f"Whose images these are is not known; each of n = {n} test images counts as a patient of its own."
        )
        if len({record.seed for record in comparison.records}) > 1:
            note += " These are the test images of all seeds together."
        return PatientsSection(tuple(measures), note)
    rows = [_row(technique, column, patients) for technique, column, patients in cells]
    return PatientsSection(tuple(measures), "", tuple(rows), tuple(_lists(comparison, metric, cells)))


def _lists(
    comparison: Comparison,
    metric: Metric,
    cells: Sequence[tuple[Technique, LabelColumn, dict[str, list[tuple[float, ...]]]]],
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


def _row(technique: Technique, column: LabelColumn, patients: Mapping[str, list[tuple[float, ...]]]) -> PatientRow:
    scores = [_means(images)[0] for images in patients.values()]
    return PatientRow(
        technique=technique,
        column=column,
        mean=_possible(patient_interval(scores, list(patients), rng=np.random.default_rng(0))),
        median=float(np.median(scores)),
        low=float(np.quantile(scores, 0.1, method="inverted_cdf")),
        worst=min(scores),
        images=sum(len(images) for images in patients.values()),
    )


def _measures(comparison: Comparison) -> dict[str, Metric | None]:
    """Names of what is measured on an image, with the metric of a segmentation that it is."""
    if comparison.task == "segmentation":
        return {name: metric_of("segmentation", field) for name, field in (("IoU", "iou"), ("Dice", "dice"))}
    return {"share of labels right" if comparison.task == "multilabel" else "accuracy": None}


def _by_patient(
    records: Sequence[RunRecord], measures: Mapping[str, Metric | None], runs: Mapping[RunKey, ReportRun]
) -> dict[str, list[tuple[float, ...]]]:
    """Of each patient, each test image's measures, the mean over the seeds that tested it."""
    of_image: dict[str, list[tuple[float, ...]]] = {}
    whose: dict[str, str] = {}
    for record in records:
        run = runs.get(run_key(record))
        if run is None:
            continue
        if run.predictions is not None:
            values = [share_right(run.predictions, multilabel=record.task == "multilabel")]
            whose |= zip(run.predictions.images, patients_predicted(run.predictions), strict=True)
        else:
            values = [image_values(run.images, metric) for metric in measures.values() if metric is not None]
            whose |= patients_of(run.images)
        for image in values[0] if values else ():
            if all(image in each for each in values):
                of_image.setdefault(image, []).append(tuple(each[image] for each in values))
    patients: dict[str, list[tuple[float, ...]]] = {}
    for image, over_seeds in of_image.items():
        patients.setdefault(whose[image], []).append(_means(over_seeds))
    return patients


def _possible(interval: Interval) -> Interval:
    """Without what lies outside [0, 1], where no score is."""
    if interval.low is None or interval.high is None:
        return interval
    return replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))


def _means(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
