"""How many labels each technique needs to be as good as full supervision, from the runs of one comparison.

Full supervision is the best that labels alone give: of the techniques that learn from labelled images and nothing else,
the one with the best mean at 100 % of the labels. Such are a supervised U-Net (`dedl`) and fine-tuning (`finetune`),
unless they start from a pre-training run of unlabelled images; the method of a record says so, not what a study calls
it. Taking the best makes the target harder to reach, never easier.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from s4mi.maths.label_efficiency import LabelCurve, LabelEfficiency, LabelPoints, label_curve, label_efficiency
from s4mi.records import RunRecord
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.scores import Metric, score_of

SUPERVISED: Final = frozenset({"dedl", "finetune"})
FULL: Final = 100.0


@dataclass(frozen=True)
class FullSupervision:
    """The reference: its scores by seed with all labels, and how many those are."""

    technique: Technique
    scores: Mapping[int, float]
    labels: float

    @property
    def mean(self) -> float:
        return math.fsum(self.scores.values()) / len(self.scores)


@dataclass(frozen=True)
class TechniqueCurve:
    """What labels give one technique; scores are as in the records.

    Attributes:
        points: mean and seeds at each number of labels.
        curve: monotone fit and band; None with fewer than two numbers of labels above 0.
        answer: the labels at which it meets full supervision; None where that is not known, or is the technique itself.
    """

    technique: Technique
    points: LabelPoints
    curve: LabelCurve | None
    answer: LabelEfficiency | None


def full_supervision(comparison: Comparison, metric: Metric) -> FullSupervision | None:
    """The supervised technique with the best mean at 100 % of the labels; None where none was tested there."""
    best: FullSupervision | None = None
    for technique in comparison.techniques:
        records = comparison.at(technique, FULL)
        scores = _by_seed(records, metric)
        if not scores or any(r.method not in SUPERVISED or r.pretraining is not None for r in records):
            continue
        one = FullSupervision(technique, scores, _labels(records))
        if best is None or (one.mean > best.mean if metric.higher_is_better else one.mean < best.mean):
            best = one
    return best


def technique_curves(
    comparison: Comparison, metric: Metric, reference: FullSupervision | None
) -> tuple[TechniqueCurve, ...]:
    """What labels give each technique that was tested, by technique; the same numbers for the same records."""
    curves = []
    for technique in comparison.techniques:
        cells = [comparison.at(technique, fraction) for fraction in comparison.fractions]
        cells = [records for records in cells if _by_seed(records, metric)]
        if not cells:
            continue
        points = LabelPoints(
            labels=tuple(_labels(records) for records in cells),
            scores=tuple(_by_seed(records, metric) for records in cells),
        )
        answer = None
        if reference is not None and reference.technique != technique:
            answer = label_efficiency(
                _rising(points, metric),
                {seed: _sign(metric) * score for seed, score in reference.scores.items()},
                technique=technique.label,
                full=reference.labels,
                rng=np.random.default_rng(0),
            )
        curves.append(TechniqueCurve(technique, points, _curve(points, metric), answer))
    return tuple(curves)


def _curve(points: LabelPoints, metric: Metric) -> LabelCurve | None:
    """The fit to the scores as they are; where lower is better it falls."""
    curve = label_curve(_rising(points, metric), rng=np.random.default_rng(0))
    if curve is None or metric.higher_is_better:
        return curve
    low = None if curve.high is None else -curve.high
    high = None if curve.low is None else -curve.low
    return LabelCurve(curve.labels, -curve.fit, low, high)


def _rising(points: LabelPoints, metric: Metric) -> LabelPoints:
    """The same points, negated where lower is better."""
    sign = _sign(metric)
    return LabelPoints(points.labels, tuple({s: sign * score for s, score in cell.items()} for cell in points.scores))


def _sign(metric: Metric) -> int:
    return 1 if metric.higher_is_better else -1


def _by_seed(records: Sequence[RunRecord], metric: Metric) -> dict[int, float]:
    """Test scores by seed, of the runs that have one."""
    return {record.seed: score for record in records if (score := score_of(record, metric)) is not None}


def _labels(records: Sequence[RunRecord]) -> float:
    """Labelled training images on the mean; seeds may differ by one."""
    return sum(record.labels.train_labelled for record in records) / len(records)


@dataclass(frozen=True)
class LabelSaving:
    """What one technique saves, for printing."""

    technique: str
    labels: str
    percent: str


@dataclass(frozen=True)
class LabelsNeeded:
    """What may be said of the labels that full supervision needs.

    Attributes:
        kind: reached: with fewer labels, interval and all. open: perhaps. never: with none of the numbers of labels
            that were tested. unknown: nothing can be said.
        best: of those that reach it the one with the fewest labels.
    """

    kind: Literal["reached", "open", "never", "unknown"]
    sentence: str
    best: LabelSaving | None = None


def labels_needed(reference: FullSupervision | None, curves: Sequence[TechniqueCurve]) -> LabelsNeeded:
    """The strongest statement that the curves carry; `curves` without an answer are those of the reference."""
    if reference is None:
        return LabelsNeeded("unknown", "how many cannot be told, as there is no full supervision to reach")
    answers = [curve.answer for curve in curves if curve.answer is not None]
    if not answers:
        return LabelsNeeded("unknown", "how many cannot be told, as no other technique was tested")
    known = [one for one in answers if one.low is not None and one.high is not None]
    if not known:
        return LabelsNeeded("unknown", f"how many cannot be told: n = {answers[0].n} seed gives no interval")
    saving = [one for one in known if one.saved and one.high is not None and math.isfinite(one.high)]
    if saving:
        best = min(saving, key=lambda one: one.needed)
        told = best.sentence.removesuffix(".")
        if len(answers) > 1:
            told += f" (of {len(answers)} techniques, {len(saving)} {'does' if len(saving) == 1 else 'do'})"
        percent = f"{math.floor(100 * (best.saved or 0.0) + 1e-6)} %"
        return LabelsNeeded("reached", told, LabelSaving(best.technique, f"{math.ceil(best.needed - 1e-6)}", percent))
    maybe = [one for one in known if one.low is not None and math.isfinite(one.low)]
    if maybe:
        return LabelsNeeded("open", min(maybe, key=_promise).sentence.removesuffix("."))
    if len(known) == 1:
        return LabelsNeeded("never", known[0].sentence.removesuffix("."))
    most, n = max(one.most for one in known), min(one.n for one in known)
    within = "without labels" if most == 0 else f"with up to {math.ceil(most - 1e-6)} labels"
    return LabelsNeeded(
        "never", f"none of {len(known)} techniques reaches full supervision {within}: not reached, n = {n} seeds"
    )


def _promise(one: LabelEfficiency) -> tuple[float, float]:
    """Fewest labels on the mean first, then at the best of chance."""
    return one.needed, math.inf if one.low is None else one.low
