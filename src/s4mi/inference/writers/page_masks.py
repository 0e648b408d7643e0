"""The mask of a page that is read in bands: written as a TIFF in tiles while it is predicted, and shown reduced."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from s4mi.data.banded_masks import mask_bands
from s4mi.data.banded_page import Size, reduced_size
from s4mi.data.formats.intensity import Pixels
from s4mi.data.masks import encode_mask, read_mask
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError
from s4mi.inference.bands import PageTally, StreamedPage
from s4mi.inference.writers.mask_files import write_atomically

TILE = 256
"""Side of the tiles of a mask in pixels."""
SHOWN = 2048
"""Longest side of the picture of a page in an overlay, in pixels."""
BUFFER = 1 << 25
"""Bytes of tiles that are compressed at a time."""
CLASSIC = (1 << 32) - (1 << 25)
"""Bytes up to which a TIFF needs no offsets of 64 bits."""


@dataclass(frozen=True)
class WrittenPage:
    """What is known of a page once its mask is written: the counts of its classes, and its mask reduced to `SHOWN`."""

    tally: PageTally
    reduced: Pixels


class NearestRows:
    """The pixels of a mask at the centres of those of a smaller one, from its bands."""

    def __init__(self, size: Size, target: Size) -> None:
        self._rows, self._columns = (
            ((np.arange(short) + 0.5) * length / short).astype(np.int64)
            for length, short in zip(size, target, strict=True)
        )
        self.pixels = np.zeros(target, dtype=np.uint8)

    def feed(self, top: int, band: Pixels) -> None:
        """Take the rows (h, W) from `top` on."""
        first, last = np.searchsorted(self._rows, (top, top + len(band)))
        self.pixels[first:last] = band[self._rows[first:last] - top][:, self._columns]


def write_page(path: Path, page: StreamedPage, mask_values: Mapping[MaskKey, str], classes: int) -> WrittenPage:
    """Predict a page and write its mask to a TIFF of 256 × 256 tiles, atomically."""
    tally, nearest = PageTally(classes), NearestRows(page.size, reduced_size(page.size, min(SHOWN, max(page.size))))

    def decided() -> Iterator[Pixels]:
        for band in page.bands:
            found = tally.add(band)
            nearest.feed(band.top, found)
            yield encode_mask(found, mask_values)

    colours = encode_mask(np.zeros((1, 1), np.uint8), mask_values).shape[2:]
    shape = (*page.size, *colours)
    write_atomically(
        path,
        lambda draft: tifffile.imwrite(
            draft, tiles(decided(), page.size[1]), shape=shape, dtype=np.uint8, tile=(TILE, TILE), compression="zlib",
            photometric="rgb" if colours else "minisblack", metadata=None, bigtiff=np.prod(shape) > CLASSIC,
            buffersize=BUFFER, maxworkers=1,
        ),
    )  # fmt: skip
    return WrittenPage(tally, nearest.pixels)


def tiles(bands: Iterator[Pixels], width: int) -> Iterator[Pixels]:
    """Cut bands (h, W[, 3]) of any height into tiles in row-major order, those at the edges filled with zeros."""
    kept: list[Pixels] = []
    height = 0
    for band in bands:
        kept.append(band)
        height += len(band)
        if height >= TILE:
            rows = np.concatenate(kept)
            for top in range(0, height - TILE + 1, TILE):
                yield from _row_of_tiles(rows[top : top + TILE], width)
            kept = [rows[height - height % TILE :]]
            height %= TILE
    if height:
        yield from _row_of_tiles(np.concatenate(kept), width)


def true_mask_reduced(path: Path, mask_values: Mapping[MaskKey, str], size: Size, target: Size) -> Pixels:
    """Return the true mask of a page of (height, width) `size` reduced to `target`.

    Raises:
        S4miError: it cannot be read, or has another size.
    """
    nearest, top, width = NearestRows(size, target), 0, size[1]
    whole = mask_bands(path, mask_values)
    for band in (read_mask(path, mask_values),) if whole is None else whole:
        width = band.shape[1]
        if width != size[1] or top + len(band) > size[0]:
            break
        nearest.feed(top, band)
        top += len(band)
    if (top, width) != size:
        raise S4miError(f"its mask {path} has not the size {size[0]}×{size[1]}; re-export the mask at the image's size")
    return nearest.pixels


def _row_of_tiles(rows: Pixels, width: int) -> Iterator[Pixels]:
    for left in range(0, width, TILE):
        part = rows[:, left : left + TILE]
        if part.shape[:2] == (TILE, TILE):
            yield np.ascontiguousarray(part)
        else:
            tile = np.zeros((TILE, TILE, *part.shape[2:]), dtype=np.uint8)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
