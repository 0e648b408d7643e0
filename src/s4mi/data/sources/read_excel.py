"""The first sheet of an Excel file: its column names as they are written, its rows and where they are."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.data.sources.check_workbook import check_workbook

if TYPE_CHECKING:
    import polars

SEARCHED_FOR_NAMES = 1000
"""Empty rows that may be above the column names."""


@dataclass(frozen=True)
class Sheet:
    """What the first sheet holds.

    Attributes:
        frame: its cells; the reader has renamed columns whose name another one has.
        names: the column names as they are written.
        first: row of the column names, from 1, as a spreadsheet program counts them.
        others: names of further sheets that hold cells.
    """

    frame: "polars.DataFrame"
    names: tuple[str, ...]
    first: int
    others: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        """The rows that are not empty, each with its number in the sheet."""
        for number, cells in enumerate(self.frame.iter_rows(named=True), start=self.first + 1):
            if any(value is not None and value != "" for value in cells.values()):
                yield number, cells


def read_sheet(path: Path) -> Sheet:
    """Read the first sheet of an Excel file.

    Raises:
        WorkbookError: it is damaged, or has cells that would be read as something else.
        Exception: of the reader, on whatever it cannot read.
    """
    import fastexcel
    import polars

    check_workbook(path)
    for reader in ("fastexcel", "calamine"):  # of empty columns they warn, line by line
        logging.getLogger(reader).setLevel(logging.ERROR)
    # All rows are looked at for types, or later texts among numbers are lost; empty ones are kept, as they count.
    frame = polars.read_excel(path, infer_schema_length=None, drop_empty_rows=False)
    book = fastexcel.read_excel(path)
    top = book.load_sheet(0, header_row=None, skip_rows=0, n_rows=SEARCHED_FOR_NAMES, dtypes="string").to_polars()
    filled = (
        (number, tuple(str(cell) for cell in cells if cell is not None))
        for number, cells in enumerate(top.iter_rows(), start=1)
    )
    first, names = next(((number, names) for number, names in filled if names), (1, tuple(frame.columns)))
    others = tuple(
        name
        for name in book.sheet_names[1:]
        if book.load_sheet(name, header_row=None, n_rows=2, dtypes="string").height > 1
    )
    return Sheet(frame, names, first, others)
