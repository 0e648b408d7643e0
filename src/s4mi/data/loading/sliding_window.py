"""Sliding-window inference: overlapping windows whose predictions are blended, without seams or padded edges.

Windows are evenly spaced from edge to edge, so that none extends beyond the page. Where they overlap, predictions are
weighted by a Gaussian centred on each window (as in MONAI and nnU-Net).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

SIGMA = 0.125
"""Standard deviation of the Gaussian, as a share of the side of the window; as in MONAI and nnU-Net."""
MIN_WEIGHT = 1e-3
"""Minimum weight of a pixel, for corners that are covered by a single window."""


@dataclass(frozen=True)
class Windows:
    """Cover of a page of `height` × `width` pixels by square windows that overlap by at least a share of their side.

    A page smaller than a window is padded with black below and to the right.
    """

    height: int
    width: int
    tile: int
    overlap: float

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every window, in row-major order."""
        tops, lefts = (_starts(length, self.tile, self.overlap) for length in (self.height, self.width))
        return tuple((top, left) for top in tops for left in lefts)

    def cut(self, page: Pixels, corner: tuple[int, int]) -> Pixels:
        """Return the window of `page` at `corner` as (tile, tile, C)."""
        top, left = corner
        window = page[top : top + self.tile, left : left + self.tile]
        if window.shape[:2] == (self.tile, self.tile):
            return window
        padded = np.zeros((self.tile, self.tile, *page.shape[2:]), dtype=np.uint8)
        padded[: window.shape[0], : window.shape[1]] = window
        return padded

    def blend(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Blend (N, K, tile, tile) in the order of `corners` into (K, height, width), as weighted means."""
        page = np.zeros((tiles.shape[1], self.height, self.width), dtype=np.float32)
        total = np.zeros((self.height, self.width), dtype=np.float32)
        weight = importance_map(self.tile)
        for (top, left), tile in zip(self.corners, tiles, strict=True):
            bottom, right = min(top + self.tile, self.height), min(left + self.tile, self.width)
            inside = weight[: bottom - top, : right - left]
            page[:, top:bottom, left:right] += inside * tile[:, : bottom - top, : right - left]
            total[top:bottom, left:right] += inside
        page /= total
        return page


@lru_cache(maxsize=4)
def importance_map(tile: int) -> NDArray[np.float32]:
    """Return (tile, tile) weights: a Gaussian around the centre, at least `MIN_WEIGHT`."""
    distance = (np.arange(tile) - (tile - 1) / 2) / (SIGMA * tile)
    line = np.exp(-0.5 * np.square(distance))
    return np.maximum(np.outer(line, line), MIN_WEIGHT).astype(np.float32)


def _starts(length: int, tile: int, overlap: float) -> tuple[int, ...]:
    """Return the starts of the windows along one side, evenly spaced from 0 to length - tile."""
    if length <= tile:
        return (0,)
    step = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil((length - tile) / step) + 1
    return tuple(round(i * (length - tile) / (count - 1)) for i in range(count))
