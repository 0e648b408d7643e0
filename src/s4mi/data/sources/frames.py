"""Files of several pictures become rows of their own: pages of a TIFF, frames of a DICOM file, slices of a volume.

DICOM and NIfTI files are always written out as pictures, even where they hold only one: identifiers stay behind, and
training needs no reader for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s4mi.data.files import read_header, stem_of, suffix_of
from s4mi.data.formats import arrays, dicom, nifti, tiff
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.manifest import Row
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.types import EmbeddedImage, FoundDataset, ProgressCallback
from s4mi.data.spec import Finding
from s4mi.errors import S4miError

PLAIN = (*tiff.SUFFIXES, *arrays.SUFFIXES)
"""Files that may hold several pictures, and are referenced as they are where they hold one."""


@dataclass(frozen=True)
class FrameSelection:
    """Which frames of a file to take: all, the first, the middle one, or every n-th."""

    every: int = 1
    only: str = ""

    @classmethod
    def parse(cls, text: str) -> "FrameSelection":
        """`all`, `first`, `middle` or `every:N`.

        Raises:
            S4miError: it is none of these.
        """
        kind, _, number = text.strip().partition(":")
        if kind == "every" and number.isdecimal() and int(number) > 0:
            return cls(every=int(number))
        if kind in ("first", "middle") and not number:
            return cls(only=kind)
        if kind == "all" and not number:
            return cls()
        raise S4miError(f"--frames {text!r}: is none of all, first, middle, every:N")

    def of(self, count: int) -> Sequence[int]:
        """The chosen ones of `count` frames."""
        if self.only:
            return [0 if self.only == "first" else count // 2]
        return range(0, count, self.every)


@dataclass(frozen=True)
class _Inside:
    """What a file holds; `patient` stands for the person a DICOM file names."""

    header: Header | None = None
    patient: str | None = None
    burnt_in: bool = False
    trouble: str = ""


def expand(found: FoundDataset, frames: FrameSelection, *, keep_dicom: bool, say: ProgressCallback) -> FoundDataset:
    """Replace every row whose file holds several pictures, or is DICOM or NIfTI, by a row for each.

    A row without a group gets the pseudonym of the DICOM patient, or else the file itself where it gives several rows:
    slices of one volume are never on two sides of a split.
    """
    files = list(dict.fromkeys(
        path for row in found.rows for path in (row.image, row.mask)
        if path is not None and path not in found.extracts and _may_hold_several(path)
    ))  # fmt: skip
    look = partial(_look, keep_dicom=keep_dicom)
    inside = dict(
        zip(files, in_parallel(look, files, say=lambda done, of: say("reading headers", done, of)), strict=True)
    )
    rows: list[Row] = []
    extracts = dict(found.extracts)
    findings = [*found.findings, *_about(inside, found.folder)]
    for row in found.rows:
        fault = _fault(row, inside)
        if fault is not None:
            findings.append(Finding(fault[0], "warning", _name(row.image, found.folder), None, fault[1]))
            continue
        for made, taken in _expanded(row, inside, frames, folder=found.folder):
            rows.append(made)
            extracts.update(taken)
    return replace(found, rows=tuple(rows), findings=tuple(findings), extracts=extracts)


def _may_hold_several(path: Path) -> bool:
    return suffix_of(path) in (*PLAIN, *nifti.SUFFIXES, *dicom.SUFFIXES) or dicom.is_nameless(path)


def _is_dicom(path: Path) -> bool:
    return suffix_of(path) in dicom.SUFFIXES or dicom.is_nameless(path)


def _look(path: Path, *, keep_dicom: bool) -> _Inside:
    try:
        header = read_header(path)
        if _is_dicom(path):
            patient = dicom.pseudonym(path)
            if keep_dicom and header.frames == 1:
                return _Inside(patient=patient, burnt_in=dicom.burnt_in(path))
            return _Inside(header, patient, burnt_in=dicom.burnt_in(path))
    except ImageError as error:
        return _Inside(trouble=str(error))
    return _Inside(header if header.frames > 1 or suffix_of(path) not in PLAIN else None)


def _fault(row: Row, inside: dict[Path, _Inside]) -> tuple[str, str] | None:
    """Why a row cannot be taken, as a code and a message."""
    image = inside.get(row.image, _Inside())
    mask = inside.get(row.mask, _Inside()) if row.mask is not None else _Inside()
    for what, path, one in (("image", row.image, image), ("mask", row.mask, mask)):
        if one.trouble and path is not None:
            return "unreadable", f"{what} {path.name!r} {one.trouble}; it is left out"
    pictures, masks = (1 if one.header is None else one.header.frames for one in (image, mask))
    if row.mask is not None and pictures != masks:
        message = f"image {row.image.name!r} has {pictures} frames and its mask {row.mask.name!r} has {masks}"
        return "frame-count", f"{message}; export both alike; it is left out"
    return None


def _expanded(
    row: Row, inside: dict[Path, _Inside], frames: FrameSelection, *, folder: Path
) -> Iterator[tuple[Row, dict[Path, EmbeddedImage]]]:
    image = inside.get(row.image, _Inside())
    group = row.group or image.patient
    mask = inside.get(row.mask, _Inside()) if row.mask is not None else _Inside()
    if image.header is None and mask.header is None:
        yield replace(row, group=group), {}
        return
    count = 1 if image.header is None else image.header.frames
    if group is None and count > 1:
        group = _name(row.image.with_name(stem_of(row.image)), folder)
    for frame in frames.of(count):
        taken: dict[Path, EmbeddedImage] = {}
        paths: dict[str, Path | None] = {}
        for what, path, one in (("image", row.image, image), ("mask", row.mask, mask)):
            paths[what] = path
            if path is not None and one.header is not None:
                picture = path / (f"{stem_of(path)}_{frame:03d}.png" if count > 1 else f"{stem_of(path)}.png")
                paths[what] = picture
                taken[picture] = EmbeddedImage(path, frame=frame)
        assert paths["image"] is not None
        yield replace(row, image=paths["image"], mask=paths["mask"], group=group), taken


def _about(inside: dict[Path, _Inside], folder: Path) -> list[Finding]:
    findings = []
    burnt = [path for path, one in inside.items() if one.burnt_in]
    if burnt:
        message = (
            f"{len(burnt)} DICOM files say that text is drawn into their pixels, which stays there; look at them and "
            "black it out where it names a person"
        )
        findings.append(Finding("dicom-burnt-in", "warning", _name(burnt[0], folder), None, message))
    named = sum(one.patient is not None for one in inside.values())
    if named:
        message = f"{named} DICOM files name their patient; rows without a group got a hash of it as theirs"
        findings.append(Finding("dicom-patients", "note", ".", None, f"{message}; no name or number is written"))
    return findings


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
