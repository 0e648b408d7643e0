"""Best and worst test images of a run, which is selected on validation, never on test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s4mi.records import Predictions, RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique, interval_over
from s4mi.reporting.results.per_image import image_values
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import Metric

AGREED = 0.02
"""Largest standard deviation of an image's scores at which runs still agree."""


@dataclass(frozen=True)
class BestTechnique:
    """The technique with the best validation score at a label fraction, and its runs there, by seed."""

    technique: Technique
    fraction: float
    records: tuple[RunRecord, ...]


@dataclass(frozen=True)
class Case:
    """A test image and the score of the run on it.

    Attributes:
        score: IoU in segmentation; in classification the probability of the decisive class.
        lines: text below the image: ground truth and prediction.
    """

    image: str
    score: float
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class HardCases:
    """The worst and the best test images of a run, each the most extreme first; no image is in both.

    `wrong` counts the images with an error; None in segmentation.
    """

    worst: tuple[Case, ...]
    best: tuple[Case, ...]
    images: int
    wrong: int | None = None


def extreme_fractions(comparison: Comparison) -> list[float]:
    """The smallest label fraction above 0 and the largest, or 0 alone."""
    labelled = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    return sorted({labelled[0], labelled[-1]})


def best_by_validation(comparison: Comparison, metric: Metric, *, fraction: float) -> BestTechnique | None:
    """Select the technique with the best mean validation score at a label fraction; None if none has one."""
    best: tuple[float, BestTechnique] | None = None
    for technique in comparison.techniques:
        records = comparison.at(technique, fraction)
        interval = interval_over(records, lambda record: validation_score(record, metric), limits=metric.limits)
        if interval is None:
            continue
        score = interval.mean if metric.higher_is_better else -interval.mean
        if best is None or score > best[0]:
            best = score, BestTechnique(technique, fraction, records)
    return None if best is None else best[1]


def validation_score(record: RunRecord, metric: Metric) -> float | None:
    """Score on the validation set, at full resolution; None if there is none."""
    value = getattr(record.val, metric.name, None)
    return None if value is None or math.isnan(value) else float(value)


def cases_of(run: ReportRun, metric: Metric, *, count: int) -> HardCases | None:
    """Select the `count` worst and best test images of a run; None if it has no per-image results."""
    if run.record.task == "segmentation":
        return _overlap_cases(image_values(run.images, metric), count)
    if run.predictions is None:
        return None
    is_multilabel = run.record.task == "multilabel"
    cases = _multilabel_cases(run.predictions) if is_multilabel else _multiclass_cases(run.predictions)
    return _sorted_cases(cases, count)


def disputed(values: Sequence[Mapping[str, float]], *, count: int) -> list[str]:
    """Select the images on which runs differ most, by standard deviation of their values.

    Images that a run does not have, or on which runs hardly differ, are skipped.
    """
    if len(values) < 2:
        return []
    shared = [name for name in values[0] if all(name in each for each in values)]
    spread = {name: float(np.std([each[name] for each in values])) for name in shared}
    most = sorted((name for name in shared if spread[name] > AGREED), key=lambda name: (-spread[name], name))
    return most[:count]


def disputed_predictions(predictions: Sequence[Predictions], *, count: int) -> dict[str, str]:
    """Select the images on which the probability of a class differs most between runs, with that class."""
    if len(predictions) < 2 or len({each.classes for each in predictions}) > 1:
        return {}
    indices = [{image: n for n, image in enumerate(each.images)} for each in predictions]
    shared = [image for image in predictions[0].images if all(image in index for index in indices)]
    if not shared:
        return {}
    probabilities = [
        each.probabilities[[index[image] for image in shared]] for each, index in zip(predictions, indices, strict=True)
    ]
    spread = np.std(probabilities, axis=0)  # (N, K)
    most = sorted(range(len(shared)), key=lambda n: (-float(spread[n].max()), shared[n]))[:count]
    classes = predictions[0].classes
    return {shared[n]: classes[int(spread[n].argmax())] for n in most if spread[n].max() > AGREED}


def _overlap_cases(values: Mapping[str, float], count: int) -> HardCases | None:
    if not values:
        return None
    ordered = sorted((Case(name, value) for name, value in values.items()), key=lambda case: (case.score, case.image))
    half = min(count, len(ordered) // 2)
    return HardCases(tuple(ordered[: max(1, half)]), tuple(ordered[::-1][:half]), len(ordered))


def _sorted_cases(cases: Sequence[tuple[bool, Case]], count: int) -> HardCases:
    """Errors and correct predictions, the most confident first; `cases` are marked as errors or not."""
    by_confidence = sorted(cases, key=lambda pair: (-pair[1].score, pair[1].image))
    wrong, right = ([case for is_error, case in by_confidence if is_error is kind] for kind in (True, False))
    return HardCases(tuple(wrong[:count]), tuple(right[:count]), len(cases), len(wrong))


def _multiclass_cases(predictions: Predictions) -> list[tuple[bool, Case]]:
    cases = []
    for n, image in enumerate(predictions.images):
        truth = predictions.classes[int(predictions.truth[n].argmax())]
        predicted = predictions.classes[int(predictions.decisions[n].argmax())]
        confidence = float(predictions.probabilities[n][predictions.decisions[n]].max())
        lines = (f"truth {truth}", f"predicted {predicted}", f"p = {confidence:.2f}")
        cases.append((truth != predicted, Case(image, confidence, lines)))
    return cases


def _multilabel_cases(predictions: Predictions) -> list[tuple[bool, Case]]:
    """Score: confidence of the most confident wrong label, or if all are correct of the least confident label."""
    cases = []
    classes = np.array(predictions.classes)
    for n, image in enumerate(predictions.images):
        truth, decisions, probabilities = (
            each[n] for each in (predictions.truth, predictions.decisions, predictions.probabilities)
        )
        confidence = np.where(decisions, probabilities, 1 - probabilities)  # (K,) of each decision
        known = np.ones_like(truth) if predictions.known is None else predictions.known[n]
        if not known.any():
            continue
        errors = (truth != decisions) & known
        score = float(confidence[errors].max() if errors.any() else confidence[known].min())
        lines = [f"truth {', '.join(classes[truth]) or 'none'}", f"predicted {', '.join(classes[decisions]) or 'none'}"]
        if errors.any():
            k = int(np.flatnonzero(errors)[confidence[errors].argmax()])
            kind = "false positive" if decisions[k] else "missed"
            lines += [f"{kind} {classes[k]}", f"p = {probabilities[k]:.2f}"]
        cases.append((bool(errors.any()), Case(image, score, tuple(lines))))
    return cases
