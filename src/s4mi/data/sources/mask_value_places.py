"""Say in which masks, and in how many, values without a name occur: a value in few masks is often a fault in them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.sources.copy_files import relative_path
from s4mi.data.sources.mask_naming import BACKGROUND, MAX_NAMED, ScannedMasks, as_colour, in_one_encoding, scan_masks
from s4mi.data.sources.types import DatasetNaming, FoundDataset
from s4mi.data.spec import IGNORED_CLASS, Finding, MaskKey
from s4mi.formatting import plural

FEW = 0.1
"""Values in at most this share of the masks, or in one of several, may be a fault of these masks."""
MAX_SHOWN = 3
"""Values that are listed."""


@dataclass(frozen=True)
class MaskValuePlaces:
    """The masks of a data set that is being imported, with their values.

    Attributes:
        scanned: masks that have been read as they are.
        written: files that the import wrote of masks, by these.
    """

    found: FoundDataset
    scanned: ScannedMasks
    written: Mapping[Path, Path] = field(default_factory=dict)

    def describe(self, values: Sequence[MaskKey]) -> str:
        """Return the masks that have the rarest of `values`, as `describe_values` does."""
        mask_of = {file: mask for mask, file in self.written.items()}
        again = scan_masks(sorted(mask_of)).of_file
        of_file = {**self.scanned.of_file, **{mask_of[file]: there for file, there in again.items()}}
        return describe_values(values, of_file, place=self._place)

    def _place(self, mask: Path) -> str:
        """Return the file of a mask, relative to the source, and the row of its table."""
        embedded = self.found.embedded.get(mask)
        name = relative_path(mask if embedded is None else embedded.file, self.found.folder).as_posix()
        if embedded is not None and embedded.frame:
            name = f"{name}, frame {embedded.frame}"
        if not self.found.table:
            return name
        line = next((row.line for row in self.found.rows if row.mask == mask), 0)
        return f"{name} ({self.found.table}:{line})" if line else name


def describe_values(
    values: Sequence[MaskKey],
    of_file: Mapping[Path, Sequence[MaskKey]],
    *,
    place: Callable[[Path], str] = str,
) -> str:
    """Return how many masks have the rarest of `values`, and the first of these, as the beginning of a hint.

    Empty if each value is in every mask, or if there are so many values that they are numbers of objects or noise.

    Args:
        of_file: the values in each mask.
        place: how a message names a mask.
    """
    asked, masks_with = set(values), dict[MaskKey, list[Path]]()
    colours = any(isinstance(value, str) for value in asked)
    for mask in sorted(of_file):
        for value in {as_colour(value) for value in of_file[mask]} if colours else of_file[mask]:
            if value in asked:
                masks_with.setdefault(value, []).append(mask)
    few = max(1, int(FEW * len(of_file)))
    rare = [value for value in values if 0 < len(masks_with.get(value, ())) <= few]
    masks = sorted({mask for value in rare for mask in masks_with[value]})
    at_fault = 0 < len(masks) <= few < len(of_file) and len(masks_with) - len(rare) <= MAX_NAMED
    if not at_fault:
        if not 0 < len(masks_with) <= MAX_NAMED:
            return ""
        rare = [min(masks_with, key=lambda value: len(masks_with[value]))]
        masks = masks_with[rare[0]]
        if len(masks) == len(of_file):
            return ""
    shown = ", ".join(map(str, rare[:MAX_SHOWN])) + (f", … ({len(rare)} in all)" if len(rare) > MAX_SHOWN else "")
    subject = f"value {shown} is" if len(rare) == 1 else f"values {shown} are"
    text = f"{subject} in {len(masks)} of {plural(len(of_file), 'mask')}, first in {place(masks[0])}"
    if at_fault:
        return f"{text}: look at {'this mask' if len(masks) == 1 else 'these masks'} first; else "
    return f"{text}; "


def unused_names(values: Collection[MaskKey], naming: DatasetNaming, *, masks: bool) -> list[Finding]:
    """Return warnings about names of values that no mask has, and about options for masks where there are none.

    Args:
        values: the values in the masks. masks: whether there are any.
    """
    there = in_one_encoding(set(values))
    absent = {
        value: name
        for value, name in naming.mask_values.items()
        if value not in there and name not in (BACKGROUND, IGNORED_CLASS)
    }
    if naming.mask_rule.active and not masks:
        message = (
            "no image has a mask, so --mask-threshold and --mask-nonzero have no effect; check where the masks are"
        )
        return [Finding("mask-value-absent", "warning", ".", None, message)]
    if not absent:
        return []
    listed = ", ".join(f"{value} ({name})" for value, name in list(absent.items())[:MAX_NAMED])
    hint = "correct --mask-value if given" if masks else "check where the masks are"
    has = f"no mask has the value {listed}" if len(absent) == 1 else f"no mask has the values {listed}"
    return [Finding("mask-value-absent", "warning", ".", None, f"{has}, though a class is named for it; {hint}")]
