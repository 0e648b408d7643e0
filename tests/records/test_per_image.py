"""The file of image scores has a row for each image and class, and empty cells where a score is undefined."""

import csv
from pathlib import Path

import pytest
from pydantic import ValidationError

from s4mi.records.per_image import ImageScores, write_image_scores

ONE = ImageScores(
    image="a, b",
    group=None,
    iou={"lesion": 0.5, "hair": None},
    dice={"lesion": 2 / 3, "hair": None},
    hd95={"lesion": 3.0, "hair": None},
    assd={"lesion": 1.25, "hair": None},
    overlap={"lesion": 4, "hair": 0},
    union={"lesion": 8, "hair": 0},
)


def test_each_image_and_class_is_a_row_and_undefined_scores_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "test_images.csv"
    write_image_scores([ONE, ONE.model_copy(update={"image": "c", "group": "p1"})], path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["image", "group", "class", "iou", "dice", "hd95", "assd", "overlap", "union"],
        ["a, b", "", "lesion", "0.500000", "0.666667", "3.000000", "1.250000", "4", "8"],
        ["a, b", "", "hair", "", "", "", "", "0", "0"],
        ["c", "p1", "lesion", "0.500000", "0.666667", "3.000000", "1.250000", "4", "8"],
        ["c", "p1", "hair", "", "", "", "", "0", "0"],
    ]


def test_a_table_of_no_images_is_its_header(tmp_path: Path) -> None:
    write_image_scores([], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "image,group,class,iou,dice,hd95,assd,overlap,union\n"


def test_scores_of_an_image_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ONE.image = "another"  # type: ignore[misc]
