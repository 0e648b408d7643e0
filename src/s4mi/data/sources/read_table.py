"""Tables of labels, whatever file holds them, as records of text that know their line: CSV, TSV, Parquet, Excel."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from s4mi.errors import S4miError, nearest, require_extra

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls")


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its cells as stripped text, `''` where empty, and the line of the file it begins in."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class SourceTable:
    """A table and where it came from."""

    path: Path
    columns: tuple[str, ...]
    records: tuple[TableRow, ...]

    def require(self, column: str, *, option: str) -> str:
        """`column`, when the table has it; else raise S4miError with the nearest one and the option that names it."""
        if column in self.columns:
            return column
        raise S4miError(
            f"{self.path}:1: there is no column {column!r}{nearest(column, self.columns)}; "
            f"name one with {option}: {', '.join(self.columns)}"
        )


def read_table(path: Path) -> SourceTable:
    """Read a table. Of an Excel file the first sheet; of a Parquet file row n counts as line n + 2.

    Raises:
        S4miError: the file is missing, empty, not of its kind, or has rows of different lengths.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise S4miError(f"{path}: is not there; mend its path")
    if suffix in (".csv", ".tsv"):
        return _read_text_table(path, separator="\t" if suffix == ".tsv" else None)
    if suffix == ".parquet" or suffix in (".xlsx", ".xls"):
        return _read_frame(path)
    raise S4miError(f"{path}: is no table this can read; convert it to one of: {', '.join(TABLE_SUFFIXES)}")


def _read_text_table(path: Path, *, separator: str | None) -> SourceTable:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    first = text.partition("\n")[0]
    # Spreadsheets in many languages write ';' or tabs into what they call CSV; the header shows which.
    separator = separator or max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        if not any(columns):
            raise S4miError(f"{path}:1: the table is empty; its first line must name the columns")
        records = []
        before = reader.line_num
        for values in reader:
            line, before = before + 1, reader.line_num
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(columns):
                raise S4miError(
                    f"{path}:{line}: has {len(values)} cells where the header has {len(columns)}; "
                    f"quote cells that hold {separator!r}"
                )
            records.append(TableRow(line, dict(zip(columns, (value.strip() for value in values), strict=True))))
    except csv.Error as error:
        raise S4miError(f"{path}:{reader.line_num}: is not CSV ({error}); look for an unclosed quote") from error
    return _checked(path, columns, records)


def _read_frame(path: Path) -> SourceTable:
    import polars  # here, not above: it costs a tenth of a second and most tables are CSV

    try:
        if path.suffix.lower() == ".parquet":
            frame = polars.read_parquet(path)
        else:
            require_extra("fastexcel", extra="excel", purpose=f"{path.name}: reading Excel tables")
            frame = polars.read_excel(path)
    except S4miError:
        raise
    except Exception as error:  # polars and the Excel reader raise whatever their parsers raise
        reason = " ".join(str(error).split())
        raise S4miError(f"{path}: cannot be read as {path.suffix} ({reason}); export it again, or as CSV") from error
    records = [
        TableRow(number, {column: _as_text(value) for column, value in cells.items()})
        for number, cells in enumerate(frame.iter_rows(named=True), start=2)
    ]
    return _checked(path, tuple(frame.columns), records)


def _as_text(value: object) -> str:
    """A typed cell as it would stand in a CSV file; a list of labels is joined by `;`, and an empty one is `none`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else "" if value != value else str(value)
    if isinstance(value, list):
        return ";".join(map(_as_text, value)) or "none"
    return str(value).strip()


def _checked(path: Path, columns: tuple[str, ...], records: Iterable[TableRow]) -> SourceTable:
    for name in columns:
        if columns.count(name) > 1:
            raise S4miError(f"{path}:1: two columns are called {name!r}; rename one")
    table = SourceTable(path=path, columns=columns, records=tuple(records))
    if not table.records:
        raise S4miError(f"{path}: names columns and has no rows; add rows")
    return table
