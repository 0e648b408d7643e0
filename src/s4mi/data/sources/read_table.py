"""Read tables of labels (CSV, TSV, Parquet, Excel) as records of text with their line numbers."""

import codecs
import csv
import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi.data.sources.check_workbook import WorkbookError
from s4mi.data.sources.read_excel import read_sheet
from s4mi.data.stray_quotes import stray_quote
from s4mi.errors import S4miError, nearest, require_extra
from s4mi.formatting import plural

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls")
UNNAMED = "__UNNAMED__"
"""What the reader of Excel calls a column without a name."""
SEARCHED_BELOW_TITLE = 5
ENCODING = "--encoding"
"""The option of an import that names the encoding of its tables."""
WESTERN = "windows-1252"
"""The encoding of CSV files that Excel writes in western Europe and America."""
MIN_SEPARATORS = 2
"""A line with so many separators has column names or cells, below a title without any."""


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its cells as stripped text, `''` if empty, and the line of the file in which it starts."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class SourceTable:
    """The contents of a table, its path, and the names of the sheets beside it that are not read."""

    path: Path
    columns: tuple[str, ...]
    records: tuple[TableRow, ...]
    other_sheets: tuple[str, ...] = ()

    def missing(self, columns: Sequence[tuple[str, str]], *, images: Sequence[str] = ()) -> S4miError:
        """Return the error for columns, each with the option that names it, which the table does not have.

        Args:
            images: columns that list image files.
        """
        found = next(iter(images), None) if any(option == "--image" for _, option in columns) else None
        use = f"; {found!r} names images: use --image {shlex.quote(found)}" if found is not None else ""
        known = ", ".join(self.columns)
        if len(columns) == 1:
            (column, option), *_ = columns
            near = nearest(column, self.columns)
            hint = use or (f"{near} Choose it with {option}" if near else f"; choose one with {option}")
            return S4miError(f"{self.path}:1: no column {column!r} (columns: {known}){hint}")
        named = ", ".join(
            f"{column!r} for {option}{'' if use and option == '--image' else nearest(column, self.columns)}"
            for column, option in columns
        )
        return S4miError(f"{self.path}:1: no columns {named} (columns: {known}); choose among these{use}")

    def require(self, column: str, *, option: str) -> str:
        """Return `column` if the table has it, else raise S4miError with the closest name and the option to set it."""
        if column in self.columns:
            return column
        raise self.missing([(column, option)])


