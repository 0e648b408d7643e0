"""Add the columns of further tables to a table: patients or lesions, for example, that a second file lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from s4mi.data.files import SUFFIXES, WHOLE_SLIDES, suffix_of
from s4mi.data.names import normalised
from s4mi.data.relative_name import relative_name
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.read_table import ENCODING, SourceTable, TableRow, read_table
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural

EXTENSIONS = (*SUFFIXES, *WHOLE_SLIDES)
"""What a name may end in beside the name of an image; not every dot begins an extension, as in `P12.a`."""


def read_with(path: Path, options: TableOptions) -> SourceTable:
    """Read a table in the encoding of `options`."""
    return read_table(path, encoding=options.encoding, option=ENCODING)


def join_tables(table: SourceTable, options: TableOptions, *, source: Path) -> tuple[SourceTable, list[Finding]]:
    """Return `table` with the further columns of the tables of `options.join`, empty in rows that these lack.

    Rows belong together by the cells of one column: equal ones, or, of names of files, those without folder and file
    extension. Columns that both tables have keep the cells of `table`.

    Raises:
        S4miError: a table lacks the column, or lists a cell twice with different contents, or no row has a partner.
    """
    findings = []
    for path in options.join:
        table, finding = _join(table, path, options, source=source)
        findings += finding
    return table, findings


def _join(table: SourceTable, path: Path, options: TableOptions, *, source: Path) -> tuple[SourceTable, list[Finding]]:
    file = path if path.is_absolute() or path.exists() else table.path.parent / path
    other = read_with(file, options)
    left, _, right = (options.join_on or options.image or "image").partition("=")
    left, right = table.require(left, option="--on"), other.require(right or left, option="--on")
    added = [column for column in other.columns if column not in table.columns]
    files = left == (options.image or "image") or _names_files(table, left) or _names_files(other, right)
    partners = _Partners.of(other, right, added, files=files)
    records, without = [], []
    for record in table.records:
        partner = partners.find(record.cells[left])
        if partner is None:
            without.append(record.cells[left])
        more = {column: "" if partner is None else partner.cells[column] for column in added}
        records.append(TableRow(record.line, {**record.cells, **more}))
    if len(without) == len(records):
        raise S4miError(
            f"{other.path}: no row of {table.path.name} has a partner by {left!r} and {right!r} (e.g. {without[0]!r} "
            f"and {other.records[0].cells[right]!r}); "
            f"{_other_number(without, partners.rows) or 'name the columns with --on COLUMN, or --on COLUMN=COLUMN'}"
        )
    joined = replace(table, columns=(*table.columns, *added), records=tuple(records))
    if not without:
        return joined, []
    lacking = list(dict.fromkeys(without))
    hint = _other_number(lacking, partners.rows) or "add them to it"
    message = f"{plural(len(without), 'row')} of {table.path.name} not in this table: {some(lacking)}; {hint}"
    return joined, [Finding("not-joined", "warning", relative_name(other.path, source), None, message)]


@dataclass(frozen=True)
class _Partners:
    """The rows of a table by the cells of a column; of file names, also without folder and file extension.

    Attributes:
        by_name: two rows if they differ, as which of them is meant is unknown.
    """

    rows: Mapping[str, TableRow]
    by_name: Mapping[str, tuple[TableRow, ...]]
    place: Callable[[TableRow], str]

    @classmethod
    def of(cls, table: SourceTable, column: str, added: Sequence[str], *, files: bool) -> "_Partners":
        """Index a table.

        Args:
            added: columns in which the rows of one cell must not differ. files: whether cells are names of files.

        Raises:
            S4miError: they do.
        """

        def differ(one: TableRow, other: TableRow) -> bool:
            return any(one.cells[name] != other.cells[name] for name in added)

        def place(record: TableRow) -> str:
            return f"{table.path}:{record.line}: {column} {record.cells[column]!r}"

        rows: dict[str, TableRow] = {}
        by_name: dict[str, tuple[TableRow, ...]] = {}
        for record in table.records:
            if not (cell := normalised(record.cells[column])):
                continue
            if differ(known := rows.setdefault(cell, record), record):
                raise S4miError(f"{place(record)} is already in line {known.line} with other cells; keep one")
            if files:
                first, *_ = by_name.setdefault(_name(cell), (record,))
                if differ(first, record):
                    by_name[_name(cell)] = (first, record)
        return cls(rows, by_name, place)

    def find(self, cell: str) -> TableRow | None:
        """Return the row of a cell, or None.

        Raises:
            S4miError: several rows with different cells have its name.
        """
        cell = normalised(cell)
        if (exact := self.rows.get(cell)) is not None:
            return exact
        found = self.by_name.get(_name(cell), ()) if cell else ()
        if len(found) > 1:
            raise S4miError(
                f"{self.place(found[1])} is already in line {found[0].line} with other cells, and which of them "
                f"belongs to {cell!r} is unknown; write it alike in both tables"
            )
        return found[0] if found else None


def _names_files(table: SourceTable, column: str) -> bool:
    return any(suffix_of(Path(record.cells[column])) in SUFFIXES for record in table.records)


def _other_number(lacking: Sequence[str], partners: Mapping[str, TableRow]) -> str:
    """What to do if a cell without a partner differs from one only in zeros before its number; else empty."""
    numbers = {_number(_name(key)): key for key in partners}
    for cell in lacking:
        if cell and (other := numbers.get(_number(_name(normalised(cell))))) is not None:
            return f"it has {other!r} for {cell!r}: write both alike, in a spreadsheet as text"
    return ""


def _number(key: str) -> str:
    """Return a number without the zeros before it, which spreadsheet programs remove; other names as they are."""
    return key.lstrip("0") or "0" if key.isdigit() else key


def _name(cell: str) -> str:
    """Return the name of a file without folder and extension."""
    name = PurePosixPath(cell.replace("\\", "/")).name
    suffix = suffix_of(Path(name))
    return name[: -len(suffix)] if suffix in EXTENSIONS else name
