"""Whether a NIfTI or NRRD mask lies on the voxel grid of its image.

Axes, spacing and origin are compared in the standard orientation, in which both are sliced: a mask whose voxels are
stored in another order, but which describes the same grid, fits its image. Where one of the two is NRRD, the mask may
also be cropped, as 3D Slicer does; it is placed on the grid of its image.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import suffix_of
from s4mi.data.formats import nifti, nrrd
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.grid import Grid

MAX_AXIS_ERROR = 2e-3
"""Difference of an axis between image and mask, relative to the spacing, that rounding explains (three decimals)."""
EMPTY = (1, 1, 1)
"""Shape of a segmentation of 3D Slicer without any voxel, whose grid means nothing."""
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


def is_placed(image: Path, mask: Path) -> bool:
    """Whether a mask is placed on the grid of its image: both are volumes, and at least one is NRRD."""
    suffixes = {suffix_of(image), suffix_of(mask)}
    return suffixes <= {*nifti.SUFFIXES, *nrrd.SUFFIXES} and not suffixes <= set(nifti.SUFFIXES)


def grid_of(path: Path) -> Grid:
    """Return the voxel grid of a NIfTI or NRRD file.

    Raises:
        ImageError: it cannot be read, or is a single slice in NIfTI.
    """
    if suffix_of(path) in nrrd.SUFFIXES:
        return nrrd.grid_of(path)
    grid = nifti.grid_of(path)
    if grid is None:
        message = "is a single slice in NIfTI, which cannot be aligned with NRRD; save both in one format"
        raise ImageError("bad-mask", message)
    return grid


def placement_problem(image: Path, mask: Path) -> str | None:
    """Describe why a mask cannot be placed on the grid of its image; None if it can.

    Raises:
        ImageError: one of them cannot be read.
    """
    grid, own = grid_of(image), grid_of(mask)
    try:
        if own.shape != EMPTY:
            grid.place(np.broadcast_to(np.uint8(0), own.shape), own)
    except ValueError as error:
        return f"{error} (affine {_text(own.affine)}, that of the image {_text(grid.affine)})"
    return None


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
