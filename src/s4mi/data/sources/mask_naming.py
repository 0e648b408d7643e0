"""Assign class names to the pixel values and colours found in masks."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from s4mi.data.formats.frame import ImageError
from s4mi.data.masks import mask_file_values
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.resume import ImportJournal, key_of
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.spec import Finding, MaskKey
from s4mi.errors import S4miError

BACKGROUND = "background"


def name_mask_values(values: Iterable[MaskKey], *, naming: DatasetNaming) -> dict[MaskKey, str]:
    """Map the pixel values found in masks to class names.

    Masks with one value beside 0 need no names: 0 is the background, the other value `naming.foreground`.

    Raises:
        S4miError: there are more values but no names, or values that `naming.mask_values` lacks.
    """
    present = sorted(_in_one_encoding(set(values)), key=lambda value: (isinstance(value, str), value))
    black: MaskKey = "#000000" if present and isinstance(present[0], str) else 0
    shown = ", ".join(map(str, present[:8])) + (f", … ({len(present)} in all)" if len(present) > 8 else "")
    if naming.mask_values:
        if unnamed := [value for value in present if value not in naming.mask_values]:
            raise S4miError(
                f"masks contain the values {shown}, of which {', '.join(map(str, unnamed[:8]))} have no name; "
                f"add --mask-value {unnamed[0]}=NAME, with the name 'ignore' for pixels without annotation"
            )
        return dict(sorted(naming.mask_values.items(), key=lambda pair: (pair[1] != BACKGROUND, pair[0])))
    foreground = [value for value in present if value != black]
    if len(foreground) > 1:
        options = " ".join(f"--mask-value {value}=NAME" for value in foreground)
        hint = (
            f"name each: --mask-value {black}=background {options}"
            if len(foreground) <= 8
            else "re-export them with one number per class, in a lossless format"
        )
        raise S4miError(f"masks contain the values {shown}, whose classes are unknown; {hint}")
    return {black: BACKGROUND, (foreground[0] if foreground else 255): naming.foreground}


def _in_one_encoding(values: set[MaskKey]) -> set[MaskKey]:
    """Convert numbers to grey colours if any value is a colour."""
    if all(isinstance(value, int) for value in values):
        return values
    return {value if isinstance(value, str) else f"#{value:02x}{value:02x}{value:02x}" for value in values}


def scan_masks(
    masks: Sequence[Path],
    *,
    journal: ImportJournal | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[set[MaskKey], list[Finding]]:
    """Collect the pixel values or colours of all masks, and a warning for every mask that cannot be read.

    Masks that `journal` records in their current state are not read again.
    """
    keys = {path: key_of(path, {"scan": True}) for path in masks} if journal is not None else {}
    known = {path: result for path, key in keys.items() if journal and (result := journal.get(key)) is not None}
    present: set[MaskKey] = {value for values in known.values() for value in values}
    unreadable: list[Finding] = []
    todo = [path for path in masks if path not in known]
    for path, values in zip(todo, in_parallel(_values_of, todo, progress=progress), strict=True):
        if isinstance(values, ImageError):
            message = f"mask {path.name!r} {values}"
            unreadable.append(Finding(values.code, "warning", str(path), line=None, message=message))
            continue
        present.update(values)
        if journal is not None:
            journal.note(keys[path], values)
    return present, unreadable


def _values_of(path: Path) -> tuple[MaskKey, ...] | ImageError:
    try:
        return mask_file_values(path)
    except ImageError as error:
        return error
