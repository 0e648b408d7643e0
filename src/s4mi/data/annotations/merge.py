"""New annotations come into a data set: checked against it, and written as its next version.

Nothing is written while anything is wrong. A label or mask that is there already is left as it is if the new one says
the same, and refused if it says another thing, unless it shall be replaced.
"""

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock

from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.annotations.rasterise import RasteriseError, Rasteriser
from s4mi.data.annotations.rules import MergeRules, complete_spec, with_tasks
from s4mi.data.annotations.types import Annotation
from s4mi.data.files import suffix_of
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import Manifest, Row
from s4mi.data.masks import encode_mask
from s4mi.data.spec import DatasetSpec
from s4mi.data.versions import load_version, write_version
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind

LOCK = ".merge.lock"


@dataclass(frozen=True)
class NewMask:
    """A mask to be written: class positions, and the file to copy where it came as one."""

    classes: Pixels
    file: Path | None


@dataclass
class MergePlan:
    """What a merge comes to.

    Attributes:
        faults: what is wrong, a line each. silent: images of which the file says nothing.
        same: annotations that are there already. replaced: how many take the place of others.
    """

    manifest: Manifest
    spec: DatasetSpec
    labels: dict[int, tuple[str, ...]] = field(default_factory=dict)
    masks: dict[int, NewMask] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    silent: int = 0
    same: int = 0
    replaced: int = 0


@dataclass(frozen=True)
class MergeResult:
    """What a merge changed.

    Attributes:
        version: its number, that of before where nothing changed.
        before, after: images by class, and by `masks`.
        official: new annotations by part of the official split.
        first: the tasks that had no annotation at all before.
    """

    version: int
    changed: int
    replaced: int
    same: int
    silent: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    official: Mapping[str, int]
    first: tuple[TaskKind, ...] = ()


def plan_merge(manifest: Manifest, given: Mapping[Path, Sequence[Annotation]], rules: MergeRules) -> MergePlan:
    """Check annotations, by the file or folder that they are in, against a data set, and say what they come to.

    Raises:
        S4miError: of a data set without classes, they do not say what classes there are, or a new class is none.
    """
    everything = [(source, one) for source, own in given.items() for one in own]
    names = ", ".join(map(str, given))
    plan = MergePlan(manifest, complete_spec(manifest.spec, [one for _, one in everything], names, rules))
    finder, painter = RowFinder(manifest), Rasteriser(plan.spec)
    said_by: dict[tuple[int, str], str] = {}
    for source, one in everything:
        place = f"{source}{one.place}" if one.place.startswith((":", "/")) else f"{source}: {one.place}"
        if one.silent and not (rules.empty and plan.spec.mask_values):
            plan.silent += 1
            continue
        try:
            number = finder.find(one.images)
            row = manifest.rows[number]
            if row.split in ("val", "test") and not rules.held_out:
                raise UnknownImageError(
                    f"image {row.id!r} is of the official {row.split} part, which new labels would change; take it "
                    "out, or annotate that part as well with --held-out"
                )
            labels = _labels(one, plan.spec)
            mask = painter.paint(one, row, empty=rules.empty)
        except (UnknownImageError, RasteriseError) as error:
            plan.faults.append(f"{place}: {error}")
            continue
        if labels is None and mask is None:
            plan.silent += 1
        if labels is not None:
            _take_labels(plan, number, labels, place=place, said_by=said_by, rules=rules)
        if mask is not None:
            file = one.mask
            _take_mask(plan, number, NewMask(mask, file), place=place, said_by=said_by, rules=rules, painter=painter)
    return plan


