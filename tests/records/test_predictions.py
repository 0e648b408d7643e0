"""The file of predictions has a row for each image and class, and is read back as it was written."""

import csv
from pathlib import Path

import numpy as np
import pytest

from s4mi.records import TEST_PREDICTIONS_NAME, Predictions, write_predictions
from s4mi.records.predictions import OLD_TEST_PREDICTIONS_NAME
from s4mi.reporting.results.test_predictions import read_predictions


def two_images() -> Predictions:
    return Predictions(
        images=("a, b", "c"),
        groups=(None, "p1"),
        classes=("mole", "melanoma"),
        truth=np.array([[True, False], [False, True]]),
        probabilities=np.array([[np.float32(1 / 3), np.float32(2 / 3)], [0.0, 1.0]]),
        decisions=np.array([[False, True], [False, True]]),
    )


def test_each_image_and_class_is_a_row(tmp_path: Path) -> None:
    write_predictions(two_images(), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["image", "group", "class", "truth", "probability", "decision"],
        ["a, b", "", "mole", "1", "0.333333343", "0"],
        ["a, b", "", "melanoma", "0", "0.666666687", "1"],
        ["c", "p1", "mole", "0", "0", "0"],
        ["c", "p1", "melanoma", "1", "1", "1"],
    ]


@pytest.mark.parametrize("name", [TEST_PREDICTIONS_NAME, OLD_TEST_PREDICTIONS_NAME])
def test_single_precision_is_restored_bit_by_bit(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    shares = rng.random((50, 2)).astype(np.float32)
    many = Predictions(
        images=tuple(map(str, range(50))),
        groups=(None,) * 50,
        classes=("mole", "melanoma"),
        truth=shares > 0.5,
        probabilities=shares.astype(np.float64),
        decisions=shares > 0.4,
    )
    write_predictions(many, tmp_path / name)
    read = read_predictions(tmp_path)
    assert read is not None
    assert (read.probabilities.astype(np.float32) == shares).all()
    assert (read.truth == many.truth).all()
    assert (read.decisions == many.decisions).all()
    assert (read.images, read.groups, read.classes) == (many.images, many.groups, many.classes)
