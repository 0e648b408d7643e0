"""Import images listed in a table with columns for the image, its mask, labels, patient and part of the split.

The source is the table, a folder with exactly one table, or a folder whose `train`, `val` and `test` contain one each,
which then is the official split. Labels are in one column (several separated by `;`, `none` for annotated with no class
present) or in one column of 0 and 1 per class; an image with an empty cell is not annotated, which is valid.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from s4mi.data.row import MANIFEST_NAME, PARTS, Row
from s4mi.data.sources.file_lookup import has_folder
from s4mi.data.sources.join_tables import join_tables, read_with
from s4mi.data.sources.one_hot import one_hot_classes
from s4mi.data.sources.read_table import TABLE_SUFFIXES, SourceTable
from s4mi.data.sources.table_labels import label_cell_findings
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.table_rows import TableReader
from s4mi.data.sources.types import PART_NAMES, FoundDataset, part_in_name
from s4mi.data.sources.unused_options import refuse_unused
from s4mi.data.spec import Finding
from s4mi.errors import S4miError, nearest
from s4mi.home import expanded
from s4mi.records import Part

MAX_LISTED = 8
"""Folders or columns that a message lists."""


def find_tables(source: Path) -> dict[Part | None, Path]:
    """Find the table at `source` (key None) or the tables of its parts; empty if there is none.

    Raises:
        S4miError: a folder contains several tables, or two folders are the same part.
    """
    if source.is_file():
        return {None: source}
    if by_part := _tables_of_parts(source):
        return by_part
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


def _tables_of_parts(folder: Path) -> dict[Part | None, Path]:
    """Return the tables of a folder by part if each is called after another part, such as `train.csv`, `valid.csv`."""
    tables = tables_in(folder)
    parts = [part_in_name(path.stem) for path in tables]
    if len(tables) < 2 or None in parts or len(set(parts)) < len(parts):
        return {}
    return dict(zip(parts, tables, strict=True))


def read_tables(source: Path, options: TableOptions | None = None) -> FoundDataset:
    """Read the table or tables of `source` and find the files they list.

    Raises:
        S4miError: there is no table, a column is missing, or a table cannot be read.
    """
    options = options or TableOptions()
    source = expanded(source).resolve()
    if not source.exists():
        raise S4miError(f"{source}: does not exist; pass a table or the folder that contains it")
    folder = source if source.is_dir() else source.parent
    tables = find_tables(source)
    if not tables:
        raise S4miError(f"{source}: contains no table ({', '.join(TABLE_SUFFIXES)}); pass the path of the table")
    _require_matches(options, [path.parent for path in tables.values()])
    read = _read_all(tables, options, source=folder)
    if not read.masked:
        given = {"--masks": ", ".join(options.masks or ())}
        refuse_unused(given, because="without a column of masks", hint="name it with --mask COLUMN")
    if options.one_hot:
        classes = one_hot_classes(options)
    else:
        classes = tuple(sorted({name for row in read.rows for name in row.labels or ()}))
    multilabel = options.multilabel or bool(options.negatives) or bool(read.labels_per_image - {1})
    first_table = _name(next(iter(tables.values())), folder)
    findings = [*read.findings, *_findings_of_all(read, options, folder=folder, file=first_table)]
    if len(classes) == 1 and not multilabel and all(finding.severity != "error" for finding in findings):
        message = f"{classes[0]!r} is the only label; choose another column with --label, or none with --label ''"
        findings.append(Finding("one-class", "error", first_table, 1, message))
    return FoundDataset(
        folder, "a table of images", tuple(read.rows), classes, tuple(findings), multilabel, listed=source.is_file(),
        table=first_table if len(tables) == 1 else "",
    )  # fmt: skip


@dataclass
class _ReadTables:
    """What the tables of all parts say.

    Attributes:
        label_names: how often each name is in a cell of labels. label_cells: these cells.
        unknown: of how many images it is unknown whether they show a class, by class.
        masked: whether a table has a column of masks.
    """

    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    label_names: Counter[str] = field(default_factory=Counter)
    label_cells: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    masked: bool = False

    @property
    def labels_per_image(self) -> set[int]:
        """The numbers of labels that annotated images have."""
        return {len(row.labels) for row in self.rows if row.labels is not None}


def _read_all(tables: Mapping[Part | None, Path], options: TableOptions, *, source: Path) -> _ReadTables:
    """Read the tables of all parts, joined with others where the options ask for it."""
    read = _ReadTables()
    for part, path in tables.items():
        table, join_findings = join_tables(read_with(path, options), options, source=source)
        own, unlabelled = _without_labels(table, options, part=part, source=source)
        reader = TableReader(table, own, part=part, source=source)
        read.rows += reader.rows()
        read.findings += [*join_findings, *_other_sheets(table, source), *unlabelled, *reader.findings]
        read.label_names += reader.label_names
        read.label_cells += [record.cells[reader.label] for record in table.records if reader.label]
        read.unknown += reader.unknown
        read.masked |= reader.mask is not None
    return read


def _other_sheets(table: SourceTable, source: Path) -> Iterator[Finding]:
    """Yield a note if an Excel file has further sheets with cells, of which nothing is read."""
    if table.other_sheets:
        named = ", ".join(map(repr, table.other_sheets))
        message = f"only the first sheet is read; {named} hold cells too; move it to the front if it is meant"
        yield Finding("other-sheets", "note", _name(table.path, source), None, message)


def _findings_of_all(read: _ReadTables, options: TableOptions, *, folder: Path, file: str) -> Iterator[Finding]:
    """Yield what is remarkable about the labels and folders of all tables together; `file` is the first table."""
    if read.unknown:
        counted = ", ".join(f"{name} {count}" for name, count in read.unknown.items())
        message = f"unknown in so many images, which are neither trained nor scored on the class: {counted}"
        yield Finding("unknown-labels", "note", file, None, message)
    if not options.one_hot:
        yield from label_cell_findings(read.label_names, options, file=file)
    yield from _folders_of_parts(read.rows, options, folder=folder, file=file)
    if options.separator and not any(options.separator in cell for cell in read.label_cells):
        message = f"--label-separator {options.separator!r} is in no label; correct it if labels have several names"
        yield Finding("label-separator", "warning", file, None, message)
    multilabel = options.one_hot or options.multilabel or options.negatives
    if not multilabel and read.labels_per_image == {0, 1}:
        line = next(row.line for row in read.rows if row.labels == ())
        message = "label 'none' means annotated with no class present; use --multilabel if so, else rename the class"
        yield Finding("label-none", "error", file, line, message)


def _folders_of_parts(rows: Sequence[Row], options: TableOptions, *, folder: Path, file: str) -> list[Finding]:
    """Return a warning if images are in folders called after parts of a split, which no column and no option names."""
    if options.split is not None or any(row.split is not None for row in rows):
        return []
    parents = {row.image.parent for row in rows if row.image.is_relative_to(folder)}
    words = {name.lower() for parent in parents for name in parent.relative_to(folder).parts}
    parts = {PART_NAMES[word] for word in words if word in PART_NAMES}
    if len(parts) < 2:
        return []
    named = ", ".join(part for part in PARTS if part in parts)
    message = (
        f"images are in folders of the parts {named}, but no column says which, so that a split of your own "
        "mixes them; add a column split, or use --split-column '' if that is meant"
    )
    return [Finding("folders-of-parts", "warning", file, None, message)]


def _require_matches(options: TableOptions, folders: Sequence[Path]) -> None:
    """Raise S4miError if a folder that an option names is beside no table, or a prefix is that of no column."""
    if options.join_on and not options.join:
        raise S4miError(f"--on {options.join_on!r}: there is no table to join; name it with --join")
    if options.one_hot:
        given: dict[str, object] = {"--label-separator": options.separator}
        refuse_unused(given, because="with --one-hot", hint="name a column of classes with --label instead")
        if absent := next((name for name in options.negatives if name not in options.one_hot), None):
            hint = nearest(absent, options.one_hot) or "; add it to --one-hot, or leave it out"
            raise S4miError(f"--negative {absent!r}: no such column in --one-hot{hint}")
    else:
        given = {"--blank": options.blank, "--uncertain": options.uncertain}
        refuse_unused(given, because="without --one-hot", hint="name the columns of 0 and 1 with --one-hot")
    if options.one_hot_prefix and not any(name.startswith(options.one_hot_prefix) for name in options.one_hot):
        columns = f"columns: {', '.join(options.one_hot[:MAX_LISTED])}" if options.one_hot else "--one-hot is not given"
        raise S4miError(
            f"--one-hot-prefix {options.one_hot_prefix!r}: prefix of no one-hot column ({columns}); correct it"
        )
    for option, names in (("--images", options.images or ()), ("--masks", options.masks or ())):
        for name in names:
            if not any(has_folder(folder, name) for folder in folders):
                known = sorted(path.name for path in folders[0].iterdir() if path.is_dir())
                hint = nearest(name, known) or f"; use one of {', '.join(known[:MAX_LISTED])}" * bool(known)
                raise S4miError(f"{option} {name!r}: no such folder in {folders[0]}{hint or '; correct its path'}")


def _without_labels(
    table: SourceTable, options: TableOptions, *, part: Part | None, source: Path
) -> tuple[TableOptions, list[Finding]]:
    """Return the options without labels if the table of the test part has none, as in challenges."""
    columns = options.one_hot or ((options.label,) if options.label else ())
    if part != "test" or not columns or any(column in table.columns for column in columns):
        return options, []
    message = f"has no column {columns[0]!r}, so the test part is not annotated and runs have no test score"
    finding = Finding("no-test-labels", "warning", _name(table.path, source), 1, message)
    return replace(options, label="", one_hot=()), [finding]


def labels_of(
    table: SourceTable, options: TableOptions, *, source: Path
) -> tuple[dict[str, tuple[str, ...] | None], list[Finding]]:
    """Return the labels of every record by its cell in the image column, without searching for the files.

    Raises:
        S4miError: a column is missing.
    """
    reader = TableReader(table, options, part=None, source=source)
    labels: dict[str, tuple[str, ...] | None] = {}
    for record in table.records:
        cell, names = record.cells[reader.image], reader.labels(record).names
        if labels.setdefault(cell, names) != names:
            message = f"image {cell!r} is in another line with other labels; keep one row"
            reader.findings.append(Finding("image-twice", "error", _name(table.path, source), record.line, message))
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


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
