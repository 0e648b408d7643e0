"""Which sheets a report shows of its runs, by the records alone: drawing them is for `for_report`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.records import RunRecord
from s4mi.report.results.comparison import Comparison, Technique, technique_of
from s4mi.report.results.hard_cases import (
    Case,
    best_by_validation,
    cases_of,
    disputed,
    disputed_predictions,
    ends_of,
    validation_score,
)
from s4mi.report.results.per_image import image_values
from s4mi.report.results.runs import ReportRun, RunKey, run_key
from s4mi.report.results.scores import metric_of, percent
from s4mi.training.run_dir import RunDir
from s4mi.visualisation.case_sheets import disputed_sheet, outlined_sheet, prediction_sheet
from s4mi.visualisation.comparison_sheet import CAPTION, compare_sheet
from s4mi.visualisation.saliency_sheet import saliency_sheet

IMAGES, MOST_RUNS = 4, 6
CASES = {"segmentation": 4, "multiclass": 6, "multilabel": 6}
"""Worst and best images of a sheet, of each so many."""
LETTERS = "ABCDEF"
DISPUTED = {"segmentation": 4, "multiclass": 6, "multilabel": 6}


@dataclass(frozen=True)
class SheetRun:
    """A finished run and where it is."""

    run: ReportRun
    path: Path

    @property
    def record(self) -> RunRecord:
        return self.run.record

    @property
    def technique(self) -> Technique:
        return technique_of(self.run.record)


@dataclass(frozen=True)
class PlannedSheet:
    """A sheet that can be drawn.

    Attributes:
        kind: letters alone, for the name of a file.
        what: what a line says is missing where it cannot be drawn.
        shown: what beside the runs decides how it looks.
        weights: whether runs must still have theirs.
    """

    kind: str
    what: str
    title: str
    caption: str
    alt: str
    runs: tuple[SheetRun, ...]
    shown: tuple[object, ...]
    draw: Callable[[Manifest], bytes]
    weights: bool = True
    wide: bool = True


def plan_sheets(comparison: Comparison, runs: Sequence[SheetRun]) -> list[PlannedSheet]:
    """The sheets of one task of a data set, most telling first; empty where nothing is to be seen."""
    of_key = {run_key(run.record): run for run in runs}
    planned = [_overview(comparison, runs)]
    others = [*(_cases(comparison, of_key, fraction) for fraction in ends_of(comparison)), _dispute(comparison, of_key)]
    return planned + [one for one in others if one is not None]


def choose(runs: Sequence[SheetRun]) -> list[SheetRun]:
    """Of each technique the run with the fewest labels and the lowest seed, in the order of the report's tables.

    Of many techniques those that are best on validation. Where some runs have lost their weights, others are taken.
    """
    kept = [run for run in runs if RunDir(run.path).best.exists()] or list(runs)
    latest_first = sorted(kept, key=lambda run: run.record.finished, reverse=True)
    of_technique: dict[Technique, SheetRun] = {}
    for run in sorted(latest_first, key=lambda run: (run.record.label_fraction, run.record.seed)):
        of_technique.setdefault(run.technique, run)
    metric = metric_of(runs[0].record.task)
    best = sorted(of_technique.values(), key=lambda run: -(validation_score(run.record, metric) or 0))[:MOST_RUNS]
    return sorted(best, key=lambda run: run.technique)


def _overview(comparison: Comparison, runs: Sequence[SheetRun]) -> PlannedSheet:
    """What each technique makes of the same images."""
    shown = tuple(choose(runs))
    paths = [run.path for run in shown]
    names = ", ".join(run.technique.label for run in shown)
    fewest = "Each technique at the fewest labels it was trained with, lowest seed."
    if comparison.task == "segmentation":
        return PlannedSheet(
            kind="masks",
            what="predicted masks",
            title="Predicted masks",
            caption=f"Test images, {CAPTION} {fewest}",
            alt=f"Up to {IMAGES} test images of {comparison.dataset}, their true masks, and those predicted by {names}",
            runs=shown,
            shown=(IMAGES,),
            draw=lambda manifest: compare_sheet(paths, manifest, part="test", images=IMAGES),
        )
    titles = [(run.technique.method, f"{percent(run.record.label_fraction)} · {run.record.backbone}") for run in shown]
    return PlannedSheet(
        kind="saliency",
        what="where the techniques look",
        title="Where the techniques look",
        caption="Test images, and of each technique a map of what its probability of the true class depends on: "
        f"Grad-CAM, or the input gradient of networks that have none. {fewest} A map that looks right proves nothing; "
        "see s4mi explain for scores and a sanity check.",
        alt=f"Up to {IMAGES} test images of {comparison.dataset} beside saliency maps of {names}",
        runs=shown,
        shown=(IMAGES, titles),
        draw=lambda manifest: saliency_sheet(paths, manifest, titles, images=IMAGES),
    )


def _cases(comparison: Comparison, runs: dict[RunKey, SheetRun], fraction: float) -> PlannedSheet | None:
    """The best and the worst images of the technique that validation chose, in its run with the lowest seed."""
    metric = metric_of(comparison.task)
    chosen = best_by_validation(comparison, metric, fraction=fraction)
    if chosen is None:
        return None
    run = runs[run_key(chosen.records[0])]
    cases = cases_of(run.run, metric, count=CASES[comparison.task])
    if cases is None:
        return None
    segments = comparison.task == "segmentation"
    where = f"{chosen.technique.label} with {percent(fraction)} of the labels, seed {run.record.seed}"
    order = (
        "lowest and highest IoU of a test image, each with its truth and the prediction. Green: found; orange: missed; "
        "purple: found where nothing or another class is."
        if segments
        else f"{cases.wrong} of {cases.images} test images are not answered rightly, surest mistakes first; then the "
        "surest right answers. Numbers are probabilities."
    )
    return PlannedSheet(
        kind="cases",
        what=f"best and worst cases at {percent(fraction)}",
        title=f"Best and worst cases with {percent(fraction)} of the labels",
        caption=f"{where}, the technique that is best on validation images: {order}",
        alt=f"Test images of {comparison.dataset} by {where}. Worst: {_told(cases.worst, segments)}. "
        f"Best: {_told(cases.best, segments)}",
        runs=(run,),
        shown=tuple([case.image, case.score] for case in (*cases.worst, *cases.best)),
        draw=lambda manifest: (
            outlined_sheet(cases, manifest, run.path) if segments else prediction_sheet(cases, manifest)
        ),
        weights=segments,
        wide=False,
    )


def _told(cases: Sequence[Case], segments: bool) -> str:
    if segments:
        return "; ".join(f"{case.image} IoU {case.score:.3f}" for case in cases) or "none"
    return "; ".join(f"{case.image} {', '.join(case.lines)}" for case in cases) or "none"


def _dispute(comparison: Comparison, runs: dict[RunKey, SheetRun]) -> PlannedSheet | None:
    """The images on which techniques differ most, at the largest label fraction and the lowest seed they share."""
    shown, count = _side_by_side(comparison, runs), DISPUTED[comparison.task]
    found: dict[str, str] = {}
    if comparison.task == "segmentation":
        images = disputed([image_values(run.run.images, metric_of("segmentation")) for run in shown], count=count)
    else:
        found = disputed_predictions(
            [run.run.predictions for run in shown if run.run.predictions is not None], count=count
        )
        images = list(found)
    if not images:
        return None
    fraction, paths = percent(shown[0].record.label_fraction), [run.path for run in shown]
    about = f"{len(shown)} techniques with {fraction} of the labels, seed {shown[0].record.seed}"
    if comparison.task == "segmentation":
        draw: Callable[[Manifest], bytes] = lambda manifest: compare_sheet(  # noqa: E731
            paths, manifest, part="test", images=len(images), only=images
        )
        spread = "the IoU of a prediction"
    else:
        lines = {image: _answer_lines(image, label, shown) for image, label in found.items()}
        names = [f"{letter}  {run.technique.label}" for letter, run in zip(LETTERS, shown, strict=False)]
        draw = lambda manifest: disputed_sheet(lines, names, manifest)  # noqa: E731
        spread = "the probability of a class"
    return PlannedSheet(
        kind="disputed",
        what="disputed images",
        title="Where the techniques disagree",
        caption=f"The test images on which {spread} differs most between {about}.",
        alt=f"Test images of {comparison.dataset} on which {about} differ most: {', '.join(images)}",
        runs=tuple(shown),
        shown=tuple(images),
        draw=draw,
        weights=comparison.task == "segmentation",
        wide=comparison.task == "segmentation",
    )


def _side_by_side(comparison: Comparison, runs: dict[RunKey, SheetRun]) -> list[SheetRun]:
    """A run of each of most techniques, all of one seed and split; of too many those that are best on validation."""
    groups: dict[tuple[int, str], list[SheetRun]] = {}
    for record in comparison.records:
        run = runs[run_key(record)]
        if record.label_fraction == comparison.fractions[-1] and (run.run.images or run.run.predictions):
            groups.setdefault((record.seed, record.split_hash), []).append(run)
    if not groups:
        return []
    metric = metric_of(comparison.task)
    most = max(groups.items(), key=lambda item: (len(item[1]), -item[0][0]))[1]
    best = sorted(most, key=lambda run: -(validation_score(run.record, metric) or 0))[:MOST_RUNS]
    return sorted(best, key=lambda run: run.technique)


def _answer_lines(image: str, label: str, runs: Sequence[SheetRun]) -> list[str]:
    """The truth, and a line on each run: a letter, its answer and how likely; of several labels, the disputed one."""
    lines: list[str] = []
    for letter, run in zip(LETTERS, runs, strict=False):
        answers = run.run.predictions
        assert answers is not None
        n, k = answers.images.index(image), answers.classes.index(label)
        if not lines:
            lines.append(f"truth {_names(answers.classes, answers.truth[n])}")
        if run.record.task == "multiclass":
            k = int(answers.decisions[n].argmax())
        lines.append(f"{letter} {answers.probabilities[n, k]:.2f} {answers.classes[k]}")
    return lines


def _names(classes: Sequence[str], which: NDArray[np.bool_]) -> str:
    return ", ".join(classes[int(k)] for k in np.flatnonzero(which)) or "none"
