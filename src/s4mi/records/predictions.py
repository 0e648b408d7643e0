"""Predictions of a classification run for each image of one part of the split, as a CSV file."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.records.atomic import write_text_atomically

TEST_PREDICTIONS_NAME = "test_predictions.csv"
OLD_TEST_PREDICTIONS_NAME = "test_answers.csv"
"""Former name of the same file, written by older versions of s4mi."""
PREDICTION_COLUMNS = ("image", "group", "class", "truth", "probability", "decision")
OLD_PREDICTION_COLUMNS = (*PREDICTION_COLUMNS[:-1], "answer")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for N images and K classes; with multi-label tasks, an image has any number of classes.

    Attributes:
        images: (N,) names. groups: (N,) patients, None where unknown.
        truth: (N, K) annotated classes. known: (N, K) whether it is known that an image shows a class or not; None: all
            are. probabilities: (N, K) in [0, 1]. decisions: (N, K) predicted classes.
    """

    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    known: NDArray[np.bool_] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N, K) `truth` as 1 and 0, with -1 where it is unknown."""
        truth = self.truth.astype(np.int64)
        return truth if self.known is None else np.where(self.known, truth, -1)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a CSV file with a row per image and class, atomically; truth and decision are 1 or 0.

    The truth of a label that is unknown is empty.
    """
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(PREDICTION_COLUMNS)
    labels = predictions.labels
    for n, (image, group) in enumerate(zip(predictions.images, predictions.groups, strict=True)):
        for k, name in enumerate(predictions.classes):
            truth, decision = ("" if labels[n, k] < 0 else int(labels[n, k])), int(predictions.decisions[n, k])
            # Nine digits restore a single-precision probability bit by bit.
            rows.writerow([image, group or "", name, truth, f"{predictions.probabilities[n, k]:.9g}", decision])
    write_text_atomically(path, table.getvalue())
