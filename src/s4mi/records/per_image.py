"""What a segmentation run scores on each image of a part, as a table that any program opens."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from s4mi.records.files import write_text_atomically
from s4mi.records.scores import Frozen

TEST_IMAGES_NAME = "test_images.csv"
COLUMNS = ("image", "group", "class", "iou", "dice", "hd95", "assd")


class ImageScores(Frozen):
    """One image. Each score is given by foreground class; `None` where it is not defined, as `SegmentationScores` says.

    `hd95` and `assd` are in pixels of the image, and `None` as well where distances were not measured.
    """

    image: str
    group: str | None
    iou: dict[str, float | None]
    dice: dict[str, float | None]
    hd95: dict[str, float | None]
    assd: dict[str, float | None]


def write_image_scores(scores: Sequence[ImageScores], path: Path) -> None:
    """Write a table with a line per image and class, atomically; a cell is empty where there is nothing to say."""
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    for one in scores:
        for name in one.iou:
            values = (one.iou[name], one.dice[name], one.hd95[name], one.assd[name])
            cells = ("" if value is None else f"{value:.6f}" for value in values)
            rows.writerow([one.image, one.group or "", name, *cells])
    write_text_atomically(path, table.getvalue())
