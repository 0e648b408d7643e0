"""Check for columns that are filled in for some rows only."""

from collections.abc import Iterator, Sequence

from s4mi.data.checks.scan import RowLocator
from s4mi.data.row import Row
from s4mi.data.spec import Finding


def find_missing_values(rows: Sequence[Row], locate: RowLocator) -> Iterator[Finding]:
    """Yield a finding if `split` or `group` is given for some rows only."""
    for column, cells in (("split", [row.split for row in rows]), ("group", [row.group for row in rows])):
        without = [row for row, cell in zip(rows, cells, strict=True) if cell is None]
        if 0 < len(without) < len(rows):
            file, line = locate(without[0])
            message = f"{len(without)} of {len(rows)} rows, this one first, have no {column}; fill in all or none"
            lines = tuple(number for row in without if (number := locate(row)[1]) is not None)
            yield Finding(f"{column}-missing", "warning", file, line, message, lines)
