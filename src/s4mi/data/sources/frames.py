"""Expand files of several images into one row per image: pages of a TIFF, frames of a DICOM file, slices of a volume.

Images are always extracted from DICOM, NIfTI and NRRD files, even from those of only one: identifiers stay behind,
and training needs no reader for these formats.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from s4mi.data.files import read_header, stem_of, suffix_of
from s4mi.data.formats import arrays, dicom, dicom_seg, nifti, nrrd, nrrd_seg, raster, tiff
from s4mi.data.formats.axial import AS_STORED, Turn
from s4mi.data.formats.dicom_seg import Segment
from s4mi.data.formats.dicom_series import DicomSource, read_source
from s4mi.data.formats.frame import Header, ImageError
from s4mi.data.mask_grid import affine_problem, is_placed, placement_problem
from s4mi.data.parallel import in_parallel
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.single_group import single_group, single_group_message
from s4mi.data.sources.dicom_groups import dicom_findings, group_dicom
from s4mi.data.sources.named_segments import named_segmentations
from s4mi.data.sources.pseudonyms import pseudonym
from s4mi.data.sources.types import EmbeddedImage, FoundDataset, ProgressCallback
from s4mi.data.spec import Finding, Severity
from s4mi.errors import S4miError
from s4mi.formatting import is_whole, plural

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
        if kind == "every" and is_whole(number) and int(number) > 0:
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
        source: patient, study and series of a DICOM file.
        turn: how its stored frames become axial slices of the convention.
        seg: whether it is a DICOM segmentation, whose masks are found by reference to the images.
        segments: names of the segments of a segmentation of 3D Slicer, empty for other files.
        labelled: segments of a DICOM segmentation, by number.
        error: why it cannot be read, else empty.
    """

    header: Header | None = None
    source: DicomSource | None = None
    turn: Turn = AS_STORED
    seg: bool = False
    segments: tuple[str, ...] = ()
    labelled: Mapping[int, Segment] = field(default_factory=dict)
    error: str = ""

    @property
    def images(self) -> int:
        return 1 if self.header is None else self.header.frames


def expand(
    found: FoundDataset,
    frames: FrameSelection,
    *,
    keep_dicom: bool,
    progress: ProgressCallback,
    image_affine: bool = False,
    key: Callable[[], bytes] = bytes,
) -> FoundDataset:
    """Replace every row whose file holds several images, or is DICOM or NIfTI, by one row per image.

    The group of a row without one becomes that of its DICOM file, or else the file itself if it yields several rows,
    so that the slices of a volume are never divided by a split.

    Args:
        image_affine: read every NIfTI mask with the affine of its NIfTI image instead of its own.
        key: returns the key of the pseudonyms of patients; called if there is a DICOM file.
    """
    files = list(dict.fromkeys(
        path for row in found.rows for path in (row.image, row.mask, *found.united.get(row.mask or row.image, ()))
        if path is not None and path not in found.embedded and _may_hold_several(path)
    ))  # fmt: skip
    inspect = partial(_inspect, keep_dicom=keep_dicom)
    results = in_parallel(inspect, files, progress=partial(progress, "reading headers"))
    contents = dict(zip(files, results, strict=True))
    rows: list[Row] = []
    embedded = dict(found.embedded)
    sources = {path: file.source for path, file in contents.items() if file.source is not None}
    findings = [*found.findings, *dicom_findings(found.rows, sources, folder=found.folder)]
    secret = key() if sources else b""
    for row in group_dicom(found.rows, sources, named=partial(pseudonym, key=secret)):
        like = row.image if image_affine and row.mask is not None and _both_nifti(row.image, row.mask) else None
        if row.mask is not None and is_placed(row.image, row.mask):
            like = row.image
        masks = (row.mask, *found.united.get(row.mask or row.image, ()))
        errors = (_row_error(replace(row, mask=mask), contents, like=like) for mask in masks)
        error = next(filter(None, errors), None)
        if error is not None:
            code, severity, message = error
            findings.append(Finding(code, severity, relative_name(row.image, found.folder), None, message))
            continue
        for new_row, images in _expand_row(row, contents, frames, found=found, like=like):
            rows.append(new_row)
            embedded.update(images)
    if (group := single_group(rows)) is not None:
        findings.append(Finding("one-patient", "warning", ".", None, single_group_message(rows, group)))
    named, label_findings = named_segmentations(
        found, {path: file.labelled for path, file in contents.items() if file.seg and not file.error}
    )
    findings += label_findings
    expanded = replace(found, rows=tuple(rows), findings=tuple(findings), embedded=embedded)
    return _with_segment_names(expanded, contents, named)


