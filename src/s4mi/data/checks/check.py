"""Say what a folder of images is and everything that is wrong with it, each fault with its place and its cure.

A data set folder is checked row by row against its manifest: every image and mask is decoded. A folder that holds
several is checked folder by folder. Of a plain folder it is said what an import would find, and which command that is.
"""

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from s4mi.data.checks.class_balance import check_balance
from s4mi.data.checks.formats import mixed_files
from s4mi.data.checks.near_duplicates import find_copies, missing_values
from s4mi.data.checks.patients import find_same_patients
from s4mi.data.checks.scan import Codes, DatasetScan, ProgressCallback, RowLocator, relative_name, scan_dataset
from s4mi.data.checks.summary import Summary, summarise
from s4mi.data.checks.unlisted import find_unlisted
from s4mi.data.manifest import MANIFEST_NAME, Manifest, Row, read_manifest
from s4mi.data.sources.dermofit import is_dermofit, read_dermofit
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.isic2017 import is_isic2017, read_isic2017
from s4mi.data.sources.mask_naming import BACKGROUND, name_mask_values, scan_masks
from s4mi.data.sources.medmnist import is_medmnist, read_medmnist
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.read_table import TABLE_SUFFIXES, read_table
from s4mi.data.sources.suggest import command_arguments, suggest_options
from s4mi.data.sources.table import find_tables, read_tables
from s4mi.data.sources.types import PART_NAMES, DatasetNaming, FoundDataset
from s4mi.data.spec import SPEC_NAME, Finding, Severity
from s4mi.errors import S4miError


@dataclass(frozen=True)
class CheckReport:
    """One checked folder.

    Attributes:
        kind: what sort of folder it is, in words.
        summary: None when too little could be read to count anything.
        command: for a plain folder, the import that makes a data set of it.
    """

    path: Path
    kind: str
    name: str
    summary: Summary | None
    findings: tuple[Finding, ...]
    command: str | None = None

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_path(path: Path, *, duplicates: bool = True, progress: ProgressCallback | None = None) -> list[CheckReport]:
    """Check a data set folder, every data set folder in a folder, or a plain folder or table.

    Args:
        duplicates: also compare every image with every other.
        progress: told how many images of a folder are decoded, and of how many.

    Raises:
        S4miError: there is nothing at `path`, or nothing that could be images.
    """
    path = path.expanduser()
    if not path.exists():
        raise S4miError(f"{path}: is not there; name a folder of images, a data set folder or a table")
    if path.name in (SPEC_NAME, MANIFEST_NAME):
        path = path.parent
    if path.is_file() and path.suffix.lower() not in TABLE_SUFFIXES and not is_medmnist(path):
        raise S4miError(f"{path}: is neither a folder nor a table ({', '.join(TABLE_SUFFIXES)}); name one")
    say = progress or (lambda *_: None)
    if _is_dataset(path):
        return [_check_dataset(path, say, duplicates=duplicates)]
    members = sorted(folder for folder in path.iterdir() if _is_dataset(folder)) if path.is_dir() else []
    return [_check_dataset(folder, say, duplicates=duplicates) for folder in members] or [
        _check_plain(path.resolve(), say, duplicates=duplicates)
    ]


def _is_dataset(folder: Path) -> bool:
    return (folder / SPEC_NAME).is_file() or (folder / MANIFEST_NAME).is_file()


def _check_dataset(folder: Path, say: ProgressCallback, *, duplicates: bool) -> CheckReport:
    manifest, findings = read_manifest(folder)
    if manifest is None:
        return CheckReport(folder, "a data set that cannot be read", folder.name, None, tuple(findings))
    spec, root = manifest.spec, (folder / manifest.spec.root).resolve()
    codes = Codes(spec.mask_values, spec.classes, spec.rule)
    looks = scan_dataset(manifest.rows, root, place=_in_manifest, codes=codes, say=say)
    summary = summarise(looks.looks, spec.classes, mask_classes=spec.mask_classes)
    findings = [
        *findings,
        *_about_spec(manifest, complete=not findings),
        *_about_all(looks, root, place=_in_manifest, duplicates=duplicates),
        *(check_balance(summary) if summary.labelled else ()),
        *find_unlisted(folder, root),
    ]
    findings.sort(key=lambda finding: (finding.file != SPEC_NAME, finding.file, finding.line or 0))
    return CheckReport(folder, "a data set", spec.name, summary, tuple(findings))


