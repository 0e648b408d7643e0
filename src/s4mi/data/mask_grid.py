"""Whether a NIfTI mask lies on the voxel grid of its image.

Axes, spacing and origin are compared in the standard orientation, in which both are sliced: a mask whose voxels are
stored in another order, but which describes the same grid, fits its image.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import suffix_of
from s4mi.data.formats import nifti

MAX_AXIS_ERROR = 2e-3
"""Difference of an axis between image and mask, relative to the spacing, that rounding explains (three decimals)."""
MAX_ORIGIN_ERROR = 0.05
"""Difference of the origin, relative to the smallest spacing, that rounding explains."""


def affine_problem(image: Path, mask: Path) -> str | None:
    """Describe how the affine of a NIfTI mask differs from that of its NIfTI image; None if it fits.

    Raises:
        ImageError: one of them cannot be read.
    """
    if suffix_of(image) not in nifti.SUFFIXES or suffix_of(mask) not in nifti.SUFFIXES:
        return None
    (of_image, count), (of_mask, count_of_mask) = nifti.standard_grid(image), nifti.standard_grid(mask)
    axes = 2 if count == count_of_mask == 1 else 3  # the thickness of a single slice moves no pixel
    different = _differences(of_image, of_mask, axes=axes)
    if not different:
        return None
    return (
        f"has the affine {_text(nifti.stored_affine(mask))}, which differs in {' and '.join(different)} from that of "
        f"its image, {_text(nifti.stored_affine(image))}"
    )


def _differences(image: NDArray[np.float64], mask: NDArray[np.float64], *, axes: int) -> list[str]:
    """Name what differs beyond rounding: axes, spacing, origin."""
    spacing, spacing_of_mask = (_spacing(affine[:3, :axes]) for affine in (image, mask))
    turned = np.abs(image[:3, :axes] / spacing - mask[:3, :axes] / spacing_of_mask).max() > MAX_AXIS_ERROR
    scaled = (np.abs(spacing_of_mask / spacing - 1) > MAX_AXIS_ERROR).any()
    moved = np.abs(image[:3, 3] - mask[:3, 3]).max() > MAX_ORIGIN_ERROR * spacing.min()
    return [name for name, differs in (("axes", turned), ("spacing", scaled), ("origin", moved)) if differs]


def _spacing(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(np.linalg.norm(axes, axis=0), np.finfo(np.float64).tiny))


def _text(affine: NDArray[Any]) -> str:
    """Write the first three rows of an affine in one line."""
    rows = (", ".join(f"{number:.5g}" for number in row) for row in affine[:3] + 0.0)
    return "[" + "; ".join(rows) + "]"
