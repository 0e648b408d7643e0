"""What every import does at its end: name the mask values, reference or copy the images, write the data set folder.

Images are referenced where they lie unless a copy is asked for. The reference (`root` in `dataset.yaml`) is relative
where the source lies below the folder that holds the data set, because the two then move together; anywhere else it is
absolute, so that moving the data set folder alone does not break it. Where anything is written out of larger files,
everything is put into the data set folder.

What was done is noted in a journal in the data set folder: an import that was interrupted goes on where it was.
"""

import os
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from s4mi.data.files import read_header
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity
from s4mi.data.manifest import MANIFEST_NAME, Row, read_manifest, write_dataset
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.extract import ExtractJob, extract_images
from s4mi.data.sources.frames import FrameSelection, expand
from s4mi.data.sources.mask_naming import name_mask_values, scan_masks
from s4mi.data.sources.resume import ImportJournal
from s4mi.data.sources.types import DatasetNaming, FoundDataset, ProgressCallback
from s4mi.data.spec import SPEC_NAME, DatasetSpec, Finding, MaskKey
from s4mi.data.versions import newest_version
from s4mi.errors import S4miError
from s4mi.records import TaskKind


@dataclass(frozen=True)
class ImportResult:
    """A data set folder that an import wrote, and what there is to say about it."""

    folder: Path
    spec: DatasetSpec
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ImportOptions:
    """What an import does with the files.

    Attributes:
        copy: copy images and masks into the data set folder instead of pointing to them.
        force: replace the data set that is there.
        skip_missing: leave rows out whose files are not there.
        frames: which frames of files that hold several.
        intensity: how images of more than 8 bits become 0..255.
        keep_dicom: point to DICOM files of one picture as they are, with whatever they say of the patient.
    """

    copy: bool = False
    force: bool = False
    skip_missing: bool = False
    frames: FrameSelection = field(default_factory=FrameSelection)
    intensity: Intensity = field(default_factory=Intensity)
    keep_dicom: bool = False


def write_import(
    found: FoundDataset,
    destination: Path,
    *,
    naming: DatasetNaming,
    handling: ImportOptions | None = None,
    progress: ProgressCallback | None = None,
) -> ImportResult:
    """Make a data set folder of what was found; the source is only read.

    Raises:
        S4miError: something found is an error, the destination is taken, or masks hold values nobody has named.
    """
    destination = destination.expanduser().resolve()
    handling = handling or ImportOptions()
    say = progress or (lambda *_: None)
    _refuse_errors(found, skip_missing=handling.skip_missing)
    _refuse_destination(found, destination, force=handling.force)
    found = expand(found, handling.frames, keep_dicom=handling.keep_dicom, say=say)
    _refuse_errors(found, skip_missing=handling.skip_missing)
    found = replace(found, rows=tuple(_named(found)))
    try:
        with ImportJournal(destination) as journal:
            return _write(found, destination, naming, handling, journal=journal, say=say)
    except OSError as error:
        raise S4miError(f"{destination}: cannot be written ({error}); make room, or name another folder") from error


def _write(
    found: FoundDataset,
    destination: Path,
    naming: DatasetNaming,
    handling: ImportOptions,
    *,
    journal: ImportJournal,
    say: ProgressCallback,
) -> ImportResult:
    rows, findings = found.rows, list(found.findings)
    places = _places(found, destination) if handling.copy or found.extracts else {}
    codes: set[MaskKey] = set()
    if found.extracts:
        rows, codes, lost = _write_extracts(found, places, handling.intensity, journal=journal, say=say)
        findings += lost
    masks = [row.mask for row in rows if row.mask is not None and row.mask not in found.extracts]
    values, unread = scan_masks(masks, journal=journal, say=lambda done, of: say("reading masks", done, of))
    if masks and len(unread) == len(masks) and not codes:
        raise S4miError(f"{unread[0]} (and so it is with all {len(masks)} masks)")
    mask_values = name_mask_values(values | codes, naming=naming) if any(row.mask for row in rows) else {}
    spec = _spec(replace(found, rows=rows), naming=naming, mask_values=mask_values)
    spec = spec.model_copy(update={"intensity": str(handling.intensity), "conversion": _conversion(found, handling)})
    if places:
        _copy_all({path: place for path, place in places.items() if path not in found.extracts}, say=say)
        rows = tuple(
            replace(row, image=places[row.image], mask=None if row.mask is None else places[row.mask]) for row in rows
        )
    else:
        spec = spec.model_copy(update={"root": _root(found.folder, destination)})
    grey = _all_grey(rows, say=say)
    spec = spec.model_copy(update={"channels": "grey" if grey else "rgb"})
    write_dataset(destination, spec, rows)
    _, wrong = read_manifest(destination)
    wrong = [replace(finding, file=str(destination / finding.file)) for finding in wrong]
    return ImportResult(destination, spec, rows, findings=(*findings, *unread, *wrong))


