"""Cut pages into square tiles and put tiles together again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels


@dataclass(frozen=True)
class TileGrid:
    """How a page of `height` × `width` pixels is covered by square tiles, the last ones padded with black.

    S4MI section 3.3.1: a 1408×1876 page and tiles of 480 give 3 × 4 tiles.
    """

    height: int
    width: int
    tile: int

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every tile, row by row."""
        return tuple(
            (top, left) for top in range(0, self.height, self.tile) for left in range(0, self.width, self.tile)
        )

    def cut(self, page: Pixels, corner: tuple[int, int], *, fill: int = 0) -> Pixels:
        """The tile of `page` at `corner`: (tile, tile) or (tile, tile, C), padded with `fill`."""
        top, left = corner
        piece = page[top : top + self.tile, left : left + self.tile]
        if piece.shape[:2] == (self.tile, self.tile):
            return piece
        padded = np.full((self.tile, self.tile, *page.shape[2:]), fill, dtype=np.uint8)
        padded[: piece.shape[0], : piece.shape[1]] = piece
        return padded

    def stitch(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K, tile, tile) in the order of `corners` → (K, height, width); the padding falls away."""
        page = np.zeros((tiles.shape[1], self.height, self.width), dtype=np.float32)
        for (top, left), tile in zip(self.corners, tiles, strict=True):
            bottom, right = min(top + self.tile, self.height), min(left + self.tile, self.width)
            page[:, top:bottom, left:right] = tile[:, : bottom - top, : right - left]
        return page
