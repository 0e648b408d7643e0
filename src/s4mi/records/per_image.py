"""Scores of a segmentation run for each image of one part of the split, as a CSV file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from s4mi.records.atomic import write_text_atomically
from s4mi.records.scores import Frozen

TEST_IMAGES_NAME = "test_images.csv"
COLUMNS = ("image", "group", "class", "iou", "dice", "hd95", "assd", "overlap", "union")
EARLIER_COLUMNS = COLUMNS[:-2]
"""Those of earlier versions, which noted no pixels."""


class ImageScores(Frozen):
    """Scores of one image by foreground class; `None` where not defined, see `SegmentationScores`.

    `hd95` and `assd` are in pixels of the image, and also `None` where distances were not computed. `overlap` and
    `union` are the pixels that truth and prediction share and cover; empty in files of earlier versions.
    """

    image: str
    group: str | None
    iou: dict[str, float | None]
    dice: dict[str, float | None]
    hd95: dict[str, float | None]
    assd: dict[str, float | None]
    overlap: dict[str, int] = Field(default_factory=dict)
    union: dict[str, int] = Field(default_factory=dict)


def write_image_scores(scores: Sequence[ImageScores], path: Path) -> None:
    """Write a CSV file with a row per image and class, atomically; undefined scores are left empty."""
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    for image in scores:
        for name in image.iou:
            values = (image.iou[name], image.dice[name], image.hd95[name], image.assd[name])
            cells = ("" if value is None else f"{value:.6f}" for value in values)
            pixels = (image.overlap.get(name, ""), image.union.get(name, ""))
            rows.writerow([image.image, image.group or "", name, *cells, *pixels])
    write_text_atomically(path, table.getvalue())
