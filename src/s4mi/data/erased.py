"""What is kept of erased images, so that a random split moves nobody: their places in the order, and their classes.

    erased.csv   version, after, patient, label, mask, foreground, split

A row is an image that was erased: the remaining image after which it comes in the order of the ids, a number that tells
the patients of the file apart, classes of its label and mask, foreground share and official part, all as in that
version. It holds no id, no patient and no file. Versions that are merged later continue with the rows of the last one.
Without the file, random splits are drawn anew.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.label_cells import label_cell, read_label_cell
from s4mi.data.row import PARTS, Row
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError

ERASED_NAME = "erased.csv"
COLUMNS = ("version", "after", "patient", "label", "mask", "foreground", "split")
_PLACE = "\0"
"""Sorts before every character of an id, so that a place comes right after the image it follows."""


@dataclass(frozen=True)
class ErasedImage:
    """The place of an erased image.

    Attributes:
        row: what a split needs: an id that sorts like the erased one, classes, a group without a name, and the part;
            its files do not exist.
        foreground: foreground share of its mask; 0 without one.
        shows: classes of its mask.
    """

    row: Row
    foreground: float = 0.0
    shows: tuple[str, ...] = field(default=())


def read_erased(folder: Path, spec: DatasetSpec, version: int | None = None) -> tuple[ErasedImage, ...]:
    """Read the places of the images that were erased from a version of a data set; by default the newest.

    Raises:
        S4miError: the file is damaged, or names a class that the data set no longer has.
    """
    path = folder / ERASED_NAME
    if not path.is_file():
        return ()
    try:
        table = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        versions = [number for row in table if (number := int(row["version"])) <= (version or number)]
        last = max(versions, default=0)
        follows: dict[str, int] = {}
        return tuple(_image(row, spec, follows) for row in table if int(row["version"]) == last)
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise S4miError(
            f"{path}: cannot be used ({error}); restore it, or remove it to have random splits drawn anew"
        ) from error


def erased_table(
    versions: Mapping[int, tuple[DatasetSpec, Sequence[ErasedImage]]], gone: Collection[str], ids: Collection[str]
) -> str:
    """Return the contents of `erased.csv` after an erasure.

    Args:
        versions: of each version, its description and what was erased before and now; the latter with its own ids.
        gone: ids that are erased now.
        ids: ids of all versions.
    """
    present = {*ids} - {*gone}
    places = {image.row.id for _, images in versions.values() for image in images}
    after: dict[str, str] = {}
    last = ""
    for name in sorted(present | places):
        last = name if name in present else last
        after[name] = last
    groups = sorted({image.row.group or "" for _, images in versions.values() for image in images}, key=_earlier_first)
    number_of = {group: number for number, group in enumerate(groups, start=1)}
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for version, (spec, images) in sorted(versions.items()):
        for image in sorted(images, key=lambda image: image.row.id):
            row = image.row
            label = label_cell(row.labels, row.unknown, spec.classes)
            share = "" if row.mask is None else repr(image.foreground)
            cells = (label, ";".join(image.shows), share, row.split or "")
            writer.writerow([version, after[row.id], number_of[row.group or ""], *cells])
    return table.getvalue()


def _image(cells: Mapping[str, str], spec: DatasetSpec, follows: dict[str, int]) -> ErasedImage:
    """Return the place that a row describes; `follows` counts those after each image."""
    after = cells["after"]
    follows[after] = follows.get(after, 0) + 1
    label = read_label_cell(cells["label"], spec, _refuse)
    foreground = float(cells["foreground"] or 0)
    if not 0 <= foreground <= 1:
        raise ValueError(f"foreground {cells['foreground']!r} is no share between 0 and 1")
    row = Row(
        id=f"{after}{_PLACE}{follows[after]:06d}",
        image=Path(ERASED_NAME),
        mask=Path(ERASED_NAME) if cells["foreground"] else None,
        labels=label.labels,
        group=f"{_PLACE}{int(cells['patient']):06d}",
        split=next((part for part in PARTS if part == cells["split"]), None),
        line=0,
        unknown=label.unknown,
    )
    shows = tuple(name for name in cells["mask"].split(";") if name)
    return ErasedImage(row, foreground, shows)


def _refuse(_: str, message: str) -> None:
    raise ValueError(message)


def _earlier_first(group: str) -> tuple[bool, str]:
    return not group.startswith(_PLACE), group
