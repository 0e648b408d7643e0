"""Which images of a data set to annotate next, in order, with the reason for each.

<out>.csv                 rank, id, image, patient, worth, what it is made of, answer, why, and an empty column label
<out>.label-studio.json   with --format label-studio: tasks with the run's answers, and <out>.label-studio.xml
<out>.coco.json           with --format coco: the same for CVAT and other programs
<out>.errors.csv          candidates that could not be read
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
from s4mi.data.manifest import Manifest, Row
from s4mi.data.spec import NO_CLASS
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.inference.input_files import ErrorList, Unreadable
from s4mi.maths.acquisition import Selection
from s4mi.records import TaskKind, write_text_atomically

Format = Literal["csv", "label-studio", "coco"]
COLUMNS = (
    "rank", "id", "image", "patient", "worth", "entropy", "disagreement", "distance", "near", "typicality", "answer",
    "why", "label",
)  # fmt: skip


@dataclass(frozen=True)
class SuggestOptions:
    """What is asked for.

    Attributes:
        count: images. per_patient: at most so many of one; 0: any number.
        cold: by the features alone; nothing needs to answer, and nothing to be annotated.
        rle: pre-annotations as run lengths, not as polygons.
        task: of a study's runs, those of this task alone answer.
    """

    count: int = 50
    strategy: Strategy = field(default_factory=Strategy)
    cold: bool = False
    per_patient: int = 3
    seed: int = 0
    format: Format = "csv"
    rle: bool = False
    task: TaskKind | None = None


@dataclass(frozen=True)
class SuggestResult:
    """What `suggest` wrote.

    Attributes:
        files: the table first. chosen: images, of so many candidates. source: who was asked, in words.
        failed: candidates that could not be read. note: what should be known before anything is annotated, or empty.
    """

    files: tuple[Path, ...]
    chosen: int
    candidates: int
    strategy: str
    source: str
    failed: int
    note: str = ""


NOBODY_TESTS = (
    "the data set has no official split, so the first labels will decide who tests, and this pre-training has seen "
    "those images: fill in the column split and pre-train on that first, or pre-train once more when there are labels"
)


def suggest(
    source: Path, dataset: Path, out: Path, *, wish: SuggestOptions, progress: ProgressCallback = lambda *_: None
) -> SuggestResult:
    """Choose images of a data set that are not annotated, by a run, or by the best technique of a study.

    Raises:
        S4miError: no such run or data set, of another task, of other classes or channels, or nothing to choose from.
    """
    if out.suffix.lower() != ".csv":
        raise S4miError(f"{out}: is no name for the table; end it in .csv")
    manifest = load_version(dataset)
    if not wish.cold:
        check_can_predict(source)
    committee = None if wish.cold else Committee(source, task=wish.task)
    encoder = encoder_run(source, () if committee is None else committee.runs) if wish.strategy.needs_features else None
    if committee is not None:
        check_compatible(committee.info, manifest)
    elif encoder is None:
        raise S4miError(f"{source}: --cold-start wants features; leave out --diversity none")
    kind = None if committee is None else committee.info.kind
    candidates = find_candidates(manifest, kind, runs=() if committee is None else committee.runs, source=source)
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = ErrorList(out.with_name(f"{out.stem}.errors.csv"))
    if wish.strategy.uncertainty == "disagreement" and committee is not None and len(committee.members) < 2:
        raise S4miError(
            f"{source}: is one network, which disagrees with nobody; give a study of several seeds, or take "
            "--uncertainty entropy"
        )
    assessed = score_candidates(candidates, committee, encoder, progress=progress)
    for row, why in assessed.unreadable:
        failed.add(Unreadable(row.image, why))
    candidates, pool, opinions = assessed.candidates, assessed.pool, assessed.outputs
    strategy = Strategy("none", wish.strategy.diversity) if wish.cold else wish.strategy
    picks = choose(pool, strategy, count=wish.count, per_patient=wish.per_patient, seed=wish.seed)
    proposals = _Proposals(manifest, committee, candidates, opinions)
    write_text_atomically(out, _table(picks, candidates, pool, opinions, manifest=manifest, committee=committee))
    files = (out, *_extra(out, picks, proposals, wish))
    return SuggestResult(
        files, len(picks), len(candidates.rows), str(strategy), _who(committee, encoder, source), failed.count,
        note=NOBODY_TESTS if wish.cold and not (candidates.held_out or candidates.annotated) else "",
    )  # fmt: skip


def _table(
    picks: Sequence[Selection],
    candidates: Candidates,
    pool: CandidatePool,
    opinions: Sequence[CommitteeOutput],
    *,
    manifest: Manifest,
    committee: Committee | None,
) -> str:
    everything = (*candidates.rows, *candidates.annotated)
    root = (manifest.folder / manifest.spec.root).resolve()
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, pick in enumerate(picks, start=1):
        row = candidates.rows[pick.position]
        opinion = opinions[pick.position] if opinions else None
        near = None if pick.near is None else _row_at(pick.near, candidates, everything)
        spread = "" if pick.spread is None else f"{pick.spread:.4f}"
        writer.writerow(
            [
                rank, row.id, _below(row.image, root), row.group or "", f"{pick.worth:.4f}",
                "" if opinion is None else f"{opinion.entropy:.4f}",
                "" if opinion is None or opinion.disagreement is None else f"{opinion.disagreement:.4f}",
                spread if pick.cluster is None else "", "" if near is None else near.id,
                spread if pick.cluster is not None else "",
                "" if opinion is None else ";".join(opinion.labels) or NO_CLASS,
                reason(pick, pool, opinion, None if committee is None else committee.info, near=near,
                       annotated=near is not None and near in candidates.annotated),
                "",
            ]
        )  # fmt: skip
    return table.getvalue()


def _row_at(near: int, candidates: Candidates, everything: Sequence[Row]) -> Row:
    """`Selection.near` counts the annotated images first, then the candidates."""
    known = len(candidates.annotated)
    return candidates.annotated[near] if near < known else everything[near - known]


class _Proposals:
    """What the committee answers to the chosen images, in advance of people."""

    def __init__(
        self,
        manifest: Manifest,
        committee: Committee | None,
        candidates: Candidates,
        opinions: Sequence[CommitteeOutput],
    ) -> None:
        self._root = (manifest.folder / manifest.spec.root).resolve()
        self._spec, self._committee = manifest.spec, committee
        self._rows, self._opinions = candidates.rows, opinions

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of classes."""
        about = None if self._committee is None else self._committee.info
        return about.kind == "multilabel" if about is not None else "multilabel" in self._spec.tasks

    def of(self, picks: Sequence[Selection]) -> Iterator[PreAnnotation]:
        """One for each; where nobody answers, the image alone."""
        rows = [self._rows[pick.position] for pick in picks]
        about = None if self._committee is None else self._committee.info
        masks: Iterator[NDArray[np.uint8] | str | None] = iter([None] * len(rows))
        if self._committee is not None and about is not None and about.kind == "segmentation":
            masks = self._committee.masks([row.image for row in rows])
        for pick, row, mask in zip(picks, rows, masks, strict=True):
            labels = self._opinions[pick.position].labels if self._opinions and mask is None else None
            classes = about.classes if about is not None else self._spec.classes
            yield PreAnnotation(
                row.id, _below(row.image, self._root), image_size(row.image), classes, pick.worth, labels=labels,
                mask=mask if isinstance(mask, np.ndarray) else None,
            )  # fmt: skip


def _extra(out: Path, picks: Sequence[Selection], proposals: _Proposals, wish: SuggestOptions) -> tuple[Path, ...]:
    if wish.format == "csv":
        return ()
    path = out.with_name(f"{out.stem}.{wish.format}.json")
    proposed = list(proposals.of(picks))
    if wish.format == "coco":
        write_coco(proposed, path, rle=wish.rle)
        return (path,)
    return (path, write_label_studio(proposed, path, rle=wish.rle, multilabel=proposals.multilabel))


def _who(committee: Committee | None, encoder: Path | None, source: Path) -> str:
    """Who was asked, in words."""
    features = "" if encoder is None else f"features of {encoder}"
    if committee is None:
        return features
    members = len(committee.members)
    asked = committee.why or str(source)
    if members > len(committee.runs):
        asked = f"{asked} ({members} networks)"
    return f"{asked}{'; ' if features else ''}{features}"


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
