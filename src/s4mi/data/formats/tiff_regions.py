"""Read regions of a tiled TIFF page, and of the smaller pages of its pyramid, without decoding the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from s4mi.data.formats import tiff_pixels
from s4mi.data.formats.frame import image_errors
from s4mi.data.formats.intensity import Pixels
from s4mi.data.formats.tiff_bands import Segments, is_banded

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class TiledPage:
    """A tiled page of 8 bits, and the pages that are it halved a number of times.

    Attributes:
        height, width: of the full page. pages: index of the page in the file by the number of halvings; 0 is the full
            page.
    """

    path: Path
    height: int
    width: int
    pages: dict[int, int]

    def size(self, level: int) -> tuple[int, int]:
        """(height, width) of the page halved `level` times, rounded up."""
        return -(-self.height // 2**level), -(-self.width // 2**level)

    def read(self, level: int, corner: tuple[int, int], size: tuple[int, int]) -> Pixels:
        """Read a region of a stored page: (h, w) grey or (h, w, 3), less where the page ends.

        Args:
            level: one of `pages`. corner: row and column of its first pixel. size: (height, width).

        Raises:
            ImageError: the file cannot be decoded.
        """
        with image_errors(self.path), tifffile.TiffFile(self.path) as file:
            page = file.pages[self.pages[level]].aspage()
            height = min(size[0], page.imagelength - corner[0])
            width = min(size[1], page.imagewidth - corner[1])
            shape = (height, width, 3) if tiff_pixels.channels(page) >= 3 else (height, width)
            region = np.zeros(shape, dtype=np.uint8)
            decode = Segments(file, page)
            for index, row, column in _tiles(page, corner, (height, width)):
                tile = decode(index)
                tile = tile[:, :, :3] if tile.ndim == 3 else tile
                top, left = max(row, corner[0]), max(column, corner[1])
                bottom = min(row + tile.shape[0], corner[0] + height)
                right = min(column + tile.shape[1], corner[1] + width)
                cut = tile[top - row : bottom - row, left - column : right - column]
                region[top - corner[0] : bottom - corner[0], left - corner[1] : right - corner[1]] = cut
            return region


def tiled_page(path: Path) -> TiledPage | None:
    """Return the first page of a file if its regions can be read by themselves, else None."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with tifffile.TiffFile(path) as file:
            full = file.pages[0].aspage()
            if not _is_plain(full):
                return None
            pages = {0: 0}
            for index in range(1, len(file.pages)):
                page = file.pages[index].aspage()
                if not page.is_reduced:
                    return None  # several images, of which the first is shown
                level = _level(full, page)
                if level and _is_plain(page) and page.samplesperpixel == full.samplesperpixel:
                    pages.setdefault(level, index)
            Segments(file, full)(0)
            return TiledPage(path, full.imagelength, full.imagewidth, pages)
    except Exception:  # whatever is unusual is read as a whole, which reports what is wrong
        return None


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether the tiles of a page are 8-bit grey or colours as displayed."""
    indices = page.photometric == PHOTOMETRIC.PALETTE
    return bool(page.is_tiled and not indices and tiff_pixels.dtype(page) == "uint8" and is_banded(page))


def _level(full: tifffile.TiffPage, page: tifffile.TiffPage) -> int:
    """How often a page is the full one halved, with sides rounded up or down; 0 if it is something else."""
    for level in range(1, 16):
        sides = ((full.imagelength, page.imagelength), (full.imagewidth, page.imagewidth))
        if all(side in (whole // 2**level, -(-whole // 2**level)) for whole, side in sides):
            # A page rounded down has not all pixels of ours.
            return level if all(side == -(-whole // 2**level) for whole, side in sides) else 0
    return 0


def _tiles(page: tifffile.TiffPage, corner: tuple[int, int], size: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each tile in a region, and the row and column of its first pixel."""
    across = -(-page.imagewidth // page.tilewidth)
    for row in range(corner[0] // page.tilelength, -(-(corner[0] + size[0]) // page.tilelength)):
        for column in range(corner[1] // page.tilewidth, -(-(corner[1] + size[1]) // page.tilewidth)):
            yield row * across + column, row * page.tilelength, column * page.tilewidth
