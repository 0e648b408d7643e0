"""What a classification run answers on each image of a part, as a table that any program opens."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.records.files import write_text_atomically

TEST_PREDICTIONS_NAME = "test_predictions.csv"
OLD_TEST_PREDICTIONS_NAME = "test_answers.csv"
"""The same table as s4mi wrote it before it was called what it is."""
PREDICTION_COLUMNS = ("image", "group", "class", "truth", "probability", "decision")
OLD_PREDICTION_COLUMNS = (*PREDICTION_COLUMNS[:-1], "answer")


@dataclass(frozen=True, eq=False)
class Predictions:
    """N images and K classes; of several labels, a truth and an answer may hold any number of classes.

    Attributes:
        images: what each is called. groups: the patient of each, or None where nobody has said.
        truth: (N, K) what each shows. probabilities: (N, K). answers: (N, K) what the run decided.
    """

    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]


def write_predictions(given: Predictions, path: Path) -> None:
    """Write a table with a line per image and class, atomically; what is shown and what is decided as 1 and 0."""
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(PREDICTION_COLUMNS)
    for n, (image, group) in enumerate(zip(given.images, given.groups, strict=True)):
        for k, name in enumerate(given.classes):
            shown, decided = int(given.truth[n, k]), int(given.decisions[n, k])
            # Nine digits give a probability in single precision back to the bit.
            rows.writerow([image, group or "", name, shown, f"{given.probabilities[n, k]:.9g}", decided])
    write_text_atomically(path, table.getvalue())
