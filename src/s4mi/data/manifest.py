"""A data set on disk: `dataset.yaml` describes it, `manifest.csv` lists its images, one per row.

    dataset.yaml   name, tasks, classes, mask_values, channels, root, source, licence, synthetic
    manifest.csv   id, image, mask, label, group, split

Only the column `image` is required. An empty `label` or `mask` means not annotated, which is a normal state here.
Several labels of an image are separated by `;`; in a multi-label data set, `none` means annotated with no class
present, and `?` before a name that this class is not known (`label_cells.py`). `group` is the patient or lesion,
which must be in one part of a split only; `split` is train, val or test if the data set has an official split. Paths
are relative to `root`, which is relative to the folder of `dataset.yaml`; those that begin with `./` are relative to
that folder itself (`manifest_paths.py`).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s4mi.data.cyclic_garbage import no_cyclic_garbage
from s4mi.data.erased import ErasedImage, read_erased
from s4mi.data.label_cells import label_cell, read_label_cell
from s4mi.data.manifest_paths import ManifestPaths
from s4mi.data.manifest_table import read_manifest_table
from s4mi.data.row import COLUMNS, MANIFEST_NAME, PARTS, Row
from s4mi.data.spec import SPEC_NAME, DatasetSpec, Finding, error_finding, read_spec, write_spec
from s4mi.data.stray_quotes import stray_quote
from s4mi.errors import S4miError, nearest
from s4mi.records import write_text_atomically
from s4mi.records.atomic import flush_all


@dataclass(frozen=True)
class Manifest:
    """A data set: its description and its rows, with `image` and `mask` as absolute paths.

    Attributes:
        version: 1, incremented whenever annotations are merged (`versions.py`).
        erased: places of the images that were erased, in which random splits keep them (`erased.py`).
    """

    folder: Path
    spec: DatasetSpec
    rows: tuple[Row, ...]
    version: int = 1
    erased: tuple[ErasedImage, ...] = ()

    @property
    def official(self) -> bool:
        """Whether any row has an official split."""
        return any(row.split is not None for row in self.rows)

    @property
    def title(self) -> str:
        """Name of the data set in results, with the version, as results of different versions are not comparable."""
        return self.spec.name if self.version == 1 else f"{self.spec.name}, version {self.version}"


def read_manifest(
    folder: Path, *, file: str = MANIFEST_NAME, spec_file: str = SPEC_NAME
) -> tuple[Manifest | None, list[Finding]]:
    """Read a data set folder, with all problems that are detectable without opening an image.

    The manifest is None if `dataset.yaml` or the header of `manifest.csv` is unusable. It excludes rows with an error.

    Args:
        file, spec_file: kept copies to read instead of `manifest.csv` and `dataset.yaml`.
    """
    table = read_manifest_table(folder, file=file, spec_file=spec_file)
    if table is not None:
        with no_cyclic_garbage():
            return Manifest(folder, table.spec, tuple(table.rows)), []
    return read_row_by_row(folder, file=file, spec_file=spec_file)


def read_row_by_row(
    folder: Path, *, file: str = MANIFEST_NAME, spec_file: str = SPEC_NAME
) -> tuple[Manifest | None, list[Finding]]:
    """Read a data set folder as `read_manifest` does, looking at each cell by itself."""
    spec, findings = read_spec(folder, file=spec_file)
    if spec is None:
        return None, findings
    table = _table(folder / file)
    if isinstance(table, Finding):
        return None, [*findings, table]
    header, records, stray = table
    findings.extend(_column_findings(header))
    findings.extend(stray)
    if "image" not in header:
        return None, findings
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    paths = ManifestPaths(folder, spec.root)
    for line, record in records:
        row, row_findings = _read_row(record, line, spec=spec, paths=paths)
        findings.extend(row_findings)
        if row is None:
            continue
        if row.id in first_line:
            message = f"id {row.id!r} is already used in line {first_line[row.id]}; use one row and one id per image"
            findings.append(error_finding("duplicate-id", MANIFEST_NAME, row.line, message))
            continue
        first_line[row.id] = row.line
        rows.append(row)
    if not rows and not any(finding.severity == "error" for finding in findings):
        findings.append(
            error_finding("empty-manifest", MANIFEST_NAME, 1, "lists no images; add rows, or import them again")
        )
    findings.extend(_group_findings(rows))
    return Manifest(folder=folder, spec=spec, rows=tuple(rows)), findings


def load_manifest(folder: Path) -> Manifest:
    """Read a data set folder for use.

    Raises:
        S4miError: it has an error that is detectable without opening an image; the first is named, the others counted.
    """
    manifest, findings = read_manifest(folder)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or manifest is None:
        more = f" (and {len(errors) - 1} more; see all with: s4mi data check {folder})" if len(errors) > 1 else ""
        raise S4miError(f"{folder / errors[0].location}: {errors[0].message}{more}")
    return replace(manifest, erased=read_erased(folder, manifest.spec))


def write_dataset(folder: Path, spec: DatasetSpec, rows: Sequence[Row]) -> None:
    """Write `dataset.yaml` and `manifest.csv` into `folder`, with the paths of `manifest_paths.py`.

    The images and masks that they name are flushed to the disk first.
    """
    flush_all()
    paths = ManifestPaths(folder, spec.root)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        label = label_cell(row.labels, row.unknown, spec.classes)
        mask = "" if row.mask is None else paths.cell(row.mask)
        writer.writerow([row.id, paths.cell(row.image), mask, label, row.group or "", row.split or ""])
    write_text_atomically(folder / MANIFEST_NAME, table.getvalue(), private=True)
    write_spec(folder, spec, private=True)


def _table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]], list[Finding]] | Finding:
    """Return what `_records` does of a manifest, or why it is no table at all."""
    if not path.is_file():
        return error_finding("no-manifest", MANIFEST_NAME, None, "does not exist; create it with: s4mi data import")
    try:
        return _records(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        return error_finding("encoding", MANIFEST_NAME, None, f"not UTF-8 (byte {error.start}); save it as UTF-8")
    except csv.Error as error:
        return error_finding("bad-csv", MANIFEST_NAME, None, f"not valid CSV ({error}); look for an unclosed quote")


def _records(text: str) -> tuple[list[str], list[tuple[int, dict[str, str | None]]], list[Finding]]:
    """Return the header, every record with the line it ends in, and errors in place of records with stray quotes.

    Raises:
        csv.Error: it is no CSV.
    """
    lines = list(io.StringIO(text, newline=""))
    reader = csv.DictReader(lines)
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    records, stray, before = [], [], reader.line_num
    for record in reader:
        first, before = before + 1, reader.line_num
        while first < before and not lines[first - 1].strip():
            first += 1
        if before > first and (
            fault := stray_quote(lines[first - 1 : before], first=first, separator=",", columns=len(header))
        ):
            stray.append(error_finding("bad-csv", MANIFEST_NAME, first, fault))
        else:
            records.append((before, record))
    return header, records, stray


def _column_findings(header: Sequence[str]) -> list[Finding]:
    if not header:
        message = "is empty; the first line must be: " + ",".join(COLUMNS)
        return [error_finding("empty-manifest", MANIFEST_NAME, 1, message)]
    findings = []
    for name in dict.fromkeys(header):
        if name not in COLUMNS:
            message = f"unknown column {name!r}{nearest(name, COLUMNS)}; valid columns: {', '.join(COLUMNS)}"
            findings.append(error_finding("unknown-column", MANIFEST_NAME, 1, message))
        elif header.count(name) > 1:
            message = f"column {name!r} occurs {header.count(name)} times; keep one"
            findings.append(error_finding("column-twice", MANIFEST_NAME, 1, message))
    if "image" not in header:
        message = "column 'image' is missing; the first line must be: " + ",".join(COLUMNS)
        findings.append(error_finding("no-image-column", MANIFEST_NAME, 1, message))
    return findings


def _read_row(
    record: dict[str, str | None], line: int, *, spec: DatasetSpec, paths: ManifestPaths
) -> tuple[Row | None, list[Finding]]:
    findings: list[Finding] = []

    def report(code: str, message: str) -> None:
        findings.append(error_finding(code, MANIFEST_NAME, line, message))

    if None in record or any(value is None for value in record.values()):
        report("ragged-row", "differs from the header in its number of cells; quote cells that contain commas")
        return None, findings
    cells = {key: (value or "").strip() for key, value in record.items()}
    if not cells["image"]:
        report("no-image", "cell 'image' is empty; enter a file, or remove the row")
        return None, findings
    image = paths.find(cells["image"])
    if image is None:
        report(
            "missing-image",
            f"image {cells['image']!r} does not exist{paths.searched(cells['image'])}; "
            f"correct the path, or `root` in {SPEC_NAME}",
        )
    mask = paths.find(cells["mask"]) if cells.get("mask") else None
    if mask is None and cells.get("mask"):
        report(
            "missing-mask",
            f"mask {cells['mask']!r} does not exist{paths.searched(cells['mask'])}; "
            "correct the path, or empty the cell if there is no mask",
        )
    cell = read_label_cell(cells.get("label", ""), spec, report)
    split = cells.get("split", "")
    if split not in ("", *PARTS):
        hint = nearest(split, PARTS) or "; use one of them, or leave it empty"
        report("unknown-split", f"split {split!r} is not train, val or test{hint}")
    if findings or image is None:
        return None, findings
    row = Row(
        id=cells.get("id") or Path(cells["image"]).with_suffix("").as_posix(),
        image=image,
        mask=mask,
        labels=cell.labels,
        group=cells.get("group") or None,
        split=next((part for part in PARTS if part == split), None),
        line=line,
        unknown=cell.unknown,
    )
    return row, findings


def _group_findings(rows: Sequence[Row]) -> list[Finding]:
    first: dict[str, Row] = {}
    findings = []
    for row in rows:
        if row.group is None or row.split is None:
            continue
        seen = first.setdefault(row.group, row)
        if seen.split != row.split:
            message = (
                f"group {row.group!r} is in {row.split} here, but in {seen.split} in line {seen.line}; "
                "keep all images of a patient in one part"
            )
            findings.append(error_finding("group-on-two-sides", MANIFEST_NAME, row.line, message))
    return findings
