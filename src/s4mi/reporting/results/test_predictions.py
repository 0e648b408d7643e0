"""Predictions of a classification run on its test images, read from the table in its folder."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.maths.patient_scores import COUNTED, PairedPredictions, patient_score
from s4mi.maths.stats import Interval
from s4mi.records import TEST_PREDICTIONS_NAME, Predictions
from s4mi.records.predictions import OLD_PREDICTION_COLUMNS, OLD_TEST_PREDICTIONS_NAME, PREDICTION_COLUMNS
from s4mi.reporting.results.per_image import patient_name
from s4mi.reporting.results.scores import Metric

_HINT = "train the run again"


def read_predictions(directory: Path) -> Predictions | None:
    """Read the predictions of a run, in the order of the file; None if it has none.

    Raises:
        S4miError: the file has other columns, an incomplete table or an invalid number.
    """
    path = _table_path(directory)
    return None if path is None else read_predictions_table(path)


def read_predictions_table(path: Path) -> Predictions:
    """Read a table of predictions, in its order.

    Raises:
        S4miError: the file has other columns, an incomplete table or an invalid number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) not in (PREDICTION_COLUMNS, OLD_PREDICTION_COLUMNS):
            raise S4miError(f"{path.name}: columns are not {', '.join(PREDICTION_COLUMNS)}; {_HINT}")
        groups: dict[str, str | None] = {}
        classes: dict[str, None] = {}
        numbers = []
        for row in rows:
            location = f"{path.name}:{rows.line_num}"
            if len(row) != len(PREDICTION_COLUMNS):
                raise S4miError(f"{location}: {len(row)} cells instead of {len(PREDICTION_COLUMNS)}; {_HINT}")
            groups.setdefault(row[0], row[1] or None)
            classes.setdefault(row[2])
            numbers.append(_numbers(row[3:], location))
    images, k = tuple(groups), len(classes)
    if not numbers or len(numbers) != len(images) * k:
        raise S4miError(f"{path.name}: not every image has every class; {_HINT}")
    table = np.array(numbers).reshape(len(images), k, 3)
    return Predictions(
        images=images,
        groups=tuple(groups.values()),
        classes=tuple(classes),
        truth=table[:, :, 0] > 0,
        probabilities=table[:, :, 1],
        decisions=table[:, :, 2] > 0,
        known=table[:, :, 0] >= 0 if (table[:, :, 0] < 0).any() else None,
    )


def _table_path(directory: Path) -> Path | None:
    """Path of the table, also under the file name that older versions used."""
    paths = (directory / name for name in (TEST_PREDICTIONS_NAME, OLD_TEST_PREDICTIONS_NAME))
    return next((path for path in paths if path.exists()), None)


def share_correct(predictions: Predictions, *, multilabel: bool) -> dict[str, float]:
    """By image, 1 for a correct prediction and 0 for a wrong one; in multi-label tasks the share of correct labels.

    Labels that are unknown count neither way; an image without a known label is left out.
    """
    equal: NDArray[np.bool_] = predictions.truth == predictions.decisions
    if predictions.known is not None:
        count = predictions.known.sum(axis=1)
        shares = (equal & predictions.known).sum(axis=1) / np.maximum(count, 1)
        return {image: float(share) for image, share, n in zip(predictions.images, shares, count, strict=True) if n}
    correct = np.asarray(equal.mean(axis=1) if multilabel else equal.all(axis=1), dtype=np.float64)
    return dict(zip(predictions.images, correct.tolist(), strict=True))


def patients_predicted(predictions: Predictions) -> list[str]:
    """Return the patient of each image; an image without a patient counts as its own patient."""
    return [patient_name(image, group) for image, group in zip(predictions.images, predictions.groups, strict=True)]


def predictions_over_patients(predictions: Predictions, metric: Metric, *, multilabel: bool) -> Interval | None:
    """Compute a score with its interval over patients; None if it is not a function of confusion counts."""
    if metric.name not in COUNTED:
        return None
    return patient_score(
        metric.name,
        predictions.truth,
        predictions.decisions,
        patients_predicted(predictions),
        multilabel=multilabel,
        rng=np.random.default_rng(0),
        known=predictions.known,
    )


def paired_predictions(one: Predictions | None, other: Predictions | None) -> PairedPredictions | None:
    """Pair the predictions of two runs on the images that both have; None without any."""
    if one is None or other is None or one.classes != other.classes:
        return None
    index = {image: n for n, image in enumerate(other.images)}
    rows = [n for n, image in enumerate(one.images) if image in index]
    if not rows:
        return None
    other_rows = [index[one.images[n]] for n in rows]
    patients = patients_predicted(one)
    return PairedPredictions(
        one.truth[rows], one.decisions[rows], other.decisions[other_rows], [patients[n] for n in rows],
        None if one.known is None else one.known[rows],
    )  # fmt: skip


def _numbers(cells: list[str], location: str) -> tuple[float, float, float]:
    try:
        truth, probability, prediction = (float(cell) for cell in (cells[0] or "-1", *cells[1:]))
    except ValueError:
        truth = probability = prediction = math.nan
    if truth not in (-1, 0, 1) or prediction not in (0, 1) or not 0 <= probability <= 1:
        raise S4miError(f"{location}: {', '.join(cells)} are not a valid truth, probability and prediction; {_HINT}")
    return truth, probability, prediction
