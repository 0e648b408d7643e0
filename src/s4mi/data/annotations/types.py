"""Annotations of an image read from a file, and pre-annotations written for annotators to correct."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

Points = NDArray[np.float64]


@dataclass(frozen=True)
class AnnotatedRegion:
    """Region of an image that shows a class, given as one of polygon, mask and rings.

    Attributes:
        name: class of the region.
        points: (P, 2) corners x, y in pixels, where the first pixel spans 0 to 1; the line belongs to the region.
        mask: (H, W) bool.
        rings: outlines like `points`, of several parts and their holes, whose lines do not belong to the region.
    """

    name: str
    points: Points | None = None
    mask: NDArray[np.bool_] | None = None
    rings: tuple[Points, ...] | None = None


@dataclass(frozen=True)
class Annotation:
    """Annotation of one image in a file.

    Attributes:
        images: names of the image, the most reliable first.
        agreeing: names that the file gives independently of each other, such as an id and a file name; they must not be
            those of different images.
        location: location in the file, for messages.
        labels: classes of the image; () for annotated with no class, None for not annotated.
        mask: file with its mask.
        regions: regions of its mask, () for background only; None for not annotated.
        size: (height, width) of the image according to the file, if known.
        ignored: one noun for each entry that is neither label nor mask, such as a text or a rating.
        absent: id of an image that must not exist, such as that after the last slice of an annotated volume.
        holds_regions: whether its format has regions at all, which a table of labels has not.
    """

    images: tuple[str, ...]
    location: str
    labels: tuple[str, ...] | None = None
    mask: Path | None = None
    regions: tuple[AnnotatedRegion, ...] | None = None
    size: tuple[int, int] | None = None
    ignored: tuple[str, ...] = ()
    absent: str = ""
    agreeing: tuple[str, ...] = ()
    holds_regions: bool = True

    @property
    def blank(self) -> bool:
        """Whether it contains no annotation."""
        return self.labels is None and self.mask is None and self.regions is None


@dataclass(frozen=True)
class PreAnnotation:
    """Prediction for an image that is to be annotated.

    Attributes:
        id: id of the image in the manifest.
        path: path of the image relative to `root` of the data set.
        size: (height, width) of the image.
        classes: class names of the labels, or of the indices in the mask, background first.
        score: priority for annotation.
        labels: predicted classes of the image, or None.
        mask: (H, W) predicted indices in `classes`, or None.
    """

    id: str
    path: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    score: float
    labels: tuple[str, ...] | None = None
    mask: Pixels | None = None
