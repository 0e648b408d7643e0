"""Write the data set folder of an import: name the mask values, reference or copy the images, write the manifest.

Images are referenced in place unless `copy` is set. The reference (`root` in `dataset.yaml`) is relative if the source
is below the parent of the data set folder, because the two then move together; otherwise it is absolute, so that moving
the data set folder alone does not break it. If any image is extracted from a larger file, all are copied.

A journal in the data set folder records finished work, from which an interrupted import resumes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from s4mi.data.formats.intensity import Intensity
from s4mi.data.manifest import read_manifest, write_dataset
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.data.sources import resume
from s4mi.data.sources.conversion import describe_conversion
from s4mi.data.sources.copy_files import copy_all, copy_targets, relative_path
from s4mi.data.sources.extract import ExtractJob, extract_images
from s4mi.data.sources.frames import expand
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.label_names import find_label_problems
from s4mi.data.sources.pseudonyms import pseudonym_key
from s4mi.data.sources.referenced import VerifiedRows, shared_stretch_finding, verify_images
from s4mi.data.sources.refuse import refuse_errors, skip_missing_files
from s4mi.data.sources.resume import ImportJournal
from s4mi.data.sources.types import DatasetNaming, FoundDataset, ProgressCallback
from s4mi.data.sources.write_masks import name_masks, write_composed_masks
from s4mi.data.spec import SPEC_NAME, DatasetSpec, Finding, MaskKey
from s4mi.data.splits.official import NO_VAL, lacks_val
from s4mi.data.versions import newest_version
from s4mi.errors import S4miError
from s4mi.home import expanded
from s4mi.records import TaskKind
from s4mi.records.atomic import make_private
from s4mi.records.lock import file_lock

LOCK_NAME = ".import.lock"
BUSY = "another import is writing into this folder; wait for it, or choose another folder"


@dataclass(frozen=True)
class ImportResult:
    """A data set folder written by an import, with its findings."""

    folder: Path
    spec: DatasetSpec
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


def write_import(
    found: FoundDataset,
    destination: Path,
    *,
    naming: DatasetNaming,
    options: ImportOptions | None = None,
    progress: ProgressCallback | None = None,
) -> ImportResult:
    """Write a data set folder from a found data set; the source is only read.

    Raises:
        S4miError: a finding is an error, the destination exists, is not writable or is inside the source, or masks
            contain values without a name.
    """
    destination = expanded(destination).resolve()
    options = options or ImportOptions()
    progress = progress or (lambda *_: None)
    found = skip_missing_files(found) if options.skip_missing else found
    refuse_errors(found)
    _check_destination(found, destination, force=options.force)
    found = expand(
        found,
        options.frames,
        keep_dicom=options.keep_dicom,
        progress=progress,
        image_affine=options.image_affine,
        key=partial(pseudonym_key, destination),
    )
    refuse_errors(found)
    found = replace(found, rows=tuple(replace(row, id=name) for row, name in zip(found.rows, _ids(found), strict=True)))
    make_private(destination)
    with file_lock(destination / LOCK_NAME, busy=BUSY), ImportJournal(destination) as journal:
        return _write(found, destination, naming, options, journal=journal, progress=progress)


def _write(
    found: FoundDataset,
    destination: Path,
    naming: DatasetNaming,
    options: ImportOptions,
    *,
    journal: ImportJournal,
    progress: ProgressCallback,
) -> ImportResult:
    found, verified = _without_unreadable(found, options, progress=progress)
    multilabel = "multilabel" in tasks_of(found)
    findings = [*found.findings, *find_label_problems(found.rows, multilabel=multilabel)]
    if lacks_val(found.rows):
        findings.append(Finding("no-val-part", "note", ".", None, NO_VAL))
    composing = bool(found.united) or naming.mask_rule.active
    targets = copy_targets(found, destination) if options.copy or found.embedded or composing else {}
    rows, codes = found.rows, set[MaskKey]()
    if found.embedded:
        rows, codes, failures = _extract(found, targets, options.intensity, naming, journal=journal, progress=progress)
        findings += failures
        if not rows:
            raise S4miError(f"{failures[0]} (no image and its mask can be read)")
    masks = {row.mask for row in rows if row.mask is not None} - set(found.embedded)
    composed = write_composed_masks(found, rows, targets=targets, naming=naming, journal=journal, progress=progress)
    findings += composed.findings
    rows, codes, targets = composed.rows, codes | composed.codes, {**targets, **composed.targets}
    unchanged = masks - set(composed.targets)
    written = {row.mask: targets[row.mask] for row in rows if row.mask is not None and row.mask not in unchanged}
    mask_values, warnings = name_masks(
        found, sorted(unchanged), written=written, codes=codes, naming=naming, masks=bool(masks or codes),
        journal=journal, progress=progress,
    )  # fmt: skip
    findings += warnings
    spec = _spec(replace(found, rows=rows), naming=naming, mask_values=mask_values)
    if targets:
        (destination / SPEC_NAME).unlink(missing_ok=True)  # of a data set whose files are replaced
        written_already = {*found.embedded, *composed.targets}
        copy_all({path: target for path, target in targets.items() if path not in written_already}, progress=progress)
        rows = tuple(
            replace(row, image=targets[row.image], mask=None if row.mask is None else targets[row.mask]) for row in rows
        )
    spec = spec.model_copy(
        update={
            "intensity": str(options.intensity),
            "conversion": describe_conversion(found, options.intensity),
            "channels": "grey" if _all_grey(rows, verified, destination, progress=progress) else "rgb",
            **({} if targets else {"root": _root(found.folder, destination)}),
        }
    )
    (destination / SPEC_NAME).unlink(missing_ok=True)  # written last: without it, the import goes on
    write_dataset(destination, spec, rows)
    _, errors = read_manifest(destination)
    errors = [replace(finding, file=str(destination / finding.file)) for finding in errors]
    return ImportResult(destination, spec, rows, findings=(*findings, *errors))


def _without_unreadable(
    found: FoundDataset, options: ImportOptions, *, progress: ProgressCallback
) -> tuple[FoundDataset, VerifiedRows]:
    """Leave out rows whose image file cannot be read, and add a warning for each; embedded images are read later.

    Raises:
        S4miError: no row is left, or slices of a DICOM series would each be stretched by itself.
    """
    files = [row for row in found.rows if row.image not in found.embedded]
    verified = verify_images(files, found.folder, progress=progress)
    readable = {row.id for row in verified.rows}
    found = replace(
        found,
        rows=tuple(row for row in found.rows if row.image in found.embedded or row.id in readable),
        findings=(*found.findings, *verified.findings),
    )
    if not found.rows:
        raise S4miError(f"{found.folder}: {verified.findings[0].message} (no image can be read)")
    if options.keep_dicom and (stretch := shared_stretch_finding(found.rows, options.intensity)) is not None:
        refuse_errors(replace(found, findings=(stretch,)))
    return found, verified


def _all_grey(rows: Sequence[Row], verified: VerifiedRows, folder: Path, *, progress: ProgressCallback) -> bool:
    """Return whether all images are greyscale: those verified in the source, and those extracted into `folder`."""
    of_files = {row.id for row in verified.rows}
    if of_files and not verified.grey:
        return False
    extracted = [row for row in rows if row.id not in of_files]
    return verify_images(extracted, folder, progress=progress).grey if extracted else True


def _extract(
    found: FoundDataset,
    targets: dict[Path, Path],
    intensity: Intensity,
    naming: DatasetNaming,
    *,
    journal: ImportJournal,
    progress: ProgressCallback,
) -> tuple[tuple[Row, ...], set[MaskKey], list[Finding]]:
    """Extract embedded images; return the rows that succeeded, the values of their masks, and the failures."""
    images = {row.image for row in found.rows} & set(found.embedded)
    masks = {row.mask for row in found.rows if row.mask is not None} & set(found.embedded)
    jobs = [ExtractJob(found.embedded[path], targets[path], mask=path in masks) for path in sorted(images | masks)]
    result = extract_images(jobs, intensity, mask_rule=naming.mask_rule, journal=journal, progress=progress)
    rows, findings = [], []
    for row in found.rows:
        paths = [path for path in (row.image, row.mask) if path is not None]
        error = next((result.failed[targets[path]] for path in paths if targets[path] in result.failed), None)
        if error is None:
            rows.append(row)
            continue
        file = found.embedded[row.image].file if row.image in found.embedded else row.image
        findings.append(Finding("undecodable", "warning", str(file), None, f"{error}; row {row.id!r} skipped"))
    return tuple(rows), set(result.codes), findings


def tasks_of(found: FoundDataset) -> tuple[TaskKind, ...]:
    """Return the tasks that the annotations permit; multiclass if every labelled row has exactly one label."""
    tasks: list[TaskKind] = []
    labelled = [row.labels for row in found.rows if row.labels is not None]
    if labelled:
        single = not found.multilabel and all(len(labels) == 1 for labels in labelled)
        tasks.append("multiclass" if single else "multilabel")
    if any(row.mask is not None for row in found.rows):
        tasks.append("segmentation")
    return tuple(tasks)


def _check_destination(found: FoundDataset, destination: Path, *, force: bool) -> None:
    folders = {found.folder}
    if found.listed and destination != found.folder:  # the data set may be in a folder beside its table
        folders = {path.parent for row in found.rows for path in (row.image, row.mask) if path is not None}
    if any(destination.is_relative_to(folder) for folder in folders):
        raise S4miError(f"{destination}: inside the source, which is never modified; choose a folder outside with -o")
    existing = [name for name in (SPEC_NAME, MANIFEST_NAME) if (destination / name).exists()]
    unfinished = existing == [MANIFEST_NAME] and (destination / resume.NAME).exists()  # a killed import, which goes on
    if existing and not force and not unfinished:
        if (destination / LOCK_NAME).exists():  # of an import that was killed after its last file, or that runs
            with file_lock(destination / LOCK_NAME, busy=BUSY):
                pass
        raise S4miError(f"{destination}: contains a {existing[0]}; choose another folder, or replace it with --force")
    if (version := newest_version(destination)) > 1:
        raise S4miError(
            f"{destination}: contains merged annotations (version {version}), which another import would discard; "
            "choose another folder, or remove its manifest-v*.csv first"
        )


def _ids(found: FoundDataset) -> list[str]:
    """Return an id per row: the shortest of stem, path without extension and full path that is unique for all."""
    paths = [relative_path(row.image, found.folder) for row in found.rows]
    stems = [path.stem for path in paths]
    without_suffix = [path.with_suffix("").as_posix() for path in paths]
    for names in (stems, without_suffix):
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]


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
        classes = f" (found: {', '.join(found.classes) or 'none'})" if "classes" in message else ""
        raise S4miError(f"{found.folder}: {message}{classes}") from error


def _root(source: Path, destination: Path) -> str:
    if source.is_relative_to(destination.parent):
        return Path(os.path.relpath(source, destination)).as_posix()
    return source.as_posix()
