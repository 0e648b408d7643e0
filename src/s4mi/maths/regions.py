"""How large the regions of a mask are, and where: areas, connected components, centroids."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Regions:
    """One class in one mask; pixels that touch by a side or a corner are connected.

    Attributes:
        pixels: of all components together. components: how many. largest: pixels of the largest.
        centre: (row, column) of the mean pixel, counting from 0 at the middle of the first; None where there is none.
    """

    pixels: int
    components: int
    largest: int
    centre: tuple[float, float] | None


def measure(mask: NDArray[np.bool_]) -> Regions:
    """Measure the true pixels of (H, W)."""
    count, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.asarray(stats[1:, cv2.CC_STAT_AREA], dtype=np.int64)  # the first is what is not in the mask
    pixels = int(areas.sum())
    if not pixels:
        return Regions(0, 0, 0, None)
    x, y = (areas @ centroids[1:]) / pixels
    return Regions(pixels, int(count) - 1, int(areas.max()), (float(y), float(x)))
