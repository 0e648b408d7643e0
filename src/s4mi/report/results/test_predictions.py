"""What a classification run answered on each of its test images, read back from the table that it left."""

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
from s4mi.report.results.per_image import patient_name
from s4mi.report.results.scores import Metric

_AGAIN = "score the run again"


def read_predictions(directory: Path) -> Predictions | None:
    """The table of a run's answers, in the order of the file; None where the run left none.

    Raises:
        S4miError: it is not such a table.
    """
    path = _table_of(directory)
    if path is None:
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) not in (PREDICTION_COLUMNS, OLD_PREDICTION_COLUMNS):
            raise S4miError(f"{path.name}: its columns are not {', '.join(PREDICTION_COLUMNS)}; {_AGAIN}")
        groups: dict[str, str | None] = {}
        places: dict[str, int] = {}
        numbers = []
        for row in rows:
            place = f"{path.name}:{rows.line_num}"
            if len(row) != len(PREDICTION_COLUMNS):
                raise S4miError(f"{place}: holds {len(row)} cells; {_AGAIN}")
            groups.setdefault(row[0], row[1] or None)
            places.setdefault(row[2], len(places))
            numbers.append(_numbers(row[3:], place))
    images, k = tuple(groups), len(places)
    if not numbers or len(numbers) != len(images) * k:
        raise S4miError(f"{path.name}: holds not every class of every image; {_AGAIN}")
    table = np.array(numbers).reshape(len(images), k, 3)
    return Predictions(
        images=images,
        groups=tuple(groups.values()),
        classes=tuple(places),
        truth=table[:, :, 0] > 0,
        probabilities=table[:, :, 1],
        decisions=table[:, :, 2] > 0,
    )


def _table_of(directory: Path) -> Path | None:
    """The table that a run left, under its name of today or that of older runs."""
    paths = (directory / name for name in (TEST_PREDICTIONS_NAME, OLD_TEST_PREDICTIONS_NAME))
    return next((path for path in paths if path.exists()), None)


def share_right(given: Predictions, *, multilabel: bool) -> dict[str, float]:
    """Of each image by name, 1 for a right answer and 0 for a wrong one; of several labels, the share that is right."""
    equal: NDArray[np.bool_] = given.truth == given.decisions
    right = np.asarray(equal.mean(axis=1) if multilabel else equal.all(axis=1), dtype=np.float64)
    return dict(zip(given.images, right.tolist(), strict=True))


def patients_predicted(given: Predictions) -> list[str]:
    """The patient of each image; an image of nobody known is a patient of its own."""
    return [patient_name(image, group) for image, group in zip(given.images, given.groups, strict=True)]


def predictions_over_patients(given: Predictions, metric: Metric, *, multilabel: bool) -> Interval | None:
    """The score of these answers with its interval over patients; None where it is none of counts."""
    if metric.name not in COUNTED:
        return None
    return patient_score(
        metric.name,
        given.truth,
        given.decisions,
        patients_predicted(given),
        multilabel=multilabel,
        rng=np.random.default_rng(0),
    )


def paired_predictions(one: Predictions | None, other: Predictions | None) -> PairedPredictions | None:
    """Two runs on the images that both have; None where there are none."""
    if one is None or other is None or one.classes != other.classes:
        return None
    place = {image: n for n, image in enumerate(other.images)}
    mine = [n for n, image in enumerate(one.images) if image in place]
    if not mine:
        return None
    yours = [place[one.images[n]] for n in mine]
    whose = patients_predicted(one)
    return PairedPredictions(one.truth[mine], one.decisions[mine], other.decisions[yours], [whose[n] for n in mine])


def _numbers(cells: list[str], place: str) -> tuple[float, float, float]:
    try:
        truth, probability, answer = (float(cell) for cell in cells)
    except ValueError:
        truth = probability = answer = math.nan
    if truth not in (0, 1) or answer not in (0, 1) or not 0 <= probability <= 1:
        raise S4miError(f"{place}: {', '.join(cells)} are no truth, probability and answer; {_AGAIN}")
    return truth, probability, answer
