"""Import images that a table describes: which file, which mask, which labels, which patient, which side of the split.

The source is the table, or a folder holding exactly one, or a folder whose `train`, `val` and `test` hold one each,
which then is the official split. Labels stand in one column (several separated by `;`, `none` for annotated with no
class present) or in one column of 0 and 1 per class; an empty cell is not annotated, which is a normal state.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.manifest import MANIFEST_NAME, PARTS, Row
from s4mi.data.sources.read_table import TABLE_SUFFIXES, SourceTable, TableRow, read_table
from s4mi.data.sources.types import PART_NAMES, FoundDataset
from s4mi.data.spec import NO_CLASS, Finding
from s4mi.errors import S4miError, nearest
from s4mi.records import Part

YES = ("1", "1.0", "true", "yes")
NO = ("0", "0.0", "false", "no")


@dataclass(frozen=True)
class TableOptions:
    """Which column says what. None: the column of the usual name if there is one; `''`: no column.

    Attributes:
        one_hot: columns of 0 and 1, one per class, instead of `label`.
        one_hot_prefix: what to cut from their names to get the classes'.
        multilabel: an image may show any number of classes, even if none here shows several.
        images, masks: folders that file names are looked up in, relative to the table's; then the table's own.
    """

    image: str | None = None
    mask: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    one_hot: tuple[str, ...] = ()
    one_hot_prefix: str = ""
    multilabel: bool = False
    images: str = "images"
    masks: str = "masks"


def find_tables(source: Path) -> dict[Part | None, Path]:
    """The table at `source`, under None, or the tables of its parts. Empty when there is none.

    Raises:
        S4miError: a folder holds several, so which is meant is unclear.
    """
    if source.is_file():
        return {None: source}
    if (own := _only_table(source)) is not None:
        return {None: own}
    found: dict[Part | None, Path] = {}
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        part = PART_NAMES.get(folder.name.lower())
        if part is not None and (table := _only_table(folder)) is not None:
            if part in found:
                raise S4miError(f"{source}: {found[part].parent.name!r} and {folder.name!r} are both {part}; keep one")
            found[part] = table
    return found


def read_tables(source: Path, options: TableOptions | None = None) -> FoundDataset:
    """Read the table or tables of `source` and find the files they name.

    Raises:
        S4miError: there is no table, a column is missing, or a table cannot be read.
    """
    options = options or TableOptions()
    source = source.expanduser().resolve()
    if not source.exists():
        raise S4miError(f"{source}: is not there; name a table or the folder that holds it")
    folder = source if source.is_dir() else source.parent
    tables = find_tables(source)
    if not tables:
        raise S4miError(f"{source}: holds no table ({', '.join(TABLE_SUFFIXES)}); name the table itself")
    rows: list[Row] = []
    findings: list[Finding] = []
    for part, path in tables.items():
        reading = _Reading(read_table(path), options, part=part, source=folder)
        rows.extend(reading.rows())
        findings.extend(reading.findings)
    if options.one_hot:
        classes = _one_hot_classes(options)
    else:
        classes = tuple(sorted({name for row in rows for name in row.labels or ()}))
    counts = {len(row.labels) for row in rows if row.labels is not None}
    multilabel = options.multilabel or bool(counts - {1})
    if not options.one_hot and not options.multilabel and counts == {0, 1}:
        line = next(row.line for row in rows if row.labels == ())
        message = "label 'none' means annotated with no class present; say --multilabel if so, else rename the class"
        findings.append(Finding("label-none", "error", _name(next(iter(tables.values())), folder), line, message))
    if len(classes) == 1 and not multilabel and not findings:
        message = f"{classes[0]!r} is the only label; name another column with --label, or none with --label ''"
        findings.append(Finding("one-class", "error", _name(next(iter(tables.values())), folder), 1, message))
    return FoundDataset(
        folder, "a table of images", tuple(rows), classes, tuple(findings), multilabel, named=source.is_file()
    )


def labels_of(
    table: SourceTable, options: TableOptions, *, source: Path
) -> tuple[dict[str, tuple[str, ...] | None], list[Finding]]:
    """The labels of every record, by the name in its column of images, whose files are not looked up.

    Raises:
        S4miError: a column is missing.
    """
    reading = _Reading(table, options, part=None, source=source)
    labels = {record.cells[reading.image]: reading.labels(record) for record in table.records}
    return labels, reading.findings


def _only_table(folder: Path) -> Path | None:
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TABLE_SUFFIXES
        and path.name != MANIFEST_NAME
        and not path.name.startswith((".", "~$"))
    )
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables[:5])
        raise S4miError(f"{folder}: holds {len(tables)} tables ({names}); name the one that is meant")
    return tables[0] if tables else None


def _one_hot_classes(options: TableOptions) -> tuple[str, ...]:
    return tuple(column.removeprefix(options.one_hot_prefix) for column in options.one_hot)


@dataclass
class _Reading:
    """One table being read; faults of its rows gather in `findings`."""

    table: SourceTable
    options: TableOptions
    part: Part | None
    source: Path
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = self.options
        self.image = self.table.require("image" if options.image is None else options.image, option="--image")
        self.mask = self._column(options.mask, usual="mask", option="--mask")
        self.label = None if options.one_hot else self._column(options.label, usual="label", option="--label")
        self.group = self._column(options.group, usual="group", option="--group")
        self.split = self._column(options.split, usual="split", option="--split-column")
        for column in options.one_hot:
            self.table.require(column, option="--one-hot")
        if options.one_hot and options.label:
            raise S4miError(f"--label {options.label!r} and --one-hot both name the labels; keep one")
        self.folder = self.table.path.parent
        self.images = _Lookup((self.folder / options.images, self.folder))
        self.masks = _Lookup((self.folder / options.masks, self.folder))

    def rows(self) -> list[Row]:
        """The rows without a fault."""
        rows: list[Row] = []
        line_of: dict[Path, int] = {}
        for record in self.table.records:
            before = len(self.findings)
            row = self._row(record)
            if row is None or len(self.findings) > before:
                continue
            if row.image in line_of:
                message = (
                    f"image {record.cells[self.image]!r} stands already in line {line_of[row.image]}; keep one row"
                )
                self._wrong("image-twice", record, message)
                continue
            line_of[row.image] = record.line
            rows.append(row)
        return rows

    def labels(self, record: TableRow) -> tuple[str, ...] | None:
        """What a record says its image shows; None where it says nothing."""
        return self._one_hot(record) if self.options.one_hot else self._labels(record)

    def _column(self, wanted: str | None, *, usual: str, option: str) -> str | None:
        if wanted is None:
            return usual if usual in self.table.columns else None
        return self.table.require(wanted, option=option) if wanted else None

    def _row(self, record: TableRow) -> Row | None:
        image = self._file(record, self.image, what="image", lookup=self.images)
        mask = self._file(record, self.mask, what="mask", lookup=self.masks) if self.mask else None
        if not record.cells[self.image]:
            self._wrong("no-image", record, f"the cell {self.image!r} is empty; name a file or remove the row")
        labels = self.labels(record)
        split = self._split(record)
        if image is None:
            return None
        if mask == image:
            self._wrong(
                "mask-is-image", record, f"mask {image.name!r} is the image itself; name its folder with --masks"
            )
        group = record.cells[self.group] if self.group else ""
        return Row("", image, mask, labels=labels, group=group or None, split=split, line=record.line)

    def _file(self, record: TableRow, column: str, *, what: str, lookup: "_Lookup") -> Path | None:
        cell = record.cells[column]
        if not cell:
            return None
        path = lookup.find(cell)
        if path is None:
            places = " or ".join(str(folder) for folder in lookup.folders)
            message = f"{what} {cell!r} is not in {places}; name its folder with --{what}s, or use --skip-missing"
            self._wrong(f"missing-{what}", record, message)
        return path

    def _labels(self, record: TableRow) -> tuple[str, ...] | None:
        cell = record.cells[self.label] if self.label else ""
        if not cell:
            return None
        if cell == NO_CLASS:
            return ()
        names = tuple(dict.fromkeys(name.strip() for name in cell.split(";") if name.strip()))
        if not names:
            self._wrong("no-label", record, f"label {cell!r} names no class; empty the cell if there is no annotation")
        return names

    def _one_hot(self, record: TableRow) -> tuple[str, ...] | None:
        values = [record.cells[column].lower() for column in self.options.one_hot]
        if not any(values):
            return None
        for column, value in zip(self.options.one_hot, values, strict=True):
            if value not in (*YES, *NO):
                message = f"column {column!r} holds {record.cells[column]!r} where 0 or 1 is wanted; mend the cell"
                self._wrong("one-hot", record, message)
        classes = _one_hot_classes(self.options)
        return tuple(name for name, value in zip(classes, values, strict=True) if value in YES)

    def _split(self, record: TableRow) -> Part | None:
        cell = record.cells[self.split] if self.split else ""
        if not cell:
            return self.part
        part = PART_NAMES.get(cell.lower())
        if part is None:
            message = f"split {cell!r} is not train, val or test{nearest(cell, PARTS)}; use --split-column '' for none"
            self._wrong("unknown-split", record, message)
        return part

    def _wrong(self, code: str, record: TableRow, message: str) -> None:
        file = _name(self.table.path, self.source)
        self.findings.append(Finding(code, "error", file, record.line, message))


@dataclass(frozen=True)
class _Lookup:
    """Finds files by the names that tables give them: with or without folder, with or without ending."""

    folders: tuple[Path, ...]

    def find(self, cell: str) -> Path | None:
        name = cell.replace("\\", "/")
        endings = [""] if suffix_of(Path(name)) in SUFFIXES else ["", *sorted(SUFFIXES)]
        tries = (folder / f"{name}{ending}" for folder in self.folders for ending in endings)
        return next((Path(os.path.normpath(path)) for path in tries if path.is_file()), None)


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