def _write_extracts(
    found: FoundDataset,
    places: dict[Path, Path],
    intensity: Intensity,
    *,
    journal: ImportJournal,
    say: ProgressCallback,
) -> tuple[tuple[Row, ...], set[MaskKey], list[Finding]]:
    """Write out what lies inside larger files: the rows that could be, the codes of their masks, and what was lost."""
    images = {row.image for row in found.rows} & set(found.extracts)
    masks = {row.mask for row in found.rows if row.mask is not None} & set(found.extracts)
    wanted = [
        ExtractJob(found.extracts[path], places[path], mask=path in masks) for path in sorted(images | masks)
    ]  # fmt: skip
    written = extract_images(wanted, intensity, journal=journal, say=say)
    rows, findings = [], []
    for row in found.rows:
        target = next((places[path] for path in (row.image, row.mask) if path and places[path] in written.failed), None)
        if target is None:
            rows.append(row)
            continue
        file = found.extracts[row.image].file if row.image in found.extracts else row.image
        message = f"{written.failed[target]}; the row {row.id!r} is left out"
        findings.append(Finding("undecodable", "warning", str(file), None, message))
    return tuple(rows), set(written.codes), findings


def _conversion(found: FoundDataset, handling: ImportOptions) -> str:
    """In words, what was made of files that were no 8-bit pictures."""
    if not found.extracts:
        return ""
    files = {extract.file for extract in found.extracts.values()}
    endings = ", ".join(sorted({file.suffix.lower() or "without ending" for file in files}))
    return (
        f"{len(found.extracts)} pictures written as 8-bit PNG out of {len(files)} files ({endings}); the file's own "
        f"window where it has one, else {handling.intensity} over the file; nothing else of the files was kept"
    )


def tasks_of(found: FoundDataset) -> tuple[TaskKind, ...]:
    """What can be learnt from the annotations that were found: multiclass where every labelled row has one label."""
    tasks: list[TaskKind] = []
    labelled = [row.labels for row in found.rows if row.labels is not None]
    if labelled:
        single = not found.multilabel and all(len(labels) == 1 for labels in labelled)
        tasks.append("multiclass" if single else "multilabel")
    if any(row.mask is not None for row in found.rows):
        tasks.append("segmentation")
    return tuple(tasks)


def _refuse_errors(found: FoundDataset, *, skip_missing: bool) -> None:
    tolerated = {"missing-image", "missing-mask"} if skip_missing else set()
    errors = [finding for finding in found.findings if finding.severity == "error" and finding.code not in tolerated]
    if errors:
        more = f" (and {len(errors) - 1} more; see all with: s4mi data check {found.folder})" if len(errors) > 1 else ""
        raise S4miError(f"{found.folder / errors[0].place}: {errors[0].message}{more}")
    if not found.rows:
        raise S4miError(f"{found.folder}: no images to import; see what is there with: s4mi data check {found.folder}")


