"""Which pixel values and colours masks hold, and which class each of them is."""

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
    """Pixel value → class name for masks that hold `values`.

    Masks with one value beside 0 need no names: 0 is background, the other one `naming.foreground`.

    Raises:
        S4miError: there are more values, or values that `naming.mask_values` leaves out.
    """
    present = sorted(_in_one_code(set(values)), key=lambda value: (isinstance(value, str), value))
    black: MaskKey = "#000000" if present and isinstance(present[0], str) else 0
    shown = ", ".join(map(str, present[:8])) + (f", … ({len(present)} in all)" if len(present) > 8 else "")
    if naming.mask_values:
        if missing := [value for value in present if value not in naming.mask_values]:
            raise S4miError(
                f"masks hold the values {shown}, and {', '.join(map(str, missing[:8]))} is not named; "
                f"add --mask-value {missing[0]}=NAME, or NAME 'ignore' for pixels without annotation"
            )
        return dict(sorted(naming.mask_values.items(), key=lambda pair: (pair[1] != BACKGROUND, pair[0])))
    inside = [value for value in present if value != black]
    if len(inside) > 1:
        cure = (
            f"name each: --mask-value {black}=background " + " ".join(f"--mask-value {value}=NAME" for value in inside)
            if len(inside) <= 8
            else "re-export them with one number per class, in a format without loss"
        )
        raise S4miError(f"masks hold the values {shown}, so which is what is unclear; {cure}")
    return {black: BACKGROUND, (inside[0] if inside else 255): naming.foreground}


def _in_one_code(values: set[MaskKey]) -> set[MaskKey]:
    """Where any mask is coloured, the numbers of those without a colour as greys."""
    if all(isinstance(value, int) for value in values):
        return values
    return {value if isinstance(value, str) else f"#{value:02x}{value:02x}{value:02x}" for value in values}


def scan_masks(
    masks: Sequence[Path], *, journal: ImportJournal | None = None, say: Callable[[int, int], None] = lambda *_: None
) -> tuple[set[MaskKey], list[Finding]]:
    """Every pixel value or colour the masks hold, and the masks that cannot be read, as warnings.

    Masks that `journal` knows as they are now are not read again.
    """
    keys = {path: key_of(path, {"scan": True}) for path in masks} if journal is not None else {}
    known = {path: answer for path, key in keys.items() if journal and (answer := journal.get(key)) is not None}
    present: set[MaskKey] = {value for values in known.values() for value in values}
    unread: list[Finding] = []
    todo = [path for path in masks if path not in known]
    for path, values in zip(todo, in_parallel(_values_of, todo, say=say), strict=True):
        if isinstance(values, ImageError):
            message = f"mask {path.name!r} {values}"
            unread.append(Finding(code=values.code, severity="warning", file=str(path), line=None, message=message))
            continue
        present.update(values)
        if journal is not None:
            journal.note(keys[path], values)
    return present, unread


def _values_of(path: Path) -> tuple[MaskKey, ...] | ImageError:
    try:
        return mask_file_values(path)
    except ImageError as error:
        return error
