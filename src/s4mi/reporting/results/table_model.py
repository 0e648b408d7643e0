"""The one model of a table: built once from results, then written as HTML, Markdown, LaTeX or CSV.

Every table of a report is a `Table` of text. Writers decide how it looks, never what it says: a cell's details are
small print in HTML and stand in parentheses elsewhere, so that all formats hold the same words.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from s4mi.reporting.results.scores import MISSING

RowKind = Literal["", "block", "reference"]
NOTHING = "n = 0"
BEST = "best in its column"
SIGNIFICANT = "significant"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        note: the unit, such as `MiB`, or what else the title needs, such as `48 labelled images`.
        kind: how its cells are set: numbers to the right, code in a fixed-width font, prose over several lines.
    """

    title: str
    note: str = ""
    kind: Literal["text", "number", "code", "prose"] = "text"

    @property
    def plain(self) -> str:
        """`Peak memory (MiB)`."""
        return f"{self.title} ({self.note})" if self.note else self.title


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: the value; empty, or `–`, where it is missing, which is printed as a dash and left empty in CSV.
        details: what qualifies it, such as `n = 3`.
        emphasis: why the cell is bold, for screen readers; empty where it is not.
        badge: a warning about the value, such as `collapsed`.
    """

    text: str = ""
    details: tuple[str, ...] = ()
    emphasis: str = ""
    badge: str = ""

    @property
    def missing(self) -> bool:
        return self.text.strip() in ("", MISSING)

    @property
    def shown(self) -> str:
        """The text, or a dash."""
        return MISSING if self.missing else self.text.strip()

    @property
    def notes(self) -> tuple[str, ...]:
        """Badge and details, without blank ones."""
        return tuple(note.strip() for note in (self.badge, *self.details) if note.strip())

    @property
    def plain(self) -> str:
        """`0.612 ± 0.034 (n = 3)`."""
        return f"{self.shown} ({'; '.join(self.notes)})" if self.notes else self.shown


@dataclass(frozen=True)
class Row:
    """A row; a `block` begins a new group of rows, a `reference` is not one of the rows to compare."""

    cells: tuple[Cell, ...]
    kind: RowKind = ""


@dataclass(frozen=True)
class Table:
    """A table: rows below columns, the first cell of each row is its heading.

    Attributes:
        title: what it shows, such as `Cost`.
        subject: of what, such as a data set and a task; a report has one table of a title and a subject.
        caption: sentences that explain it.

    Raises:
        ValueError: a row has not as many cells as there are columns.
    """

    title: str
    subject: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row.cells) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: every row needs {len(self.columns)} cells")

    @property
    def id(self) -> str:
        """Anchor in a page and label in LaTeX: `cost-3fa2b1c4`."""
        digest = hashlib.sha256(f"{self.subject}\0{self.title}".encode()).hexdigest()[:8]
        return "-".join([*re.findall("[a-z0-9]+", self.title.lower()), digest])


def counted_once(table: Table) -> Table:
    """Say the most frequent `n = …` once, in the caption, instead of in every cell; other counts stay in theirs.

    A dash where nothing was run needs no `n = 0`.
    """
    details = [d for row in table.rows for cell in row.cells for d in cell.details if d != NOTHING or not cell.missing]
    counts = Counter(detail for detail in details if re.fullmatch(r"n = \d+", detail))
    if not counts:
        return table
    usual = min(counts, key=lambda count: (-counts[count], count))
    rows = tuple(
        replace(row, cells=tuple(replace(cell, details=_without(cell, usual)) for cell in row.cells))
        for row in table.rows
    )
    only = len(counts) == 1 and all(detail == usual for detail in details if detail.startswith("n = "))
    said = f"{usual}." if only else f"{usual} where no other n is given."
    return replace(table, rows=rows, caption=f"{table.caption} {said}".strip())


def _without(cell: Cell, usual: str) -> tuple[str, ...]:
    return tuple(detail for detail in cell.details if detail != usual and not (cell.missing and detail == NOTHING))


def table_row(*cells: Cell | str, kind: RowKind = "") -> Row:
    """A row of cells; a plain text is a cell without details."""
    return Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells), kind)
