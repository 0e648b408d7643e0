"""Assign class names to the pixel values and colours found in masks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.banded_masks import large_mask_values
from s4mi.data.banded_page import banded_page
from s4mi.data.files import read_frame
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError
from s4mi.data.masks import mask_file_values
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.resume import ImportJournal, key_of
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.spec import Finding, MaskKey
from s4mi.errors import S4miError

BACKGROUND = "background"
MAX_NAMED = 8
"""Maximum number of values for which a message lists the options."""
THRESHOLD = 128
END = 50
"""Distance from 0 and 255 within which lossy compression leaves the values of a mask of two levels."""
MIN_AT_ENDS = 0.98
"""Masks whose pixels are near 0 or 255 in at least this share are of two levels."""
SAMPLED_MASKS = 16


@dataclass(frozen=True)
class ScannedMasks:
    """Values found in masks, warnings for those that cannot be read, and whether no mask has more than two levels.

    A file of two levels holds 0 and 1 (such as one of 1 bit) or 0 and 255.

    Attributes:
        of_file: the values in each mask that can be read.
    """

    of_file: Mapping[Path, tuple[MaskKey, ...]]
    unreadable: list[Finding]
    bilevel: bool

    @property
    def values(self) -> set[MaskKey]:
        """The values in all masks."""
        return {value for values in set(self.of_file.values()) for value in values}


def name_mask_values(
    values: Iterable[MaskKey],
    *,
    naming: DatasetNaming,
    bilevel: bool = False,
    hint: str = "",
    where: Callable[[Sequence[MaskKey]], str] = lambda _: "",
) -> dict[MaskKey, str]:
    """Map the pixel values found in masks to class names.

    Masks with one value beside 0 need no names: 0 is the background, the other value `naming.foreground`.

    Args:
        bilevel: whether each file holds 0 and 1, or 0 and 255, so that 1 and 255 are one class.
        hint: what to do instead of naming each value, for the message.
        where: says which masks have values, for the message (`mask_value_places.py`).

    Raises:
        S4miError: there are more values but no names, or values that `naming.mask_values` lacks.
    """
    present = sorted(in_one_encoding(set(values)), key=lambda value: (isinstance(value, str), value))
    black: MaskKey = "#000000" if present and isinstance(present[0], str) else 0
    shown = _listed(present)
    if naming.mask_values:
        if unnamed := [value for value in present if value not in naming.mask_values]:
            options = " ".join(f"--mask-value {value}=NAME" for value in unnamed)
            if len(unnamed) > MAX_NAMED:
                options = "--mask-value VALUE=NAME for each"
            raise S4miError(
                f"masks contain the values {shown}, of which {_listed(unnamed)} have no name; "
                f"{where(unnamed)}add {options}, with the name 'ignore' for pixels without annotation"
            )
        return dict(sorted(naming.mask_values.items(), key=lambda pair: (pair[1] != BACKGROUND, pair[0])))
    foreground = [value for value in present if value != black]
    if bilevel and foreground == [1, 255]:
        return {0: BACKGROUND, 1: naming.foreground, 255: naming.foreground}
    if len(foreground) > 1:
        options = " ".join(f"--mask-value {value}=NAME" for value in foreground)
        hint = hint.removeprefix("; ") or (
            f"name each: --mask-value {black}=background {options}"
            if len(foreground) <= MAX_NAMED
            else "use --mask-nonzero NAME if all but 0 are one class, e.g. numbered objects, or re-export them with "
            "one number per class, in a lossless format"
        )
        raise S4miError(f"masks contain the values {shown}, whose classes are unknown; {where(foreground)}{hint}")
    return {black: BACKGROUND, (foreground[0] if foreground else 255): naming.foreground}


def _listed(values: Sequence[MaskKey]) -> str:
    more = f", … ({len(values)} in all)" if len(values) > MAX_NAMED else ""
    return ", ".join(map(str, values[:MAX_NAMED])) + more


def in_one_encoding(values: set[MaskKey]) -> set[MaskKey]:
    """Convert numbers to grey colours if any value is a colour."""
    if all(isinstance(value, int) for value in values):
        return values
    return set(map(as_colour, values))


def as_colour(value: MaskKey) -> str:
    """Return a colour as it is, and a number as a grey colour."""
    return value if isinstance(value, str) else f"#{value:02x}{value:02x}{value:02x}"


def scan_masks(
    masks: Sequence[Path],
    *,
    journal: ImportJournal | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ScannedMasks:
    """Collect the pixel values or colours of all masks, and a warning for every mask that cannot be read.

    Masks that `journal` records in their current state are not read again.
    """
    keys = {path: key_of(path, {"scan": True}) for path in masks} if journal is not None else {}
    known = {path: result for path, key in keys.items() if journal and (result := journal.get(key)) is not None}
    of_file: dict[Path, tuple[MaskKey, ...]] = {path: tuple(values) for path, values in known.items()}
    same = {values: values for values in of_file.values()}  # most masks have the same few values
    unreadable: list[Finding] = []
    todo = [path for path in masks if path not in known]
    for path, values in zip(todo, in_parallel(_values_of, todo, progress=progress), strict=True):
        if isinstance(values, ImageError):
            message = f"mask {path.name!r} {values}"
            unreadable.append(Finding(values.code, "warning", str(path), line=None, message=message))
            continue
        of_file[path] = same.setdefault(values, values)
        if journal is not None:
            journal.note(keys[path], values)
    bilevel = all(set(values) <= {0, 1} or set(values) <= {0, 255} for values in set(of_file.values()))
    return ScannedMasks(of_file, unreadable, bilevel)


def propose_threshold(masks: Sequence[Path]) -> str:
    """Return a hint to use --mask-threshold if the grey levels of the masks cluster at both ends, else `''`."""
    levels = np.zeros(256, dtype=np.int64)
    for path in masks[:: max(1, len(masks) // SAMPLED_MASKS)]:
        try:
            bands = (read_frame(path).values,) if banded_page(path) is None else tiff.bands(path)
            for values in bands:
                if values.dtype != np.uint8:
                    return ""
                grey = values if values.ndim == 2 else values[:, :, :3].mean(axis=2).astype(np.uint8)
                levels += np.bincount(grey.ravel(), minlength=256)
        except ImageError:
            continue
    low, high = levels[: END + 1], levels[-END - 1 :]
    both = np.count_nonzero(low) > 1 and np.count_nonzero(high) > 1
    if not both or low.sum() + high.sum() < MIN_AT_ENDS * levels.sum():
        return ""
    return f"; they cluster near 0 and 255, as lossy compression leaves them: use --mask-threshold {THRESHOLD}"


def _values_of(path: Path) -> tuple[MaskKey, ...] | ImageError:
    try:
        large = large_mask_values(path)
        return mask_file_values(path) if large is None else large
    except ImageError as error:
        return error
