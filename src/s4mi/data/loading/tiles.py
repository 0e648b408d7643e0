"""Cut pages into square tiles, and stitch tiles together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels


@dataclass(frozen=True)
class TileGrid:
    """Grid of square tiles over a page of `height` × `width` pixels, the last ones padded with black.

    S4MI section 3.3.1: 3 × 4 tiles of 480 for a page of 1408×1876.
    """

    height: int
    width: int
    tile: int

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every tile, in row-major order."""
        return tuple(
            (top, left) for top in range(0, self.height, self.tile) for left in range(0, self.width, self.tile)
        )

    def cut(self, page: Pixels, corner: tuple[int, int], *, fill: int = 0) -> Pixels:
        """Return the tile of `page` at `corner` as (tile, tile) or (tile, tile, C), padded with `fill`."""
        top, left = corner
        tile_pixels = page[top : top + self.tile, left : left + self.tile]
        if tile_pixels.shape[:2] == (self.tile, self.tile):
            return tile_pixels
        padded = np.full((self.tile, self.tile, *page.shape[2:]), fill, dtype=np.uint8)
        padded[: tile_pixels.shape[0], : tile_pixels.shape[1]] = tile_pixels
        return padded

    def stitch(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stitch (N, K, tile, tile) in the order of `corners` into (K, height, width), without the padding."""
        page = np.zeros((tiles.shape[1], self.height, self.width), dtype=np.float32)
        for (top, left), tile in zip(self.corners, tiles, strict=True):
            bottom, right = min(top + self.tile, self.height), min(left + self.tile, self.width)
            page[:, top:bottom, left:right] = tile[:, : bottom - top, : right - left]
        return page
