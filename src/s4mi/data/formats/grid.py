"""The voxel grid of a volume in the patient, and its axial slices in the convention of `axial`.

An affine leads from voxel indices to millimetres towards right, anterior, superior, as in NIfTI. The orientation
nearest to it is found as nibabel finds it (`io_orientation`), so that NRRD and NIfTI of a volume yield the same slices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, int, int]

MAX_SHIFT = 0.05
"""Distance of two grids from a shift by whole voxels, in voxels, that rounding explains."""
MAX_AXIS_ERROR = 2e-3
"""Difference of the axes of two grids, relative to the spacing, that rounding explains (three decimals)."""


@dataclass(frozen=True)
class Grid:
    """Voxels of a volume as stored.

    Attributes:
        affine: (4, 4) from voxel indices to millimetres towards right, anterior, superior.
        shape: number of voxels along each stored axis.
    """

    affine: NDArray[np.float64]
    shape: Shape

    @cached_property
    def axes(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """The stored axis that is nearest to each of right, anterior, superior, and whether it runs the other way."""
        columns = self.affine[:3, :3]
        lengths = np.linalg.norm(columns, axis=0)
        u, _, vt = np.linalg.svd(columns / np.where(lengths > 0, lengths, 1))
        rotation = u @ vt
        axes, reverse, left = [0, 0, 0], [False] * 3, rotation.copy()
        for stored in np.argsort(np.min(-(rotation**2), axis=0), kind="stable"):
            world = int(np.abs(left[:, stored]).argmax())
            axes[world], reverse[world] = int(stored), bool(rotation[world, stored] < 0)
            left[world] = 0
        return (axes[0], axes[1], axes[2]), (reverse[0], reverse[1], reverse[2])

    @property
    def flat(self) -> int | None:
        """The stored axis of a single slice that is not axial, whose pixels stay as stored; else None."""
        single = [axis for axis, size in enumerate(self.shape) if size == 1]
        return single[0] if len(single) == 1 and single[0] != self.axes[0][2] else None

    @property
    def slices(self) -> tuple[int, int, int]:
        """Number, height and width of the slices."""
        if self.flat is not None:
            width, height = (size for axis, size in enumerate(self.shape) if axis != self.flat)
            return 1, height, width
        right, anterior, superior = self.axes[0]
        return self.shape[superior], self.shape[anterior], self.shape[right]

    @property
    def spacing(self) -> tuple[float, float]:
        """Distance in millimetres between the rows and the columns of a slice."""
        lengths = [float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0)]
        if self.flat is not None:
            columns, rows = (length for axis, length in enumerate(lengths) if axis != self.flat)
            return rows, columns
        return lengths[self.axes[0][1]], lengths[self.axes[0][0]]

    def frames(self, volume: Array) -> Iterator[Array]:
        """Yield the slices (H, W) or (H, W, C) of an array (X, Y, Z) or (X, Y, Z, C) as stored, from the feet up."""
        if self.flat is not None:
            yield np.ascontiguousarray(np.swapaxes(np.take(volume, 0, axis=self.flat), 0, 1))
            return
        (right, anterior, superior), reverse = self.axes
        ordered = np.moveaxis(volume, (superior, anterior, right), (0, 1, 2))
        # Slices from the feet upwards, rows from anterior, columns from the right.
        ordered = ordered[:: -1 if reverse[2] else 1, :: 1 if reverse[1] else -1, :: 1 if reverse[0] else -1]
        yield from (np.ascontiguousarray(piece) for piece in ordered)

    def place(self, volume: Array, grid: "Grid") -> Array:
        """Return a mask (X, Y, Z) on another grid as stored on this one, 0 where it has no voxels.

        Raises:
            ValueError: the axes or the spacing differ, or it is shifted by parts of a voxel or leads out of this grid.
        """
        to_here = np.linalg.inv(self.affine) @ grid.affine
        turn = np.rint(to_here[:3, :3])
        if np.abs(to_here[:3, :3] - turn).max() > MAX_AXIS_ERROR or (np.abs(turn).sum(axis=0) != 1).any():
            raise ValueError("has other axes or another spacing than its image")
        shift = np.rint(to_here[:3, 3])
        if np.abs(to_here[:3, 3] - shift).max() > MAX_SHIFT:
            raise ValueError("is shifted by parts of a voxel against its image")
        order = [int(np.abs(turn[axis]).argmax()) for axis in range(3)]
        signs = [int(turn[axis, stored]) for axis, stored in enumerate(order)]
        turned = np.transpose(volume, order)[tuple(slice(None, None, sign) for sign in signs)]
        starts = [int(shift[axis]) - (turned.shape[axis] - 1 if sign < 0 else 0) for axis, sign in enumerate(signs)]
        if any(start < 0 or start + turned.shape[a] > self.shape[a] for a, start in enumerate(starts)):
            raise ValueError("leads out of its image")
        placed = np.zeros(self.shape, dtype=volume.dtype)
        placed[tuple(slice(start, start + turned.shape[a]) for a, start in enumerate(starts))] = turned
        return placed