def _with_segment_names(
    found: FoundDataset, contents: Mapping[Path, _FileContents], named: Collection[Path]
) -> FoundDataset:
    """Give all segmentations whose segments have names the same list of them; masks without names are an error.

    Args:
        named: DICOM segmentations whose segments have names.
    """
    of_dicom = {segment.label for path in named for segment in contents[path].labelled.values()}
    names = tuple(sorted(of_dicom | {name for file in contents.values() for name in file.segments}))
    if not names:
        return replace(found, segments=())
    embedded = {
        path: replace(image, segments=names) if image.file in named or _is_seg_nrrd(image, contents) else image
        for path, image in found.embedded.items()
    }
    findings = found.findings
    with_names = {path for path, image in embedded.items() if image.segments}
    if others := {row.mask for row in found.rows if row.mask is not None} - with_names:
        message = (
            "masks are segmentations whose segments have names, and others, whose values have none; "
            "import them separately"
        )
        file = relative_name(min(others), found.folder)
        findings = (*findings, Finding("mixed-masks", "error", file, None, message))
    return replace(found, findings=findings, embedded=embedded, segments=names)


def _is_seg_nrrd(image: EmbeddedImage, contents: Mapping[Path, _FileContents]) -> bool:
    return image.file in contents and bool(contents[image.file].segments)


def _may_hold_several(path: Path) -> bool:
    return suffix_of(path) in (*MULTI_FRAME, *nifti.SUFFIXES, *nrrd.SUFFIXES) or dicom.is_dicom(path)


def _inspect(path: Path, *, keep_dicom: bool) -> _FileContents:
    try:
        if dicom.is_dicom(path) and dicom_seg.is_seg(path):
            return _FileContents(seg=True, labelled=dicom_seg.segments_of(path))
        if nrrd_seg.is_segmentation(path):
            number, height, width = nrrd_seg.slices_of(path)
            names = tuple(segment.name for segment in nrrd_seg.segments_of(path))
            return _FileContents(Header(number, height, width, channels=1, dtype="uint8"), segments=names)
        header = read_header(path)
        if dicom.is_dicom(path):
            return _FileContents(
                None if keep_dicom and header.frames == 1 else header, read_source(path), dicom.turn_of_file(path)
            )
    except ImageError as error:
        return _FileContents(error=str(error))
    return _FileContents(header if header.frames > 1 or suffix_of(path) not in MULTI_FRAME else None)


def _row_error(row: Row, contents: dict[Path, _FileContents], *, like: Path | None) -> tuple[str, Severity, str] | None:
    """Return code, severity and message of the error for which a row cannot be imported, or None."""
    image = contents.get(row.image, _FileContents())
    mask = contents.get(row.mask, _FileContents()) if row.mask is not None else _FileContents()
    for kind, path, file in (("image", row.image, image), ("mask", row.mask, mask)):
        if file.error and path is not None:
            return "unreadable", "warning", f"{kind} {path.name!r} {file.error}; skipped"
    if image.seg:
        return "unreadable", "warning", f"image {row.image.name!r} {dicom_seg.NOT_AN_IMAGE}; skipped"
    if image.segments:
        return "unreadable", "warning", f"image {row.image.name!r} {nrrd.NOT_AN_IMAGE}; skipped"
    if row.mask is not None and is_placed(row.image, row.mask):
        try:
            problem = placement_problem(row.image, row.mask)
        except ImageError as error:
            return "unreadable", "warning", f"mask {row.mask.name!r} {error}; skipped"
        if problem is not None:
            return "mask-affine", "error", f"mask {row.mask.name!r} {problem}; save it in the geometry of its image"
        return None
    if mask.segments and row.mask is not None and nrrd_seg.is_cropped(row.mask):
        message = (
            f"mask {row.mask.name!r} is cropped, and image {row.image.name!r} does not say where it lies; save it in "
            "the geometry of the image"
        )
        return "mask-affine", "error", message
    if row.mask is not None and _both_nifti(row.image, row.mask) and (problem := _grid_problem(row, like=like)):
        return "mask-affine", "error", f"mask {row.mask.name!r} {problem}"
    by_reference = mask.seg and dicom.is_dicom(row.image)
    if row.mask is not None and like is None and not by_reference and image.images != mask.images:
        message = (
            f"image {row.image.name!r} has {plural(image.images, 'frame')} but its mask {row.mask.name!r} has "
            f"{mask.images}; export both with the same frames; skipped"
        )
        return "frame-count", "warning", message
    return None


