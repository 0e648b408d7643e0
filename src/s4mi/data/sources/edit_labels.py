"""Rename and drop classes of labels while importing; those of masks are edited once masks are read (`edit_masks`)."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.sources.label_names import is_missing
from s4mi.data.sources.types import ClassEdits, FoundDataset
from s4mi.errors import S4miError, nearest


def edit_labels(found: FoundDataset, rename: Mapping[str, str], drop: Collection[str]) -> FoundDataset:
    """Rename classes, then drop classes.

    An image of a dropped class becomes unlabelled if each image has one class, or if the class is a word for a missing
    value; otherwise it keeps its other classes. Names that labels do not have are left for masks, if there are any.

    Raises:
        S4miError: there is no such class.
    """
    if not rename and not drop:
        return found
    rename, drop = _as_found(rename, drop, found.classes)
    asked = ClassEdits(dict(rename), tuple(drop))
    if any(row.mask is not None for row in found.rows):
        rename = {old: new for old, new in rename.items() if old in found.classes}
        renamed_classes = {rename.get(name, name) for name in found.classes}
        drop = [name for name in drop if name in renamed_classes]
    renamed = tuple(dict.fromkeys(rename.get(name, name) for name in found.classes))
    for option, names, known in (("--rename", rename, found.classes), ("--drop-class", drop, renamed)):
        if unknown := next((name for name in names if name not in known), None):
            hint = nearest(unknown, known) or f"; use one of {', '.join(known) or 'none'}"
            raise S4miError(f"{option} {unknown!r}: no such class{hint}")
    multilabel = found.multilabel or any(len(row.labels) != 1 for row in found.rows if row.labels is not None)
    rows = tuple(_edited(row, rename, drop, multilabel=multilabel) for row in found.rows)
    classes = tuple(name for name in renamed if name not in drop)
    rows = tuple(_without_labels(row) if row.unknown and set(classes) <= set(row.unknown) else row for row in rows)
    in_order = list(found.classes) == sorted(found.classes)
    edits = replace(asked, in_labels=frozenset({*rename, *drop}))
    return replace(found, rows=rows, classes=tuple(sorted(classes)) if in_order else classes, edits=edits)


def parse_renames(arguments: Collection[str]) -> dict[str, str]:
    """Parse arguments OLD=NEW into a mapping.

    Raises:
        S4miError: an argument has another form, or a class two new names.
    """
    renames: dict[str, str] = {}
    for argument in arguments:
        old, equals, new = (part.strip() for part in argument.partition("="))
        if not (old and equals and new):
            raise S4miError(f"--rename {argument!r}: not OLD=NEW; use e.g. benign=Benign")
        if renames.setdefault(old, new) != new:
            raise S4miError(f"--rename {argument!r}: {old!r} becomes {renames[old]!r} already; rename each class once")
    return renames


def _as_found(
    rename: Mapping[str, str], drop: Collection[str], classes: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Spell the names like those of the classes, which may be stored as NFC or, as in names of columns, as typed."""
    spelling = {normalised(name): name for name in classes}
    new = {
        spelling.get(normalised(old), old): spelling.get(normalised(name), normalised(name))
        for old, name in rename.items()
    }
    spelling |= {normalised(name): name for name in new.values()}
    return new, [spelling.get(normalised(name), name) for name in drop]


def _without_labels(row: Row) -> Row:
    return replace(row, labels=None, unknown=())


def _edited(row: Row, rename: Mapping[str, str], drop: Collection[str], *, multilabel: bool) -> Row:
    if row.labels is None:
        return row
    names = tuple(dict.fromkeys(rename.get(name, name) for name in row.labels))
    dropped = [name for name in names if name in drop]
    if dropped and (not multilabel or any(is_missing(name) for name in dropped)):
        return _without_labels(row)
    # Of two classes that become one, a present one decides.
    unknown = dict.fromkeys(rename.get(name, name) for name in row.unknown)
    return replace(
        row,
        labels=tuple(name for name in names if name not in drop),
        unknown=tuple(name for name in unknown if name not in drop and name not in names),
    )
