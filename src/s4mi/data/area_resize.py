"""Shrink an image by area averaging from bands of its rows, to the bit as OpenCV's INTER_AREA shrinks it at once.

OpenCV weights each source pixel by the share of the target pixel that it covers, along rows first, in single precision;
if both factors are integers it takes integer means. The order of the additions is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels

ROWS = 64
"""Rows that are converted to floating-point numbers at a time."""
LEAST = 1e-3
"""Overhang of a source pixel that OpenCV neglects."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Part:
    """A source row and its weight in a target row."""

    target: int
    source: int
    weight: np.float32


class AreaResize:
    """Shrinks an image (H, W[, C]) to (height, width), fed with its rows from top to bottom."""

    def __init__(self, size: tuple[int, int], target: tuple[int, int]) -> None:
        """Prepare to shrink `size` to `target`, both (height, width); neither side may grow, one at least shrinks."""
        self._size, self._target = size, target
        self._factors = tuple(_factor(length, short) for length, short in zip(size, target, strict=True))
        self._exact = all(abs(factor - round(factor)) < np.finfo(float).eps for factor in self._factors)
        self._parts = iter(_parts(*size[:1], *target[:1]))
        self._next: _Part | None = next(self._parts)
        self._row = self._done = 0
        self._sum: Floats | None = None
        self._pending: Pixels | None = None
        self._result: Pixels | None = None

    def feed(self, rows: Pixels) -> None:
        """Take the next rows (h, W[, C])."""
        if self._result is None:
            self._result = np.zeros((*self._target, *rows.shape[2:]), dtype=np.uint8)
        if self._exact:
            self._feed_exactly(rows)
            return
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            for line in self._along_rows(part):
                self._add(line)
                self._row += 1

    def result(self) -> Pixels:
        """Return the shrunk image, after all rows."""
        assert self._result is not None
        if self._sum is not None:
            self._store(self._target[0] - 1, self._sum)
        return self._result

    def _feed_exactly(self, rows: Pixels) -> None:
        factor = round(self._factors[0])
        rows = rows if self._pending is None else np.concatenate([self._pending, rows])
        whole = len(rows) // factor
        if whole:
            assert self._result is not None
            size = (self._target[1], whole)
            shrunk = cv2.resize(rows[: whole * factor], size, interpolation=cv2.INTER_AREA)
            self._result[self._row : self._row + whole] = shrunk.reshape(whole, *self._result.shape[1:])
            self._row += whole
        self._pending = rows[whole * factor :].copy()

    def _along_rows(self, rows: Pixels) -> Floats:
        """Average along rows: (h, W[, C]) to (h, width[, C]), not yet rounded."""
        factor, width = self._factors[1], self._target[1]
        values = rows.astype(np.float32)
        if abs(factor - round(factor)) >= np.finfo(float).eps:
            shrunk = cv2.resize(values, (width, len(rows)), interpolation=cv2.INTER_AREA)
            return np.asarray(shrunk, dtype=np.float32).reshape(len(rows), width, *rows.shape[2:])
        cells = values.reshape(len(rows), width, round(factor), *rows.shape[2:])
        weight = np.float32(1 / factor)
        total = np.zeros((len(rows), width, *rows.shape[2:]), dtype=np.float32)
        for place in range(round(factor)):
            total += cells[:, :, place] * weight
        return total

    def _add(self, line: Floats) -> None:
        """Add the row of number `_row` to the target rows that it covers."""
        while self._next is not None and self._next.source == self._row:
            part = self._next
            if self._sum is not None and part.target != self._done:
                self._store(self._done, self._sum)
                self._sum = None
            self._done = part.target
            weighted = line * part.weight
            self._sum = weighted if self._sum is None else self._sum + weighted
            self._next = next(self._parts, None)

    def _store(self, number: int, line: Floats) -> None:
        assert self._result is not None
        self._result[number] = np.clip(np.rint(line), 0, 255).astype(np.uint8)


def shrinks(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether both sides of (height, width) become shorter, as area averaging needs."""
    return size[0] > target[0] and size[1] > target[1]


def shrunk(bands: Iterable[Pixels], size: tuple[int, int], target: tuple[int, int]) -> Pixels:
    """Shrink an image of (height, width) `size` to `target` from its bands; unchanged if it has that size."""
    if size == target:
        return np.concatenate(list(bands))
    resize = AreaResize(size, target)
    for band in bands:
        resize.feed(band)
    return resize.result()


def _factor(length: int, short: int) -> float:
    return 1.0 / (short / length)


def _parts(length: int, short: int) -> Iterator[_Part]:
    """Yield the source pixels of each target pixel along one side, as OpenCV's computeResizeAreaTab."""
    factor = _factor(length, short)
    for target in range(short):
        start = target * factor
        end = start + factor
        cell = min(factor, length - start)
        last = min(int(np.floor(end)), length - 1)
        first = min(int(np.ceil(start)), last)
        if first - start > LEAST:
            yield _Part(target, first - 1, np.float32((first - start) / cell))
        for source in range(first, last):
            yield _Part(target, source, np.float32(1.0 / cell))
        if end - last > LEAST:
            yield _Part(target, last, np.float32(min(min(end - last, 1.0), cell) / cell))
