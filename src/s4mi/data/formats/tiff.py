"""TIFF of any depth, through tifffile: single images, stacks of equal pages, and files whose pages differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from s4mi.data.formats.frame import Frame, Header, ImageError, colours_last, image_errors

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
    """Return the header of the first page; `frames` counts the pages of its size and type, which excludes previews.

    Raises:
        ImageError: the file is missing, empty or not a TIFF file.
    """
    with _open_tiff(path) as file:
        pages = _equal_pages(file)
        first, palette = pages[0], pages[0].photometric == tifffile.PHOTOMETRIC.PALETTE
        channels = 3 if palette else first.samplesperpixel
        dtype = "uint8" if palette else str(first.dtype)
        return Header(len(pages), first.imagelength, first.imagewidth, channels=channels, dtype=dtype)


def frames(path: Path) -> Iterator[Frame]:
    """Yield the first page and every page of its size and type.

    Raises:
        ImageError: the file is missing, empty, truncated or not a TIFF file.
    """
    with _open_tiff(path) as file:
        for page in _equal_pages(file):
            yield _values(page)


def codes(path: Path) -> Frame:
    """Return the values stored in a mask: (H, W) palette indices, else as in the first of `frames`.

    Raises:
        ImageError: the file is missing, empty, truncated or not a TIFF file.
    """
    with _open_tiff(path) as file:
        return Frame(colours_last(_pages(file)[0].asarray()))


def pages(path: Path) -> tuple[Page, ...]:
    """List all pages, whatever their size.

    Raises:
        ImageError: the file is missing, empty or not a TIFF file.
    """
    with _open_tiff(path) as file:
        return tuple(
            Page(number, name, page.imagelength, page.imagewidth, channels=page.samplesperpixel)
            for number, (page, name) in enumerate(zip(_pages(file), _names(file), strict=True))
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
        return _values(found[number])


def _values(page: tifffile.TiffPage) -> Frame:
    """Decode a page as displayed: palettes become colours, white-is-zero is inverted."""
    values = page.asarray()
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        colours = np.moveaxis(page.colormap, 0, -1)[values]
        return Frame((colours >> 8).astype(np.uint8))
    values = colours_last(values)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        values = ~values if values.dtype == np.bool_ else np.iinfo(values.dtype).max - values
    return Frame(values)


def _pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """List the full-size pages, without previews and the lower levels of a pyramid."""
    pages = [page.aspage() for page in file.pages]
    return [page for page in pages if not page.is_reduced] or pages


def _equal_pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    pages = _pages(file)
    return [page for page in pages if page.shape == pages[0].shape and page.dtype == pages[0].dtype]


def _names(file: tifffile.TiffFile) -> Iterator[str]:
    """Yield the page names: tag 285 (PageName), else ImageJ label, OME channel, or first line of the description."""
    labels = (file.imagej_metadata or {}).get("Labels") if file.is_imagej else _ome_channels(file)
    for number, page in enumerate(_pages(file)):
        tag = page.tags.get(285)
        lines = (page.description or "").strip().splitlines()
        if tag is not None and str(tag.value).strip():
            yield str(tag.value).strip()
        elif isinstance(labels, list | tuple) and number < len(labels):
            yield str(labels[number]).strip()
        else:
            yield lines[0].strip() if lines and lines[0].lstrip()[:1] not in ("<", "{") else ""


def _ome_channels(file: tifffile.TiffFile) -> list[str] | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    root = ElementTree.fromstring(file.ome_metadata)
    return [channel.get("Name", "") for channel in root.iter() if channel.tag.endswith("}Channel")]


@contextmanager
def _open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    with image_errors(path):
        try:
            with tifffile.TiffFile(path) as file:
                yield file
        except tifffile.TiffFileError as error:
            raise ImageError("not-an-image", "is not a TIFF file; rename it to match its format") from error
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            message = "uses a compression that needs another package; pip install imagecodecs, or save it uncompressed"
            raise ImageError("undecodable", message) from error