def _refuse_destination(found: FoundDataset, destination: Path, *, force: bool) -> None:
    folders = {found.folder}
    if found.named and destination != found.folder:  # beside a table there may be a folder for the data set
        folders = {path.parent for row in found.rows for path in (row.image, row.mask) if path is not None}
    if any(destination.is_relative_to(folder) for folder in folders):
        raise S4miError(f"{destination}: lies inside the source, which stays untouched; name a folder outside with -o")
    taken = [name for name in (SPEC_NAME, MANIFEST_NAME) if (destination / name).exists()]
    if taken and not force:
        raise S4miError(f"{destination}: holds a {taken[0]} already; name another folder, or replace it with --force")
    if (version := newest_version(destination)) > 1:
        raise S4miError(
            f"{destination}: annotations were merged into it (version {version}), which another import would lose; "
            "name another folder, or remove its manifest-v*.csv first"
        )


def _named(found: FoundDataset) -> list[Row]:
    """The rows with ids: the shortest of stem, path without ending and whole path that tells all images apart."""
    return [replace(row, id=name) for row, name in zip(found.rows, _ids(found), strict=True)]


def _ids(found: FoundDataset) -> list[str]:
    paths = [_below(row.image, found.folder) for row in found.rows]
    stems = [path.stem for path in paths]
    unended = [path.with_suffix("").as_posix() for path in paths]
    for names in (stems, unended):
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]


def _below(path: Path, folder: Path) -> PurePosixPath:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to(path.anchor)
    return PurePosixPath(inside.as_posix())


def _all_grey(rows: Sequence[Row], *, say: ProgressCallback) -> bool:
    """Whether every image that can be read has one channel; the first one with colours settles it."""
    answers = in_parallel(_is_grey, [row.image for row in rows], say=lambda done, of: say("reading headers", done, of))
    seen = False
    for answer in answers:
        if answer is False:
            answers.close()
            return False
        seen = seen or answer is True
    return seen


def _is_grey(path: Path) -> bool | None:
    try:
        return read_header(path).channels < 3
    except ImageError:
        return None


def _spec(found: FoundDataset, *, naming: DatasetNaming, mask_values: dict[MaskKey, str]) -> DatasetSpec:
    try:
        return DatasetSpec(
            name=naming.name,
            tasks=tasks_of(found),
            classes=found.classes,
            mask_values=mask_values,
            source=naming.source,
            licence=naming.licence,
        )
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        seen = f" (found: {', '.join(found.classes) or 'none'})" if "classes" in message else ""
        raise S4miError(f"{found.folder}: {message}{seen}") from error


def _root(source: Path, destination: Path) -> str:
    if source.is_relative_to(destination.parent):
        return Path(os.path.relpath(source, destination)).as_posix()
    return source.as_posix()


def _places(found: FoundDataset, destination: Path) -> dict[Path, Path]:
    """Where every image and mask goes below the data set folder."""
    masks = [row.mask for row in found.rows if row.mask is not None]
    return {
        **_targets([row.image for row in found.rows], found.folder, folder=destination / "images"),
        **_targets(masks, found.folder, folder=destination / "masks"),
    }


def _targets(paths: Sequence[Path], source: Path, *, folder: Path) -> dict[Path, Path]:
    whole = {path: _below(path, source) for path in paths}
    # `train/images/a.png` becomes `images/train/a.png`, unless that would lay two files on one place.
    short = {
        path: PurePosixPath(*(part for part in place.parts if part != folder.name)) for path, place in whole.items()
    }
    places = short if len(set(short.values())) == len(short) else whole
    return {path: folder / place for path, place in places.items()}


def _copy_all(places: Mapping[Path, Path], *, say: ProgressCallback) -> None:
    copies = in_parallel(_copy, list(places.items()), say=lambda done, of: say("copying", done, of))
    deque(copies, maxlen=0)


def _copy(pair: tuple[Path, Path]) -> None:
    """Copy a file with its time, atomically; one that is there already, with size and time, is not copied again."""
    path, target = pair
    state = path.stat()
    if target.exists():
        there = target.stat()
        if (there.st_size, there.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copy2(path, part)
    part.replace(target)
