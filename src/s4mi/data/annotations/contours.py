"""Masks as polygons and back. A pixel belongs to a polygon when its centre lies inside, or on the line.

Polygons that are written run through the centres of the outermost pixels, so that they are smooth enough for a person
to correct, and give the same mask again. A region with holes cannot be written so.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.annotations.types import Points

ON_THE_LINE = 1e-3
"""Pixels: how far a centre may be from a line that it lies on; files round coordinates."""


@dataclass(frozen=True)
class Component:
    """A connected piece of a mask.

    Attributes:
        mask: (H, W) bool. points: (P, 2) its outline, or None where it has holes.
    """

    mask: NDArray[np.bool_]
    points: Points | None


def components_of(mask: NDArray[np.bool_]) -> Iterator[Component]:
    """The connected pieces of a mask, by their first pixel; pieces that touch at a corner are one."""
    filled = np.ascontiguousarray(mask, dtype=np.uint8)
    count, labels = cv2.connectedComponents(filled, connectivity=8)
    for number in range(1, count):
        own = labels == number
        contours, _ = cv2.findContours(own.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        if len(contours) > 1:
            yield Component(own, None)
            continue
        points = contours[0][:, 0].astype(np.float64) + 0.5
        # Programs want a polygon of three corners at least, also of a pixel or a line of pixels.
        while len(points) < 3:
            points = np.concatenate([points, points[-1:]])
        yield Component(own, points)


def fill(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(P, 2) corners x, y → (height, width): the pixels whose centre is inside by the even-odd rule, or on the line."""
    height, width = size
    filled = np.zeros(size, dtype=bool)
    # Numbered by pixel centres from here on.
    x0, y0 = points[:, 0] - 0.5, points[:, 1] - 0.5
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    first = max(0, int(np.ceil(y0.min() - ON_THE_LINE)))
    last = min(height - 1, int(np.floor(y0.max() + ON_THE_LINE)))
    for y in range(first, last + 1):
        crossed = (y0 <= y) != (y1 <= y)
        at = np.sort(x0[crossed] + (y - y0[crossed]) / (y1[crossed] - y0[crossed]) * (x1[crossed] - x0[crossed]))
        flat = (abs(y0 - y) <= ON_THE_LINE) & (abs(y1 - y) <= ON_THE_LINE)
        corners = x0[abs(y0 - y) <= ON_THE_LINE]
        spans = [
            *zip(at[::2], at[1::2], strict=True),
            *zip(np.minimum(x0, x1)[flat], np.maximum(x0, x1)[flat], strict=True),
            *zip(corners, corners, strict=True),
        ]
        for left, right in spans:
            start, end = int(np.ceil(left - ON_THE_LINE)), int(np.floor(right + ON_THE_LINE))
            if end >= 0 and start < width:
                filled[y, max(0, start) : end + 1] = True
    return filled
