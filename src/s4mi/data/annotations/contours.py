"""Conversion between masks and polygons. A pixel belongs to a polygon if its centre is inside or on the line.

Polygons for Label Studio pass through the centres of the outermost pixels, so that they are smooth enough for manual
correction and reproduce the same mask. Those of COCO follow the edges of pixels, as its own rasterisation (pycocotools)
leaves out pixels whose centres are on the line. A region with holes has no such polygon.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.annotations.types import Points

ON_THE_LINE = 1e-3
"""Tolerance in pixels for a centre on the line, as files contain rounded coordinates."""


@dataclass(frozen=True)
class Component:
    """A connected component of a mask.

    Attributes:
        mask: (H, W) bool.
        points: (P, 2) outline x, y in pixels, or None if the component has holes.
    """

    mask: NDArray[np.bool_]
    points: Points | None


def components_of(mask: NDArray[np.bool_]) -> Iterator[Component]:
    """Yield the 8-connected components of a mask, in the order of their first pixels."""
    filled = np.ascontiguousarray(mask, dtype=np.uint8)
    count, labels = cv2.connectedComponents(filled, connectivity=8)
    for number in range(1, count):
        component = labels == number
        contours, _ = cv2.findContours(component.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        if len(contours) > 1:
            yield Component(component, None)
            continue
        points = contours[0][:, 0].astype(np.float64) + 0.5
        # Annotation tools expect at least three corners, even for one pixel or a line of pixels.
        while len(points) < 3:
            points = np.concatenate([points, points[-1:]])
        yield Component(component, points)


def pixel_edges(component: NDArray[np.bool_]) -> Points:
    """Return the outline of a component (H, W) without holes along the edges of its pixels: (P, 2) x, y in pixels.

    Inner corners are cut by half a pixel, which changes the side of no centre.
    """
    left, top, width, height = cv2.boundingRect(component.astype(np.uint8))
    # Grid of corners (even) and centres (odd), on which a pixel covers its centre and all around it.
    grid = np.zeros((2 * height + 1, 2 * width + 1), dtype=np.uint8)
    grid[1::2, 1::2] = component[top : top + height, left : left + width]
    grid = cv2.dilate(grid, np.ones((3, 3), dtype=np.uint8))
    contours, _ = cv2.findContours(grid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(contours[0][:, 0] / 2 + [left, top], dtype=np.float64)


def through_centres(points: Points) -> bool:
    """Whether a polygon passes from centre to neighbouring centre of pixels, as `Component.points` do."""
    steps = abs(np.roll(points, -1, axis=0) - points)
    straight = (steps.min(axis=1) == 0) | (steps[:, 0] == steps[:, 1])
    return bool((points % 1 == 0.5).all() and straight.all())


def fill(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Rasterise a polygon, (P, 2) corners x, y, as (height, width) bool by the even-odd rule, including its line."""
    height, width = size
    filled = np.zeros(size, dtype=bool)
    # From here on, integer coordinates are pixel centres.
    x0, y0 = points[:, 0] - 0.5, points[:, 1] - 0.5
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    first = max(0, int(np.ceil(y0.min() - ON_THE_LINE)))
    last = min(height - 1, int(np.floor(y0.max() + ON_THE_LINE)))
    for y in range(first, last + 1):
        crossed = (y0 <= y) != (y1 <= y)
        crossings = np.sort(x0[crossed] + (y - y0[crossed]) / (y1[crossed] - y0[crossed]) * (x1[crossed] - x0[crossed]))
        flat = (abs(y0 - y) <= ON_THE_LINE) & (abs(y1 - y) <= ON_THE_LINE)
        corners = x0[abs(y0 - y) <= ON_THE_LINE]
        spans = [
            *zip(crossings[::2], crossings[1::2], strict=True),
            *zip(np.minimum(x0, x1)[flat], np.maximum(x0, x1)[flat], strict=True),
            *zip(corners, corners, strict=True),
        ]
        for left, right in spans:
            start, end = int(np.ceil(left - ON_THE_LINE)), int(np.floor(right + ON_THE_LINE))
            if end >= 0 and start < width:
                filled[y, max(0, start) : end + 1] = True
    return filled


def fill_rings(rings: Sequence[Points], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Rasterise rings, each (P, 2) corners x, y, together as (height, width) bool by the even-odd rule.

    A centre on a line is inside if what is to the right of it is, or below it on a horizontal line, as in Java 2D.
    """
    height, width = size
    filled = np.zeros(size, dtype=bool)
    x0, y0 = (np.concatenate([ring[:, axis] for ring in rings]) - 0.5 for axis in (0, 1))
    x1, y1 = (np.concatenate([np.roll(ring[:, axis], -1) for ring in rings]) - 0.5 for axis in (0, 1))
    for y in range(max(0, int(np.ceil(y0.min()))), min(height - 1, int(np.floor(y0.max()))) + 1):
        crossed = (y0 <= y) != (y1 <= y)
        crossings = np.sort(x0[crossed] + (y - y0[crossed]) / (y1[crossed] - y0[crossed]) * (x1[crossed] - x0[crossed]))
        for left, right in zip(np.ceil(crossings[::2]), np.ceil(crossings[1::2]), strict=True):
            filled[y, max(0, int(left)) : max(0, min(width, int(right)))] = True
    return filled
