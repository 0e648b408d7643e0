"""Find quotation marks in CSV that are not closed, or only by a later one, so that several rows are read as one."""

import csv
from collections.abc import Sequence

from s4mi.formatting import plural

HINT = 'remove the mark or close it (a mark within a quoted cell is written twice: "")'


def stray_quote(lines: Sequence[str], *, first: int, separator: str, columns: int | None = None) -> str:
    """Return what is wrong with the quotation mark that joins the lines of a record, or `''` if nothing is.

    A quoted cell may contain line breaks. The mark is a mistake if it is never closed, if text follows its end, if
    the record has another number of cells than the header, or if each of its lines has as many cells as the header (of
    three or more: with two, a text with commas looks the same).

    Args:
        lines: the lines of the record, with their line breaks.
        first: number of the first of them.
        columns: number of columns of the table; None: the record is its header.
    """
    try:
        records = list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            read = f", so that the {plural(len(lines), 'line')} from here to the end of the file are read as one row"
            return f"unclosed quotation mark{read if len(lines) > 1 else ''}; {HINT}"
        return _joined(lines, first) if len(lines) > 1 else ""
    if len(lines) < 2 or columns is None:
        return ""
    each = {line.count(separator) + 1 for line in lines if line.strip()}
    wrong = len(records) == 1 and len(records[0]) != columns
    return _joined(lines, first) if wrong or (each == {columns} and columns > 2) else ""


def _joined(lines: Sequence[str], first: int) -> str:
    last = first + len(lines) - 1
    return f"unclosed quotation mark, so that lines {first} to {last} are read as one row; {HINT}"
