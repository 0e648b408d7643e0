"""NIfTI volumes, slice by slice, through nibabel (extra `nifti`).

A volume is reoriented to the closest canonical orientation (right, anterior, superior) and sliced along its third axis,
from the feet upwards; the patient's right is at the left of the image and anterior at the top, as `axial` says. An
image of two dimensions is turned alike if its affine says that it is axial. A single sagittal or coronal slice is one
image, with the head at the top and anterior, or the patient's right, at the left.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.axial import Turn
from s4mi.data.formats.frame import Frame, Header, ImageError, image_errors
from s4mi.data.formats.grid import Grid
from s4mi.data.formats.pixel_limit import check_volume
from s4mi.errors import require_extra

SUFFIXES = (".nii", ".nii.gz")


def header(path: Path) -> Header:
    """Return the header without reading the volume; `frames` counts the slices.

    Raises:
        ImageError: the file is missing, empty or not a NIfTI image of two or three dimensions.
    """
    with _open_image(path) as image:
        shape = image.shape
        colour = image.get_data_dtype().names is not None
        if len(shape) == 2 and flat_turn(image.affine).swap:
            shape = shape[::-1]
        elif (flat := flat_axis(shape)) is not None:
            shape = (*shape[:flat], *shape[flat + 1 :])
        return Header(
            shape[2] if len(shape) > 2 else 1, shape[1], shape[0], channels=3 if colour else 1,
            dtype="uint8" if colour else str(image.get_data_dtype()),
        )  # fmt: skip


def frames(path: Path, *, like: Path | None = None) -> Iterator[Frame]:
    """Yield every slice, with the slope and intercept of the file applied.

    Args:
        like: NIfTI file of the same shape whose affine replaces that of the file.

    Raises:
        ImageError: the file is missing, empty, truncated or not a NIfTI image of two or three dimensions.
    """
    with _open_image(path, like=like) as image:
        if np.issubdtype(image.get_data_dtype(), np.complexfloating):
            raise ImageError("undecodable", "holds complex numbers; save their magnitude instead")
        stored = image.dataobj  # already an array if the volume had to be reoriented
        scaled = (getattr(stored, "slope", 1), getattr(stored, "inter", 0)) != (1, 0)
        volume: Any = image.get_fdata(dtype=np.float32) if scaled else np.asanyarray(stored)
        if volume.ndim == 2:
            volume = flat_turn(image.affine).apply(volume)[:, :, None]
        elif (flat := flat_axis(volume.shape)) is not None:
            volume = np.moveaxis(volume, flat, 2)
        for number in range(volume.shape[2]):
            piece = volume[:, :, number]
            if piece.dtype.names is not None:
                piece = np.stack([piece[name] for name in piece.dtype.names[:3]], axis=2)
            yield Frame(slice_from_array(piece))


def flat_turn(affine: NDArray[np.float64]) -> Turn:
    """Return the turn of an axial array (X, Y) of two dimensions towards right and anterior; none if not axial."""
    first, second = (int(np.abs(affine[:3, axis]).argmax()) for axis in (0, 1))
    if {first, second} != {0, 1}:
        return Turn()
    swap = first == 1
    to_right, to_anterior = (affine[0, 1], affine[1, 0]) if swap else (affine[0, 0], affine[1, 1])
    return Turn(swap, rows=bool(to_right < 0), columns=bool(to_anterior < 0))


def flat_axis(shape: Sequence[int]) -> int | None:
    """Return the axis of a single sagittal or coronal slice in a volume towards right, anterior, superior, or None."""
    single = [axis for axis, size in enumerate(shape) if size == 1]
    return single[0] if len(shape) == 3 and len(single) == 1 and single[0] != 2 else None


def slice_from_array(array: NDArray[Any]) -> NDArray[Any]:
    """Turn an array (X, Y) towards right and anterior to an image (H, W): right at the left, anterior at the top."""
    return np.ascontiguousarray(np.swapaxes(array, 0, 1)[::-1, ::-1])


def array_from_slice(pixels: NDArray[Any]) -> NDArray[Any]:
    """Undo `slice_from_array`."""
    return np.ascontiguousarray(np.swapaxes(pixels[::-1, ::-1], 0, 1))


def stored_affine(path: Path) -> NDArray[np.float64]:
    """Return the affine (4, 4) from the stored voxel indices to millimetres towards right, anterior, superior.

    Raises:
        ImageError: the file is missing, empty or not a NIfTI image.
    """
    return np.asarray(_load(path).affine, dtype=np.float64)


def stored_shape(path: Path) -> tuple[int, ...]:
    """Return the shape as stored, without trailing dimensions of size 1.

    Raises:
        ImageError: the file is missing, empty or not a NIfTI image.
    """
    shape = tuple(int(size) for size in _load(path).shape)
    return shape[:2] if shape[2:] == (1,) else shape


def grid_of(path: Path) -> Grid | None:
    """Return the voxel grid of a volume; None for an image of two dimensions, or a single slice.

    Raises:
        ImageError: the file is missing, empty or not a NIfTI image.
    """
    shape = stored_shape(path)
    if len(shape) != 3:
        return None
    grid = Grid(stored_affine(path), (shape[0], shape[1], shape[2]))
    return grid if grid.flat is None else None


def stored_volume(path: Path) -> NDArray[Any]:
    """Return the voxels as stored (X, Y, Z), with the slope and intercept of the file applied.

    Raises:
        ImageError: the file is missing, empty, truncated or not a NIfTI image.
    """
    with image_errors(path):
        return np.asanyarray(_load(path).dataobj)


def standard_grid(path: Path) -> tuple[NDArray[np.float64], int]:
    """Return the affine (4, 4) in the orientation in which the volume is sliced, and the number of slices.

    Its third column leads from slice to slice, also of a single slice that is not axial.

    Raises:
        ImageError: the file is missing, empty or not a NIfTI image.
    """
    with _open_image(path) as image:
        affine = np.asarray(image.affine, dtype=np.float64)
        if (flat := flat_axis(image.shape)) is not None:
            return affine[:, [*(axis for axis in range(3) if axis != flat), flat, 3]], 1
        return affine, image.shape[2] if len(image.shape) == 3 else 1


def _load(path: Path) -> Any:
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: reading NIfTI")
    with image_errors(path):
        try:
            return nibabel.load(path)
        except nibabel.filebasedimages.ImageFileError as error:
            raise ImageError("not-an-image", "is not a NIfTI file; rename it to match its format") from error


@contextmanager
def _open_image(path: Path, *, like: Path | None = None) -> Iterator[Any]:
    """Open the image in canonical orientation, without reading its pixels."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: reading NIfTI")
    with image_errors(path):
        image = _load(path)
        shape = image.shape
        if len(shape) not in (2, 3):
            sizes = "×".join(map(str, shape))
            raise ImageError("undecodable", f"has {len(shape)} dimensions ({sizes}); split it into 2-D or 3-D images")
        check_volume(path, shape, image.get_data_dtype().itemsize, compressed=path.name.lower().endswith(".gz"))
        if like is not None:
            image = image.__class__(image.dataobj, stored_affine(like), image.header)
        yield nibabel.as_closest_canonical(image) if len(shape) == 3 else image
