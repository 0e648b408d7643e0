"""Scores of a segmentation run on each of its test images, and their mean with an interval over patients."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4mi.errors import S4miError
from s4mi.formatting import is_whole
from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.stats import Interval
from s4mi.records import TEST_IMAGES_NAME, ImageScores
from s4mi.records.per_image import COLUMNS, EARLIER_COLUMNS
from s4mi.reporting.results.scores import Metric

_MEASURED = ("iou", "dice", "hd95", "assd")
_PIXELS = ("overlap", "union")
_HINT = "train the run again"


def read_image_scores(directory: Path) -> tuple[ImageScores, ...]:
    """Read the per-image scores of a run, in the order of the file; empty if it has none.

    Raises:
        S4miError: the file has other columns or an invalid score.
    """
    return read_images_table(directory / TEST_IMAGES_NAME)


def read_images_table(path: Path) -> tuple[ImageScores, ...]:
    """Read a table of per-image scores, in its order; empty if there is none.

    Raises:
        S4miError: the file has other columns or an invalid score.
    """
    if not path.exists():
        return ()
    images: dict[str, ImageScores] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) not in (COLUMNS, EARLIER_COLUMNS):
            raise S4miError(f"{path.name}: columns are not {', '.join(COLUMNS)}; {_HINT}")
        for row in rows:
            one = images.setdefault(row["image"], _without_scores(row["image"], row["group"] or None))
            for name in _MEASURED:
                getattr(one, name)[row["class"]] = _score(row[name], f"{path.name}:{rows.line_num}")
            for name in _PIXELS:
                if row.get(name):
                    getattr(one, name)[row["class"]] = _pixels(row[name], f"{path.name}:{rows.line_num}")
    return tuple(images.values())


def measured_field(metric: Metric) -> str | None:
    """Field of `ImageScores` of a metric, the same for its pooled, per-image and per-patient variants; None: none."""
    field = metric.name.removesuffix("_image").removesuffix("_patient")
    return field if field in _MEASURED else None


def image_values(images: Sequence[ImageScores], metric: Metric) -> dict[str, float]:
    """Mean over classes of `metric` by image; images on which it is undefined are skipped.

    Pooled, per-image and per-patient variants of a metric are the same on a single image.
    """
    field = measured_field(metric)
    if field is None:
        return {}
    values = {}
    for one in images:
        known = [value for value in getattr(one, field).values() if value is not None]
        if known:
            values[one.image] = math.fsum(known) / len(known)
    return values


def patients_of(images: Sequence[ImageScores]) -> dict[str, str]:
    """Patient by image; an image without a patient counts as its own patient."""
    return {one.image: patient_name(one.image, one.group) for one in images}


def unit_of(patients: Sequence[str]) -> str:
    """What such names count: `images` if no patient is known."""
    return "patients" if any(name.startswith("patient ") for name in patients) else "images"


def patient_name(image: str, group: str | None) -> str:
    """Display name of the patient of an image."""
    return f"image {image}" if group is None else f"patient {group}"


def over_patients(images: Sequence[ImageScores], metric: Metric) -> Interval | None:
    """Mean score per test image, with its interval over the `n` patients; None if it is not measured per image."""
    values, patients = image_values(images, metric), patients_of(images)
    if not values:
        return None
    return patient_interval(
        list(values.values()),
        [patients[name] for name in values],
        rng=np.random.default_rng(0),
        limits=metric.limits,
    )


def _without_scores(image: str, group: str | None) -> ImageScores:
    return ImageScores(image=image, group=group, iou={}, dice={}, hd95={}, assd={}, overlap={}, union={})


def _pixels(cell: str, location: str) -> int:
    if not is_whole(cell):
        raise S4miError(f"{location}: {cell!r} is not a number of pixels; {_HINT}")
    return int(cell)


def _score(cell: str | None, location: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise S4miError(f"{location}: {cell!r} is not a valid score; {_HINT}")
    return value
