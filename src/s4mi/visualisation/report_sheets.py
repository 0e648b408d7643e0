"""Plan which sheets a report shows for its runs, from the records alone; `render` draws them.

What draws a sheet is imported when it is drawn: it loads torch, which a report whose sheets are there does without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.records import RunRecord
from s4mi.records.files import WEIGHTS_NAME
from s4mi.reporting.results.comparison import Comparison, Technique, technique_of
from s4mi.reporting.results.hard_cases import (
    Case,
    HardCases,
    best_by_validation,
    cases_of,
    disputed,
    disputed_predictions,
    extreme_fractions,
    validation_score,
)
from s4mi.reporting.results.label_names import amount_in_words, asked_count
from s4mi.reporting.results.per_image import image_values
from s4mi.reporting.results.runs import ReportRun, RunKey, run_key
from s4mi.reporting.results.scores import metric_of, percent

IMAGES, MAX_RUNS = 4, 6
CAPTION = (
    "from small to large objects, with the IoU of each prediction on that image. Green: correct; orange: missed; "
    "purple: false positive or wrong class; white: outline of the ground truth."
)
"""Caption of predicted masks."""
CASES = {"segmentation": 4, "multiclass": 6, "multilabel": 6}
"""Number of worst and of best images of a sheet."""
LETTERS = "ABCDEF"
DISPUTED = {"segmentation": 4, "multiclass": 6, "multilabel": 6}


@dataclass(frozen=True)
class SheetRun:
    """A finished run and its folder."""

    run: ReportRun
    path: Path

    @property
    def record(self) -> RunRecord:
        return self.run.record

    @property
    def technique(self) -> Technique:
        return technique_of(self.run.record)

    @property
    def has_weights(self) -> bool:
        """Whether the weights of its best epoch are still there."""
        return (self.path / WEIGHTS_NAME).exists()


@dataclass(frozen=True)
class PlannedSheet:
    """A sheet that can be drawn.

    Attributes:
        kind: letters only; used in file names.
        subject: what is missing if it cannot be drawn, for a note.
        content: what determines its appearance besides the runs.
        needs_weights: whether drawing it needs the weights of the runs.
    """

    kind: str
    subject: str
    title: str
    caption: str
    alt: str
    runs: tuple[SheetRun, ...]
    content: tuple[object, ...]
    draw: Callable[[Manifest], bytes]
    needs_weights: bool = True
    wide: bool = True


def plan_sheets(comparison: Comparison, runs: Sequence[SheetRun]) -> list[PlannedSheet]:
    """Plan the sheets of one task of a data set, most informative first."""
    runs_by_key = {run_key(run.record): run for run in runs}
    case_sheets = [_cases(comparison, runs_by_key, fraction) for fraction in extreme_fractions(comparison)]
    optional = [*case_sheets, _disagreement(comparison, runs_by_key)]
    return [_overview(comparison, runs), *(sheet for sheet in optional if sheet is not None)]


def representative_runs(runs: Sequence[SheetRun]) -> list[SheetRun]:
    """Select each technique's run with the fewest labels and the lowest seed, in the order of the report's tables.

    If there are too many techniques, those with the best validation scores are shown. Runs without weights are skipped
    if others have theirs.
    """
    with_weights = [run for run in runs if run.has_weights] or list(runs)
    latest_first = sorted(with_weights, key=lambda run: run.record.finished, reverse=True)
    by_technique: dict[Technique, SheetRun] = {}
    for run in sorted(latest_first, key=lambda run: (run.record.label_fraction, run.record.seed)):
        by_technique.setdefault(run.technique, run)
    return _best_runs(list(by_technique.values()))


def _best_runs(runs: Sequence[SheetRun]) -> list[SheetRun]:
    """At most `MAX_RUNS` runs with the best validation scores, sorted by technique."""
    metric = metric_of(runs[0].record.task)
    best = sorted(runs, key=lambda run: -(validation_score(run.record, metric) or 0))[:MAX_RUNS]
    return sorted(best, key=lambda run: run.technique)


def _overview(comparison: Comparison, runs: Sequence[SheetRun]) -> PlannedSheet:
    """Predicted masks or saliency maps of each technique on the same images."""
    shown = tuple(representative_runs(runs))
    paths = [run.path for run in shown]
    names = ", ".join(run.technique.label for run in shown)
    selection = "Each technique is shown at its smallest label fraction and lowest seed."
    if comparison.task == "segmentation":
        return PlannedSheet(
            kind="masks",
            subject="predicted masks",
            title="Predicted masks",
            caption=f"Test images, {CAPTION} {selection}",
            alt=f"Up to {IMAGES} test images of {comparison.dataset} with their true masks and the masks predicted by "
            f"{names}",
            runs=shown,
            content=(IMAGES,),
            draw=lambda manifest: _masks(paths, manifest, images=IMAGES),
        )
    titles = [
        (
            run.technique.method,
            f"{asked_count([run.record]) or percent(run.record.label_fraction)} · {run.record.backbone}",
        )
        for run in shown
    ]
    return PlannedSheet(
        kind="saliency",
        subject="saliency maps",
        title="Saliency maps",
        caption="Test images, and for each technique a saliency map of its probability of the true class: Grad-CAM, or "
        f"the input gradient for networks without Grad-CAM. {selection} A plausible map proves nothing; s4mi explain "
        "computes scores and a sanity check.",
        alt=f"Up to {IMAGES} test images of {comparison.dataset} beside saliency maps of {names}",
        runs=shown,
        content=(IMAGES, titles),
        draw=lambda manifest: _saliency(paths, manifest, titles),
    )


def _cases(comparison: Comparison, runs: dict[RunKey, SheetRun], fraction: float) -> PlannedSheet | None:
    """Best and worst test images of the technique with the best validation score, in its run with the lowest seed."""
    metric = metric_of(comparison.task)
    best = best_by_validation(comparison, metric, fraction=fraction)
    if best is None:
        return None
    run = runs[run_key(best.records[0])]
    cases = cases_of(run.run, metric, count=CASES[comparison.task])
    if cases is None:
        return None
    is_segmentation = comparison.task == "segmentation"
    amount = comparison.amount_in_words(fraction)
    source = f"{best.technique.label} with {amount}, seed {run.record.seed}"
    order = (
        "lowest and highest IoU of a test image, each with its ground truth and the prediction. Green: correct; "
        "orange: missed; purple: false positive or wrong class."
        if is_segmentation
        else f"{cases.wrong} of {cases.images} test images are misclassified; the most confident errors come first, "
        "then the most confident correct predictions. Numbers are probabilities."
    )
    return PlannedSheet(
        kind="cases",
        subject=f"best and worst cases at {comparison.amount_name(fraction)}",
        title=f"Best and worst cases with {amount}",
        caption=f"{source}, the technique with the best validation score: {order}",
        alt=f"Test images of {comparison.dataset} by {source}. Worst: {_alt_text(cases.worst, is_segmentation)}. "
        f"Best: {_alt_text(cases.best, is_segmentation)}",
        runs=(run,),
        content=tuple([case.image, case.score] for case in (*cases.worst, *cases.best)),
        draw=lambda manifest: _case_sheet(cases, manifest, run.path if is_segmentation else None),
        needs_weights=is_segmentation,
        wide=False,
    )


def _alt_text(cases: Sequence[Case], is_segmentation: bool) -> str:
    if is_segmentation:
        return "; ".join(f"{case.image} IoU {case.score:.3f}" for case in cases) or "none"
    return "; ".join(f"{case.image} {', '.join(case.lines)}" for case in cases) or "none"


def _disagreement(comparison: Comparison, runs: dict[RunKey, SheetRun]) -> PlannedSheet | None:
    """Images on which techniques differ most, at the largest label fraction and the lowest seed they share."""
    shown, count = _comparable_runs(comparison, runs), DISPUTED[comparison.task]
    disputed_labels: dict[str, str] = {}
    if comparison.task == "segmentation":
        images = disputed([image_values(run.run.images, metric_of("segmentation")) for run in shown], count=count)
    else:
        disputed_labels = disputed_predictions(
            [run.run.predictions for run in shown if run.run.predictions is not None], count=count
        )
        images = list(disputed_labels)
    if not images:
        return None
    first, paths = shown[0].record, [run.path for run in shown]
    amount = amount_in_words(asked_count([first]), first.label_fraction)
    source = f"{len(shown)} techniques with {amount}, seed {first.seed}"
    if comparison.task == "segmentation":
        draw: Callable[[Manifest], bytes] = lambda manifest: _masks(  # noqa: E731
            paths, manifest, images=len(images), only=images
        )
        quantity = "the IoU"
    else:
        lines = {image: _prediction_lines(image, label, shown) for image, label in disputed_labels.items()}
        names = [f"{letter}  {run.technique.label}" for letter, run in zip(LETTERS, shown, strict=False)]
        draw = lambda manifest: _disputed(lines, names, manifest)  # noqa: E731
        quantity = "the predicted probability of a class"
    return PlannedSheet(
        kind="disputed",
        subject="images on which the techniques disagree",
        title="Where the techniques disagree",
        caption=f"The test images on which {quantity} differs most between {source}.",
        alt=f"Test images of {comparison.dataset} on which {source} differ most: {', '.join(images)}",
        runs=tuple(shown),
        content=tuple(images),
        draw=draw,
        needs_weights=comparison.task == "segmentation",
        wide=comparison.task == "segmentation",
    )


def _comparable_runs(comparison: Comparison, runs: dict[RunKey, SheetRun]) -> list[SheetRun]:
    """One run each of as many techniques as possible, all with one seed and split; the best if there are too many."""
    groups: dict[tuple[int, str], list[SheetRun]] = {}
    for record in comparison.records:
        run = runs[run_key(record)]
        if record.label_fraction == comparison.fractions[-1] and (run.run.images or run.run.predictions):
            groups.setdefault((record.seed, record.split_hash), []).append(run)
    if not groups:
        return []
    return _best_runs(max(groups.items(), key=lambda item: (len(item[1]), -item[0][0]))[1])


def _prediction_lines(image: str, label: str, runs: Sequence[SheetRun]) -> list[str]:
    """The true classes, and a line per run: its letter, probability and class; in multi-label tasks that of `label`."""
    lines: list[str] = []
    for letter, run in zip(LETTERS, runs, strict=False):
        predictions = run.run.predictions
        assert predictions is not None
        n, k = predictions.images.index(image), predictions.classes.index(label)
        if not lines:
            lines.append(f"truth: {_class_names(predictions.classes, predictions.truth[n])}")
        if run.record.task == "multiclass":
            k = int(predictions.decisions[n].argmax())
        lines.append(f"{letter} {predictions.probabilities[n, k]:.2f} {predictions.classes[k]}")
    return lines


def _class_names(classes: Sequence[str], mask: NDArray[np.bool_]) -> str:
    return ", ".join(classes[int(k)] for k in np.flatnonzero(mask)) or "none"


def _masks(paths: Sequence[Path], manifest: Manifest, *, images: int, only: Sequence[str] = ()) -> bytes:
    from s4mi.visualisation.comparison_sheet import comparison_sheet

    return comparison_sheet(paths, manifest, part="test", images=images, only=only)


def _saliency(paths: Sequence[Path], manifest: Manifest, titles: Sequence[tuple[str, str]]) -> bytes:
    from s4mi.visualisation.saliency_sheet import saliency_sheet

    return saliency_sheet(paths, manifest, titles, images=IMAGES)


def _case_sheet(cases: HardCases, manifest: Manifest, run: Path | None) -> bytes:
    """Cases of a classifier, or of the segmentation run in a folder."""
    from s4mi.visualisation.case_sheets import classification_case_sheet, segmentation_case_sheet

    return classification_case_sheet(cases, manifest) if run is None else segmentation_case_sheet(cases, manifest, run)


def _disputed(lines: Mapping[str, Sequence[str]], names: Sequence[str], manifest: Manifest) -> bytes:
    from s4mi.visualisation.case_sheets import disputed_sheet

    return disputed_sheet(lines, names, manifest)
