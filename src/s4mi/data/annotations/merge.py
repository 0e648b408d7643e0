"""Merge new annotations into a data set: check them all, then write its next version.

Nothing is written if there is any error. An annotation equal to an existing one is left as it is; one that differs is
an error, unless existing annotations may be replaced.
"""

import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.annotations.rasterise import RasteriseError, Rasteriser
from s4mi.data.annotations.rules import MergeRules, complete_spec, with_tasks
from s4mi.data.annotations.types import Annotation
from s4mi.data.files import suffix_of
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import Manifest
from s4mi.data.masks import encode_mask
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.data.versions import load_version, write_version
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind, write_bytes_atomically
from s4mi.records.atomic import replacing, sweep
from s4mi.records.lock import file_lock

LOCK = ".merge.lock"


@dataclass(frozen=True)
class NewMask:
    """A mask to be written: (H, W) class indices, and the mask file to copy if it was read from one."""

    classes: Pixels
    file: Path | None


@dataclass
class MergePlan:
    """The checked changes of a merge, before anything is written.

    Attributes:
        labels, masks: new annotations by row number.
        errors: one line per error.
        blank: number of images listed without annotation.
        same: number of annotations that exist already.
        replaced: number of annotations that replace different ones.
        ignored: number of entries that are neither label nor mask, by noun.
        locations: where the first label and mask of each row is, by row number and `label` or `mask`.
    """

    manifest: Manifest
    spec: DatasetSpec
    labels: dict[int, tuple[str, ...]] = field(default_factory=dict)
    masks: dict[int, NewMask] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    blank: int = 0
    same: int = 0
    replaced: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    locations: dict[tuple[int, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeResult:
    """The changes that a merge made.

    Attributes:
        version: new version of the data set, or the previous one if nothing changed.
        changed: number of images with new annotations.
        replaced, same, blank: as in `MergePlan`.
        before, after: number of images per class, and with `masks`.
        official: number of images with new annotations per part of the official split.
        first: tasks that had no annotation before.
    """

    version: int
    changed: int
    replaced: int
    same: int
    blank: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    official: Mapping[str, int]
    first: tuple[TaskKind, ...] = ()


def plan_merge(manifest: Manifest, sources: Mapping[Path, Sequence[Annotation]], rules: MergeRules) -> MergePlan:
    """Check annotations, by their file or folder, against a data set, and collect the changes and errors.

    Raises:
        S4miError: the annotations do not determine the classes of a data set without any, or a new class is invalid.
    """
    annotations = [(source, one) for source, of_source in sources.items() for one in of_source]
    names = ", ".join(map(str, sources))
    plan = MergePlan(manifest, complete_spec(manifest.spec, [one for _, one in annotations], names, rules))
    finder, rasteriser = RowFinder(manifest), Rasteriser(plan.spec)
    ids = {row.id for row in manifest.rows}
    for source, annotation in annotations:
        separator = "" if annotation.location.startswith((":", "/")) else ": "
        location = f"{source}{separator}{annotation.location}"
        plan.ignored.update(annotation.ignored)
        empty = rules.empty and annotation.holds_regions
        if annotation.blank and not (empty and plan.spec.mask_values):
            plan.blank += 1
            continue
        try:
            number = finder.find(annotation.images, agreeing=annotation.agreeing)
            row = manifest.rows[number]
            if annotation.absent in ids:
                raise UnknownImageError(
                    f"image {annotation.absent!r} is beyond its last slice, so the volume is not that of the images; "
                    "save it in the geometry of its image"
                )
            if row.split in ("val", "test") and not rules.held_out:
                raise UnknownImageError(
                    f"image {row.id!r} is in the official {row.split} part, which new annotations would change; "
                    "remove it, or annotate that part as well with --held-out"
                )
            labels = _labels(annotation, plan.spec)
            mask = rasteriser.rasterise(annotation, row, empty=empty)
        except (UnknownImageError, RasteriseError) as error:
            plan.errors.append(f"{location}: {error}")
            continue
        if labels is None and mask is None:
            plan.blank += 1
        if labels is not None:
            _add_labels(plan, number, labels, location=location, rules=rules)
        if mask is not None:
            new = NewMask(mask, annotation.mask)
            _add_mask(plan, number, new, location=location, rules=rules, rasteriser=rasteriser)
    return plan


def apply_merge(plan: MergePlan) -> MergeResult:
    """Write the next version of the data set, unless nothing is new.

    Raises:
        S4miError: the plan has errors, of which the message contains the first and the number of others.
    """
    if plan.errors:
        more = f"and {len(plan.errors) - 1} more; " if len(plan.errors) > 1 else ""
        raise S4miError(f"{plan.errors[0]} ({more}nothing was merged)")
    manifest, folder = plan.manifest, plan.manifest.folder
    before = _counts(manifest.rows, plan.spec)
    changed = {*plan.labels, *plan.masks}
    rows = list(manifest.rows)
    version = manifest.version
    with _locked(folder):
        sweep(folder)  # what a killed merge left, also where nothing is new
        if changed:
            if load_version(folder).version != version:
                raise S4miError(f"{folder}: another merge has written a new version; run the same command again")
            masks = folder / f"masks-v{version + 1}"
            for number, mask in plan.masks.items():
                rows[number] = replace(rows[number], mask=_write(mask, rows[number], masks, plan.spec))
            for number, labels in plan.labels.items():
                rows[number] = replace(rows[number], labels=labels, unknown=())
            version = write_version(manifest, with_tasks(plan.spec, rows), rows)
    official = {
        part: count for part in ("train", "val", "test") if (count := sum(rows[n].split == part for n in changed))
    }
    return MergeResult(
        version, len(changed), plan.replaced, plan.same, plan.blank, before=before, after=_counts(rows, plan.spec),
        official=official, first=_first_tasks(with_tasks(plan.spec, rows), before=manifest.rows, after=rows),
    )  # fmt: skip


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Exclude other merges into the data set."""
    with file_lock(folder / LOCK):
        yield


def _first_tasks(spec: DatasetSpec, *, before: Sequence[Row], after: Sequence[Row]) -> tuple[TaskKind, ...]:
    """Return the tasks without any annotation before the merge and with some after it."""
    return tuple(
        kind
        for kind in spec.tasks
        if not any(row.annotated(kind) for row in before) and any(row.annotated(kind) for row in after)
    )


def _labels(annotation: Annotation, spec: DatasetSpec) -> tuple[str, ...] | None:
    """Return the labels of an annotation in the order of the classes of the data set.

    Raises:
        RasteriseError: a class is unknown, or the task multiclass has not exactly one.
    """
    if annotation.labels is None:
        return None
    for name in annotation.labels:
        if name not in spec.classes:
            option = f"--new-class {shlex.quote(name)}"
            near = nearest(name, spec.classes)
            hint = f"{near} Or add a new class with {option}" if near else f"; correct it, or add it with {option}"
            raise RasteriseError(f"unknown class {name!r} (classes: {', '.join(spec.classes) or 'none'}){hint}")
    if "multilabel" not in spec.tasks and len(annotation.labels) != 1:
        labels = ", ".join(map(repr, annotation.labels)) or "no class"
        raise RasteriseError(f"a multiclass image must have exactly one class (given {labels}); correct the labels")
    return tuple(sorted(annotation.labels, key=spec.classes.index))


def _add_labels(plan: MergePlan, number: int, labels: tuple[str, ...], *, location: str, rules: MergeRules) -> None:
    row = plan.manifest.rows[number]
    if (number, "label") in plan.locations:
        first = plan.labels.get(number, row.labels or ())
        if first != labels:
            plan.errors.append(
                f"{location}: image {row.id!r} is {_quoted(labels)} here but {_quoted(first)} in "
                f"{plan.locations[number, 'label']}; keep one"
            )
        return
    plan.locations[number, "label"] = location
    # Of classes that were unknown, a label says something new and contradicts nothing.
    agrees = row.labels is not None and not (set(row.labels) ^ set(labels)) - set(row.unknown)
    if agrees and not row.unknown:
        plan.same += 1
    elif row.labels is not None and not agrees and not rules.replace:
        plan.errors.append(
            f"{location}: image {row.id!r} is {_quoted(labels)} here but {_quoted(row.labels)} in "
            f"{plan.manifest.folder / row.location}; remove it, or replace the existing label with --replace"
        )
    else:
        plan.replaced += row.labels is not None and not agrees
        plan.labels[number] = labels


def _add_mask(
    plan: MergePlan, number: int, mask: NewMask, *, location: str, rules: MergeRules, rasteriser: Rasteriser
) -> None:
    row = plan.manifest.rows[number]
    old = None if row.mask is None else rasteriser.read(row.mask)
    if (number, "mask") in plan.locations:
        first = plan.masks[number].classes if number in plan.masks else old
        if first is None or not np.array_equal(first, mask.classes):
            plan.errors.append(
                f"{location}: mask of image {row.id!r} differs from that in {plan.locations[number, 'mask']}; keep one"
            )
        return
    plan.locations[number, "mask"] = location
    if old is not None and np.array_equal(old, mask.classes):
        plan.same += 1
    elif old is not None and not rules.replace:
        share = float((old != mask.classes).mean())
        plan.errors.append(
            f"{location}: mask of image {row.id!r} differs from that in {plan.manifest.folder / row.location} in "
            f"{100 * share:.1f} % of the pixels; remove it, or replace the existing mask with --replace"
        )
    else:
        plan.replaced += old is not None
        plan.masks[number] = mask


def _quoted(labels: Iterable[str]) -> str:
    return repr(";".join(labels) or "none")


def _write(mask: NewMask, row: Row, folder: Path, spec: DatasetSpec) -> Path:
    """Write a mask below the data set; one that was read from a file is copied unchanged."""
    target = folder / f"{row.id}{'.png' if mask.file is None else suffix_of(mask.file)}"
    if not target.resolve().is_relative_to(folder.resolve()):
        raise S4miError(f"id {row.id!r}: leads out of the data set folder; correct it in the manifest")
    if mask.file is not None:
        with replacing(target, private=True, flush=False) as draft:
            shutil.copyfile(mask.file, draft)
        return target
    pixels = encode_mask(mask.classes, spec.mask_values)
    _, encoded = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    write_bytes_atomically(target, encoded.tobytes(), private=True, flush=False)
    return target


def _counts(rows: Sequence[Row], spec: DatasetSpec) -> dict[str, int]:
    counts = {name: sum(name in (row.labels or ()) for row in rows) for name in spec.classes}
    if spec.classes:
        counts["no class"] = sum(row.labels == () for row in rows)
    if spec.mask_values:
        counts["masks"] = sum(row.mask is not None for row in rows)
    return {name: count for name, count in counts.items() if count or name != "no class"}
