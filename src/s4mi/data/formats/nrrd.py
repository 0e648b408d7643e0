"""NRRD volumes and images (`.nrrd`), as 3D Slicer and ITK write them, through pynrrd (extra `nrrd`).

A volume is sliced like a NIfTI one, by `space`, `space directions` and `space origin`; without these the axes are taken
to run towards left, posterior, superior, as ITK does, so that the pixels stay as stored. A single slice that is not
axial stays as stored too. Segmentations (`.seg.nrrd`) are masks, read by `nrrd_seg`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import Frame, Header, ImageError, image_errors
from s4mi.data.formats.grid import Grid
from s4mi.data.formats.pixel_limit import check_volume
from s4mi.errors import require_extra

SEGMENTATION = ".seg.nrrd"
SUFFIXES = (".nrrd", SEGMENTATION)
NOT_AN_IMAGE = (
    "is a segmentation of 3D Slicer, a mask and not an image; import it as the mask of its image, or merge it into the "
    "data set"
)

SPATIAL = ("domain", "space", "none", "???", "")
"""Kinds of axes along which pixels lie, or of which the file says nothing."""
COLOURS = ("RGB-color", "RGBA-color", "3-color", "4-color", "vector", "list", "3-vector", "4-vector")
TO_RIGHT_ANTERIOR = {
    "right-anterior-superior": (1, 1), "ras": (1, 1), "left-anterior-superior": (-1, 1), "las": (-1, 1),
    "left-posterior-superior": (-1, -1), "lps": (-1, -1),
}  # fmt: skip
"""Signs that turn the first two coordinates of each `space` towards right and anterior."""


@dataclass(frozen=True)
class Layout:
    """Meaning of the stored axes of a file.

    Attributes:
        grid: voxel grid of the spatial axes; one of two dimensions has a third axis of size 1.
        other: the axis of colours or layers, or None.
        oriented: whether the file says where its axes lead.
    """

    grid: Grid
    other: int | None
    oriented: bool


def header(path: Path) -> Header:
    """Return the header without reading the pixels; `frames` counts the slices.

    Raises:
        ImageError: the file is missing, empty, a segmentation, or not an NRRD image of two or three dimensions.
    """
    with image_errors(path):
        fields = _image_fields(path)
        layout = layout_of(fields)
        _check(path, fields)
        number, height, width = layout.grid.slices
        channels = 1 if layout.other is None else int(fields["sizes"][layout.other])
        return Header(number, height, width, channels=channels, dtype=str(_dtype(fields)))


def frames(path: Path) -> Iterator[Frame]:
    """Yield every slice.

    Raises:
        ImageError: the file is missing, empty, truncated, a segmentation, or not an NRRD image.
    """
    with image_errors(path):
        layout = layout_of(fields := _image_fields(path))
        _check(path, fields)
        yield from map(Frame, layout.grid.frames(read_volume(path, layout)))


def _check(path: Path, fields: Mapping[str, Any]) -> None:
    shape = tuple(int(size) for size in fields["sizes"])
    encoding = str(fields.get("encoding", "raw")).lower()
    if encoding in ("raw", "gzip", "gz"):
        check_volume(path, shape, _dtype(fields).itemsize, compressed=encoding != "raw")


def read_volume(path: Path, layout: Layout) -> NDArray[Any]:
    """Return the stored values as (X, Y, Z), or (X, Y, Z, C) if there is an axis of colours or layers."""
    nrrd = require_extra("nrrd", extra="nrrd", purpose=f"{path.name}: reading NRRD")
    values, _ = nrrd.read(str(path), index_order="F")
    values = np.asarray(values)
    if layout.other is None:
        return values.reshape(layout.grid.shape)
    return np.moveaxis(values, layout.other, -1).reshape(*layout.grid.shape, -1)


def stored_volume(path: Path) -> NDArray[Any]:
    """Return the voxels of a mask as stored (X, Y, Z).

    Raises:
        ImageError: the file is missing, empty, truncated or not NRRD, or its voxels are not single values.
    """
    with image_errors(path):
        layout = layout_of(fields := _image_fields(path))
        _check(path, fields)
        if layout.other is not None:
            raise ImageError("bad-mask", "has several values for each voxel; save a mask with one")
        return read_volume(path, layout)


def grid_of(path: Path) -> Grid:
    """Return the voxel grid of a file.

    Raises:
        ImageError: the file is missing, empty or not NRRD.
    """
    with image_errors(path):
        return layout_of(read_fields(path)).grid


def is_oriented(path: Path) -> bool:
    """Whether the file says where its axes lead in the patient, in millimetres.

    Raises:
        ImageError: the file is missing, empty or not NRRD.
    """
    with image_errors(path):
        fields = read_fields(path)
        return layout_of(fields).oriented and all(unit == "mm" for unit in fields.get("space units", ()))


def read_fields(path: Path) -> Mapping[str, Any]:
    """Return the fields of the header.

    Raises:
        ImageError: the file is not NRRD, or its pixels are in another file.
    """
    nrrd = require_extra("nrrd", extra="nrrd", purpose=f"{path.name}: reading NRRD")
    try:
        fields: Mapping[str, Any] = nrrd.read_header(str(path))
    except (nrrd.NRRDError, StopIteration) as error:
        raise ImageError("not-an-image", f"is not an NRRD file ({error}); rename it to match its format") from error
    if {"data file", "datafile"} & fields.keys():
        raise ImageError("undecodable", "has its pixels in another file; save it as a single .nrrd")
    return fields


def layout_of(fields: Mapping[str, Any]) -> Layout:
    """Return the meaning of the axes from the fields of a header.

    Raises:
        ImageError: there are fewer than two or more than three spatial axes, or several others.
    """
    sizes = [int(size) for size in fields["sizes"]]
    kinds = [str(kind) for kind in fields.get("kinds", [""] * len(sizes))]
    given = fields.get("space directions")
    rows = np.full((len(sizes), 3), np.nan) if given is None else np.asarray(given, dtype=np.float64)
    directed = np.isfinite(rows).all(axis=1)
    spatial = [n for n, kind in enumerate(kinds) if kind in SPATIAL and (given is None or directed[n])]
    other = [n for n in range(len(sizes)) if n not in spatial]
    if len(other) > 1 or len(spatial) not in (2, 3):
        listed = " ".join(f"{size} ({kind or 'domain'})" for size, kind in zip(sizes, kinds, strict=True))
        raise ImageError("undecodable", f"has the axes {listed}; split it into 2-D or 3-D images")
    signs = TO_RIGHT_ANTERIOR.get(str(fields.get("space", "")).lower())
    oriented = signs is not None and rows.shape[1] == 3 and given is not None
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    if oriented:
        affine[:3, : len(spatial)] = rows[spatial].T
        if len(spatial) == 2:
            affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
        origin = fields.get("space origin")
        affine[:3, 3] = 0 if origin is None else np.asarray(origin, dtype=np.float64)
        affine[:2] *= np.array(signs)[:, None]
    shape = [sizes[n] for n in spatial] + [1] * (3 - len(spatial))
    return Layout(Grid(affine, (shape[0], shape[1], shape[2])), other[0] if other else None, oriented)


def _image_fields(path: Path) -> Mapping[str, Any]:
    """Return the fields of the header of an image."""
    if path.name.lower().endswith(SEGMENTATION):
        raise ImageError("not-an-image", NOT_AN_IMAGE)
    fields = read_fields(path)
    other = layout_of(fields).other
    if other is not None:
        kind, size = str(fields["kinds"][other]), int(fields["sizes"][other])
        if kind not in COLOURS or size not in (3, 4) or _dtype(fields) != np.uint8:
            message = f"has an axis of {size} values ({kind}, {_dtype(fields)}) that are not colours; split it"
            raise ImageError("undecodable", f"{message} into 2-D or 3-D images")
    return fields


def _dtype(fields: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type of the stored values, whose names in NRRD are those of C."""
    name = str(fields["type"]).replace("signed ", "").replace("_t", "")
    unsigned = name.startswith(("un", "u"))
    plain = name.removeprefix("un").removeprefix("u").strip().replace(" int", "").replace(" ", "")
    sizes = {"char": 1, "int8": 1, "short": 2, "int16": 2, "int": 4, "int32": 4, "longlong": 8, "int64": 8}
    if plain in ("float", "double"):
        return np.dtype(np.float32 if plain == "float" else np.float64)
    if plain not in sizes:
        raise ImageError("undecodable", f"holds values of type {fields['type']}; save real numbers instead")
    return np.dtype(f"{'u' if unsigned else 'i'}{sizes[plain]}")