def _both_nifti(image: Path, mask: Path) -> bool:
    return suffix_of(image) in nifti.SUFFIXES and suffix_of(mask) in nifti.SUFFIXES


def _grid_problem(row: Row, *, like: Path | None) -> str | None:
    """Describe why the voxels of a NIfTI mask are not those of its NIfTI image, or None if they are."""
    assert row.mask is not None
    if like is None:
        problem = affine_problem(row.image, row.mask)
        hint = "re-export the mask on the grid of its image, or read all masks with the affine of their image"
        return problem and f"{problem}; {hint}: --image-affine"
    shape, shape_of_mask = nifti.stored_shape(row.image), nifti.stored_shape(row.mask)
    if shape == shape_of_mask:
        return None
    sizes = ["×".join(map(str, one)) for one in (shape_of_mask, shape)]
    return f"is stored as {sizes[0]} voxels, its image as {sizes[1]}, so --image-affine cannot align it; leave it out"


def _expand_row(
    row: Row, contents: dict[Path, _FileContents], frames: FrameSelection, *, found: FoundDataset, like: Path | None
) -> Iterator[tuple[Row, dict[Path, EmbeddedImage]]]:
    """Yield the rows of the selected frames, each with the images and masks to be extracted for it."""
    image, folder = contents.get(row.image, _FileContents()), found.folder
    group = row.group
    channels = found.channels.get(row.image, ())
    further = found.united.get(row.mask, ()) if row.mask is not None else ()
    mask = contents.get(row.mask, _FileContents()) if row.mask is not None else _FileContents()
    by_reference = mask.seg and dicom.is_dicom(row.image)
    # The pixels of a mask without orientation are those of the DICOM file as stored, and turned with them.
    turned = (
        row.mask is not None
        and image.turn != Turn()
        and not (mask.source or suffix_of(row.mask) in (*nifti.SUFFIXES, *nrrd.SUFFIXES))
    )
    if turned or by_reference:
        like = row.image
    if image.header is None and mask.header is None and like is None and not channels:
        yield replace(row, group=group), {}
        return
    count = image.images
    if group is None and count > 1:
        group = relative_name(row.image.with_name(stem_of(row.image)), folder)
    stem_of_mask = "" if row.mask is None else stem_of(row.mask)
    if by_reference:  # one segmentation may hold the masks of a whole series
        stem_of_mask = relative_name(row.image.with_name(stem_of(row.image)), folder).strip("/").replace("/", "__")
    for frame in frames.indices(count):
        embedded: dict[Path, EmbeddedImage] = {}
        new_image, new_mask = row.image, row.mask
        number = f"_{frame:03d}" if count > 1 else ""
        if image.header is not None or channels:
            new_image = row.image / f"{stem_of(row.image)}{number}.png"
            embedded[new_image] = EmbeddedImage(row.image, frame=frame, others=channels)
        if row.mask is not None and (mask.header is not None or turned or by_reference):
            new_mask = row.mask / f"{stem_of_mask}{number}.png"
            embedded[new_mask] = EmbeddedImage(row.mask, frame=frame, like=like, others=further)
        yield replace(row, image=new_image, mask=new_mask, group=group), embedded
