"""Read the labels of a table with one column of 0 and 1 per class, in which cells may be blank or uncertain (-1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from s4mi.data.sources.table_options import TableOptions, Unknown

YES = ("1", "1.0", "true", "yes")
NO = ("0", "0.0", "false", "no")
UNCERTAIN = ("-1", "-1.0")
_MEANING: Mapping[str, Unknown] = {**dict.fromkeys(YES, "yes"), **dict.fromkeys(NO, "no")}


@dataclass(frozen=True)
class OneHotLabels:
    """The classes of an image: those present, or None if it is not annotated, those unknown, and what is wrong."""

    names: tuple[str, ...] | None
    unknown: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def one_hot_classes(options: TableOptions) -> tuple[str, ...]:
    """Return the class of each column; with a single column, the class of 0 comes first."""
    names = tuple(_class_of(options).values())
    return names if len(names) > 1 or options.multilabel else (f"not {names[0]}", names[0])


def read_one_hot(cells: Mapping[str, str], options: TableOptions) -> OneHotLabels:
    """Return the labels in the cells of one row, by the name of their column.

    A row of blank cells, or of unknown classes alone, is not annotated. A column of `options.negatives` that is
    1 makes blank cells 0.
    """
    columns = _class_of(options)
    if not any(cells[column] for column in options.one_hot):
        return OneHotLabels(None)
    none_present = any(cells[column].lower() in YES for column in options.one_hot if column in options.negatives)
    blank = "no" if none_present else options.blank
    meanings: dict[str, Unknown] = {}
    errors = []
    for column, name in columns.items():
        cell = cells[column].lower()
        meaning = _MEANING.get(cell) or (blank if not cell else options.uncertain if cell in UNCERTAIN else None)
        if meaning is None:
            errors.append(f"column {column!r} must be 0 or 1 (given {cells[column]!r}); {_hint(cell)}")
        else:
            meanings[name] = meaning
    present = tuple(name for name, meaning in meanings.items() if meaning == "yes")
    unknown = tuple(name for name, meaning in meanings.items() if meaning == "unknown")
    if len(unknown) == len(columns):
        return OneHotLabels(None, errors=tuple(errors))
    classes = one_hot_classes(options)
    if len(classes) > len(columns):
        return OneHotLabels((classes[bool(present)],), errors=tuple(errors))
    return OneHotLabels(present, unknown, tuple(errors))


def _class_of(options: TableOptions) -> dict[str, str]:
    """Return the class of every column but those of `options.negatives`."""
    columns = [column for column in options.one_hot if column not in options.negatives]
    return {column: column.removeprefix(options.one_hot_prefix) for column in columns}


def _hint(cell: str) -> str:
    if not cell:
        return (
            "fill it in, or say what blank cells mean: --blank no, or --blank unknown to leave them out of this class"
        )
    if cell in UNCERTAIN:
        return "if -1 is uncertain, use --uncertain unknown to leave it out of this class, or yes or no"
    return "correct the cell"
