"""Rows of a TIFF page, a band at a time: tiles or strips are decoded one after the other, never the whole page.

What `tiff_pixels.pixels` returns for the whole page is returned for each band, to the bit. Tiles and strips that need
Pillow, such as JPEG, are written as a TIFF of their own in memory, which Pillow decodes as it decodes the page.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.TiffImagePlugin import IFDRational as Rational
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG

from s4mi.data.formats import tiff_pixels
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.pixel_limit import check_pixels

ROWS = 256
"""Rows of a band of a page in strips or without compression; those of a page in tiles are as high as its tiles."""
LARGEST = 1 << 28
"""Bytes of a tile or strip, or of a row of tiles, above which a page is not read in bands."""
KEPT = (258, 259, 262, 266, 277, 280, 281, 284, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532)
"""Tags that say how a tile or strip is decoded."""
WIDTH, HEIGHT, OFFSET, ROWS_PER_STRIP, BYTES = 256, 257, 273, 278, 279
RATIONAL = 5
CHUNKED = (COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.JPEG, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE,
           COMPRESSION.PACKBITS, COMPRESSION.LZMA, COMPRESSION.ZSTD, COMPRESSION.WEBP)  # fmt: skip
"""Compressions whose tiles and strips are decoded each by itself."""


def is_banded(page: tifffile.TiffPage) -> bool:
    """Whether bands of rows of a page can be decoded by themselves.

    Not if its rows are stored turned, if it is a volume, if one strip holds it all compressed, or if its colours are of
    a kind that is decoded as a whole only.
    """
    if (
        page.dtype is None
        or page.imagedepth != 1
        or tiff_pixels.orientation(page) != 1
        or page.compression not in CHUNKED
    ):
        return False
    if page.photometric not in (*tiff_pixels.GREY, *tiff_pixels.CONVERTED, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE):
        return False
    separate = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    if separate and (page.photometric != PHOTOMETRIC.RGB or page.samplesperpixel not in (3, 4)):
        return False
    rows = page.tilelength if page.is_tiled else 1 if _is_raw(page) else page.rowsperstrip
    return rows * page.imagewidth * page.samplesperpixel * max(1, page.bitspersample // 8) <= LARGEST


def bands(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[NDArray[Any]]:
    """Yield the bands of a page from top to bottom: (h, W) grey or palette indices, or (h, W, C) colours.

    Raises:
        ImageError: no installed package decodes them, or the samples are neither grey nor colours.
    """
    check_pixels(page.imagelength, page.imagewidth, in_bands=True)
    if _is_raw(page):
        yield from _raw_bands(file, page)
        return
    decode = Segments(file, page)
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    height = page.tilelength if page.is_tiled else page.rowsperstrip
    down = -(-page.imagelength // height)
    per_band = 1 if page.is_tiled else max(1, ROWS // height)
    for first in range(0, down, per_band):
        rows = min(per_band * height, page.imagelength - first * height)
        band: NDArray[Any] | None = None
        for index in range(first * across, min(first + per_band, down) * across):
            part = decode(index)
            if band is None:
                band = np.empty((rows, page.imagewidth, *part.shape[2:]), dtype=part.dtype)
            top, left = (index // across - first) * height, index % across * part.shape[1]
            part = part[: rows - top, : page.imagewidth - left]
            band[top : top + len(part), left : left + part.shape[1]] = part
        assert band is not None
        yield band


def _is_raw(page: tifffile.TiffPage) -> bool:
    """Whether the rows of a page follow each other in the file as they are, and may be read at any place."""
    plain = page.photometric in (*tiff_pixels.GREY, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE)
    return bool(page.is_memmappable and plain and page.bitspersample % 8 == 0)


def _raw_bands(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[NDArray[Any]]:
    assert page.dtype is not None
    kind = np.dtype(page.dtype).newbyteorder(file.byteorder)
    separate = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    planes, samples = (page.samplesperpixel, 1) if separate else (1, page.samplesperpixel)
    line = page.imagewidth * samples * kind.itemsize

    def rows(plane: int, top: int, count: int) -> NDArray[Any]:
        file.filehandle.seek(page.dataoffsets[0] + (plane * page.imagelength + top) * line)
        data = file.filehandle.read(count * line)
        if len(data) < count * line:
            raise ImageError("undecodable", "ends before its last row; copy it again from its source")
        values = np.frombuffer(data, dtype=kind).astype(page.dtype)
        return values.reshape(count, page.imagewidth, samples) if samples > 1 else values.reshape(count, -1)

    for top in range(0, page.imagelength, ROWS):
        count = min(ROWS, page.imagelength - top)
        read = [rows(plane, top, count) for plane in range(planes)]
        yield np.ascontiguousarray(tiff_pixels.displayed(np.stack(read) if separate else read[0], page))


class Segments:
    """Decodes tiles and strips of a page, with tifffile if it can, else with Pillow, as `tiff_pixels.pixels`.

    Called with the number of a tile or strip, it returns (h, w) or (h, w, C) as displayed, also what lies outside of
    the page.
    """

    def __init__(self, file: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
        self._file, self._page = file, page
        bits = page.photometric in tiff_pixels.GREY and page.bitspersample in (2, 4)
        self._by_pillow = page.photometric in tiff_pixels.CONVERTED or bits
        self._separate = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
        self._across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        self._height = page.tilelength if page.is_tiled else page.rowsperstrip
        self._width = page.tilewidth if page.is_tiled else page.imagewidth
        self._planes = page.samplesperpixel if self._separate else 1
        self._per_plane = self._across * -(-page.imagelength // self._height)
        if len(page.dataoffsets) < self._planes * self._per_plane:
            raise ImageError("undecodable", "lists fewer tiles or strips than it has; copy it again from its source")

    def __call__(self, index: int) -> NDArray[Any]:
        if not self._by_pillow:
            try:
                stored = [self._stored(index + plane * self._per_plane) for plane in range(self._planes)]
            except (ValueError, ImportError, NotImplementedError) as error:
                if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                    raise
                self._by_pillow = True
            else:
                values = np.stack(stored) if self._separate else stored[0]
                return tiff_pixels.displayed(values, self._page)
        if self._separate:
            planes = [self._through_pillow(index + plane * self._per_plane, grey=True) for plane in range(self._planes)]
            return tiff_pixels.displayed(np.stack(planes), self._page)
        return self._through_pillow(index)

    def _rows(self, index: int) -> int:
        """Rows of a segment: those of a tile, or fewer in the last strip."""
        if self._page.is_tiled:
            return int(self._height)
        return int(min(self._height, self._page.imagelength - index % self._per_plane * self._height))

    def _data(self, index: int) -> bytes:
        if not (length := self._page.databytecounts[index]):
            return b""
        self._file.filehandle.seek(self._page.dataoffsets[index])
        data = self._file.filehandle.read(length)
        if len(data) < length:
            raise ImageError("undecodable", "ends before its last tile or strip; copy it again from its source")
        return bytes(data)

    def _stored(self, index: int) -> NDArray[Any]:
        """Decode a segment with tifffile, filled to its whole size: (h, w) or (h, w, samples)."""
        page, rows = self._page, self._rows(index)
        samples = 1 if self._separate else page.samplesperpixel
        whole = np.full((rows, self._width, samples), page.nodata, dtype=page.dtype)
        if data := self._data(index):
            tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
            decoded, _, shape = page.decode(data, index, **tables)
            if decoded is not None:
                segment = np.asarray(decoded).reshape(-1, *np.asarray(decoded).shape[-3:])[0]
                whole[: shape[1], : shape[2]] = segment[: shape[1], : shape[2]]
        return whole[:, :, 0] if samples == 1 else whole

    def _through_pillow(self, index: int, *, grey: bool = False) -> NDArray[Any]:
        """Decode a segment as a TIFF of its own; `grey`: as one plane of a page whose planes are stored apart."""
        rows, data = self._rows(index), self._data(index)
        if not data:
            raise ImageError("undecodable", "lacks a tile or strip; copy it again from its source")
        directory = ImageFileDirectory_v2(prefix=b"II" if self._file.byteorder == "<" else b"MM")
        for code in KEPT:
            if (tag := self._page.tags.get(code)) is not None:
                directory.tagtype[code], directory[code] = int(tag.dtype), _value(tag)
        for code, number in ((WIDTH, self._width), (HEIGHT, rows), (ROWS_PER_STRIP, rows), (BYTES, len(data)),
                             (OFFSET, 0)):  # fmt: skip
            directory.tagtype[code], directory[code] = 4, number
        if grey:
            directory[262], directory[277], directory[284] = 1, 1, 1
            directory[258] = self._page.bitspersample
            directory.pop(338, None)
        own = io.BytesIO()
        directory.save(own)
        own.write(data)
        own.seek(0)
        with tifffile.TiffFile(own) as alone:
            return tiff_pixels.pixels(alone.pages[0].aspage(), own)


def _value(tag: tifffile.TiffTag) -> Any:
    value = tag.value
    if tag.dtype == RATIONAL:
        return tuple(Rational(value[i], value[i + 1]) for i in range(0, len(value), 2))
    if tag.code == 320:
        return tuple(int(one) for one in np.asarray(value).ravel())
    if isinstance(value, bytes):
        return value
    return tuple(int(one) for one in value) if isinstance(value, tuple) else int(value)
