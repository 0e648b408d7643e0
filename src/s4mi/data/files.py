"""Read images of any supported format, dispatched by file extension."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from s4mi.data.formats import arrays, dicom, nifti, nrrd, raster, tiff
from s4mi.data.formats.frame import Frame, Header, ImageError


class Format(Protocol):
    """Interface of the modules in `data/formats`."""

    @property
    def SUFFIXES(self) -> tuple[str, ...]:  # noqa: N802
        """File extensions, in lower case."""

    def header(self, path: Path) -> Header:
        """Return the properties known without decoding."""

    def frames(self, path: Path) -> Iterator[Frame]:
        """Yield every page, frame or slice."""


FORMATS: tuple[Format, ...] = (raster, tiff, dicom, nifti, nrrd, arrays)
SUFFIXES = frozenset(suffix for module in FORMATS for suffix in module.SUFFIXES)
"""File extensions of images; `.nii.gz` and `.seg.nrrd` count as one extension."""
_DOUBLE = tuple(suffix for suffix in SUFFIXES if suffix.count(".") > 1)


WHOLE_SLIDES = frozenset((".svs", ".ndpi", ".qptiff", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi"))
"""File extensions of whole-slide images, which are too large to be one image."""
TILES = "cut whole slides into tiles first, e.g. with OpenSlide, and import these"


def suffix_of(path: Path) -> str:
    """Return the file extension in lower case; `.nii.gz` and `.seg.nrrd` count as one extension."""
    name = path.name.lower()
    if name.endswith(_DOUBLE):
        return next(suffix for suffix in _DOUBLE if name.endswith(suffix))
    dot = name.rfind(".")  # as `Path.suffix`, which takes four times as long
    return name[dot:] if 0 < dot < len(name) - 1 else ""


REVISIONS = dict.fromkeys((".tif", ".tiff"), 1) | dict.fromkeys((*dicom.SUFFIXES, *nifti.SUFFIXES), 2)
"""How often the pixels that files of an extension decode to have changed; raise it to renew caches and imports."""


def decoding_revision(path: Path) -> int:
    """Return the revision of the decoding of a file, for keys of stored results: 0 unless it ever changed."""
    suffix = suffix_of(path)
    unnamed = (not suffix or suffix[1:].isdigit()) and dicom.is_nameless(path)
    return REVISIONS[".dcm"] if unnamed else REVISIONS.get(suffix, 0)


def distinctly_decoded(files: Iterable[Path]) -> list[Path]:
    """Return one file of each extension, and all whose extension does not tell how they are decoded."""
    found: dict[str | Path, Path] = {}
    for file in files:
        suffix = suffix_of(file)
        found.setdefault(suffix if suffix and not suffix[1:].isdigit() else file, file)
    return list(found.values())


def stem_of(path: Path) -> str:
    """Return the file name without its extension."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix in _DOUBLE else path.stem


def is_image_file(path: Path) -> bool:
    """Whether `path` has the extension of an image, or is a DICOM file without extension (as scanners write them)."""
    return suffix_of(path) in SUFFIXES or dicom.is_nameless(path)


def read_header(path: Path) -> Header:
    """Return the properties of an image file that are known without decoding it.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    return _format(path).header(path)


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield every page, frame or slice in order, each decoded once.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    return _format(path).frames(path)


def read_frame(path: Path, number: int = 0) -> Frame:
    """Return one page, frame or slice.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image, or has fewer frames.
    """
    frame = next(islice(read_frames(path), number, None), None)
    if frame is None:
        raise ImageError("undecodable", f"has no frame {number}; count its frames with: s4mi data check")
    return frame


def _format(path: Path) -> Format:
    suffix = suffix_of(path)
    for module in FORMATS:
        if suffix in module.SUFFIXES:
            return module
    return dicom if dicom.is_nameless(path) else raster
