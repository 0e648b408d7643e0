"""The annotations of the page as files, as a merge reads them, and a merge that was interrupted."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from s4mi.data.annotations.journal import FOLDER, MERGE, Entry
from s4mi.data.annotations.merge import MergePlan, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.annotations.types import Annotation
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import Manifest
from s4mi.data.masks import encode_mask
from s4mi.data.spec import NO_CLASS
from s4mi.formatting import plural
from s4mi.viewer.annotations import Annotations

LABELS = "labels.csv"
MASKS = "masks"


@dataclass(frozen=True)
class MergeFiles:
    """The files of a merge.

    Attributes:
        labelled: number of rows in the table of labels. numbers: images with anything to merge.
        notes: what is left out, one line each.
    """

    labels: Path
    masks: Mapping[int, Path]
    numbers: tuple[int, ...]
    labelled: int
    notes: tuple[str, ...] = ()
    skipped: int = 0


def write_files(annotations: Annotations, manifest: Manifest) -> MergeFiles:
    """Write labels and masks as files; skipped images, and masks that hold nothing, are left out."""
    home = manifest.folder / FOLDER / MERGE
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", "label"))
    masks: dict[int, Path] = {}
    numbers, labelled, skipped, nothing = list[int](), 0, 0, 0
    for n, one in annotations.changed().items():
        if one.skip is not None:
            skipped += 1
            continue
        mask = annotations.mask(n) if one.masked else None
        is_nothing = mask is not None and not mask.any() and not one.empty
        nothing += is_nothing
        if one.labels is not None:
            labelled += 1
            writer.writerow((manifest.rows[n].id, ";".join(one.labels) or NO_CLASS))
        if mask is not None and not is_nothing:
            masks[n] = home / MASKS / f"{n}.png"
            _write_png(encode_mask(mask, manifest.spec.mask_values), masks[n])
        if (one.labels is not None and not is_nothing) or n in masks:
            numbers.append(n)
    (home / LABELS).write_text(table.getvalue(), encoding="utf-8")
    notes = []
    if nothing:
        subject = "mask shows" if nothing == 1 else "masks show"
        notes.append(f"{nothing} {subject} background only and is not merged; draw on it, or answer that it is empty")
    if skipped:
        notes.append(f"{plural(skipped, 'image')} skipped and not merged; the reasons are kept")
    return MergeFiles(home / LABELS, masks, tuple(numbers), labelled, tuple(notes), skipped)


def plan_files(files: MergeFiles, manifest: Manifest, rules: MergeRules) -> MergePlan:
    """Check the files of a merge against the data set."""
    masks = [
        Annotation((manifest.rows[n].id,), f": image {manifest.rows[n].id!r}", mask=path)
        for n, path in files.masks.items()
    ]
    labels = read_annotations(files.labels) if files.labelled else []
    return plan_merge(manifest, {files.labels: labels, files.labels.parent / MASKS: masks}, rules)


def finish_interrupted(annotations: Annotations, manifest: Manifest, entries: Sequence[Entry]) -> bool:
    """Archive a journal whose merge was written before the process was killed; tell whether that was so.

    The journal says that a merge began; whether it was written is decided by the contents of the data set alone.
    """
    if not entries or entries[-1]["op"] != "merging" or entries[-1].get("version") != manifest.version:
        return False
    files = write_files(annotations, manifest)
    plan = plan_files(files, manifest, MergeRules(replace=True, held_out=True))
    if plan.errors or plan.labels or plan.masks:
        return False
    numbers = {row.id: number for number, row in enumerate(manifest.rows)}
    annotations.restart(f"merged-v{manifest.version}", manifest.version, files.numbers, numbers)
    return True


def _write_png(pixels: Pixels, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes())
