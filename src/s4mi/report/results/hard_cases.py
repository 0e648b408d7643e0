"""Which test images are shown as best and worst cases, and of which run: validation chooses it, never test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s4mi.records import Predictions, RunRecord
from s4mi.report.results.comparison import Comparison, Technique, interval_over
from s4mi.report.results.per_image import image_values
from s4mi.report.results.runs import ReportRun
from s4mi.report.results.scores import Metric

AGREED = 0.02
"""Runs whose scores of an image spread no more than this say the same."""


@dataclass(frozen=True)
class BestTechnique:
    """The technique that validation puts first at a label fraction, and its runs there, by seed."""

    technique: Technique
    fraction: float
    records: tuple[RunRecord, ...]


@dataclass(frozen=True)
class Case:
    """A test image and how the run did on it.

    Attributes:
        score: IoU of a segmentation, else the probability of the decision that matters most.
        lines: what is written below the image: truth and answer.
    """

    image: str
    score: float
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class HardCases:
    """The worst and the best test images of a run, each the most extreme first; no image is in both.

    `wrong` counts the images with a mistake; None of a segmentation, which is never quite right.
    """

    worst: tuple[Case, ...]
    best: tuple[Case, ...]
    images: int
    wrong: int | None = None


def ends_of(comparison: Comparison) -> list[float]:
    """The smallest label fraction above 0 and the largest, or 0 alone."""
    some = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    return sorted({some[0], some[-1]})


def best_by_validation(comparison: Comparison, metric: Metric, *, fraction: float) -> BestTechnique | None:
    """The technique with the best mean validation score at a label fraction; None where none has one."""
    best: tuple[float, BestTechnique] | None = None
    for technique in comparison.techniques:
        records = comparison.at(technique, fraction)
        interval = interval_over(records, lambda record: validation_score(record, metric))
        if interval is None:
            continue
        score = interval.mean if metric.higher_is_better else -interval.mean
        if best is None or score > best[0]:
            best = score, BestTechnique(technique, fraction, records)
    return None if best is None else best[1]


def validation_score(record: RunRecord, metric: Metric) -> float | None:
    """The score on the validation part, at full resolution; None where there is none."""
    value = getattr(record.val, metric.name, None)
    return None if value is None or math.isnan(value) else float(value)


def cases_of(run: ReportRun, metric: Metric, *, count: int) -> HardCases | None:
    """The `count` worst and best test images of a run; None where it left nothing on single images."""
    if run.record.task == "segmentation":
        return _overlap_cases(image_values(run.images, metric), count)
    if run.predictions is None:
        return None
    several = run.record.task == "multilabel"
    cases = _label_cases(run.predictions) if several else _class_cases(run.predictions)
    return _sorted_cases(cases, count)


def disputed(values: Sequence[Mapping[str, float]], *, count: int) -> list[str]:
    """The images on which runs differ most: by standard deviation of the values, by image, of the images that all have.

    Images on which they hardly differ are left out.
    """
    if len(values) < 2:
        return []
    shared = [name for name in values[0] if all(name in own for own in values)]
    spread = {name: float(np.std([own[name] for own in values])) for name in shared}
    most = sorted((name for name in shared if spread[name] > AGREED), key=lambda name: (-spread[name], name))
    return most[:count]


def disputed_predictions(answers: Sequence[Predictions], *, count: int) -> dict[str, str]:
    """The images on which the probability of some class differs most between runs, with that class."""
    if len(answers) < 2 or len({own.classes for own in answers}) > 1:
        return {}
    places = [{image: n for n, image in enumerate(own.images)} for own in answers]
    shared = [image for image in answers[0].images if all(image in place for place in places)]
    if not shared:
        return {}
    given = [own.probabilities[[place[i] for i in shared]] for own, place in zip(answers, places, strict=True)]
    spread = np.std(given, axis=0)  # (N, K)
    most = sorted(range(len(shared)), key=lambda n: (-float(spread[n].max()), shared[n]))[:count]
    classes = answers[0].classes
    return {shared[n]: classes[int(spread[n].argmax())] for n in most if spread[n].max() > AGREED}


def _overlap_cases(values: Mapping[str, float], count: int) -> HardCases | None:
    if not values:
        return None
    ordered = sorted((Case(name, value) for name, value in values.items()), key=lambda case: (case.score, case.image))
    half = min(count, len(ordered) // 2)
    return HardCases(tuple(ordered[: max(1, half)]), tuple(ordered[::-1][:half]), len(ordered))


def _sorted_cases(cases: Sequence[tuple[bool, Case]], count: int) -> HardCases:
    """Mistakes, which are marked, and what is right, by how sure the run was of it."""
    sure = sorted(cases, key=lambda pair: (-pair[1].score, pair[1].image))
    wrong, right = ([case for mistaken, case in sure if mistaken is kind] for kind in (True, False))
    return HardCases(tuple(wrong[:count]), tuple(right[:count]), len(cases), len(wrong))


def _class_cases(given: Predictions) -> list[tuple[bool, Case]]:
    cases = []
    for n, image in enumerate(given.images):
        truth, answer = (given.classes[int(each[n].argmax())] for each in (given.truth, given.decisions))
        sure = float(given.probabilities[n][given.decisions[n]].max())
        cases.append((truth != answer, Case(image, sure, (f"truth {truth}", f"answer {answer}", f"p = {sure:.2f}"))))
    return cases


def _label_cases(given: Predictions) -> list[tuple[bool, Case]]:
    """A mistake is as sure as its surest label; a right answer as sure as its least sure one."""
    cases = []
    for n, image in enumerate(given.images):
        truth, answer = ([given.classes[k] for k in np.flatnonzero(each[n])] for each in (given.truth, given.decisions))
        sure = np.where(given.decisions[n], given.probabilities[n], 1 - given.probabilities[n])  # (K,) of each decision
        mistakes = given.truth[n] != given.decisions[n]
        score = float(sure[mistakes].max() if mistakes.any() else sure.min())
        lines = [f"truth {', '.join(truth) or 'none'}", f"answer {', '.join(answer) or 'none'}"]
        if mistakes.any():
            k = int(np.flatnonzero(mistakes)[sure[mistakes].argmax()])
            kind = "wrongly" if given.decisions[n, k] else "missed"
            lines += [f"{kind} {given.classes[k]}", f"p = {given.probabilities[n, k]:.2f}"]
        cases.append((bool(mistakes.any()), Case(image, score, tuple(lines))))
    return cases
