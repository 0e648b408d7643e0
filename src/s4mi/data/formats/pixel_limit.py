"""The greatest image that is decoded, of any format: a damaged or malicious header may claim more than memory holds.

The limit is an environment variable because every process that decodes, on any machine of a study, must know it.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from s4mi.data.formats.frame import ImageError

VARIABLE = "S4MI_MAX_MEGAPIXELS"
DEFAULT = 1000
"""Megapixels of a page, frame or slice; one of as many takes 3 GB of memory if it is decoded at once."""
DEFAULT_IN_BANDS = 10_000
"""Megapixels of a page that is read in bands of its rows, of which memory holds one at a time."""
DEFLATE = 1040
"""Greatest ratio that deflate compresses by."""


def max_pixels(*, in_bands: bool = False) -> int:
    """Return the greatest number of pixels of a page, frame or slice, or of a page that is read `in_bands`.

    Raises:
        ImageError: the environment variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        limit = float(text) if text else float(DEFAULT_IN_BANDS if in_bands else DEFAULT)
        if not 0 < limit < 1e9:
            raise ValueError
    except ValueError as error:
        raise ImageError("too-large", f"{VARIABLE}={text!r} must be a number above 0; correct or unset it") from error
    return int(limit * 1e6)


def check_pixels(height: int, width: int, *, in_bands: bool = False) -> None:
    """Check the size of a page before it is decoded.

    Raises:
        ImageError: it has no pixel, or more than the limit.
    """
    if height < 1 or width < 1:
        raise ImageError("undecodable", f"is {height}×{width} pixels; copy it again from its source")
    if height * width > (most := max_pixels(in_bands=in_bands)):
        raise ImageError(
            "too-large",
            f"is {_short(height)}×{_short(width)} = {_short(height * width // 10**6, ',')} megapixels, more than the "
            f"limit of {most / 1e6:,.0f}; cut it into tiles, or raise the limit with {VARIABLE}",
        )


def check_volume(path: Path, shape: Sequence[int], itemsize: int, *, compressed: bool) -> None:
    """Check that a file can hold a volume of this shape, and that two of its axes make no page beyond the limit.

    Args:
        itemsize: bytes of a voxel. compressed: whether the file is deflated.

    Raises:
        ImageError: the header claims more than the file holds, or slices beyond the limit.
    """
    if any(size < 1 for size in shape):
        raise ImageError("undecodable", f"has the shape {tuple(shape)}; copy it again from its source")
    if math.prod(shape) * itemsize > path.stat().st_size * (DEFLATE if compressed else 1):
        sizes = "×".join(map(str, shape))
        raise ImageError("undecodable", f"declares {sizes} voxels, but is too small for them; copy it again")
    check_pixels(*sorted(shape)[-2:] if len(shape) > 1 else (1, shape[0]))


def _short(number: int, form: str = "d") -> str:
    """A number as `format` writes it; one that only a damaged file has by its power of ten."""
    return format(number, form) if number < 10**15 else f"10^{len(str(number)) - 1}"
