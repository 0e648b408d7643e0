"""What a file of annotations says of an image, and what is said in advance to whoever annotates it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

Points = NDArray[np.float64]


@dataclass(frozen=True)
class AnnotatedRegion:
    """Part of an image that shows a class: the inside of a polygon, or a mask.

    Attributes:
        points: (P, 2) corners x, y in pixels, the first pixel from 0 to 1; None where it is a mask.
        mask: (H, W) bool, or None.
    """

    name: str
    points: Points | None = None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Annotation:
    """What a file says of one image.

    Attributes:
        images: what it calls the image, the surest name first.
        place: where a message about it points, below the file.
        labels: classes of the image; () for none of them, None where nothing is said of them.
        mask: file with its mask. regions: its mask in pieces, () for background alone; None where nothing is said.
        size: (height, width) that the image should have, where the file knows.
    """

    images: tuple[str, ...]
    place: str
    labels: tuple[str, ...] | None = None
    mask: Path | None = None
    regions: tuple[AnnotatedRegion, ...] | None = None
    size: tuple[int, int] | None = None

    @property
    def silent(self) -> bool:
        """Whether it says nothing."""
        return self.labels is None and self.mask is None and self.regions is None


@dataclass(frozen=True)
class PreAnnotation:
    """What a run answers to an image that is to be annotated.

    Attributes:
        id: in the manifest. path: of the image, below `root`. size: (height, width).
        labels: classes of the image, or None. mask: (H, W) positions in `classes`, background first, or None.
        classes: names that labels, or positions in the mask, have.
        score: how much it is worth being annotated.
    """

    id: str
    path: str
    size: tuple[int, int]
    classes: tuple[str, ...]
    score: float
    labels: tuple[str, ...] | None = None
    mask: Pixels | None = None
