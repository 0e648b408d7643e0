"""Cells of the column `label` of a manifest.

    nevus             this class
    oedema;effusion   these classes, and no other (multi-label)
    none              annotated, with no class present (multi-label)
    oedema;?effusion  oedema, not known whether effusion, and no other (multi-label)
    none;?effusion    not known whether effusion, and no other (multi-label)
    empty             not annotated

A name that is a class by itself is that class, even if it begins with `?`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s4mi.data.spec import NO_CLASS, SPEC_NAME, DatasetSpec
from s4mi.errors import S4miError, nearest

UNKNOWN_SIGN = "?"
"""Written before the name of a class of which it is not known whether the image shows it."""


@dataclass(frozen=True)
class LabelCell:
    """Classes present, or None if not annotated, and those of which it is not known."""

    labels: tuple[str, ...] | None
    unknown: tuple[str, ...] = ()


def read_label_cell(cell: str, spec: DatasetSpec, report: Callable[[str, str], None]) -> LabelCell:
    """Parse a cell; `report` is called with the code and message of each problem."""
    if not cell:
        return LabelCell(None)
    present: list[str] = []
    unknown: list[str] = []
    for name in (part.strip() for part in cell.split(";")):
        bare = name.removeprefix(UNKNOWN_SIGN)
        if name in spec.classes:
            present.append(name)
        elif bare != name and bare in spec.classes:
            unknown.append(bare)
        elif name != NO_CLASS:
            known = ", ".join(spec.classes) or "which lists none"
            hint = nearest(bare, spec.classes) or "; correct the cell, or add the name to `classes`"
            report("unknown-class", f"label {name!r} is not a class of {SPEC_NAME} ({known}){hint}")
            present.append(name)
        elif cell.count(NO_CLASS) > 1 or present:
            report("label-count", f"label {cell!r} names a class and {NO_CLASS!r}; keep one of them")
    if unknown and "multiclass" in spec.tasks:
        report("label-unknown", f"label {cell!r}: {UNKNOWN_SIGN!r} is for multi-label data; empty the cell instead")
    elif "multiclass" in spec.tasks and len(present) != 1:
        report("label-count", f"label {cell!r} names {len(present)} classes; multiclass requires exactly one")
    if len({*present, *unknown}) < len(present) + len(unknown):
        report("label-twice", f"label {cell!r} names a class twice; name it once")
    if spec.classes and len(unknown) == len(spec.classes):
        return LabelCell(None)
    return LabelCell(tuple(present), tuple(unknown))


def label_cell(labels: Sequence[str] | None, unknown: Sequence[str], classes: Sequence[str]) -> str:
    """Return the cell of an image of a data set with these classes.

    Raises:
        S4miError: the cell would read differently, as a class is called like another with a question mark before it.
    """
    if labels is None:
        return ""
    marked = [UNKNOWN_SIGN + name for name in unknown]
    if ambiguous := next((name for name in marked if name in classes), None):
        raise S4miError(
            f"classes: {ambiguous!r} cannot be distinguished from unknown {ambiguous[1:]!r}; rename one of them"
        )
    return ";".join([*(labels or (NO_CLASS,)), *marked])
