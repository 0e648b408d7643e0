"""Verify the images that an import leaves where they are: each is a complete image file, and read by one rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from s4mi.data.files import read_frame, read_header, suffix_of
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity
from s4mi.data.parallel import in_parallel
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.series import series_limits
from s4mi.data.sources.types import ProgressCallback
from s4mi.data.spec import Finding

ENDINGS = {".png": (b"IEND", 32), ".jpg": (b"\xff\xd9", 4096), ".jpeg": (b"\xff\xd9", 4096)}
"""What complete files end with, and in how many last bytes; a file without it is decoded to see whether it is one."""


@dataclass(frozen=True)
class VerifiedRows:
    """The rows whose images can be read, whether all these are greyscale, and a warning for each other row."""

    rows: tuple[Row, ...]
    grey: bool
    findings: list[Finding]


def verify_images(rows: Sequence[Row], folder: Path, *, progress: ProgressCallback) -> VerifiedRows:
    """Read the header of every image, and decode those that seem to be cut off."""
    images = [row.image for row in rows]
    results = in_parallel(_channels, images, progress=partial(progress, "reading headers"))
    kept, findings, grey = [], [], []
    for row, channels in zip(rows, results, strict=True):
        if isinstance(channels, str):
            name = relative_name(row.image, folder)
            message = f"image {row.image.name!r} {channels}; row {row.id!r} skipped"
            findings.append(Finding("unreadable", "warning", name, None, message))
        else:
            kept.append(row)
            grey.append(channels < 3)
    return VerifiedRows(tuple(kept), bool(grey) and all(grey), findings)


def shared_stretch_finding(rows: Sequence[Row], intensity: Intensity) -> Finding | None:
    """Return an error if slices of a DICOM series that stay where they are would each be stretched by itself.

    Data sets read such files one by one; a window is the same for all.
    """
    limits = series_limits([row.image for row in rows], intensity)
    if not limits:
        return None
    low, high = (round(end) for end in (min(one for one, _ in limits.values()), max(one for _, one in limits.values())))
    message = (
        f"{len(limits)} DICOM files of series without a window of their own, which --keep-dicom would stretch each by "
        f"itself; use --intensity window:{low}:{high}, or another, or leave out --keep-dicom"
    )
    return Finding("dicom-stretch", "error", ".", None, message)


def _channels(path: Path) -> int | str:
    """Return the number of channels of an image, or why it cannot be read."""
    try:
        header = read_header(path)
        if _cut_off(path):
            read_frame(path)
    except ImageError as error:
        return str(error)
    return header.channels


def _cut_off(path: Path) -> bool:
    """Whether the end of a complete file is missing."""
    if (ending := ENDINGS.get(suffix_of(path))) is None:
        return False
    sign, length = ending
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - length))
        return sign not in file.read()
