"""Preprocessing of images and masks: tiling, resizing and red-channel normalisation."""

from dataclasses import dataclass

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import normalise_red, resize_image, resize_mask
from s4mi.data.loading.tiles import TileGrid
from s4mi.records import IGNORE


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing from file to network input, shared by training, evaluation and prediction.

    Attributes:
        image_size: side S of the stored square, in pixels.
        resize_through: side of an intermediate square that images are resized to first (480 in the paper), or None.
        tile: side of the tiles that images are cut into first (480 in the paper), or None to use whole images.
        red_channel_normalisation: replace red by R / sqrt(R² + G² + B²).
    """

    image_size: int
    resize_through: int | None = None
    tile: int | None = None
    red_channel_normalisation: bool = False

    def grid(self, size: tuple[int, int]) -> TileGrid:
        """Return the tiles of an image of (height, width); a single tile with the whole image if tiling is off."""
        return TileGrid(*size, tile=self.tile or max(size))

    def image(self, pixels: Pixels) -> Pixels:
        """Preprocess an image or tile (H, W, 3) to (S, S, 3)."""
        if self.resize_through is not None:
            pixels = resize_image(pixels, (self.resize_through, self.resize_through))
        pixels = resize_image(pixels, (self.image_size, self.image_size))
        return normalise_red(pixels) if self.red_channel_normalisation else pixels

    @property
    def first_size(self) -> tuple[int, int]:
        """(height, width) to which an image or tile is resized first."""
        side = self.resize_through or self.image_size
        return side, side

    def images(self, pixels: Pixels) -> Pixels:
        """Return all entries of an image (H, W, 3) as (tiles, S, S, 3)."""
        if self.tile is None:
            return self.image(pixels)[None]
        grid = self.grid((pixels.shape[0], pixels.shape[1]))
        return np.stack([self.image(grid.cut(pixels, corner)) for corner in grid.corners])

    def masks(self, mask: Pixels) -> Pixels:
        """Return all entries of a mask (H, W) as (tiles, S, S), with padding set to `IGNORE`."""
        size = (self.image_size, self.image_size)
        if self.tile is None:
            return resize_mask(mask, size)[None]
        grid = self.grid((mask.shape[0], mask.shape[1]))
        return np.stack([resize_mask(grid.cut(mask, corner, fill=IGNORE), size) for corner in grid.corners])
