"""Rename and drop classes of masks while importing: the values of masks stay, their names change."""

from s4mi.data.names import normalised
from s4mi.data.sources.types import ClassEdits
from s4mi.data.spec import IGNORED_CLASS, MaskKey
from s4mi.errors import S4miError, nearest


def edit_mask_names(mask_values: dict[MaskKey, str], edits: ClassEdits) -> dict[MaskKey, str]:
    """Return the names of the values of masks with renamed classes; those of dropped classes become background.

    Raises:
        S4miError: neither masks nor labels have such a class, the background is to be dropped, or nothing else is left.
    """
    if not (edits.rename or edits.drop):
        return mask_values
    rename = {normalised(old): new for old, new in edits.rename.items()}
    drop = {normalised(name) for name in edits.drop}
    before = {normalised(name) for name in mask_values.values()}
    renamed = {value: rename.get(normalised(name), name) for value, name in mask_values.items()}
    after = {normalised(name) for name in renamed.values()}
    for option, names, known in (("--rename", edits.rename, before), ("--drop-class", edits.drop, after)):
        for name in names:
            if normalised(name) not in known and name not in edits.in_labels:
                hint = nearest(name, sorted(known)) or f"; use one of {', '.join(sorted(known)) or 'none'}"
                raise S4miError(f"{option} {name!r}: no such class{hint}")
    if not mask_values:
        return mask_values
    background = next(iter(renamed.values()))
    if normalised(background) in drop:
        raise S4miError(f"--drop-class {background!r}: is the background of masks; drop other classes instead")
    kept = {value: background if normalised(name) in drop else name for value, name in renamed.items()}
    if {*kept.values()} <= {background, IGNORED_CLASS}:
        raise S4miError(f"--drop-class {edits.drop[-1]!r}: leaves no class in masks; drop fewer, or import only images")
    return kept
