"""What a segmentation run scored on each of its test images: its mean can be trusted as far as there are patients."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4mi.errors import S4miError
from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.stats import Interval
from s4mi.records import TEST_IMAGES_NAME, ImageScores
from s4mi.records.per_image import COLUMNS
from s4mi.report.results.scores import Metric

_MEASURED = ("iou", "dice", "hd95", "assd")


def read_image_scores(directory: Path) -> tuple[ImageScores, ...]:
    """The table of a run's test images, in the order of the file; empty where the run left none.

    Raises:
        S4miError: it is not such a table.
    """
    path = directory / TEST_IMAGES_NAME
    if not path.exists():
        return ()
    images: dict[str, ImageScores] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise S4miError(f"{TEST_IMAGES_NAME}: its columns are not {', '.join(COLUMNS)}; score the run again")
        for row in rows:
            one = images.setdefault(row["image"], _nothing(row["image"], row["group"] or None))
            for name in _MEASURED:
                getattr(one, name)[row["class"]] = _number(row[name], f"{TEST_IMAGES_NAME}:{rows.line_num}")
    return tuple(images.values())


def image_values(images: Sequence[ImageScores], metric: Metric) -> dict[str, float]:
    """Of each image by name, the mean over its classes of what `metric` measures; nothing where it is not defined.

    A score that pools pixels, or averages over images or patients, is the same on one image: IoU is IoU.
    """
    field = metric.name.removesuffix("_image").removesuffix("_patient")
    if field not in _MEASURED:
        return {}
    values = {}
    for one in images:
        known = [value for value in getattr(one, field).values() if value is not None]
        if known:
            values[one.image] = math.fsum(known) / len(known)
    return values


def patients_of(images: Sequence[ImageScores]) -> dict[str, str]:
    """The patient of each image by name; an image of nobody known is a patient of its own."""
    return {one.image: patient_name(one.image, one.group) for one in images}


def unit_of(patients: Sequence[str]) -> str:
    """What is counted by such names: `images` where nobody has said whose any image is."""
    return "patients" if any(name.startswith("patient ") for name in patients) else "images"


def patient_name(image: str, group: str | None) -> str:
    """What the patient of an image is called."""
    return f"image {image}" if group is None else f"patient {group}"


def over_patients(images: Sequence[ImageScores], metric: Metric) -> Interval | None:
    """Mean of a test image with its interval over patients, of whom it has `n`; None where there is no such score."""
    values, patients = image_values(images, metric), patients_of(images)
    if not values:
        return None
    return patient_interval(list(values.values()), [patients[name] for name in values], rng=np.random.default_rng(0))


def _nothing(image: str, group: str | None) -> ImageScores:
    return ImageScores(image=image, group=group, iou={}, dice={}, hd95={}, assd={})


def _number(cell: str | None, place: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise S4miError(f"{place}: {cell!r} is no score; score the run again")
    return value
