"""Open the files of every row once: what is there is counted, what cannot be used becomes a finding."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.duplicates import SIDE, thumbnail
from s4mi.data.files import read_header, suffix_of
from s4mi.data.formats import dicom
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import image_size, read_image
from s4mi.data.manifest import Row
from s4mi.data.masks import read_mask
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import IGNORED_CLASS, Finding, MaskKey, Severity
from s4mi.records import IGNORE

Size = tuple[int, int]
ProgressCallback = Callable[[int, int], None]
RowLocator = Callable[[Row], tuple[str, int | None]]
"""Where a finding about a row points: file and line."""

FLAT = 2
"""An image whose grey levels differ by no more than this shows nothing."""


@dataclass(frozen=True, slots=True)
class RowScan:
    """One row with its files opened; what could not be is None.

    Attributes:
        grey: whether red, green and blue are the same everywhere.
        digest: hash of the bytes of the image file.
        pixels: mask pixels of each class, `IGNORE` left out.
        identifiers: names of DICOM attributes that identify a person or place. burnt_in: text is in the pixels.
    """

    row: Row
    size: Size | None = None
    header: Header | None = None
    grey: bool = False
    digest: bytes | None = None
    pixels: tuple[int, ...] | None = None
    identifiers: tuple[str, ...] = ()
    burnt_in: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class DatasetScan:
    """All rows, and their (R, 32, 32, 3) thumbnails; black where an image cannot be read."""

    looks: tuple[RowScan, ...]
    thumbnails: Pixels


@dataclass(frozen=True)
class Codes:
    """What a data set says of its files: codes of the mask classes, names of the classes, rule for deep images."""

    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    intensity: Intensity = field(default_factory=Intensity)

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the mask classes, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))


def scan_dataset(
    rows: Sequence[Row], root: Path, *, place: RowLocator, codes: Codes, say: ProgressCallback
) -> DatasetScan:
    """Open the image and mask of every row, on all cores."""
    work = partial(_look, root=root, place=place, codes=codes)
    thumbnails = np.zeros((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
    looks = []
    for number, (look, small) in enumerate(in_parallel(work, rows, say=say)):
        looks.append(replace(look, row=rows[number]))  # the row that is here, not the copy another process sent back
        if small is not None:
            thumbnails[number] = small
    return DatasetScan(tuple(looks), thumbnails)


def _look(row: Row, *, root: Path, place: RowLocator, codes: Codes) -> tuple[RowScan, NDArray[np.uint8] | None]:
    findings: list[Finding] = []

    def say(code: str, message: str, severity: Severity = "error") -> None:
        file, line = place(row)
        lines = () if line is None else (line,)
        findings.append(Finding(code=code, severity=severity, file=file, line=line, message=message, rows=lines))

    look, small = RowScan(row), None
    name = f"image {relative_name(row.image, root)!r}"
    try:
        header, pixels = read_header(row.image), read_image(row.image, codes.intensity)
        small = thumbnail(pixels)
        look = replace(
            look,
            size=(pixels.shape[0], pixels.shape[1]),
            header=header,
            grey=bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all()),
            digest=hashlib.blake2b(row.image.read_bytes(), digest_size=16).digest(),
        )
        if int(pixels.max()) - int(pixels.min()) <= FLAT:
            say(
                "constant-image", f"{name} has one grey level everywhere; export it again, or remove the row", "warning"
            )
        look = _with_dicom(look)
    except ImageError as error:
        say(error.code, f"{name} {error}")
    if row.mask is not None and codes.mask_values:
        counts = _look_at_mask(row, look, root=root, codes=codes, say=say)
        look = replace(look, pixels=counts)
    return replace(look, findings=tuple(findings)), small


def _with_dicom(look: RowScan) -> RowScan:
    path = look.row.image
    if suffix_of(path) not in dicom.SUFFIXES and not dicom.is_nameless(path):
        return look
    return replace(look, identifiers=dicom.identifiers(path), burnt_in=dicom.burnt_in(path))


def _look_at_mask(
    row: Row, look: RowScan, *, root: Path, codes: Codes, say: Callable[..., None]
) -> tuple[int, ...] | None:
    assert row.mask is not None
    name, counts, size = f"mask {relative_name(row.mask, root)!r}", None, None
    try:
        mask = read_mask(row.mask, codes.mask_values)
        size = (mask.shape[0], mask.shape[1])
        found = np.bincount(mask.ravel(), minlength=256)[:IGNORE]
        counts = tuple(int(count) for count in found)
        _judge_mask(mask, found, name, say=say)
        _judge_labels(row, found, name, codes=codes, say=say)
    except ImageError as error:
        say(error.code, f"{name} {error}")
        size = image_size(row.mask) if error.code == "mask-value" else None
    if size and look.size and size != look.size:
        message = f"{name} is {size_text(size)} but its image is {size_text(look.size)}"
        say("mask-size", f"{message}; re-export the mask at the image's size")
    return counts


def _judge_mask(mask: Pixels, counts: NDArray[np.intp], name: str, *, say: Callable[..., None]) -> None:
    """Empty, full, or touching every border, as the inverse of a mask does."""
    if not counts[1:].any():
        message = "shows only background; right if there is nothing to see, else re-export it"
        say("empty-mask", f"{name} {message}", "warning")
        return
    if not counts[0] and counts[1:].any():
        say("full-mask", f"{name} shows no background at all; look at it, or re-export it", "warning")
        return
    inside = (mask > 0) & (mask != IGNORE)
    borders = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    if all(border.mean() > 0.5 for border in borders):
        message = "covers most of all four borders, as an inverted mask does; look at it, or re-export it"
        say("mask-touches-borders", f"{name} {message}", "warning")


def _judge_labels(row: Row, counts: NDArray[np.intp], name: str, *, codes: Codes, say: Callable[..., None]) -> None:
    """Labels and mask classes that share their names must agree; so must `none` and an empty mask."""
    if row.labels is None:
        return
    seen = {label for k, label in enumerate(codes.mask_classes) if k > 0 and counts[k]}
    both = set(codes.mask_classes[1:]) & set(codes.classes)
    if not row.labels and seen:
        message = f"{name} shows {', '.join(sorted(seen))} but the label is 'none'; mend one of them"
        say("label-mask-disagree", message, "warning")
    elif both and (wrong := (set(row.labels) ^ seen) & both):
        where = "the mask and not in the label" if wrong <= seen else "the label and not in the mask"
        say("label-mask-disagree", f"{name}: {', '.join(sorted(wrong))} is in {where}; mend one of them", "warning")


def relative_name(path: Path, root: Path) -> str:
    """`path` as a message names it: from `root` where it lies below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def size_text(size: Size) -> str:
    """Height × width, for a message."""
    return f"{size[0]}×{size[1]}"
