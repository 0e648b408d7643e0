"""Large pages in bands of rows: a TIFF whose format allows it, as its tiles and strips are decoded one by one.

Pages up to `LARGE` pixels, and files of other formats (PNG, JPEG, DICOM …), are decoded at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.area_resize import shrinks, shrunk
from s4mi.data.files import suffix_of
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import SAMPLED, Intensity, Pixels
from s4mi.data.images import as_rgb, read_image
from s4mi.errors import S4miError

LARGE = 1 << 26
"""Pixels above which a page is read in bands where its format allows it: 200 MB in memory as RGB."""

Size = tuple[int, int]


@dataclass(frozen=True)
class BandedPage:
    """A large page, of which a band of rows is in memory at a time.

    Attributes:
        size: (height, width). channels, dtype: as in a `Header`. rule: of values of more than 8 bits.
    """

    path: Path
    size: Size
    channels: int
    dtype: str
    rule: Intensity

    def bands(self) -> Iterator[Pixels]:
        """Yield the bands from top to bottom, (h, W, 3), with the pixels that `read_image` returns.

        Raises:
            ImageError: the file cannot be decoded.
        """
        limits = self._limits
        for values in tiff.bands(self.path):
            yield as_rgb(self.rule.to_uint8(values, limits=limits))

    def shrunk(self, target: Size, bands: Iterator[Pixels] | None = None) -> Pixels:
        """Return the page as (height, width, 3), as `resize_image` shrinks it; both sides must shrink.

        Args:
            bands: its bands, if they are looked at on the way.

        Raises:
            ImageError: the file cannot be decoded, or one of its sides would grow.
        """
        check_shrinks(self.size, target)
        return shrunk(bands or self.bands(), self.size, target)

    def reduced(self, longest: int) -> Pixels:
        """Return the page with its longest side shrunk to `longest` pixels; raises as `shrunk`."""
        return self.shrunk(reduced_size(self.size, longest))

    @cached_property
    def _limits(self) -> tuple[float, float] | None:
        """Values that become 0 and 255: of percentiles from the same sample as of the page read at once."""
        if np.dtype(self.dtype) in (np.uint8, np.bool_):
            return None
        if self.rule.kind != "percentiles":
            return self.rule.limits(np.zeros(1, dtype=self.dtype))
        return self.rule.limits(self._sample())

    def _sample(self) -> NDArray[np.generic]:
        start, parts, stride = 0, [], 1
        for values in tiff.bands(self.path):
            if not start:
                stride = max(1, values.size // len(values) * self.size[0] // SAMPLED)
            parts.append(values.reshape(-1)[-start % stride :: stride].copy())
            start += values.size
        return np.concatenate(parts)


def banded_page(path: Path, rule: Intensity | None = None) -> BandedPage | None:
    """Return a page to be read in bands; None for an image that is read at once, or whose header cannot be read.

    A file of several pages is read page by page.
    """
    if suffix_of(path) not in tiff.SUFFIXES:
        return None
    try:
        header = tiff.header(path)
    except S4miError:
        return None
    if not header.banded or header.frames != 1 or header.height * header.width <= LARGE:
        return None
    return BandedPage(path, (header.height, header.width), header.channels, header.dtype, rule or Intensity())


def read_for(path: Path, intensity: Intensity | None, size: Size) -> Pixels:
    """Read an image that is to be resized to (height, width) `size`: a large page is shrunk to it while it is read.

    Raises:
        ImageError: the file cannot be read, or a large page is narrower than `size`.
    """
    page = banded_page(path, intensity)
    return read_image(path, intensity) if page is None else page.shrunk(size)


def reduced_size(size: Size, longest: int) -> Size:
    """Return (height, width) in the same proportion with the longest side `longest`."""
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def check_shrinks(size: Size, target: Size) -> None:
    """Check that a page in bands is larger than what it is shrunk to.

    Raises:
        ImageError: it is not.
    """
    if not shrinks(size, target):
        raise ImageError(
            "too-large",
            f"is {size[0]}×{size[1]}, too large to be read at once and narrower than {target[0]}×{target[1]}, to "
            "which it would be resized; cut it into tiles",
        )
