"""Suggest which images of a data set to annotate next, ranked, with a reason for each.

<out>.csv                 rank, id, image, patient, score and its parts, prediction, reason, and an empty column label
<out>.label-studio.json   with --format label-studio: tasks with predictions, and <out>.label-studio.xml
<out>.coco.json           with --format coco: the same for CVAT and other programs
<out>.errors.csv          unreadable candidates
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.active_learning.candidates import (
    Candidates,
    check_can_predict,
    check_compatible,
    encoder_run,
    find_candidates,
)
from s4mi.active_learning.committee import Committee, CommitteeOutput
from s4mi.active_learning.reasons import reason
from s4mi.active_learning.scoring import ProgressCallback, score_candidates
from s4mi.active_learning.strategies import CandidatePool, Strategy, choose
from s4mi.data.annotations.coco import write_coco
from s4mi.data.annotations.label_studio import write_label_studio
from s4mi.data.annotations.types import PreAnnotation
from s4mi.data.images import image_size
from s4mi.data.manifest import Manifest
from s4mi.data.relative_name import relative_name
from s4mi.data.row import Row
from s4mi.data.spec import NO_CLASS
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.inference.input_files import ErrorList, Unreadable
from s4mi.inference.writers.only_writer import only_writer_of
from s4mi.maths.acquisition import Selection
from s4mi.records import TaskKind, write_text_atomically

Format = Literal["csv", "label-studio", "coco"]
COLUMNS = (
    "rank", "id", "image", "patient", "worth", "entropy", "disagreement", "distance", "near", "typicality",
    "prediction", "why", "label",
)  # fmt: skip


@dataclass(frozen=True)
class SuggestOptions:
    """Options of `suggest`.

    Attributes:
        count: number of images. per_patient: maximum number of images of one patient; 0: no limit.
        cold: cold start: choose by features alone, without predictions or annotations.
        format: pre-annotations to write beside the table. rle: write their masks as run lengths, not as polygons.
        task: for a study, use only runs with this task.
        labelled, masked: ids of images with labels and with masks that are not merged yet. skipped: ids of others that
            are not to be suggested.
    """

    count: int = 50
    strategy: Strategy = field(default_factory=Strategy)
    cold: bool = False
    per_patient: int = 3
    seed: int = 0
    format: Format = "csv"
    rle: bool = False
    task: TaskKind | None = None
    labelled: frozenset[str] = frozenset()
    masked: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SuggestResult:
    """What `suggest` wrote.

    Attributes:
        files: the files, the table first. chosen: number of chosen images. candidates: number of candidates.
        source: description of the models that chose. failed: unreadable candidates.
        note: warning to read before annotating, or empty. masks: whether masks are to be annotated, not classes.
    """

    files: tuple[Path, ...]
    chosen: int
    candidates: int
    strategy: str
    source: str
    failed: int
    note: str = ""
    masks: bool = False


TEST_SET_SEEN = (
    "the data set has no official split, so the first labels will determine the test set, and this pre-training has "
    "seen its images: fill in the column split and pre-train on that first, or pre-train again once there are labels"
)


def suggest(
    source: Path, dataset: Path, out: Path, *, options: SuggestOptions, progress: ProgressCallback = lambda *_: None
) -> SuggestResult:
    """Choose unannotated images of a data set with a run, or with the best technique of a study, and write a table.

    Raises:
        S4miError: the run or data set does not exist, they differ in task, classes or channels, or there is no image
            to choose.
    """
    if out.suffix.lower() != ".csv":
        raise S4miError(f"{out}: not a file name for the table; end it in .csv")
    manifest = load_version(dataset)
    if not options.cold:
        check_can_predict(source)
    strategy = options.strategy
    committee = None if options.cold else Committee(source, task=options.task)
    encoder = encoder_run(source, () if committee is None else committee.runs) if strategy.needs_features else None
    if committee is not None:
        check_compatible(committee.info, manifest)
    elif encoder is None:
        raise S4miError(f"{source}: --cold-start needs features; omit --diversity none")
    kind = None if committee is None else committee.info.kind
    answered = {None: options.labelled | options.masked, "segmentation": options.masked}.get(kind, options.labelled)
    candidates = find_candidates(
        manifest, kind, runs=() if committee is None else committee.runs, source=source, answered=answered,
        skipped=options.skipped,
    )  # fmt: skip
    with only_writer_of(out):
        failed = ErrorList(out.with_name(f"{out.stem}.errors.csv"))
        if strategy.uncertainty == "disagreement" and committee is not None and len(committee.members) < 2:
            raise S4miError(
                f"{source}: disagreement needs at least 2 networks, found 1; pass a study with several seeds, or use "
                "--uncertainty entropy"
            )
        scored = score_candidates(candidates, committee, encoder, progress=progress)
        for row, why in scored.unreadable:
            failed.add(Unreadable(row.image, why))
        candidates, pool, outputs = scored.candidates, scored.pool, scored.outputs
        if options.cold:
            strategy = Strategy("none", strategy.diversity)
        selections = choose(pool, strategy, count=options.count, per_patient=options.per_patient, seed=options.seed)
        pre_annotations = _PreAnnotations(manifest, committee, candidates, outputs)
        write_text_atomically(
            out, _table(selections, candidates, pool, outputs, manifest=manifest, committee=committee)
        )
        files = (out, *_write_pre_annotations(out, selections, pre_annotations, options))
        seen = TEST_SET_SEEN if options.cold and not (candidates.held_out or candidates.annotated) else ""
        return SuggestResult(
            files, len(selections), len(candidates.rows), str(strategy), _source(committee, encoder, source),
            failed.count, note="; ".join(filter(None, (candidates.note, seen))), masks=kind == "segmentation",
        )  # fmt: skip


def _table(
    selections: Sequence[Selection],
    candidates: Candidates,
    pool: CandidatePool,
    outputs: Sequence[CommitteeOutput],
    *,
    manifest: Manifest,
    committee: Committee | None,
) -> str:
    root = (manifest.folder / manifest.spec.root).resolve()
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, selection in enumerate(selections, start=1):
        row = candidates.rows[selection.position]
        output = outputs[selection.position] if outputs else None
        nearest = None if selection.near is None else _row_at(selection.near, candidates)
        select_evenly = "" if selection.spread is None else f"{selection.spread:.4f}"
        writer.writerow(
            [
                rank, row.id, relative_name(row.image, root), row.group or "", f"{selection.worth:.4f}",
                "" if output is None else f"{output.entropy:.4f}",
                "" if output is None or output.disagreement is None else f"{output.disagreement:.4f}",
                select_evenly if selection.cluster is None else "", "" if nearest is None else nearest.id,
                select_evenly if selection.cluster is not None else "",
                "" if output is None else ";".join(output.labels) or NO_CLASS,
                reason(selection, pool, output, None if committee is None else committee.info, near=nearest,
                       annotated=nearest is not None and nearest in candidates.annotated),
                "",
            ]
        )  # fmt: skip
    return table.getvalue()


def _row_at(near: int, candidates: Candidates) -> Row:
    """Return the row that `Selection.near` refers to; it counts the annotated images first, then the candidates."""
    return (*candidates.annotated, *candidates.rows)[near]


class _PreAnnotations:
    """Predictions of the committee for the chosen images, to be corrected by annotators."""

    def __init__(
        self,
        manifest: Manifest,
        committee: Committee | None,
        candidates: Candidates,
        outputs: Sequence[CommitteeOutput],
    ) -> None:
        self.root = (manifest.folder / manifest.spec.root).resolve()
        self._spec, self._committee = manifest.spec, committee
        self._rows, self._outputs = candidates.rows, outputs

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of classes."""
        about = None if self._committee is None else self._committee.info
        return about.kind == "multilabel" if about is not None else "multilabel" in self._spec.tasks

    def of(self, selections: Sequence[Selection]) -> Iterator[PreAnnotation]:
        """Yield a pre-annotation for each selected image, without labels and mask if there is no committee."""
        rows = [self._rows[selection.position] for selection in selections]
        about = None if self._committee is None else self._committee.info
        masks: Iterator[NDArray[np.uint8] | str | None] = iter([None] * len(rows))
        if self._committee is not None and about is not None and about.kind == "segmentation":
            masks = self._committee.masks([row.image for row in rows])
        for selection, row, mask in zip(selections, rows, masks, strict=True):
            labels = self._outputs[selection.position].labels if self._outputs and mask is None else None
            classes = about.classes if about is not None else self._spec.classes
            yield PreAnnotation(
                row.id, relative_name(row.image, self.root), image_size(row.image), classes, selection.worth,
                labels=labels, mask=mask if isinstance(mask, np.ndarray) else None,
            )  # fmt: skip


def _write_pre_annotations(
    out: Path, selections: Sequence[Selection], pre_annotations: _PreAnnotations, options: SuggestOptions
) -> tuple[Path, ...]:
    if options.format == "csv":
        return ()
    path = out.with_name(f"{out.stem}.{options.format}.json")
    annotations = list(pre_annotations.of(selections))
    if options.format == "coco":
        write_coco(annotations, path, rle=options.rle)
        return (path,)
    interface = write_label_studio(
        annotations, path, rle=options.rle, multilabel=pre_annotations.multilabel, root=pre_annotations.root
    )
    return (path, interface)


def _source(committee: Committee | None, encoder: Path | None, source: Path) -> str:
    """Describe the models that chose the images."""
    features = "" if encoder is None else f"features of {encoder}"
    if committee is None:
        return features
    members = len(committee.members)
    models = committee.why or str(source)
    if members > len(committee.runs):
        models = f"{models} ({members} networks)"
    return f"{models}{'; ' if features else ''}{features}"
