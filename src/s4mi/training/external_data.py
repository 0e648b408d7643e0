"""An external test set as a run sees it: its images to score, with the classes of the run.

Classes are matched by name, or as the setting `classes` says. Rules where the two data sets differ:

    the external set lacks a class     it is not scored: pixels predicted as such count as background, its column of a
                                       multi-label task is left out; in multi-class tasks predicting it is a mistake
    the run does not know a class      images of it are left out (multi-class), labels not scored (multi-label), pixels
                                       ignored (masks)
    no class in common                 refused

The first class of masks is the background on both sides, whatever its name.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s4mi.config.external_tests import ExternalTestConfig
from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.spec import IGNORED_CLASS, DatasetSpec, MaskKey
from s4mi.data.versions import load_version
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind
from s4mi.training.shared_classes import SharedClasses


@dataclass(frozen=True)
class ExternalData:
    """An external test set in terms of a run.

    Attributes:
        manifest: rows to score, with the labels, mask values and intensity rule of the run.
        title: its name in results.
        missing: classes of the run that it lacks.
        additional: number of images of each class that the run does not know.
        unannotated: images left out, as they are not annotated, or it is not known of any class of both.
    """

    manifest: Manifest
    kind: TaskKind
    title: str
    shared: SharedClasses
    missing: tuple[str, ...]
    additional: Mapping[str, int]
    unannotated: int

    @property
    def hash(self) -> str:
        """Hash of the rows, their annotations and the classes that are scored; of no pixels and no path."""
        rows = [
            [
                row.id,
                row.image.name,
                row.mask and row.mask.name,
                row.labels,
                row.group,
                *([row.unknown] * bool(row.unknown)),
            ]
            for row in self.manifest.rows
        ]
        values = [[str(value), name] for value, name in self.manifest.spec.mask_values.items()]
        contents = [self.title, self.kind, self.shared.names, self.shared.index.tolist(), values, rows]
        return hashlib.blake2b(json.dumps(contents).encode(), digest_size=8).hexdigest()


def external_data(
    test: ExternalTestConfig, spec: DatasetSpec, kind: TaskKind, *, name: str, classes: Sequence[str]
) -> ExternalData:
    """Read an external test set for a run; no image is opened.

    Args:
        spec: data set description of the run.
        classes: classes of the run.

    Raises:
        S4miError: it cannot be read, is not annotated for the task, shares no class with the run, or has no image to
            score.
    """
    try:
        manifest = load_version(test.path, test.version)
    except S4miError as error:
        raise S4miError(f"tests.{name}: {error}") from error
    place = f"tests.{name}: {test.path}"
    if kind not in manifest.spec.tasks:
        has = " and ".join(manifest.spec.tasks) or "no task"
        raise S4miError(f"{place} is annotated for {has}, but the run is {kind}; remove it from tests")
    theirs = manifest.spec.classes_of(kind)
    # The setting may also name classes of the other task, for other runs of a study.
    elsewhere = {*manifest.spec.classes, *manifest.spec.mask_classes} - {*theirs}
    renamed = {one: other for one, other in test.classes.items() if one not in elsewhere}
    own_name = _names(renamed, theirs, classes, kind, place=place)
    shared = [k for k, one in enumerate(classes) if one in own_name.values()]
    if not [k for k in shared if kind != "segmentation" or k > 0]:
        raise S4miError(_nothing_shared(place, name, theirs, classes, kind))
    absent = 0 if kind == "segmentation" else -1
    index = np.full(len(classes), absent, dtype=np.int64)
    index[shared] = np.arange(len(shared))
    rows = [row for row in manifest.rows if test.part in ("all", row.split)]
    annotated = [row for row in rows if row.annotated(kind)]
    shown = Counter(label for row in annotated for label in row.labels or () if kind != "segmentation")
    additional = {one: shown[one] for one in theirs if one not in own_name}
    if kind != "segmentation":
        annotated = [_renamed(row, own_name) for row in annotated]
    if kind == "multilabel":
        annotated = [row for row in annotated if len(row.unknown) < len(shared)]
    kept = [row for row in annotated if kind != "multiclass" or row.labels]
    if not kept:
        part = "" if test.part == "all" else f" in its part {test.part!r}"
        raise S4miError(f"{place} has no image{part} that is annotated with a class of the run; choose another")
    return ExternalData(
        manifest=replace(manifest, spec=_spec(manifest.spec, spec, kind, own_name, classes), rows=tuple(kept)),
        kind=kind,
        title=manifest.title,
        shared=SharedClasses(tuple(classes[k] for k in shared), index),
        missing=tuple(one for k, one in enumerate(classes) if k not in shared),
        additional=additional,
        unannotated=len(rows) - len(annotated),
    )


def _names(
    renamed: Mapping[str, str], theirs: Sequence[str], own: Sequence[str], kind: TaskKind, *, place: str
) -> dict[str, str]:
    """Name in the run of each external class that it knows.

    Raises:
        S4miError: the setting names a class that one of the two does not have, or two classes become one label.
    """
    for one, other in renamed.items():
        if one not in theirs:
            raise S4miError(f"{place}: classes: has no class {one!r}{nearest(one, theirs) or _listed(theirs)}")
        if other not in own:
            raise S4miError(f"{place}: classes: the run has no class {other!r}{nearest(other, own) or _listed(own)}")
    found = {one: renamed.get(one, one) for one in theirs if renamed.get(one, one) in own}
    if kind == "segmentation":
        found[theirs[0]] = own[0]
    return found


def _renamed(row: Row, own_name: Mapping[str, str]) -> Row:
    """Return the row with the classes of the run; of two of theirs that become one, a label that is present counts."""
    labels, unknown = (
        dict.fromkeys(own_name[name] for name in names if name in own_name) for names in (row.labels or (), row.unknown)
    )
    return replace(row, labels=tuple(labels), unknown=tuple(name for name in unknown if name not in labels))


def _spec(
    theirs: DatasetSpec, own: DatasetSpec, kind: TaskKind, own_name: Mapping[str, str], classes: Sequence[str]
) -> DatasetSpec:
    """Description with the classes of the run in its order, and files read as the run reads its own."""
    update: dict[str, object] = {"intensity": own.intensity, "channels": own.channels, "tasks": (kind,)}
    if kind != "segmentation":
        return theirs.model_copy(update={**update, "classes": tuple(classes), "mask_values": {}})
    values: dict[MaskKey, str] = {}
    free = _free_keys(theirs.mask_values)
    for one in classes:  # the order decides about the index of a class
        keys = [key for key, name in theirs.mask_values.items() if own_name.get(name) == one]
        values |= dict.fromkeys(keys or [next(free)], one)
    ignored = [key for key, name in theirs.mask_values.items() if name not in own_name]
    values |= dict.fromkeys(ignored, IGNORED_CLASS)
    return theirs.model_copy(update={**update, "classes": (), "mask_values": values})


def _free_keys(mask_values: Mapping[MaskKey, str]) -> Iterator[MaskKey]:
    """Codes that no mask contains, for classes that the external set lacks."""
    colours = any(isinstance(key, str) for key in mask_values)
    codes: list[MaskKey] = [f"#{code:06x}" for code in range(1, 512)] if colours else list(range(255, -1, -1))
    return iter([code for code in codes if code not in mask_values])


def _nothing_shared(place: str, name: str, theirs: Sequence[str], own: Sequence[str], kind: TaskKind) -> str:
    skipped = 1 if kind == "segmentation" else 0
    first, other = theirs[skipped], own[skipped]
    return (
        f"{place} has no class of the run: {', '.join(theirs[skipped:])} there, {', '.join(own[skipped:])} here; if "
        f"they mean the same, set tests.{name}.classes, such as {{{first}: {other}}}"
    )


def _listed(names: Sequence[str]) -> str:
    return f"; choose from {', '.join(names)}"
