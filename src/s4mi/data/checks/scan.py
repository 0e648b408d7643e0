"""Scan of a data set: the files of every row are opened once, to collect statistics and findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import read_for
from s4mi.data.checks.looks import MaskLook, look_at, look_at_mask
from s4mi.data.duplicates import NORMALISED_IMAGES
from s4mi.data.files import SUFFIXES, read_header, suffix_of
from s4mi.data.formats import dicom
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.images import image_size
from s4mi.data.loading.file_hashes import DIGEST_BYTES, digest_of, stamp_of
from s4mi.data.loading.thumbnail_store import ThumbnailKeeper
from s4mi.data.mask_grid import affine_problem
from s4mi.data.parallel import THREAD_LIMIT, end_processes, in_parallel
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.sketch_table import Sketch, unfilled
from s4mi.data.sketches import sketch
from s4mi.data.spec import IGNORED_CLASS, Finding, MaskKey, Severity
from s4mi.data.thumbnails import (
    THUMBNAIL_SIZE,
    Description,
    Thumbnails,
    describe,
    is_kept,
    kept_or_read,
    normalised,
    thumbnails_of,
)
from s4mi.records import IGNORE

Size = tuple[int, int]
ProgressCallback = Callable[[int, int], None]
RowLocator = Callable[[Row], tuple[str, int | None]]
"""Function that returns the file and line for findings about a row."""

MAX_CONSTANT_RANGE = 2
"""An image whose grey levels differ by at most this is considered constant."""
MOST_SKETCHES = 500_000
"""Of so many images sketches are made on the way, at a KiB each; of more, only of those that look like another."""
UNREADABLE = Description(0, (0.0, 0.0, 0.0))
"""Stands for images that cannot be read, which are not compared."""


@dataclass(frozen=True, slots=True)
class RowScan:
    """Result for one row; attributes of unreadable files are None.

    Attributes:
        mask_turned: whether the pixels of the mask are stored rotated or mirrored, None without a readable mask.
        grey: whether red, green and blue are equal in all pixels.
        digest: hash of the bytes of the image file.
        pixels: number of mask pixels of each class, without `IGNORE`.
        identifiers: names of DICOM attributes that identify a person or place.
        burnt_in: whether the DICOM file declares text in its pixels.
    """

    row: Row
    size: Size | None = None
    header: Header | None = None
    mask_turned: bool | None = None
    grey: bool = False
    digest: bytes | None = None
    pixels: tuple[int, ...] | None = None
    identifiers: tuple[str, ...] = ()
    burnt_in: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class FileEncoding:
    """How the files of a data set encode annotation and intensity: mask values, class names, and intensity rule."""

    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    intensity: Intensity = field(default_factory=Intensity)

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the mask classes, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))


@dataclass(frozen=True)
class DatasetScan:
    """Results of all rows, their thumbnails, which are meaningless for unreadable images, and how files were read."""

    rows: tuple[RowScan, ...]
    thumbnails: Thumbnails
    encoding: FileEncoding = field(default_factory=FileEncoding)


def scan_dataset(
    rows: Sequence[Row],
    root: Path,
    *,
    locate: RowLocator,
    encoding: FileEncoding,
    progress: ProgressCallback,
    cache: Path | None = None,
) -> DatasetScan:
    """Scan the image and mask of every row, on all cores.

    Args:
        cache: folder of caches, where hashes and thumbnails are kept for other commands; None: nowhere.
    """
    sketched = NORMALISED_IMAGES < len(rows) <= MOST_SKETCHES
    sketches = unfilled(len(rows), np.arange(len(rows))) if sketched else None
    work = partial(_scan_row, root=root, locate=locate, encoding=encoding, sketched=sketched)
    scans: list[RowScan] = []
    descriptions: list[Description] = []
    kept: dict[int, Pixels] = {}
    keeper = None if cache is None else ThumbnailKeeper(cache, encoding.intensity, encoding.mask_values)
    for number, one in enumerate(in_parallel(work, rows, progress=progress)):
        scans.append(replace(one.scan, row=rows[number]))  # the original row, not its copy from another process
        descriptions.append(one.description or UNREADABLE)
        if keeper is not None and one.description is not None and one.scan.digest is not None:
            digest = one.scan.digest.hex()
            keeper.add(rows[number].image, one.stamp, digest, found=one.description, small=one.thumbnail)
        elif one.thumbnail is not None:
            kept[number] = one.thumbnail
        if sketches is not None and one.sketch is not None:
            sketches.put(number, one.sketch)
        mask = rows[number].mask
        if keeper is not None and one.mask is not None and mask is not None:
            keeper.add_mask(mask, *one.mask)
    if len(rows) > THREAD_LIMIT:
        end_processes()
    if keeper is not None:
        keeper.flush()
        digests = [(one.digest or bytes(DIGEST_BYTES)).hex() for one in scans]
        images = [row.image for row in rows]
        thumbnails = replace(keeper.thumbnails(images, digests, descriptions), sketches=sketches)
        return DatasetScan(tuple(scans), thumbnails, encoding)
    pixels = kept_or_read(kept, partial(_shrunk, rows, encoding.intensity))
    thumbnails = thumbnails_of(
        descriptions, pixels, lambda n: None if n in kept else (rows[n].image, encoding.intensity)
    )
    return DatasetScan(tuple(scans), replace(thumbnails, sketches=sketches), encoding)


def _shrunk(rows: Sequence[Row], intensity: Intensity, number: int) -> Pixels:
    return read_for(rows[number].image, intensity, (THUMBNAIL_SIZE, THUMBNAIL_SIZE))


@dataclass(frozen=True, slots=True)
class _Scanned:
    """A scan, and what other commands use.

    Attributes:
        description, thumbnail: of the image, as far as it can be read and the thumbnail is kept.
        stamp: that of the image file before it was read.
        mask: stamp and hash of the mask file, and its share of foreground.
        sketch: of the thumbnail, if it is wanted.
    """

    scan: RowScan
    description: Description | None
    thumbnail: Pixels | None
    stamp: str = ""
    mask: tuple[str, str, float] | None = None
    sketch: Sketch | None = None


def _scan_row(row: Row, *, root: Path, locate: RowLocator, encoding: FileEncoding, sketched: bool = False) -> _Scanned:
    findings: list[Finding] = []

    def report(code: str, message: str, severity: Severity = "error") -> None:
        file, line = locate(row)
        lines = () if line is None else (line,)
        findings.append(Finding(code=code, severity=severity, file=file, line=line, message=message, rows=lines))

    scan, small, description, stamp, drawn = RowScan(row), None, None, "", None
    name = f"image {relative_name(row.image, root)!r}"
    try:
        stamp = stamp_of(row.image) if row.image.exists() else ""
        look = look_at(row.image, encoding.intensity)
        structure = normalised(look.thumbnail)
        description = describe(look.thumbnail, structure)
        drawn = sketch(structure) if sketched else None
        small = look.thumbnail if is_kept(row.image.stat().st_size) else None
        digest = digest_of(row.image)
        header = look.header or read_header(row.image)
        scan = replace(scan, size=look.size, header=header, grey=look.grey, digest=digest)
        if look.range <= MAX_CONSTANT_RANGE:
            report(
                "constant-image",
                f"{name} is constant (a single grey level); export it again, or remove the row",
                "warning",
            )
        scan = _with_dicom(scan)
    except ImageError as error:
        report(error.code, f"{name} {error}")
    kept_mask = None
    if row.mask is not None and encoding.mask_values:
        mask_stamp = stamp_of(row.mask) if row.mask.exists() else ""
        counts = _scan_mask(row, scan, root=root, encoding=encoding, report=report)
        scan = replace(scan, pixels=counts, mask_turned=None if counts is None else read_header(row.mask).turned)
        if counts is not None:
            kept_mask = mask_stamp, digest_of(row.mask).hex(), sum(counts[1:]) / max(1, sum(counts))
    return _Scanned(replace(scan, findings=tuple(findings)), description, small, stamp, kept_mask, drawn)


def _with_dicom(scan: RowScan) -> RowScan:
    path = scan.row.image
    if suffix_of(path) not in dicom.SUFFIXES and not dicom.is_nameless(path):
        return scan
    return replace(scan, identifiers=dicom.identifiers(path), burnt_in=dicom.burnt_in(path))


def _scan_mask(
    row: Row, scan: RowScan, *, root: Path, encoding: FileEncoding, report: Callable[..., None]
) -> tuple[int, ...] | None:
    assert row.mask is not None
    name, counts, size = f"mask {relative_name(row.mask, root)!r}", None, None
    try:
        if problem := affine_problem(row.image, row.mask):
            report("mask-affine", f"{name} {problem}; re-export the mask on the grid of its image")
        look = look_at_mask(row.mask, encoding.mask_values)
        size, histogram = look.size, look.counts[:IGNORE]
        counts = tuple(histogram[: len(encoding.mask_classes)].tolist())
        if not is_slice(row.mask) and read_header(row.mask).frames == 1:  # of several frames, only the first is read
            _check_mask(look, histogram, name, report=report)
        _check_labels(row, histogram, name, encoding=encoding, report=report)
    except ImageError as error:
        report(error.code, f"{name} {error}")
        size = image_size(row.mask) if error.code == "mask-value" else None
    if size and scan.size and size != scan.size:
        message = f"{name} is {size_text(size)} but its image is {size_text(scan.size)}"
        report("mask-size", f"{message}; re-export the mask at the size of its image")
    return counts


def is_slice(path: Path) -> bool:
    """Whether a file is one of several that an import extracted from a volume: its folder has the name of an image."""
    return suffix_of(path.parent) in SUFFIXES


def _check_mask(look: MaskLook, counts: NDArray[np.intp], name: str, *, report: Callable[..., None]) -> None:
    """Report masks that are empty, full, or touch all borders like an inverted mask."""
    if not counts[1:].any():
        message = "has no foreground; re-export it unless this is correct"
        report("empty-mask", f"{name} {message}", "warning")
        return
    if not counts[0] and counts[1:].any():
        report("full-mask", f"{name} has no background; review it, or re-export it", "warning")
        return
    if all(share > 0.5 for share in look.borders):
        message = "covers most of all four borders, like an inverted mask; review it, or re-export it"
        report("mask-touches-borders", f"{name} {message}", "warning")


def _check_labels(
    row: Row, counts: NDArray[np.intp], name: str, *, encoding: FileEncoding, report: Callable[..., None]
) -> None:
    """Report contradictions between labels and mask classes of the same name, and between `none` and a mask."""
    if row.labels is None:
        return
    in_mask = {label for k, label in enumerate(encoding.mask_classes) if k > 0 and counts[k]}
    shared = set(encoding.mask_classes[1:]) & set(encoding.classes)
    if not row.labels and in_mask - set(row.unknown):
        message = f"{name} contains {', '.join(sorted(in_mask))}, but the label is 'none'; correct one of them"
        report("label-mask-disagree", message, "warning")
    elif shared and (different := ((set(row.labels) ^ in_mask) & shared) - set(row.unknown)):
        where = "the mask, but not in the label" if different <= in_mask else "the label, but not in the mask"
        message = f"{name}: {', '.join(sorted(different))} is in {where}; correct one of them"
        report("label-mask-disagree", message, "warning")


def size_text(size: Size) -> str:
    """Format a size as height×width."""
    return f"{size[0]}×{size[1]}"
