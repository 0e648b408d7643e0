"""TIFF of any depth: single images, stacks of equal pages, volumes, and files whose pages differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from s4mi.data.formats import tiff_bands, tiff_pixels
from s4mi.data.formats.frame import Frame, Header, ImageError, image_errors
from s4mi.data.formats.pixel_limit import check_pixels
from s4mi.data.formats.tiff_names import page_names
from s4mi.data.formats.tiff_planes import count_planes, stored_planes

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Page:
    """One page: its number in the file, its name (`''` if the file has none), its size and channels."""

    number: int
    name: str
    height: int
    width: int
    channels: int


def header(path: Path) -> Header:
    """Return the header of the first page; `frames` counts the planes of its size and type, which excludes previews.

    Raises:
        ImageError: the file is missing, empty or not a TIFF file.
    """
    with _open_tiff(path) as file:
        pages = _equal_pages(file, in_bands=True)
        height, width = tiff_pixels.size(pages[0])
        return Header(
            sum(count_planes(file, page, only=len(pages) == 1) for page in pages), height, width,
            channels=tiff_pixels.channels(pages[0]), dtype=tiff_pixels.dtype(pages[0]),
            turned=tiff_pixels.orientation(pages[0]) != 1, banded=tiff_bands.is_banded(pages[0]),
        )  # fmt: skip


def frames(path: Path) -> Iterator[Frame]:
    """Yield the first page and every page of its size and type, as displayed; volumes plane by plane.

    Raises:
        ImageError: the file is missing, empty, truncated, not a TIFF file, or of an unsupported kind.
    """
    with _open_tiff(path) as file:
        pages = _equal_pages(file)
        for page in pages:
            for frame in _planes(file, page, path, only=len(pages) == 1):
                yield _coloured(frame, page)


def bands(path: Path, *, codes: bool = False) -> Iterator[NDArray[Any]]:
    """Yield the values of the first page in bands of rows, from top to bottom, of a file whose header is `banded`.

    Args:
        codes: palette indices, as of a mask, instead of their colours.

    Raises:
        ImageError: the file is missing, empty, truncated, not a TIFF file, or of an unsupported kind.
    """
    with _open_tiff(path) as file:
        page = _equal_pages(file, in_bands=True)[0]
        for values in tiff_bands.bands(file, page):
            yield values if codes else _coloured(Frame(values), page).values


def codes(path: Path) -> Frame:
    """Return the values of a mask: (H, W) palette indices, else as in the first of `frames`.

    Raises:
        ImageError: the file is missing, empty, truncated, not a TIFF file, or of an unsupported kind.
    """
    with _open_tiff(path) as file:
        pages = _equal_pages(file)
        return next(_planes(file, pages[0], path, only=len(pages) == 1))


def pages(path: Path) -> tuple[Page, ...]:
    """List all pages, whatever their size.

    Raises:
        ImageError: the file is missing, empty or not a TIFF file.
    """
    with _open_tiff(path) as file:
        found = _pages(file)
        return tuple(
            Page(number, name, *tiff_pixels.size(page), channels=page.samplesperpixel)
            for number, (page, name) in enumerate(zip(found, page_names(file, found), strict=True))
        )


def page(path: Path, number: int) -> Frame:
    """Read one page by its number, whatever its size.

    Raises:
        ImageError: there is no such page, or it cannot be decoded.
    """
    with _open_tiff(path) as file:
        found = _pages(file)
        if not 0 <= number < len(found):
            raise ImageError("undecodable", f"has {len(found)} pages and no page {number}; page numbers start at 0")
        check_pixels(*tiff_pixels.size(found[number]))
        return _coloured(next(_planes(file, found[number], path, only=False)), found[number])


def _planes(file: tifffile.TiffFile, page: tifffile.TiffPage, path: Path, *, only: bool) -> Iterator[Frame]:
    """Yield the planes of a page as displayed, with the indices of palettes."""
    count = count_planes(file, page, only=only)
    if count == 1 and page.imagedepth == 1:
        yield Frame(tiff_pixels.pixels(page, path))
        return
    if page.photometric in tiff_pixels.CONVERTED:
        raise ImageError("undecodable", "is a volume in another colour space than RGB; convert it to RGB")
    for plane in stored_planes(file, page, count=count):
        yield Frame(np.ascontiguousarray(tiff_pixels.displayed(plane, page)))


def _coloured(frame: Frame, page: tifffile.TiffPage) -> Frame:
    """Replace palette indices by their colours."""
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return frame
    table = page.colormap if page.colormap.max() < 256 else page.colormap >> 8  # some writers store 8 bits
    return Frame(np.moveaxis(table, 0, -1).astype(np.uint8)[frame.values])


def _pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """List the full-size pages, without previews and the lower levels of a pyramid."""
    pages: list[tifffile.TiffPage] = []
    begins: set[int] = set()
    for page in file.pages:
        if page.offset in begins:  # tifffile would go on for ever
            raise ImageError("undecodable", "has pages that follow themselves; copy it again from its source")
        begins.add(page.offset)
        pages.append(page.aspage())
    return [page for page in pages if not page.is_reduced] or pages


def _equal_pages(file: tifffile.TiffFile, *, in_bands: bool = False) -> list[tifffile.TiffPage]:
    pages = _pages(file)
    check_pixels(*tiff_pixels.size(pages[0]), in_bands=in_bands and tiff_bands.is_banded(pages[0]))
    return [page for page in pages if page.shape == pages[0].shape and page.dtype == pages[0].dtype]


@contextmanager
def _open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    with image_errors(path):
        try:
            with tifffile.TiffFile(path) as file:
                yield file
        except tifffile.TiffFileError as error:
            raise ImageError("not-an-image", "is not a TIFF file; rename it to match its format") from error