def _check_plain(path: Path, say: ProgressCallback, *, duplicates: bool) -> CheckReport:
    """What an import would find, and the command for it."""
    found, command = _find(path)
    findings = list(found.findings)
    # What lies in archives and among other pages shows when it is imported; the files themselves can be looked at now.
    rows = [row for row in found.rows if row.image not in found.embedded]
    values, _ = scan_masks([row.mask for row in rows if row.mask])
    try:
        mask_values = name_mask_values(values, naming=DatasetNaming(name=path.name))
    except S4miError as error:
        mask_values = {value: BACKGROUND if value == 0 else f"class_{value}" for value in sorted(values | {0})}
        command += [word for value, name in mask_values.items() for word in ("--mask-value", f"{value}={name}")]
        findings.append(Finding("mask-values", "warning", ".", None, str(error)))
    if nested := _nested(path):
        message = f"{some(nested)} look like data sets of their own, not classes; check and import each by itself"
        findings.append(Finding("nested", "warning", ".", None, message))
    place = partial(_in_folder, folder=found.folder)
    looks = scan_dataset(rows, found.folder, place=place, codes=Codes(mask_values, found.classes), say=say)
    findings += _about_all(looks, found.folder, place=place, duplicates=duplicates)
    summary = summarise(looks.looks, found.classes, mask_classes=tuple(mask_values.values()))
    return CheckReport(path, found.kind, path.name, summary, tuple(findings), command=shlex.join(command))


def _find(path: Path) -> tuple[FoundDataset, list[str]]:
    destination = ["-o", f"datasets/{path.stem if path.is_file() else path.name}"]
    begin = ["s4mi", "data", "import"]
    if is_dermofit(path):
        return read_dermofit(path), [*begin, "dermofit", str(path), *destination]
    if is_medmnist(path):
        return read_medmnist(path), [*begin, "medmnist", str(path), *destination]
    if path.is_dir() and is_isic2017(path):
        return read_isic2017(path), [*begin, "isic2017", str(path), *destination]
    if tables := find_tables(path):
        options = suggest_options(read_table(next(iter(tables.values()))))
        return read_tables(path, options), [*begin, "table", str(path), *destination, *command_arguments(options)]
    return read_folder(path), [*begin, "folder", str(path), *destination]


def _nested(path: Path) -> list[str]:
    """Sub-folders with a table or a folder `images` of their own."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir()) if path.is_dir() else []
    others = [folder for folder in folders if folder.name.lower() not in PART_NAMES]
    tables = {file.parent for folder in others for file in folder.iterdir() if file.suffix.lower() in TABLE_SUFFIXES}
    return [folder.name for folder in others if folder in tables or (folder / "images").is_dir()]


def _in_manifest(row: Row) -> tuple[str, int | None]:
    return MANIFEST_NAME, row.line


def _in_folder(row: Row, folder: Path) -> tuple[str, int | None]:
    return relative_name(row.image, folder), None


def _about_spec(manifest: Manifest, *, complete: bool) -> list[Finding]:
    """What `dataset.yaml` promises and no row holds; not said of a manifest that lost rows to errors."""
    spec, rows = manifest.spec, manifest.rows
    text = (manifest.folder / SPEC_NAME).read_text(encoding="utf-8-sig")
    findings = []

    def say(code: str, key: str, *, message: str, severity: Severity = "warning") -> None:
        lines = (number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(f"{key}:"))
        findings.append(Finding(code, severity, SPEC_NAME, next(lines, None), f"{key}: {message}"))

    masked = sum(row.mask is not None for row in rows)
    if masked and not spec.mask_values:
        message = (
            f"is empty though {masked} images have masks; name the pixel values, e.g. {{0: background, 255: lesion}}"
        )
        say("no-mask-values", "mask_values", message=message, severity="error")
    if not complete or not rows:
        return findings
    for task in spec.tasks:
        if not any(row.annotated(task) for row in rows):
            cell = "mask" if task == "segmentation" else "label"
            say("task-without-annotation", "tasks", message=f"{task} is named, but no row has a {cell}; fill in some")
    absent = [name for name in spec.classes if not any(name in (row.labels or ()) for row in rows)]
    if absent and any(row.labels is not None for row in rows):
        say("class-without-images", "classes", message=f"no row shows {some(absent)}; remove the name or label images")
    return findings


def _about_all(looks: DatasetScan, root: Path, *, place: RowLocator, duplicates: bool) -> list[Finding]:
    """The findings of each row, and those that only show when rows are compared."""
    rows = [look.row for look in looks.looks]
    return [
        *(finding for look in looks.looks for finding in look.findings),
        *(find_copies(looks, root, place=place) if duplicates else ()),
        *missing_values(rows, place),
        *find_same_patients(rows, place),
        *mixed_files(looks.looks, place),
    ]
