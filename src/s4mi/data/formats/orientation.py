"""Orientation of the stored rows and columns, tag 274 of TIFF and EXIF: one rule for images and masks.

1 as stored   2 mirrored   3 turned by 180°   4 upside down   5 transposed   6, 8 turned by 90°   7 transposed, 180°
"""

from typing import Any

from numpy.typing import NDArray

TAG = 0x0112
TRANSPOSED = (5, 6, 7, 8)
"""Orientations that exchange height and width."""


def is_turned(orientation: int) -> bool:
    """Whether the stored pixels are rotated or mirrored; values outside 1 to 8 count as upright."""
    return orientation in range(2, 9)


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return (H, W) or (H, W, C) as it is to be displayed (TIFF 6.0, section 8, Orientation)."""
    if orientation in TRANSPOSED:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
