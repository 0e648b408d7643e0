"""Pictures of images at the requested size, encoded for a browser, with window and level, and as tiles."""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

import cv2
import numpy as np

from s4mi.data.files import read_frame, read_header
from s4mi.data.formats.frame import Frame
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.formats.tiff_regions import SUFFIXES as TILED
from s4mi.data.formats.tiff_regions import TiledPage, tiled_page
from s4mi.data.images import as_rgb, resize_image
from s4mi.data.row import Row

SIZES = ("160", "320", "640", "1280", "full")
TILE = 512
"""Side of a tile in pixels."""
LARGE = 4_000_000
"""Pixels from which an image is shown as tiles."""
ENCODED_BYTES = 64 << 20
DECODED_BYTES = 128 << 20
"""Bytes of pictures and of decoded images kept in memory."""
LOSSY_QUALITY = 82

Value = TypeVar("Value")
Window = tuple[float, float]


class BoundedCache(Generic[Value]):
    """Values by key, each made once; the least recently used are forgotten above a number of bytes, but never the last.

    A page asks for many tiles of an image at once, of which only the first should decode it.
    """

    def __init__(self, limit: int, size_of: Callable[[Value], int]) -> None:
        self._limit, self._size_of = limit, size_of
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._making: dict[Hashable, Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return a value, made by `make` if it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._values:  # made by another thread in the meantime
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            self._put(key, value)
            return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def _put(self, key: Hashable, value: Value) -> None:
        with self._lock:
            if key in self._values:
                return
            self._values[key] = value
            self._bytes += self._size_of(value)
            while self._bytes > self._limit and len(self._values) > 1:
                self._bytes -= self._size_of(self._values.popitem(last=False)[1])


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its media type."""

    body: bytes
    media_type: str


@dataclass(frozen=True)
class WindowRange:
    """Window of an image of more than 8 bits: bits stored, values shown as black and white, and least and most."""

    bits: int
    low: float
    high: float
    least: float
    most: float


class Pictures:
    """Decodes images of a data set and encodes pictures of them, with bounded memory and one decoder per core.

    Attributes:
        rule: conversion of values of more than 8 bits.
    """

    def __init__(self, rule: Intensity) -> None:
        self.rule = rule
        self._encoded: BoundedCache[Picture] = BoundedCache(ENCODED_BYTES, lambda one: len(one.body))
        self._frames: BoundedCache[Frame] = BoundedCache(DECODED_BYTES, lambda one: one.values.nbytes)
        self._levels: BoundedCache[Pixels] = BoundedCache(DECODED_BYTES, lambda one: one.nbytes)
        self._tiled: dict[Path, TiledPage | None] = {}
        self._tiled_lock = Lock()
        self._decoders = BoundedSemaphore(os.cpu_count() or 1)

    def picture(self, row: Row, size: str, window: Window | None) -> Picture:
        """Return an image whose longest side is at most `size`, one of `SIZES`, never enlarged.

        Raises:
            ImageError: the file cannot be read.
        """

        def make() -> Picture:
            with self._decoders:
                pixels, whole = self._at_least(row, size, window)
                if size != "full":
                    pixels = resize_image(pixels, shrunk_size(whole, int(size)))
                return encode_lossy(pixels) if size in ("160", "320", "640") else encode_lossless(pixels)

        return self._encoded.get((row.image, size, window), make)

    def tile(self, row: Row, level: int, x: int, y: int, window: Window | None) -> Picture | None:
        """Return a tile of an image that was halved `level` times, None outside of it.

        Raises:
            ImageError: the file cannot be read.
        """

        def make() -> Picture:
            with self._decoders:
                tiled = self._tiled_page(row)
                if tiled is None:
                    pixels = self._level(row, level, window)
                    cut = pixels[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE]
                else:
                    cut = self._region(tiled, level, x, y)
                return encode_lossless(np.ascontiguousarray(cut)) if cut.size else Picture(b"", "")

        found = self._encoded.get((row.image, level, x, y, window), make)
        return found if found.body else None

    def window(self, row: Row) -> WindowRange | None:
        """Return the window of an image of more than 8 bits, None for others.

        Raises:
            ImageError: the file cannot be read.
        """
        if read_header(row.image).dtype in ("uint8", "bool"):
            return None
        with self._decoders:
            frame = self._frame(row)
        values = frame.values
        if values.dtype in (np.uint8, np.bool_):
            return None
        inside = frame.sample()
        finite = inside[np.isfinite(inside)] if inside.dtype.kind == "f" else inside
        low, high = self.rule.limits(inside, frame.window)
        least, most = (float(finite.min()), float(finite.max())) if finite.size else (low, high)
        return WindowRange(8 * values.dtype.itemsize, low, high, least, most)

    def pixels(self, row: Row) -> Pixels:
        """Return an image as (H, W, 3) uint8, as in training.

        Raises:
            ImageError: the file cannot be read.
        """
        with self._decoders:
            return self._shown(row, None)

    def clear(self) -> None:
        """Forget all pictures, as the files may be others."""
        for cache in (self._encoded, self._frames, self._levels):
            cache.clear()
        self._tiled.clear()

    def _at_least(self, row: Row, size: str, window: Window | None) -> tuple[Pixels, tuple[int, int]]:
        """An image, halved as often as its longest side stays at least `size` if that is less work, and its size."""
        tiled = None if size == "full" else self._tiled_page(row)
        if tiled is None:
            pixels = self._shown(row, window)
            return pixels, (pixels.shape[0], pixels.shape[1])
        level = 0
        while max(tiled.size(level + 1)) >= int(size):
            level += 1
        height, width = tiled.size(level)
        rows = [
            np.concatenate([self._region(tiled, level, x, y) for x in range(-(-width // TILE))], axis=1)
            for y in range(-(-height // TILE))
        ]
        return np.concatenate(rows), (tiled.height, tiled.width)

    def _tiled_page(self, row: Row) -> TiledPage | None:
        """The page of a large image whose regions can be read by themselves, else None."""
        if row.image.suffix.lower() not in TILED:
            return None
        with self._tiled_lock:
            if row.image not in self._tiled:
                header = read_header(row.image)
                large = header.height * header.width >= LARGE
                self._tiled[row.image] = tiled_page(row.image) if large else None
            return self._tiled[row.image]

    def _region(self, tiled: TiledPage, level: int, x: int, y: int) -> Pixels:
        """A tile read from the file or, of a level that is not stored, made of the four below it."""
        height, width = tiled.size(level)
        if y * TILE >= height or x * TILE >= width:
            return np.zeros((0, 0, 3), dtype=np.uint8)

        def make() -> Pixels:
            if level in tiled.pages:
                return as_rgb(tiled.read(level, (y * TILE, x * TILE), (TILE, TILE)))
            rows = []
            for below in (2 * y, 2 * y + 1):
                parts = [self._region(tiled, level - 1, beside, below) for beside in (2 * x, 2 * x + 1)]
                if found := [part for part in parts if part.size]:
                    rows.append(np.concatenate(found, axis=1))
            return halved(np.concatenate(rows))

        return self._levels.get((tiled.path, level, x, y), make)

    def _frame(self, row: Row) -> Frame:
        return self._frames.get(row.image, lambda: read_frame(row.image))

    def _shown(self, row: Row, window: Window | None) -> Pixels:
        frame = self._frame(row)
        if window is None or frame.values.dtype in (np.uint8, np.bool_):
            return as_rgb(self.rule.show(frame))
        return as_rgb(self.rule.to_uint8(frame.values, limits=window, inverted=frame.inverted))

    def _level(self, row: Row, level: int, window: Window | None) -> Pixels:
        """An image halved `level` times by averaging."""

        def make() -> Pixels:
            return self._shown(row, window) if level == 0 else halved(self._level(row, level - 1, window))

        return self._levels.get((row.image, level, window), make)


def levels_of(size: tuple[int, int]) -> int:
    """Return how many levels of tiles an image of (height, width) has: the last is a single tile."""
    levels, side = 1, max(size)
    while side > TILE:
        side, levels = (side + 1) // 2, levels + 1
    return levels


def halved(pixels: Pixels) -> Pixels:
    """Halve (H, W, 3) by the mean of four pixels, with sides rounded up and the last row or column repeated."""
    height, width = pixels.shape[:2]
    even = pixels
    if height % 2 or width % 2:
        even = np.asarray(cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8)
    size = (even.shape[1] // 2, even.shape[0] // 2)
    return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shrunk_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return (height, width) with the longest side at most `longest`, in the same proportion."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def encode_lossy(pixels: Pixels) -> Picture:
    """Encode (H, W, 3) as lossy WebP."""
    found, body = cv2.imencode(".webp", pixels[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, LOSSY_QUALITY])
    return Picture(body.tobytes(), "image/webp") if found else encode_lossless(pixels)


def encode_lossless(pixels: Pixels) -> Picture:
    """Encode (H, W, 3) or (H, W) as PNG, fast rather than small."""
    data = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    found, body = cv2.imencode(".png", data, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert found
    return Picture(body.tobytes(), "image/png")