def read_table(path: Path, *, encoding: str = "", option: str = "") -> SourceTable:
    """Read a table: the first sheet of an Excel file; row n of a Parquet or Excel file counts as line n + 2.

    Args:
        encoding: that of a CSV or TSV file, as Python names it, if it is neither UTF-8 nor UTF-16 with a mark.
        option: the option that sets the encoding, which errors name.

    Raises:
        S4miError: the file is missing, empty, invalid, in another encoding, or has rows of different lengths.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise S4miError(f"{path}: file not found; correct its path")
    if suffix in (".csv", ".tsv"):
        text = _decoded(path, encoding, option)
        return _read_text_table(path, text, separator="\t" if suffix == ".tsv" else None)
    if suffix == ".parquet" or suffix in (".xlsx", ".xls"):
        return _read_frame(path)
    raise S4miError(f"{path}: not a supported table; convert it to one of {', '.join(TABLE_SUFFIXES)}")


def _read_text_table(path: Path, text: str, *, separator: str | None) -> SourceTable:
    first = text.partition("\n")[0]
    # Spreadsheet programs write CSV with ',', ';' or tabs, depending on the locale; the header shows which.
    separator = separator or max(",;\t", key=first.count)
    _refuse_title(path, text, separator)
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=separator)
    before = 0
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        if not any(columns):
            raise S4miError(f"{path}:1: the table is empty; put the column names into its first line")
        if reader.line_num > 1 and (fault := stray_quote(lines[: reader.line_num], first=1, separator=separator)):
            raise S4miError(f"{path}:1: {fault}")
        records = []
        before = reader.line_num
        for values in reader:
            line, before = before + 1, reader.line_num
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(columns) or before > line:
                fault = stray_quote(lines[line - 1 : before], first=line, separator=separator, columns=len(columns))
                if fault:
                    raise S4miError(f"{path}:{line}: {fault}")
            if len(values) != len(columns):
                raise S4miError(
                    f"{path}:{line}: {plural(len(values), 'cell')} in the row but {len(columns)} in the header; "
                    f"quote cells that contain {separator!r}"
                )
            records.append(TableRow(line, dict(zip(columns, (value.strip() for value in values), strict=True))))
    except csv.Error as error:
        raise S4miError(
            f"{path}:{before + 1}: not valid CSV ({error}); check this line for an unclosed quotation mark"
        ) from error
    return _checked(path, columns, records)


def _decoded(path: Path, encoding: str, option: str) -> str:
    """Return the text of a file in the given encoding, UTF-8, or UTF-16 with a mark, as Excel writes "Unicode text"."""
    contents = path.read_bytes()
    marked = contents.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # One table of several may be in UTF-8 whatever the option says, and what is valid UTF-8 beyond ASCII hardly is
    # anything else.
    read_as = "utf-16" if marked else "utf-8-sig" if not encoding or _is_utf_8(contents) else encoding
    try:
        text = contents.decode(read_as)
    except UnicodeDecodeError as error:
        if marked:
            raise S4miError(f"{path}: not valid UTF-16 (byte {error.start}); save it as UTF-8") from error
        line = 1 + contents.count(b"\n", 0, error.start)
        place = f"{path}:{line}: not {encoding or 'UTF-8'} (byte {error.start}: 0x{contents[error.start]:02X})"
        convert = 'save it as UTF-8, in Excel as "CSV UTF-8"'
        if encoding:
            raise S4miError(f"{place}; correct {option}, or {convert}") from error
        way = f"import it with {option} {WESTERN}" if option else f"convert it: iconv -f {WESTERN.upper()} -t UTF-8"
        raise S4miError(f"{place}; {convert}, or {way}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_utf_8(contents: bytes) -> bool:
    """Whether bytes are text in UTF-8 with other than ASCII characters."""
    try:
        return not contents.isascii() and bool(contents.decode())
    except UnicodeDecodeError:
        return False


def known_encoding(name: str) -> str:
    """Return the name of an encoding if it is one of text that Python knows.

    Raises:
        S4miError: it does not, or it is no encoding of text.
    """
    try:
        b"ab".decode(name or "utf-8", errors="ignore")
    except LookupError:
        raise S4miError(f"{ENCODING} {name!r}: unknown encoding; name one such as {WESTERN} or shift_jis") from None
    return name


def _refuse_title(path: Path, text: str, separator: str) -> None:
    """Raise if the first line is a title above the column names: a line below it has over twice as many cells."""
    first, *lines = text.split("\n", SEARCHED_BELOW_TITLE + 1)
    below = [(number, line) for number, line in enumerate(lines[:SEARCHED_BELOW_TITLE], start=2) if line.strip()]
    if _filled(first, separator) > 1 and below and below[0][1].count(separator) == first.count(separator):
        return
    for number, line in below:
        most = max(",;\t", key=line.count)
        if first.strip() and line.count(most) >= max(MIN_SEPARATORS, 2 * _filled(first, most)):
            raise _title(path, first.strip(f' "{most}'), f"they seem to be in line {number}")


def _filled(line: str, separator: str) -> int:
    return sum(bool(cell.strip(' "')) for cell in line.split(separator))


def _title(path: Path, title: str, where: str, *, line: int = 1) -> S4miError:
    return S4miError(f"{path}:{line}: {title!r} is not the column names; delete what is above those ({where})")


def _read_frame(path: Path) -> SourceTable:
    import polars  # imported late, as it takes 0.1 s and most tables are CSV

    sheet = None
    try:
        if path.suffix.lower() == ".parquet":
            frame = polars.read_parquet(path)
        else:
            require_extra("fastexcel", extra="excel", purpose=f"{path.name}: reading Excel tables")
            sheet = read_sheet(path)
            frame = sheet.frame
    except S4miError:
        raise
    except WorkbookError as error:
        raise S4miError(f"{path}: {error}") from error
    except Exception as error:  # polars and the Excel reader pass on any exception of their parsers
        reason = " ".join(str(error).split())
        raise S4miError(f"{path}: cannot be read as {path.suffix} ({reason}); export it again, or as CSV") from error
    first = 1 if sheet is None else sheet.first
    named = [column for column in frame.columns if not column.startswith(UNNAMED)]
    if len(named) == 1 and len(frame.columns) > MIN_SEPARATORS:
        raise _title(path, named[0], f"the sheet has {len(frame.columns)} columns", line=first)
    if sheet is not None:
        _refuse_twice(path, sheet.names, line=first)
    rows = enumerate(frame.iter_rows(named=True), start=2) if sheet is None else sheet.rows()
    records = [TableRow(number, {column: _as_text(value) for column, value in cells.items()}) for number, cells in rows]
    return _checked(path, tuple(frame.columns), records, other_sheets=() if sheet is None else sheet.others)


def _as_text(value: object) -> str:
    """Convert a typed cell to its text in a CSV file; a list of labels is joined by `;`, an empty list is `none`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else "" if value != value else str(value)
    if isinstance(value, list):
        return ";".join(map(_as_text, value)) or "none"
    return str(value).strip()


def _checked(
    path: Path, columns: tuple[str, ...], records: Iterable[TableRow], *, other_sheets: tuple[str, ...] = ()
) -> SourceTable:
    _refuse_twice(path, columns)
    table = SourceTable(path=path, columns=columns, records=tuple(records), other_sheets=other_sheets)
    if not table.records:
        move = f", or move one of the sheets {', '.join(map(repr, other_sheets))} to the front" if other_sheets else ""
        which = "the first sheet " if other_sheets else ""
        raise S4miError(f"{path}: {which}has columns but no rows; add rows{move}")
    return table


def _refuse_twice(path: Path, columns: Sequence[str], *, line: int = 1) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise S4miError(f"{path}:{line}: two columns are named {name!r}; rename one")
