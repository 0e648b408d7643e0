"""Expand files of several images into one row per image: pages of a TIFF, frames of a DICOM file, slices of a volume.

Images are always extracted from DICOM and NIfTI files, even from those that hold only one: identifiers stay behind, and
training needs no reader for these formats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s4mi.data.files import read_header, stem_of, suffix_of
from s4mi.data.formats import arrays, dicom, nifti, raster, tiff
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.manifest import Row
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.types import EmbeddedImage, FoundDataset, ProgressCallback
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural

MULTI_FRAME = (*tiff.SUFFIXES, *arrays.SUFFIXES, *raster.MULTI_FRAME)
"""Extensions of files that may hold several images, and are referenced unchanged if they hold only one."""


@dataclass(frozen=True)
class FrameSelection:
    """Frames of a file to import: all, the first, the middle one, or every n-th."""

    every: int = 1
    only: str = ""

    @classmethod
    def parse(cls, text: str) -> "FrameSelection":
        """Parse `all`, `first`, `middle` or `every:N`.

        Raises:
            S4miError: `text` is none of these.
        """
        kind, _, number = text.strip().partition(":")
        if kind == "every" and number.isdecimal() and int(number) > 0:
            return cls(every=int(number))
        if kind in ("first", "middle") and not number:
            return cls(only=kind)
        if kind == "all" and not number:
            return cls()
        raise S4miError(f"--frames {text!r}: unknown selection; use all, first, middle or every:N")

    def indices(self, count: int) -> Sequence[int]:
        """Return the numbers of the selected frames of a file with `count` frames."""
        if self.only:
            return [0 if self.only == "first" else count // 2]
        return range(0, count, self.every)


@dataclass(frozen=True)
class _FileContents:
    """Contents of a file.

    Attributes:
        header: its header if images are to be extracted from it, else None.
        patient: pseudonym of the patient of a DICOM file.
        burnt_in: whether a DICOM file declares text burned into its pixels.
        error: why it cannot be read, else empty.
    """

    header: Header | None = None
    patient: str | None = None
    burnt_in: bool = False
    error: str = ""

    @property
    def images(self) -> int:
        return 1 if self.header is None else self.header.frames


def expand(
    found: FoundDataset, frames: FrameSelection, *, keep_dicom: bool, progress: ProgressCallback
) -> FoundDataset:
    """Replace every row whose file holds several images, or is DICOM or NIfTI, by one row per image.

    The group of a row without one becomes the pseudonym of the DICOM patient, or else the file itself if it yields
    several rows, so that the slices of a volume are never divided by a split.
    """
    files = list(dict.fromkeys(
        path for row in found.rows for path in (row.image, row.mask)
        if path is not None and path not in found.embedded and _may_hold_several(path)
    ))  # fmt: skip
    inspect = partial(_inspect, keep_dicom=keep_dicom)
    results = in_parallel(inspect, files, progress=partial(progress, "reading headers"))
    contents = dict(zip(files, results, strict=True))
    rows: list[Row] = []
    embedded = dict(found.embedded)
    findings = [*found.findings, *_dicom_findings(contents, found.folder)]
    for row in found.rows:
        error = _row_error(row, contents)
        if error is not None:
            code, message = error
            findings.append(Finding(code, "warning", _relative_name(row.image, found.folder), None, message))
            continue
        for new_row, images in _expand_row(row, contents, frames, folder=found.folder):
            rows.append(new_row)
            embedded.update(images)
    return replace(found, rows=tuple(rows), findings=tuple(findings), embedded=embedded)


def _may_hold_several(path: Path) -> bool:
    return suffix_of(path) in (*MULTI_FRAME, *nifti.SUFFIXES) or _is_dicom(path)


def _is_dicom(path: Path) -> bool:
    return suffix_of(path) in dicom.SUFFIXES or dicom.is_nameless(path)


def _inspect(path: Path, *, keep_dicom: bool) -> _FileContents:
    try:
        header = read_header(path)
        if _is_dicom(path):
            patient = dicom.pseudonym(path)
            if keep_dicom and header.frames == 1:
                return _FileContents(patient=patient, burnt_in=dicom.burnt_in(path))
            return _FileContents(header, patient, burnt_in=dicom.burnt_in(path))
    except ImageError as error:
        return _FileContents(error=str(error))
    return _FileContents(header if header.frames > 1 or suffix_of(path) not in MULTI_FRAME else None)


def _row_error(row: Row, contents: dict[Path, _FileContents]) -> tuple[str, str] | None:
    """Return the code and message of the error for which a row cannot be imported, or None."""
    image = contents.get(row.image, _FileContents())
    mask = contents.get(row.mask, _FileContents()) if row.mask is not None else _FileContents()
    for kind, path, file in (("image", row.image, image), ("mask", row.mask, mask)):
        if file.error and path is not None:
            return "unreadable", f"{kind} {path.name!r} {file.error}; skipped"
    if row.mask is not None and image.images != mask.images:
        message = (
            f"image {row.image.name!r} has {plural(image.images, 'frame')} but its mask {row.mask.name!r} has "
            f"{mask.images}; export both with the same frames; skipped"
        )
        return "frame-count", message
    return None


def _expand_row(
    row: Row, contents: dict[Path, _FileContents], frames: FrameSelection, *, folder: Path
) -> Iterator[tuple[Row, dict[Path, EmbeddedImage]]]:
    """Yield the rows of the selected frames, each with the images and masks to be extracted for it."""
    image = contents.get(row.image, _FileContents())
    group = row.group or image.patient
    mask = contents.get(row.mask, _FileContents()) if row.mask is not None else _FileContents()
    if image.header is None and mask.header is None:
        yield replace(row, group=group), {}
        return
    count = image.images
    if group is None and count > 1:
        group = _relative_name(row.image.with_name(stem_of(row.image)), folder)
    for frame in frames.indices(count):
        embedded: dict[Path, EmbeddedImage] = {}
        paths: dict[str, Path | None] = {}
        for kind, path, file in (("image", row.image, image), ("mask", row.mask, mask)):
            paths[kind] = path
            if path is not None and file.header is not None:
                extracted = path / (f"{stem_of(path)}_{frame:03d}.png" if count > 1 else f"{stem_of(path)}.png")
                paths[kind] = extracted
                embedded[extracted] = EmbeddedImage(path, frame=frame)
        assert paths["image"] is not None
        yield replace(row, image=paths["image"], mask=paths["mask"], group=group), embedded


def _dicom_findings(contents: dict[Path, _FileContents], folder: Path) -> list[Finding]:
    findings = []
    burnt_in = [path for path, file in contents.items() if file.burnt_in]
    if burnt_in:
        message = (
            f"{plural(len(burnt_in), 'DICOM file')} with text burned into the pixels, which the import keeps; "
            "inspect it and black out what identifies a person"
        )
        findings.append(Finding("dicom-burnt-in", "warning", _relative_name(burnt_in[0], folder), None, message))
    with_patient = sum(file.patient is not None for file in contents.values())
    if with_patient:
        message = (
            f"{plural(with_patient, 'DICOM file')} with a patient ID, whose hash is the group of rows without one; "
            "no patient name or ID is written"
        )
        findings.append(Finding("dicom-patients", "note", ".", None, message))
    return findings


def _relative_name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
