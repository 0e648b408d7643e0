"""Check of a folder of images: its kind, statistics, and problems, each with its location and a hint.

A data set folder is checked row by row against its manifest, decoding every image and mask; a folder of data sets is
checked folder by folder. For a plain folder, the report shows what an import would find, and the command for it.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from s4mi.data.checks.class_balance import check_balance
from s4mi.data.checks.empty_slices import find_empty_volumes
from s4mi.data.checks.formats import find_mixed_formats
from s4mi.data.checks.masks_as_images import find_masks_as_images
from s4mi.data.checks.missing_values import find_missing_values
from s4mi.data.checks.near_duplicates import find_duplicates
from s4mi.data.checks.patients import find_same_patients, find_single_patient
from s4mi.data.checks.scan import (
    DatasetScan,
    FileEncoding,
    ProgressCallback,
    RowLocator,
    scan_dataset,
)
from s4mi.data.checks.summary import Summary, summarise
from s4mi.data.checks.unlisted import find_unlisted
from s4mi.data.manifest import Manifest, read_manifest
from s4mi.data.masks import MAX_CODE
from s4mi.data.relative_name import relative_name
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.data.sources.dicom_groups import dicom_findings, dicom_sources, group_dicom
from s4mi.data.sources.find_arrays import is_arrays
from s4mi.data.sources.label_names import find_label_problems
from s4mi.data.sources.mask_naming import (
    BACKGROUND,
    THRESHOLD,
    in_one_encoding,
    name_mask_values,
    propose_threshold,
    scan_masks,
)
from s4mi.data.sources.mask_value_places import MaskValuePlaces
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.propose import propose
from s4mi.data.sources.read_table import TABLE_SUFFIXES
from s4mi.data.sources.types import PART_NAMES, DatasetNaming
from s4mi.data.sources.write import tasks_of
from s4mi.data.spec import SPEC_NAME, Finding, MaskKey, Severity
from s4mi.data.splits.official import NO_VAL, lacks_val
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded

MAX_CLASSES = 40
"""Masks with more values are taken for numbered objects."""


@dataclass(frozen=True)
class CheckReport:
    """Report on one checked folder.

    Attributes:
        kind: kind of folder, e.g. `data set` or `images and masks`.
        summary: None if the data set is unreadable.
        command: for a plain folder, the command that imports it.
    """

    path: Path
    kind: str
    name: str
    summary: Summary | None
    findings: tuple[Finding, ...]
    command: str | None = None

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_path(
    path: Path, *, duplicates: bool = True, cache: Path | None = None, progress: ProgressCallback | None = None
) -> list[CheckReport]:
    """Check a data set folder, every data set folder in a folder, or a plain folder or table.

    Args:
        duplicates: whether to search for duplicates and near-duplicates.
        cache: folder of caches, where hashes and thumbnails of data sets, and what was compared, are kept for other
            commands; None: nowhere.
        progress: called with the number of decoded images of a folder, and their total.

    Raises:
        S4miError: `path` does not exist, or contains no images.
    """
    path = expanded(path)
    if not path.exists():
        raise S4miError(f"{path}: does not exist; pass a folder of images, a data set folder or a table")
    if path.name in (SPEC_NAME, MANIFEST_NAME):
        path = path.parent
    if path.is_file() and path.suffix.lower() not in TABLE_SUFFIXES and not is_arrays(path):
        raise S4miError(f"{path}: neither a folder nor a table ({', '.join(TABLE_SUFFIXES)}); pass one of them")
    progress = progress or (lambda *_: None)
    if _is_dataset(path):
        return [_check_dataset(path, progress, duplicates=duplicates, cache=cache)]
    members = sorted(folder for folder in path.iterdir() if _is_dataset(folder)) if path.is_dir() else []
    return [_check_dataset(folder, progress, duplicates=duplicates, cache=cache) for folder in members] or [
        _check_plain(path.resolve(), progress, duplicates=duplicates)
    ]


def _is_dataset(folder: Path) -> bool:
    return (folder / SPEC_NAME).is_file() or (folder / MANIFEST_NAME).is_file()


def _check_dataset(folder: Path, progress: ProgressCallback, *, duplicates: bool, cache: Path | None) -> CheckReport:
    manifest, findings = read_manifest(folder)
    if manifest is None:
        return CheckReport(folder, "unreadable data set", folder.name, None, tuple(findings))
    spec, root = manifest.spec, (folder / manifest.spec.root).resolve()
    encoding = FileEncoding(spec.mask_values, spec.classes, spec.rule)
    scan = scan_dataset(manifest.rows, root, locate=_in_manifest, encoding=encoding, progress=progress, cache=cache)
    summary = summarise(scan.rows, spec.classes, mask_classes=spec.mask_classes)
    findings = [
        *findings,
        *_spec_findings(manifest, complete=not findings),
        *_row_findings(scan, root, locate=_in_manifest, duplicates=duplicates, different=spec.different, cache=cache),
        *(check_balance(summary) if summary.labelled else ()),
        *([Finding("no-val-part", "note", MANIFEST_NAME, None, NO_VAL)] if lacks_val(manifest.rows) else ()),
        *find_unlisted(folder, root),
    ]
    findings.sort(key=lambda finding: (finding.file != SPEC_NAME, finding.file, finding.line or 0))
    return CheckReport(folder, "data set", spec.name, summary, tuple(findings))


def _check_plain(path: Path, progress: ProgressCallback, *, duplicates: bool) -> CheckReport:
    """Check what an import would find, and return the command for it."""
    proposal = propose(path)
    found, command = proposal.found, list(proposal.command)
    findings = list(found.findings)
    # Images in archives and multi-page files can only be checked after import.
    sources = dicom_sources([row.image for row in found.rows if row.image not in found.embedded])
    rows = [row for row in group_dicom(found.rows, sources) if row.image not in found.embedded]
    findings += [
        finding
        for finding in dicom_findings(found.rows, sources, folder=found.folder)
        if finding.code not in ("dicom-burnt-in", "dicom-patients")  # found by the scan, and of an import
    ]
    masks = [file for row in rows if row.mask for file in (row.mask, *found.united.get(row.mask, ()))]
    scanned = scan_masks(masks)
    values = scanned.values
    if any(f"more than {MAX_CODE}" in finding.message for finding in scanned.unreadable):
        command += ["--mask-nonzero", "object"]
    naming = DatasetNaming(path.name, mask_values=proposal.mask_values)
    try:
        where = MaskValuePlaces(found, scanned).describe
        mask_values = name_mask_values(values, naming=naming, bilevel=scanned.bilevel, where=where)
    except S4miError as error:
        mask_values, arguments = _named_values(values, masks)
        command += arguments
        problem = str(error).partition("; ")[0]
        findings.append(Finding("mask-values", "warning", ".", None, f"{problem}; {_hint(arguments, str(error))}"))
    multilabel = "multilabel" in tasks_of(found)
    findings += find_label_problems(found.rows, multilabel=multilabel)
    if proposal.command[3] == "folder" and (nested := _nested(path)):
        message = f"{some(nested)} look like separate data sets, not classes; check and import each separately"
        findings.append(Finding("nested", "warning", ".", None, message))
    locate = partial(_in_folder, folder=found.folder)
    scan = scan_dataset(
        rows, found.folder, locate=locate, encoding=FileEncoding(mask_values, found.classes), progress=progress
    )
    findings += _row_findings(scan, found.folder, locate=locate, duplicates=duplicates)
    mask_classes = tuple(dict.fromkeys(mask_values.values()))
    summary = summarise(scan.rows, found.classes, mask_classes=mask_classes)
    return CheckReport(path, found.kind, path.name, summary, tuple(findings), command=shlex.join(command))


def _named_values(values: set[MaskKey], masks: Sequence[Path]) -> tuple[dict[MaskKey, str], list[str]]:
    """Return names for the values of masks, and the arguments of an import for them."""
    if propose_threshold(masks):
        names: dict[MaskKey, str] = {value: BACKGROUND if value < THRESHOLD else "foreground" for value in range(256)}
        return names, ["--mask-threshold", str(THRESHOLD)]
    in_order = sorted(in_one_encoding(values | {0}), key=lambda value: (isinstance(value, str), value))
    names = {value: BACKGROUND if value in (0, "#000000") else f"class_{value}" for value in in_order}
    if len(values) > MAX_CLASSES:
        return {value: name if name == BACKGROUND else "object" for value, name in names.items()}, [
            "--mask-nonzero", "object"
        ]  # fmt: skip
    return names, [argument for value, name in names.items() for argument in ("--mask-value", f"{value}={name}")]


def _hint(arguments: Sequence[str], message: str) -> str:
    """Return what to do about values without a name: the option proposed for all of them, else that of the message."""
    hint = message.partition("; ")[2]
    if arguments[0] == "--mask-value":
        return hint
    masks, otherwise, _ = hint.partition("; else ")
    return f"{masks + otherwise if otherwise else ''}use {shlex.join(arguments)}"


def _nested(path: Path) -> list[str]:
    """Return the names of sub-folders that contain a table or a folder `images`."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir()) if path.is_dir() else []
    others = [folder for folder in folders if folder.name.lower() not in PART_NAMES]
    tables = {file.parent for folder in others for file in folder.iterdir() if file.suffix.lower() in TABLE_SUFFIXES}
    return [folder.name for folder in others if folder in tables or (folder / "images").is_dir()]