def apply_merge(plan: MergePlan) -> MergeResult:
    """Write the next version; where nothing is new, none.

    Raises:
        S4miError: something is wrong with the annotations; the first fault is named, the others are counted.
    """
    if plan.faults:
        more = f"and {len(plan.faults) - 1} more; " if len(plan.faults) > 1 else ""
        raise S4miError(f"{plan.faults[0]} ({more}nothing was merged)")
    manifest, folder = plan.manifest, plan.manifest.folder
    before = _counts(manifest.rows, plan.spec)
    changed = {*plan.labels, *plan.masks}
    rows = list(manifest.rows)
    version = manifest.version
    if changed:
        with _alone(folder):
            if load_version(folder).version != version:
                raise S4miError(f"{folder}: got a new version while this one was merged; give the same command again")
            masks = folder / f"masks-v{version + 1}"
            for number, mask in plan.masks.items():
                rows[number] = replace(rows[number], mask=_write(mask, rows[number], masks, plan.spec))
            for number, labels in plan.labels.items():
                rows[number] = replace(rows[number], labels=labels)
            version = write_version(manifest, with_tasks(plan.spec, rows), rows)
    official = {
        part: count for part in ("train", "val", "test") if (count := sum(rows[n].split == part for n in changed))
    }
    return MergeResult(
        version, len(changed), plan.replaced, plan.same, plan.silent, before=before, after=_counts(rows, plan.spec),
        official=official, first=_first(with_tasks(plan.spec, rows), before=manifest.rows, after=rows),
    )  # fmt: skip


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else merges into the data set meanwhile; the file of the lock goes with it."""
    with FileLock(folder / LOCK):
        try:
            yield
        finally:
            # Whoever waits for it takes a new one, and Windows keeps it while it is held.
            with suppress(OSError):
                (folder / LOCK).unlink()


def _first(spec: DatasetSpec, *, before: Sequence[Row], after: Sequence[Row]) -> tuple[TaskKind, ...]:
    """The tasks for which nothing was annotated before, and something is now."""
    return tuple(
        kind
        for kind in spec.tasks
        if not any(row.annotated(kind) for row in before) and any(row.annotated(kind) for row in after)
    )


def _labels(one: Annotation, spec: DatasetSpec) -> tuple[str, ...] | None:
    """The labels of an annotation in the order of the data set's classes.

    Raises:
        PaintError: one is no class, or there are not as many as the task has.
    """
    if one.labels is None:
        return None
    for name in one.labels:
        if name not in spec.classes:
            new = f"--new-class {shlex.quote(name)}"
            near = nearest(name, spec.classes)
            hint = f"{near} If it is a new class, say {new}" if near else f"; mend it, or add the class with {new}"
            raise RasteriseError(
                f"{name!r} is no class of the data set ({', '.join(spec.classes) or 'it has none'}){hint}"
            )
    if "multilabel" not in spec.tasks and len(one.labels) != 1:
        given = ", ".join(map(repr, one.labels)) or "no class"
        raise RasteriseError(f"{given} for one image, where the task multiclass wants one class")
    return tuple(sorted(one.labels, key=spec.classes.index))


def _take_labels(
    plan: MergePlan,
    number: int,
    labels: tuple[str, ...],
    *,
    place: str,
    said_by: dict[tuple[int, str], str],
    rules: MergeRules,
) -> None:
    row = plan.manifest.rows[number]
    new = plan.labels.get(number)
    if (number, "label") in said_by:
        if (new if new is not None else row.labels) != labels:
            first = _named(new if new is not None else row.labels or ())
            other = said_by[number, "label"]
            plan.faults.append(f"{place}: image {row.id!r} is {_named(labels)} here and {first} in {other}; keep one")
        return
    said_by[number, "label"] = place
    if row.labels is not None and tuple(sorted(row.labels)) == tuple(sorted(labels)):
        plan.same += 1
    elif row.labels is not None and not rules.replace:
        plan.faults.append(
            f"{place}: image {row.id!r} is {_named(labels)} here and {_named(row.labels)} in "
            f"{plan.manifest.folder / row.place}; take it out, or replace what is there with --replace"
        )
    else:
        plan.replaced += row.labels is not None
        plan.labels[number] = labels


def _take_mask(
    plan: MergePlan, number: int, mask: NewMask, *, place: str, said_by: dict[tuple[int, str], str], rules: MergeRules,
    painter: Rasteriser,
) -> None:  # fmt: skip
    row = plan.manifest.rows[number]
    old = None if row.mask is None else painter.read(row.mask)
    if (number, "mask") in said_by:
        new = plan.masks[number].classes if number in plan.masks else old
        if new is None or not np.array_equal(new, mask.classes):
            plan.faults.append(
                f"{place}: image {row.id!r} has another mask here than in {said_by[number, 'mask']}; keep one"
            )
        return
    said_by[number, "mask"] = place
    if old is not None and np.array_equal(old, mask.classes):
        plan.same += 1
    elif old is not None and not rules.replace:
        share = float((old != mask.classes).mean())
        plan.faults.append(
            f"{place}: image {row.id!r} has a mask in {plan.manifest.folder / row.place} that differs in "
            f"{100 * share:.1f} % of its pixels; take it out, or replace what is there with --replace"
        )
    else:
        plan.replaced += old is not None
        plan.masks[number] = mask


def _named(labels: Iterable[str]) -> str:
    return repr(";".join(labels) or "none")


def _write(mask: NewMask, row: Row, folder: Path, spec: DatasetSpec) -> Path:
    """Write a mask below the data set; one that came as a file is copied as it is."""
    target = folder / f"{row.id}{'.png' if mask.file is None else suffix_of(mask.file)}"
    if not target.resolve().is_relative_to(folder.resolve()):
        raise S4miError(f"id {row.id!r}: leads out of the data set; mend it in the manifest")
    target.parent.mkdir(parents=True, exist_ok=True)
    if mask.file is not None:
        shutil.copyfile(mask.file, target)
        return target
    picture = encode_mask(mask.classes, spec.mask_values)
    _, encoded = cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)
    target.write_bytes(encoded.tobytes())
    return target


def _counts(rows: Sequence[Row], spec: DatasetSpec) -> dict[str, int]:
    counts = {name: sum(name in (row.labels or ()) for row in rows) for name in spec.classes}
    if spec.classes:
        counts["no class"] = sum(row.labels == () for row in rows)
    if spec.mask_values:
        counts["masks"] = sum(row.mask is not None for row in rows)
    return {name: count for name, count in counts.items() if count or name != "no class"}
