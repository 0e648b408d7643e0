"""Probabilities of large pages, a band of rows at a time: at the size of a page they would not fit in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.sliding_window import Windows, importance_map
from s4mi.data.loading.tiles import TileGrid

Floats = NDArray[np.float32]

BAND = 256
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
    """The prediction of a page, made when it is iterated over.

    Attributes:
        size: (height, width) of the page.
        classes: (height, width) most likely class of each pixel.
        means: (K,) mean probability of each class over its own pixels; NaN for a class without any.
    """

    size: tuple[int, int]
    classes: Pixels
    means: NDArray[np.float64]


def decided(bands: Iterator[BandOfPage], size: tuple[int, int]) -> LargePage:
    """Decide the classes of a page band by band; one byte per pixel is kept."""
    classes = np.zeros(size, dtype=np.uint8)
    sums: NDArray[np.float64] | None = None
    counts: NDArray[np.int64] | None = None
    for band in bands:
        found = band.probabilities.argmax(axis=0).astype(np.uint8)
        classes[band.top : band.top + len(found)] = found
        number = len(band.probabilities)
        if sums is None or counts is None:
            sums, counts = np.zeros(number), np.zeros(number, dtype=np.int64)
        counts += np.bincount(found.ravel(), minlength=number)
        best = np.take_along_axis(band.probabilities, found[None].astype(np.int64), axis=0)[0]
        sums += np.bincount(found.ravel(), weights=best.ravel(), minlength=number)
    assert sums is not None
    assert counts is not None
    with np.errstate(invalid="ignore"):
        return LargePage(size, classes, sums / counts)


def bands_of_whole(output: Floats, size: tuple[int, int]) -> Iterator[BandOfPage]:
    """Enlarge (K, S, S) to a page, bilinear as `predictor.resized`, a band of rows at a time."""
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


def bands_of_windows(tiles: Floats, windows: Windows) -> Iterator[BandOfPage]:
    """Blend (T, K, S, S) as `Windows.blend`; rows that no later window covers are passed on at once."""
    tile, corners = windows.tile, windows.corners
    weight, classes = importance_map(tile), tiles.shape[1]
    tops = sorted({top for top, _ in corners})
    across = len(corners) // len(tops)
    page = np.zeros((classes, tile, windows.width), dtype=np.float32)
    total = np.zeros((tile, windows.width), dtype=np.float32)
    for number, top in enumerate(tops):
        for place in range(number * across, (number + 1) * across):
            left = corners[place][1]
            right, bottom = min(left + tile, windows.width), min(top + tile, windows.height)
            inside = weight[: bottom - top, : right - left]
            enlarged = _enlarged(tiles[place], tile)[:, : bottom - top, : right - left]
            page[:, : bottom - top, left:right] += inside * enlarged
            total[: bottom - top, left:right] += inside
        last = number + 1 == len(tops)
        done = min(tile, windows.height - top) if last else tops[number + 1] - top
        yield BandOfPage(top, page[:, :done] / total[:done])
        page = np.concatenate([page[:, done:], np.zeros_like(page[:, :done])], axis=1)
        total = np.concatenate([total[done:], np.zeros_like(total[:done])])


def bands_of_tiles(tiles: Floats, grid: TileGrid, size: tuple[int, int]) -> Iterator[BandOfPage]:
    """Put adjacent tiles (T, K, S, S) together, a row of tiles at a time."""
    height, width = size
    corners: Sequence[tuple[int, int]] = grid.corners
    for top in sorted({top for top, _ in corners}):
        rows = min(grid.tile, height - top)
        page = np.zeros((tiles.shape[1], rows, width), dtype=np.float32)
        for place, (row, left) in enumerate(corners):
            if row == top:
                right = min(left + grid.tile, width)
                page[:, :, left:right] = _enlarged(tiles[place], grid.tile)[:, :rows, : right - left]
        yield BandOfPage(top, page)


def _enlarged(tile: Floats, side: int) -> Floats:
    if tile.shape[1:] == (side, side):
        return tile
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in tile])


def _widened(rows: Floats, width: int) -> Floats:
    return np.asarray(cv2.resize(rows, (width, len(rows)), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