def _in_manifest(row: Row) -> tuple[str, int | None]:
    return MANIFEST_NAME, row.line


def _in_folder(row: Row, folder: Path) -> tuple[str, int | None]:
    return relative_name(row.image, folder), None


def _spec_findings(manifest: Manifest, *, complete: bool) -> list[Finding]:
    """Check that rows contain what `dataset.yaml` declares, unless rows are missing because of errors."""
    spec, rows = manifest.spec, manifest.rows
    text = (manifest.folder / SPEC_NAME).read_text(encoding="utf-8-sig")
    findings = []

    def report(code: str, key: str, *, message: str, severity: Severity = "warning") -> None:
        lines = (number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(f"{key}:"))
        findings.append(Finding(code, severity, SPEC_NAME, next(lines, None), f"{key}: {message}"))

    masked = sum(row.mask is not None for row in rows)
    if masked and not spec.mask_values:
        example = "{0: background, 255: lesion}"
        message = (
            f"empty, but {plural(masked, 'row has a mask', 'rows have masks')}; name the pixel values, e.g. {example}"
        )
        report("no-mask-values", "mask_values", message=message, severity="error")
    if not complete or not rows:
        return findings
    for task in spec.tasks:
        if not any(row.annotated(task) for row in rows):
            cell = "mask" if task == "segmentation" else "label"
            report(
                "task-without-annotation", "tasks", message=f"{task} is listed, but no row has a {cell}; fill in some"
            )
    unused = [name for name in spec.classes if not any(name in (row.labels or ()) for row in rows)]
    if unused and any(row.labels is not None for row in rows):
        report(
            "class-without-images",
            "classes",
            message=f"no row is labelled {some(unused)}; remove the name, or label images",
        )
    return findings


def _row_findings(
    scan: DatasetScan,
    root: Path,
    *,
    locate: RowLocator,
    duplicates: bool,
    different: Sequence[tuple[str, str]] = (),
    cache: Path | None = None,
) -> list[Finding]:
    """Return the findings of each row, and those from comparing rows."""
    rows = [one.row for one in scan.rows]
    return [
        *(finding for one in scan.rows for finding in one.findings),
        *(find_duplicates(scan, root, locate=locate, different=different, cache=cache) if duplicates else ()),
        *find_missing_values(rows, locate),
        *find_same_patients(rows, locate),
        *find_masks_as_images(rows, locate),
        *find_single_patient(rows, locate),
        *find_mixed_formats(scan.rows, locate),
        *find_empty_volumes(scan.rows, locate),
    ]
