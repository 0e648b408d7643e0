"""Import images listed in a table with columns for the image, its mask, labels, patient and part of the split.

The source is the table, a folder with exactly one table, or a folder whose `train`, `val` and `test` contain one each,
which then is the official split. Labels are in one column (several separated by `;`, `none` for annotated with no class
present) or in one column of 0 and 1 per class; an image with an empty cell is not annotated, which is valid.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.manifest import MANIFEST_NAME, PARTS, Row
from s4mi.data.names import existing_file, normalised
from s4mi.data.sources.patient_pattern import compile_pattern, patient_of
from s4mi.data.sources.read_table import TABLE_SUFFIXES, SourceTable, TableRow, read_table
from s4mi.data.sources.table_labels import label_cell_findings, parse_labels
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError, nearest
from s4mi.records import Part

YES = ("1", "1.0", "true", "yes")
NO = ("0", "0.0", "false", "no")


def find_tables(source: Path) -> dict[Part | None, Path]:
    """Find the table at `source` (key None) or the tables of its parts; empty if there is none.

    Raises:
        S4miError: a folder contains several tables, or two folders are the same part.
    """
    if source.is_file():
        return {None: source}
    if (table := _only_table(source)) is not None:
        return {None: table}
    found: dict[Part | None, Path] = {}
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        part = PART_NAMES.get(folder.name.lower())
        if part is not None and (table := _only_table(folder)) is not None:
            if part in found:
                raise S4miError(f"{source}: {found[part].parent.name!r} and {folder.name!r} are both {part}; keep one")
            found[part] = table
    return found


def read_tables(source: Path, options: TableOptions | None = None) -> FoundDataset:
    """Read the table or tables of `source` and find the files they list.

    Raises:
        S4miError: there is no table, a column is missing, or a table cannot be read.
    """
    options = options or TableOptions()
    source = source.expanduser().resolve()
    if not source.exists():
        raise S4miError(f"{source}: does not exist; pass a table or the folder that contains it")
    folder = source if source.is_dir() else source.parent
    tables = find_tables(source)
    if not tables:
        raise S4miError(f"{source}: contains no table ({', '.join(TABLE_SUFFIXES)}); pass the path of the table")
    rows: list[Row] = []
    findings: list[Finding] = []
    cells: Counter[str] = Counter()
    for part, path in tables.items():
        reader = _TableReader(read_table(path), options, part=part, source=folder)
        rows.extend(reader.rows())
        findings.extend(reader.findings)
        cells += reader.label_names
    if options.one_hot:
        classes = _one_hot_classes(options)
    else:
        classes = tuple(sorted({name for row in rows for name in row.labels or ()}))
    counts = {len(row.labels) for row in rows if row.labels is not None}
    multilabel = options.multilabel or bool(options.negatives) or bool(counts - {1})
    first_table = _name(next(iter(tables.values())), folder)
    findings += label_cell_findings(cells, options, file=first_table)
    if not options.one_hot and not (options.multilabel or options.negatives) and counts == {0, 1}:
        line = next(row.line for row in rows if row.labels == ())
        message = "label 'none' means annotated with no class present; use --multilabel if so, else rename the class"
        findings.append(Finding("label-none", "error", first_table, line, message))
    if len(classes) == 1 and not multilabel and not findings:
        message = f"{classes[0]!r} is the only label; choose another column with --label, or none with --label ''"
        findings.append(Finding("one-class", "error", first_table, 1, message))
    return FoundDataset(
        folder, "a table of images", tuple(rows), classes, tuple(findings), multilabel, listed=source.is_file()
    )


def labels_of(
    table: SourceTable, options: TableOptions, *, source: Path
) -> tuple[dict[str, tuple[str, ...] | None], list[Finding]]:
    """Return the labels of every record by its cell in the image column, without searching for the files.

    Raises:
        S4miError: a column is missing.
    """
    reader = _TableReader(table, options, part=None, source=source)
    labels = {record.cells[reader.image]: reader.labels(record) for record in table.records}
    return labels, reader.findings


def tables_in(folder: Path) -> list[Path]:
    """List the tables in a folder, except the manifest of a data set."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TABLE_SUFFIXES
        and path.name != MANIFEST_NAME
        and not path.name.startswith((".", "~$"))
    )


def _only_table(folder: Path) -> Path | None:
    tables = tables_in(folder)
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables[:5])
        raise S4miError(f"{folder}: contains {len(tables)} tables ({names}); pass the path of one")
    return tables[0] if tables else None


def _one_hot_classes(options: TableOptions) -> tuple[str, ...]:
    """Return the class of each column; with a single column, the class of 0 comes first."""
    names = _column_classes(options)
    return names if len(names) > 1 or options.multilabel else (f"not {names[0]}", names[0])


def _column_classes(options: TableOptions) -> tuple[str, ...]:
    return tuple(column.removeprefix(options.one_hot_prefix) for column in options.one_hot)


