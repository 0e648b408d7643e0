"""What a check wants to know of an image and of a mask: of large pages band by band, so that none is held in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.area_resize import AreaResize
from s4mi.data.banded_masks import mask_bands
from s4mi.data.banded_page import banded_page
from s4mi.data.files import read_frame
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import as_rgb
from s4mi.data.masks import read_mask
from s4mi.data.spec import MaskKey
from s4mi.data.thumbnails import THUMBNAIL_SIZE, thumbnail
from s4mi.records import IGNORE

Size = tuple[int, int]


@dataclass(frozen=True)
class ImageLook:
    """An image.

    Attributes:
        size: (height, width). thumbnail: (32, 32, 3). grey: whether it has no colour.
        range: greatest less least value.
        header: of its file; None if that was not read on the way.
    """

    size: Size
    thumbnail: Pixels
    grey: bool
    range: int
    header: Header | None = None


@dataclass(frozen=True)
class MaskLook:
    """A mask: its (height, width), (256,) pixels of each class index, and the share of foreground of each border."""

    size: Size
    counts: NDArray[np.int64]
    borders: tuple[float, float, float, float]


def look_at(path: Path, intensity: Intensity) -> ImageLook:
    """Look at an image.

    Raises:
        ImageError: the file cannot be read.
    """
    page = banded_page(path, intensity)
    if page is None:
        frame = read_frame(path)
        pixels = as_rgb(intensity.show(frame))
        grey, least, most = _colours(pixels)
        return ImageLook((pixels.shape[0], pixels.shape[1]), thumbnail(pixels), grey, most - least, frame.header)
    resize = AreaResize(page.size, _thumbnail_size(page.size))
    looks = []
    for band in page.bands():
        resize.feed(band)
        looks.append(_colours(band))
    grey = all(one for one, _, _ in looks)
    spread = max(most for _, _, most in looks) - min(least for _, least, _ in looks)
    return ImageLook(page.size, resize.result(), grey, spread)


def look_at_mask(path: Path, mask_values: Mapping[MaskKey, str]) -> MaskLook:
    """Look at a mask.

    Raises:
        ImageError: the file cannot be read, or contains a value that is not in `mask_values`.
    """
    large = mask_bands(path, mask_values)
    bands: Iterable[Pixels] = (read_mask(path, mask_values),) if large is None else large
    counts = np.zeros(256, dtype=np.int64)
    height, sides = 0, np.zeros(2)
    top: NDArray[np.bool_] | None = None
    bottom = np.zeros(0, dtype=np.bool_)
    for band in bands:
        counts += counted(band)
        height += len(band)
        top = inside(band[0]) if top is None else top
        bottom = inside(band[-1])
        sides += inside(band[:, [0, -1]]).sum(axis=0)
    assert top is not None
    left, right = (float(one) / height for one in sides)
    return MaskLook((height, len(bottom)), counts, (float(top.mean()), float(bottom.mean()), left, right))


def counted(mask: Pixels) -> NDArray[np.int64]:
    """(256,) pixels of each class index; NumPy counts (H, W) at once with eight bytes per pixel."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(mask), 512):
        counts += np.bincount(mask[start : start + 512].ravel(), minlength=256)
    return counts


def inside(mask: Pixels) -> NDArray[np.bool_]:
    """Which pixels of a mask are foreground."""
    return np.asarray((mask > 0) & (mask != IGNORE))


def _colours(pixels: Pixels) -> tuple[bool, int, int]:
    """Whether (h, W, 3) is grey, its least and its greatest value."""
    red, green, blue = (pixels[:, :, channel] for channel in range(3))
    grey = bool((red == green).all() and (green == blue).all())
    return grey, int(pixels.min()), int(pixels.max())


def _thumbnail_size(size: Size) -> Size:
    if min(size) <= THUMBNAIL_SIZE:
        raise ImageError("too-large", f"is {size[0]}×{size[1]}, too long a strip to be checked; cut it into tiles")
    return THUMBNAIL_SIZE, THUMBNAIL_SIZE
