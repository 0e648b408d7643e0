"""The masks of an import: write those that change, read the values of the others, and name all values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from s4mi.data.row import Row
from s4mi.data.sources.compose_masks import ComposeJob, compose_masks
from s4mi.data.sources.edit_masks import edit_mask_names
from s4mi.data.sources.mask_naming import name_mask_values, propose_threshold, scan_masks
from s4mi.data.sources.mask_value_places import MaskValuePlaces, unused_names
from s4mi.data.sources.resume import ImportJournal
from s4mi.data.sources.types import DatasetNaming, FoundDataset, ProgressCallback
from s4mi.data.spec import Finding, MaskKey
from s4mi.errors import S4miError
from s4mi.formatting import plural


@dataclass(frozen=True)
class ComposedMasks:
    """Masks that were united or made one class.

    Attributes:
        targets: the PNG of each mask, by its first file; failed ones included.
        rows: the rows of the import without those whose mask failed.
        codes: the values in the masks written.
        findings: a warning for each mask that failed.
    """

    targets: Mapping[Path, Path]
    rows: tuple[Row, ...]
    codes: frozenset[MaskKey]
    findings: tuple[Finding, ...]


def write_composed_masks(
    found: FoundDataset,
    rows: tuple[Row, ...],
    *,
    targets: Mapping[Path, Path],
    naming: DatasetNaming,
    journal: ImportJournal,
    progress: ProgressCallback,
) -> ComposedMasks:
    """Write the masks of `rows` that several files make up, or that the mask rule changes; none if there are none.

    Args:
        targets: the copy of each file, whose name the PNG takes.

    Raises:
        S4miError: the masks of an image cannot be united.
    """
    masks = {row.mask for row in rows if row.mask is not None} - set(found.embedded)
    chosen = {mask for mask in masks if naming.mask_rule.active or mask in found.united}
    composed = {mask: targets[mask].with_suffix(".png") for mask in chosen}
    written = [*composed.values(), *(target for path, target in targets.items() if path not in chosen)]
    if len({*written}) < len(written):  # masks of one name with different extensions
        composed = {mask: targets[mask].with_name(f"{targets[mask].name}.png") for mask in chosen}
    if not composed:
        journal.begin("compose", ())
        return ComposedMasks({}, rows, frozenset(), ())
    jobs = [ComposeJob((mask, *found.united.get(mask, ())), target) for mask, target in composed.items()]
    work = partial(progress, "writing masks")
    codes, failed = compose_masks(jobs, naming.mask_rule, journal=journal, progress=work)
    findings = [
        Finding(error.code, "warning", str(found.folder), None, f"{error}; row skipped") for error in failed.values()
    ]
    kept = tuple(row for row in rows if row.mask is None or composed.get(row.mask) not in failed)
    return ComposedMasks(composed, kept, frozenset(codes), tuple(findings))


def name_masks(
    found: FoundDataset,
    unchanged: Sequence[Path],
    *,
    written: Mapping[Path, Path],
    codes: Collection[MaskKey],
    naming: DatasetNaming,
    masks: bool,
    journal: ImportJournal,
    progress: ProgressCallback,
) -> tuple[dict[MaskKey, str], list[Finding]]:
    """Return the class of each value in the masks, and warnings: names without a value, and unreadable masks.

    Args:
        unchanged: masks that are used or copied as they are.
        written: the files that the import wrote of the other masks, by these.
        codes: the values in the masks written.
        masks: whether there are any masks; without, no value is named.

    Raises:
        S4miError: no mask can be read, or values have no name.
    """
    scanned = scan_masks(unchanged, journal=journal, progress=partial(progress, "reading masks"))
    values, unreadable = scanned.values.union(codes), scanned.unreadable
    ambiguous = len(scanned.values) > 2 or bool(unreadable)
    hint = propose_threshold(unchanged) if ambiguous and not naming.mask_values else ""
    if unchanged and len(unreadable) == len(unchanged) and not codes:
        raise S4miError(f"{unreadable[0]} (none of {plural(len(unchanged), 'mask')} can be read){hint}")
    unused: Sequence[Finding] = ()
    if found.segments:
        naming = _named_by_segments(found, naming)
    else:
        unused = unused_names(values, naming, masks=masks)
    names: dict[MaskKey, str] = {}
    if masks:
        bilevel = scanned.bilevel and {*codes} <= {0, 255}
        where = MaskValuePlaces(found, scanned, written).describe
        names = name_mask_values(values, naming=naming, bilevel=bilevel, hint=hint, where=where)
    return edit_mask_names(names, found.edits), [*unused, *unreadable]


def _named_by_segments(found: FoundDataset, naming: DatasetNaming) -> DatasetNaming:
    """Name the values of masks after the segments of 3D Slicer, unless all are made one class.

    Raises:
        S4miError: the values have been named otherwise.
    """
    if naming.mask_rule.active:
        return naming
    if naming.mask_values:
        raise S4miError(
            f"{found.folder}: --mask-value does not apply to these segmentations, whose segments have names "
            f"({', '.join(found.segments)}); leave it out"
        )
    return replace(naming, mask_values={0: "background", **dict(enumerate(found.segments, start=1))})
