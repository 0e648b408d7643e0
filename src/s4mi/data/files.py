"""Any file that holds images: which format it is, how many frames it has, and the numbers in them."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from s4mi.data.formats import arrays, dicom, nifti, raster, tiff
from s4mi.data.formats.frame import Frame, Header, ImageError


class Format(Protocol):
    """A module of `data/formats`."""

    @property
    def SUFFIXES(self) -> tuple[str, ...]:  # noqa: N802
        """File endings."""

    def header(self, path: Path) -> Header:
        """What the file says of itself."""

    def frames(self, path: Path) -> Iterator[Frame]:
        """Every page, frame or slice."""


FORMATS: tuple[Format, ...] = (raster, tiff, dicom, nifti, arrays)
SUFFIXES = frozenset(suffix for module in FORMATS for suffix in module.SUFFIXES)
"""File endings of images; `.nii.gz` is one ending."""


def suffix_of(path: Path) -> str:
    """The ending of a file's name in small letters; `.nii.gz` is one ending."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def stem_of(path: Path) -> str:
    """The name of a file without its ending."""
    return path.name[: -len(".nii.gz")] if suffix_of(path) == ".nii.gz" else path.stem


def is_image_file(path: Path) -> bool:
    """Whether `path` names an image by its ending, or is a DICOM file without one (as scanners write them)."""
    return suffix_of(path) in SUFFIXES or dicom.is_nameless(path)


def read_header(path: Path) -> Header:
    """What the file says of itself before anything is decoded.

    Raises:
        ImageError: the file is missing, empty or no image.
    """
    return _format(path).header(path)


def read_frames(path: Path) -> Iterator[Frame]:
    """Every page, frame or slice in order, each decoded once.

    Raises:
        ImageError: the file is missing, empty, truncated or no image.
    """
    return _format(path).frames(path)


def read_frame(path: Path, number: int = 0) -> Frame:
    """One page, frame or slice.

    Raises:
        ImageError: the file is missing, empty, truncated or no image, or has fewer frames.
    """
    frame = next(islice(read_frames(path), number, None), None)
    if frame is None:
        raise ImageError("undecodable", f"has no frame {number}; see how many it has with: s4mi data check")
    return frame


def _format(path: Path) -> Format:
    suffix = suffix_of(path)
    for module in FORMATS:
        if suffix in module.SUFFIXES:
            return module
    return dicom if dicom.is_nameless(path) else raster
