"""Areas, connected components and centroids of the regions of a mask."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Regions:
    """Regions of one class in one mask, with 8-connectivity.

    Attributes:
        pixels: number of pixels of all components. components: number of connected components.
        largest: number of pixels of the largest component.
        centre: (row, column) of the centroid, with 0 at the centre of the first pixel; None for an empty mask.
    """

    pixels: int
    components: int
    largest: int
    centre: tuple[float, float] | None


def measure(mask: NDArray[np.bool_]) -> Regions:
    """Measure the regions of an (H, W) mask."""
    count, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.asarray(stats[1:, cv2.CC_STAT_AREA], dtype=np.int64)  # the first component is the background
    pixels = int(areas.sum())
    if not pixels:
        return Regions(0, 0, 0, None)
    x, y = (areas @ centroids[1:]) / pixels
    return Regions(pixels, int(count) - 1, int(areas.max()), (float(y), float(x)))
