"""Tables on a terminal of any width: no name is cut and no number.

Cells wrap between words. Columns that do not fit beside each other follow below, in blocks that repeat the
names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

GAP = 2
"""Blanks between two columns."""
LONGEST_WORD = 20
"""Characters of a word that is never broken, in other columns than that of the names."""


@dataclass(frozen=True)
class Block:
    """Columns that are printed beside each other, each with its width; the first are the names."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]


def print_table(
    columns: Sequence[str],
    rows: "Sequence[Sequence[str | Text]]",
    *,
    title: str = "",
    numbers: bool = False,
    console: "Console | None" = None,
) -> None:
    """Print rows whose first cell is their name, in as many blocks as the terminal needs.

    Args:
        columns: heads of the columns, the first of the names.
        numbers: align all columns but the names to the right, and wrap none of their cells but the heads.
    """
    from rich.console import Console

    console = console or Console(highlight=False, markup=False)
    if title:
        console.print(title, style="italic", soft_wrap=True, markup=False, highlight=False)
    texts = [[str(cell) for cell in row] for row in (columns, *rows)]
    for number, block in enumerate(blocks(texts, console.width, whole=numbers)):
        if number:
            console.print()
        console.print(_drawn(columns, rows, block, numbers=numbers), markup=False, highlight=False)


def blocks(rows: Sequence[Sequence[str]], width: int, *, whole: bool = False) -> tuple[Block, ...]:
    """Divide columns into blocks that fit into `width` characters, and every block's width among its columns.

    Args:
        rows: cells, the heads first.
        whole: the cells below the heads are not wrapped.
    """
    from rich.cells import cell_len

    full = [max([1, *map(cell_len, column)]) for column in zip(*rows, strict=True)]
    words = [
        max([1, *(cell_len(word) for cell in column for word in cell.split())]) for column in zip(*rows, strict=True)
    ]
    least = [min(word, LONGEST_WORD) for word in words]
    if whole:
        cells = [max([1, *map(cell_len, column)]) for column in zip(*rows[1:], strict=True)] or least
        least = [max(pair) for pair in zip(least, cells, strict=True)]
    if len(full) == 1:
        return (Block((0,), (min(full[0], width),)),)
    left = width - GAP - max(least[1:])
    name = min(full[0], max(1, left))
    found: list[list[int]] = [[]]
    for column in range(1, len(full)):
        if found[-1] and name + sum(GAP + least[one] for one in (*found[-1], column)) > width:
            found.append([])
        found[-1].append(column)
    return tuple(
        Block((0, *block), (name, *_shared([least[one] for one in block], [full[one] for one in block], width - name)))
        for block in found
    )


def _shared(least: Sequence[int], full: Sequence[int], room: int) -> list[int]:
    """Widen columns from what they need at least to what they would fill, the narrowest first, while there is room."""
    widths, left = list(least), room - sum(GAP + one for one in least)
    while left < 0 and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
        left += 1
    while left > 0 and (open_ := [one for one in range(len(widths)) if widths[one] < full[one]]):
        widths[min(open_, key=lambda one: widths[one])] += 1
        left -= 1
    return widths


def _drawn(columns: Sequence[str], rows: "Sequence[Sequence[str | Text]]", block: Block, *, numbers: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True)
    for place, (column, width) in enumerate(zip(block.columns, block.widths, strict=True)):
        right = numbers and place > 0
        table.add_column(Text(columns[column]), width=width, overflow="fold", justify="right" if right else "left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell := row[column], Text) else Text(cell) for column in block.columns))
    return table
