"""Probabilities of large pages, a band of rows at a time: at the size of a page they would not fit in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import BandedPage
from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.sliding_window import Windows, importance_map
from s4mi.data.loading.tiles import TileGrid
from s4mi.maths.regions import Regions

Floats = NDArray[np.float32]

BAND = 64
"""Rows of a band of a page that is predicted as a whole."""
LARGE = 1 << 28
"""Probabilities of a page (1 GiB as float32) above which it is predicted in bands."""


@dataclass(frozen=True)
class BandOfPage:
    """Rows of a page from `top` on: probabilities (K, rows, width)."""

    top: int
    probabilities: Floats


@dataclass(frozen=True)
class LargePage:
    """The prediction of a page whose probabilities do not fit in memory.

    Attributes:
        classes: (height, width) most likely class of each pixel.
        tally: what is counted of them.
    """

    classes: Pixels
    tally: "PageTally"


@dataclass(frozen=True)
class StreamedPage:
    """The prediction of a page that is read in bands, made while its bands are iterated over, once.

    Attributes:
        size: (height, width) of the page.
    """

    page: BandedPage
    size: tuple[int, int]
    bands: Iterator[BandOfPage]


class PageTally:
    """Counts of the classes of a page, and their mean probabilities and centres, band by band."""

    def __init__(self, classes: int) -> None:
        self.pixels = np.zeros(classes, dtype=np.int64)
        self._sums, self._rows, self._columns = (np.zeros(classes) for _ in range(3))

    def add(self, band: BandOfPage) -> Pixels:
        """Decide the classes of a band, (rows, width), and count them."""
        number = len(band.probabilities)
        found: Pixels = band.probabilities.argmax(axis=0).astype(np.uint8)
        best = np.take_along_axis(band.probabilities, found[None].astype(np.int64), axis=0)[0]
        self._sums += np.bincount(found.ravel(), weights=best.ravel(), minlength=number)
        rows, columns = np.arange(band.top, band.top + len(found)), np.arange(found.shape[1])
        for index in range(number):
            inside = found == index
            self.pixels[index] += int(np.count_nonzero(inside))
            self._rows[index] += float(inside.sum(axis=1, dtype=np.int64) @ rows)
            self._columns[index] += float(inside.sum(axis=0, dtype=np.int64) @ columns)
        return found

    def mean(self, index: int) -> float:
        """Mean probability of a class over its own pixels; NaN for a class without any."""
        return float(self._sums[index] / self.pixels[index]) if self.pixels[index] else float("nan")

    def regions(self, index: int) -> Regions:
        """Pixels and centre of a class; its regions are not counted, which would take four bytes per pixel."""
        pixels = int(self.pixels[index])
        centre = (self._rows[index] / pixels, self._columns[index] / pixels) if pixels else None
        return Regions(pixels, 0, 0, centre)


def decided(bands: Iterator[BandOfPage], size: tuple[int, int]) -> LargePage:
    """Decide the classes of a page band by band; one byte per pixel is kept."""
    classes, tally = np.zeros(size, dtype=np.uint8), None
    for band in bands:
        tally = tally or PageTally(len(band.probabilities))
        found = tally.add(band)
        classes[band.top : band.top + len(found)] = found
    assert tally is not None
    return LargePage(classes, tally)


def whole_page(output: Floats, size: tuple[int, int]) -> Floats:
    """Enlarge (K, S, S) to (K, height, width), bilinear as `torch.nn.functional.interpolate`."""
    if output.shape[1:] == size:
        return output
    return np.concatenate([band.probabilities for band in bands_of_whole(output, size)], axis=1)


def bands_of_whole(output: Floats, size: tuple[int, int]) -> Iterator[BandOfPage]:
    """Enlarge (K, S, S) to a page as `whole_page`, a band of rows at a time."""
    height, width = size
    side = output.shape[1]
    for top in range(0, height, BAND):
        rows = np.arange(top, min(top + BAND, height))
        position = np.clip((rows + 0.5) * side / height - 0.5, 0, side - 1)
        above = np.floor(position).astype(np.int64)
        below = np.minimum(above + 1, side - 1)
        weight = (position - above).astype(np.float32)[None, :, None]
        stretched = output[:, above] * (1 - weight) + output[:, below] * weight
        yield BandOfPage(top, np.stack([_widened(one, width) for one in stretched]))


def bands_of_windows(tiles: Iterable[Floats], windows: Windows) -> Iterator[BandOfPage]:
    """Blend T of (K, S, S) as `Windows.blend`; rows that no later window covers are passed on at once."""
    tile, corners, left_over = windows.tile, windows.corners, iter(tiles)
    weight = importance_map(tile)
    tops = sorted({top for top, _ in corners})
    across = len(corners) // len(tops)
    total = np.zeros((tile, windows.width), dtype=np.float32)
    page: Floats | None = None
    for number, top in enumerate(tops):
        for place in range(number * across, (number + 1) * across):
            left = corners[place][1]
            right, bottom = min(left + tile, windows.width), min(top + tile, windows.height)
            inside = weight[: bottom - top, : right - left]
            enlarged = _enlarged(next(left_over), tile)[:, : bottom - top, : right - left]
            if page is None:
                page = np.zeros((len(enlarged), tile, windows.width), dtype=np.float32)
            page[:, : bottom - top, left:right] += inside * enlarged
            total[: bottom - top, left:right] += inside
        assert page is not None
        last = number + 1 == len(tops)
        done = min(tile, windows.height - top) if last else tops[number + 1] - top
        for start in range(0, done, BAND):
            end = min(start + BAND, done)
            yield BandOfPage(top + start, page[:, start:end] / total[start:end])
        if not last:
            for each in (page, total[None]):  # in place: a row of windows of a wide page takes much memory
                each[:, : tile - done] = each[:, done:].copy()
                each[:, tile - done :] = 0


def bands_of_tiles(tiles: Iterable[Floats], grid: TileGrid, size: tuple[int, int]) -> Iterator[BandOfPage]:
    """Put adjacent tiles, T of (K, S, S), together, a row of tiles at a time."""
    height, width = size
    left_over = iter(tiles)
    for top in sorted({top for top, _ in grid.corners}):
        rows, page = min(grid.tile, height - top), None
        for left in range(0, width, grid.tile):
            right = min(left + grid.tile, width)
            enlarged = _enlarged(next(left_over), grid.tile)[:, :rows, : right - left]
            if page is None:
                page = np.zeros((len(enlarged), rows, width), dtype=np.float32)
            page[:, :, left:right] = enlarged
        assert page is not None
        for start in range(0, rows, BAND):
            yield BandOfPage(top + start, page[:, start : start + BAND])


def _enlarged(tile: Floats, side: int) -> Floats:
    if tile.shape[1:] == (side, side):
        return tile
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in tile])


def _widened(rows: Floats, width: int) -> Floats:
    return np.asarray(cv2.resize(rows, (width, len(rows)), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
