"""Planes of a TIFF page: volumetric pages, and stacks whose only page describes the first of many planes.

ImageJ writes stacks of more than 4 GB that way, and tifffile with `truncate=True`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from s4mi.data.formats.frame import ImageError


def count_planes(file: tifffile.TiffFile, page: tifffile.TiffPage, *, only: bool) -> int:
    """Return the number of planes of a page.

    Args:
        only: whether the file has no other page of this kind.

    Raises:
        ImageError: the metadata describe planes that cannot be found in the file.
    """
    if page.imagedepth > 1:
        return int(page.imagedepth)
    if not only or file.is_ome:  # the planes of an OME series may be in other files
        return 1
    series = file.series[0]
    count = max(1, series.size // page.size) if series.keyframe.index == page.index else 1
    described = int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1
    if max(count, described) > 1 and (count < described or series.dataoffset is None):
        raise ImageError(
            "undecodable", f"describes {max(count, described)} planes, of which only the first can be found; "
            "copy it again from its source, or save its planes as pages"
        )  # fmt: skip
    return count


def stored_planes(file: tifffile.TiffFile, page: tifffile.TiffPage, *, count: int) -> Iterator[NDArray[Any]]:
    """Yield the planes as stored, without reading a stack at once.

    Raises:
        ImageError: the page is compressed in a way that needs another package.
    """
    if page.imagedepth > 1:
        try:
            volume = page.asarray()
        except (ValueError, ImportError, NotImplementedError) as error:
            if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                raise
            hint = "pip install 's4mi[tiff]', or save it uncompressed"
            raise ImageError("undecodable", f"is a compressed volume, which needs another package; {hint}") from error
        yield from np.moveaxis(volume, page.axes.index("Z"), 0)
        return
    stack = file.asarray(series=0, out="memmap")
    yield from stack.reshape(count, *page.shape)
