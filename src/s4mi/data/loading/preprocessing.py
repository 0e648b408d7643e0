"""From file to network input: tiles, resizing and red-channel normalisation, in one place for every job."""

from dataclasses import dataclass

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import normalise_red, resize_image, resize_mask
from s4mi.data.loading.tiles import TileGrid
from s4mi.records import IGNORE


@dataclass(frozen=True)
class Preprocessing:
    """From file to network input, the same in training, evaluation and prediction.

    Attributes:
        image_size: side S of the stored square, in pixels.
        resize_through: side of a square to resize to on the way (the paper goes through 480), or None.
        tile: cut pages into tiles of this many pixels first (the paper: 480), or None to take each image whole.
        red_channel_normalisation: replace red by R / sqrt(R² + G² + B²).
    """

    image_size: int
    resize_through: int | None = None
    tile: int | None = None
    red_channel_normalisation: bool = False

    def grid(self, size: tuple[int, int]) -> TileGrid:
        """How an image of this (height, width) is cut; one tile with the whole image when tiling is off."""
        return TileGrid(*size, tile=self.tile or max(size))

    def image(self, pixels: Pixels) -> Pixels:
        """An image or tile (H, W, 3) as it is stored: (S, S, 3)."""
        if self.resize_through is not None:
            pixels = resize_image(pixels, (self.resize_through, self.resize_through))
        pixels = resize_image(pixels, (self.image_size, self.image_size))
        return normalise_red(pixels) if self.red_channel_normalisation else pixels

    def images(self, pixels: Pixels) -> Pixels:
        """All entries of an image (H, W, 3): (tiles, S, S, 3)."""
        if self.tile is None:
            return self.image(pixels)[None]
        grid = self.grid((pixels.shape[0], pixels.shape[1]))
        return np.stack([self.image(grid.cut(pixels, corner)) for corner in grid.corners])

    def masks(self, mask: Pixels) -> Pixels:
        """All entries of a mask (H, W): (tiles, S, S), padding marked to be ignored."""
        size = (self.image_size, self.image_size)
        if self.tile is None:
            return resize_mask(mask, size)[None]
        grid = self.grid((mask.shape[0], mask.shape[1]))
        return np.stack([resize_mask(grid.cut(mask, corner, fill=IGNORE), size) for corner in grid.corners])
