"""Add the columns of further tables to a table: patients or lesions, for example, that a second file lists."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from s4mi.data.names import normalised
from s4mi.data.relative_name import relative_name
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.read_table import ENCODING, SourceTable, TableRow, read_table
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural


def read_with(path: Path, options: TableOptions) -> SourceTable:
    """Read a table in the encoding of `options`."""
    return read_table(path, encoding=options.encoding, option=ENCODING)


def join_tables(table: SourceTable, options: TableOptions, *, source: Path) -> tuple[SourceTable, list[Finding]]:
    """Return `table` with the further columns of the tables of `options.join`, empty in rows that these lack.

    Rows belong together by the cells of one column, with or without folder and file extension. Columns that both tables
    have keep the cells of `table`.

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
    partners: dict[str, TableRow] = {}
    for record in other.records:
        known = partners.setdefault(_key(record.cells[right]), record)
        if any(known.cells[column] != record.cells[column] for column in added):
            raise S4miError(
                f"{other.path}:{record.line}: {right} {record.cells[right]!r} is already in line {known.line} with "
                "other cells; keep one"
            )
    records, without = [], []
    for record in table.records:
        partner = partners.get(_key(record.cells[left]))
        if partner is None:
            without.append(record.cells[left])
        more = {column: "" if partner is None else partner.cells[column] for column in added}
        records.append(TableRow(record.line, {**record.cells, **more}))
    if len(without) == len(records):
        raise S4miError(
            f"{other.path}: no row of {table.path.name} has a partner by {left!r} and {right!r} (e.g. {without[0]!r} "
            f"and {other.records[0].cells[right]!r}); "
            f"{_other_number(without, partners) or 'name the columns with --on COLUMN, or --on COLUMN=COLUMN'}"
        )
    joined = replace(table, columns=(*table.columns, *added), records=tuple(records))
    if not without:
        return joined, []
    lacking = list(dict.fromkeys(without))
    hint = _other_number(lacking, partners) or "add them to it"
    message = f"{plural(len(without), 'row')} of {table.path.name} not in this table: {some(lacking)}; {hint}"
    return joined, [Finding("not-joined", "warning", relative_name(other.path, source), None, message)]


def _other_number(lacking: Sequence[str], partners: Mapping[str, TableRow]) -> str:
    """What to do if a cell without a partner differs from one only in zeros before its number; else empty."""
    numbers = {_number(key): key for key in partners}
    for cell in lacking:
        if (other := numbers.get(_number(_key(cell)))) is not None:
            return f"it has {other!r} for {cell!r}: write both alike, in a spreadsheet as text"
    return ""


def _number(key: str) -> str:
    """Return a number without the zeros before it, which spreadsheet programs remove; other names as they are."""
    return key.lstrip("0") or "0" if key.isdigit() else key


def _key(cell: str) -> str:
    """Return the name of a file without folder and extension, or the cell itself."""
    name = PurePosixPath(normalised(cell).replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.isalpha() and len(suffix) <= 5 else name
