"""The one convention for axial slices: the patient's right at the left of the image, anterior at the top.

This is how radiologists see them, and how axial DICOM images are stored almost always.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Turn:
    """How stored rows and columns become those of the convention: first swapped, then reversed."""

    swap: bool = False
    rows: bool = False
    columns: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn (H, W) or (H, W, C)."""
        turned = np.swapaxes(pixels, 0, 1) if self.swap else pixels
        turned = turned[::-1] if self.rows else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.columns else turned)

    def undo(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W) or (H, W, C) as stored."""
        turned = pixels[:, ::-1] if self.columns else pixels
        turned = turned[::-1] if self.rows else turned
        return np.ascontiguousarray(np.swapaxes(turned, 0, 1) if self.swap else turned)


AS_STORED = Turn()


def turn_of(along_row: NDArray[np.float64], along_column: NDArray[np.float64]) -> Turn:
    """Return the turn of an image from the directions of its rows and columns towards left, posterior, superior.

    Args:
        along_row: direction in which the column index grows; `along_column` likewise for the row index.

    Images that are nearer to sagittal or coronal than to axial stay as they are stored.
    """
    first, second = int(np.abs(along_row).argmax()), int(np.abs(along_column).argmax())
    if {first, second} != {0, 1}:
        return AS_STORED
    swap = first == 1
    to_left, to_posterior = (along_column[0], along_row[1]) if swap else (along_row[0], along_column[1])
    return Turn(swap, rows=bool(to_posterior < 0), columns=bool(to_left < 0))