@dataclass
class _TableReader:
    """Reads the rows of one table; their errors are collected in `findings`."""

    table: SourceTable
    options: TableOptions
    part: Part | None
    source: Path
    findings: list[Finding] = field(default_factory=list)
    label_names: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        options = self.options
        self.image = self.table.require("image" if options.image is None else options.image, option="--image")
        self.mask = self._column(options.mask, default="mask", option="--mask")
        self.label = None if options.one_hot else self._column(options.label, default="label", option="--label")
        self.group = self._column(options.group, default="group", option="--group")
        self.split = self._column(options.split, default="split", option="--split-column")
        for column in options.one_hot:
            self.table.require(column, option="--one-hot")
        if options.one_hot and options.label:
            raise S4miError(f"--label {options.label!r}: cannot be combined with --one-hot; use one of them")
        self.pattern = compile_pattern(options.group_pattern) if options.group_pattern else None
        if self.pattern is not None and options.group:
            raise S4miError(f"--group {options.group!r}: cannot be combined with --group-pattern; use one of them")
        if self.pattern is not None:
            self.group = None
        self.folder = self.table.path.parent
        self.images = FileLookup((self.folder / options.images, self.folder))
        self.masks = FileLookup((self.folder / options.masks, self.folder))

    def rows(self) -> list[Row]:
        """Return the rows without errors."""
        rows: list[Row] = []
        line_of: dict[Path, int] = {}
        for record in self.table.records:
            before = len(self.findings)
            row = self._row(record)
            if row is None or len(self.findings) > before:
                continue
            if row.image in line_of:
                message = f"image {record.cells[self.image]!r} is already in line {line_of[row.image]}; keep one row"
                self._error("image-twice", record, message)
                continue
            line_of[row.image] = record.line
            rows.append(row)
        return rows

    def labels(self, record: TableRow) -> tuple[str, ...] | None:
        """Return the labels of a record, or None if it has no annotation."""
        return self._one_hot(record) if self.options.one_hot else self._labels(record)

    def _column(self, column: str | None, *, default: str, option: str) -> str | None:
        if column is None:
            return default if default in self.table.columns else None
        return self.table.require(column, option=option) if column else None

    def _row(self, record: TableRow) -> Row | None:
        image = self._file(record, self.image, kind="image", lookup=self.images)
        mask = self._file(record, self.mask, kind="mask", lookup=self.masks) if self.mask else None
        if not record.cells[self.image]:
            self._error("no-image", record, f"the cell {self.image!r} is empty; fill in a file name or remove the row")
        labels = self.labels(record)
        split = self._split(record)
        if image is None:
            return None
        if mask == image:
            self._error(
                "mask-is-image", record, f"mask {image.name!r} is the image itself; set its folder with --masks"
            )
        group = normalised(record.cells[self.group]) if self.group else self._patient(record)
        return Row("", image, mask, labels=labels, group=group or None, split=split, line=record.line)

    def _patient(self, record: TableRow) -> str:
        if self.pattern is None:
            return ""
        cell = record.cells[self.image]
        if (patient := patient_of(cell, self.pattern)) is None:
            pattern = f"--group-pattern {self.options.group_pattern!r}"
            self._error("no-group", record, f"image {cell!r} not matched by {pattern}; make the pattern more general")
        return patient or ""

    def _file(self, record: TableRow, column: str, *, kind: str, lookup: "FileLookup") -> Path | None:
        cell = record.cells[column]
        if not cell:
            return None
        path = lookup.find(cell)
        if path is None:
            folders = " or ".join(str(folder) for folder in lookup.folders)
            message = f"{kind} {cell!r} not found in {folders}; set its folder with --{kind}s, or use --skip-missing"
            self._error(f"missing-{kind}", record, message)
        return path

    def _labels(self, record: TableRow) -> tuple[str, ...] | None:
        cell = record.cells[self.label] if self.label else ""
        if not cell:
            return None
        labels = parse_labels(cell, self.options)
        self.label_names.update(labels.names or labels.negatives)
        if labels.error:
            self._error("no-label", record, labels.error)
        return labels.names

    def _one_hot(self, record: TableRow) -> tuple[str, ...] | None:
        values = [record.cells[column].lower() for column in self.options.one_hot]
        if not any(values):
            return None
        for column, value in zip(self.options.one_hot, values, strict=True):
            if value not in (*YES, *NO):
                message = f"column {column!r} must be 0 or 1 (given {record.cells[column]!r}); correct the cell"
                self._error("one-hot", record, message)
        classes = _one_hot_classes(self.options)
        if len(classes) > len(values):
            return (classes[values[0] in YES],)
        return tuple(name for name, value in zip(classes, values, strict=True) if value in YES)

    def _split(self, record: TableRow) -> Part | None:
        cell = record.cells[self.split] if self.split else ""
        if not cell:
            return self.part
        part = PART_NAMES.get(cell.lower())
        if part is None:
            near = nearest(cell, PARTS)
            hint = f"{near} Or use" if near else "; correct the cell, or use"
            message = f"split {cell!r} is not train, val or test{hint} --split-column '' to ignore the column"
            self._error("unknown-split", record, message)
        return part

    def _error(self, code: str, record: TableRow, message: str) -> None:
        file = _name(self.table.path, self.source)
        self.findings.append(Finding(code, "error", file, record.line, message))


@dataclass(frozen=True)
class FileLookup:
    """Finds files by their names in tables: with or without folder and file extension."""

    folders: tuple[Path, ...]

    def find(self, cell: str) -> Path | None:
        name = cell.replace("\\", "/")
        suffixes = [""] if suffix_of(Path(name)) in SUFFIXES else ["", *sorted(SUFFIXES)]
        candidates = (folder / f"{name}{suffix}" for folder in self.folders for suffix in suffixes)
        paths = [Path(os.path.normpath(path)) for path in candidates]
        exact = next((path for path in paths if path.is_file()), None)
        return exact or next((file for path in paths if (file := existing_file(path)) is not None), None)


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
