"""Read the class names in a cell of a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from s4mi.data.names import normalised
from s4mi.data.sources.label_names import combination_message
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.spec import NO_CLASS, Finding
from s4mi.errors import S4miError, nearest


@dataclass(frozen=True)
class CellLabels:
    """The class names in a cell, the names in it that mean that no class is present, and what is wrong, if anything."""

    names: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    error: str = ""


def parse_labels(cell: str, options: TableOptions) -> CellLabels:
    """Return the labels in a cell that is not empty; names are normalised, so that one class is not two."""
    if cell == NO_CLASS:
        return CellLabels(())
    cell = normalised(cell)
    separator = ";" if options.separator is None else normalised(options.separator)
    parts = cell.split(separator) if separator else [cell]
    names = tuple(dict.fromkeys(name.strip() for name in parts if name.strip()))
    if not names:
        return CellLabels((), error=f"label {cell!r} contains no class; clear the cell if not annotated")
    absent = {normalised(name) for name in options.negatives}
    negatives = tuple(name for name in names if name in absent)
    classes = tuple(name for name in names if name not in absent)
    if negatives and classes:
        error = f"label {cell!r} contains {negatives[0]!r} beside {classes[0]!r}; correct the cell"
        return CellLabels(classes, negatives, error)
    return CellLabels(classes, negatives)


def label_cell_findings(names: Mapping[str, int], options: TableOptions, *, file: str) -> list[Finding]:
    """Return a finding if names look like several names with another separator than that of `options`.

    Args:
        names: number of rows of each name in the column of labels.

    Raises:
        S4miError: a name of `options.negatives` is in no cell.
    """
    if absent := next((name for name in map(normalised, options.negatives) if name not in names), None):
        hint = nearest(absent, names) or "; use a name that is in the column of labels"
        raise S4miError(f"--negative {absent!r}: no such label in {file}{hint}")
    found = combination_message(names) if options.separator is None else None
    if found is None:
        return []
    message, sure = found
    return [Finding("labels-combined", "error" if sure else "warning", file, 1, message)]
