"""Overlapping windows over a page, whose answers fade into each other: no seam where two meet, no edge of padding.

The windows of a row are evenly spread from edge to edge, so that none hangs over; where windows overlap, a Gaussian
weighs down what lies far from a window's middle (as MONAI's and nnU-Net's sliding windows do).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

SIGMA = 0.125
"""Standard deviation of the Gaussian, as a share of the window's side; MONAI's and nnU-Net's."""
FAINTEST = 1e-3
"""Least weight of a pixel, so that a corner which one window alone sees counts."""


@dataclass(frozen=True)
class Windows:
    """How a page of `height` × `width` pixels is covered by square windows that overlap by a share of their side.

    It is `overlap` at least. A page that is smaller than a window is padded with black below and to the right.
    """

    height: int
    width: int
    tile: int
    overlap: float

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every window, row by row."""
        tops, lefts = (_starts(length, self.tile, self.overlap) for length in (self.height, self.width))
        return tuple((top, left) for top in tops for left in lefts)

    def cut(self, page: Pixels, corner: tuple[int, int]) -> Pixels:
        """The window of `page` at `corner`: (tile, tile, C)."""
        top, left = corner
        piece = page[top : top + self.tile, left : left + self.tile]
        if piece.shape[:2] == (self.tile, self.tile):
            return piece
        padded = np.zeros((self.tile, self.tile, *page.shape[2:]), dtype=np.uint8)
        padded[: piece.shape[0], : piece.shape[1]] = piece
        return padded

    def blend(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K, tile, tile) in the order of `corners` → (K, height, width), weighted means where windows overlap."""
        page = np.zeros((tiles.shape[1], self.height, self.width), dtype=np.float32)
        total = np.zeros((self.height, self.width), dtype=np.float32)
        weight = importance(self.tile)
        for (top, left), tile in zip(self.corners, tiles, strict=True):
            bottom, right = min(top + self.tile, self.height), min(left + self.tile, self.width)
            own = weight[: bottom - top, : right - left]
            page[:, top:bottom, left:right] += own * tile[:, : bottom - top, : right - left]
            total[top:bottom, left:right] += own
        page /= total
        return page


@lru_cache(maxsize=4)
def importance(tile: int) -> NDArray[np.float32]:
    """(tile, tile) weights: a Gaussian around the middle, never below `FAINTEST`."""
    away = (np.arange(tile) - (tile - 1) / 2) / (SIGMA * tile)
    line = np.exp(-0.5 * np.square(away))
    return np.maximum(np.outer(line, line), FAINTEST).astype(np.float32)


def _starts(length: int, tile: int, overlap: float) -> tuple[int, ...]:
    """Where windows begin along one side: evenly from 0 to length - tile, and no further apart than asked."""
    if length <= tile:
        return (0,)
    step = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil((length - tile) / step) + 1
    return tuple(round(i * (length - tile) / (count - 1)) for i in range(count))
