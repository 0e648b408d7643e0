"""How many labels each technique needs to match full supervision, from the runs of one comparison.

Full supervision is the supervised technique with the best mean at 100 % of the labels: a supervised U-Net (`dedl`) or
fine-tuning (`finetune`) that does not start from pre-training on unlabelled images. The method in the record decides,
not the name that a study gives it. Taking the best makes the target harder to reach, never easier.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from s4mi.formatting import plural
from s4mi.maths.label_efficiency import (
    FEWEST_SEEDS,
    LabelCurve,
    LabelEfficiency,
    LabelPoints,
    label_curve,
    label_efficiency,
)
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.scores import Metric, score_of

SUPERVISED: Final = frozenset({"dedl", "finetune", "frozen", "frozen_segmenter", "classical", "classical_segmenter"})
"""Methods that learn from labels alone."""
FULL: Final = 100.0


@dataclass(frozen=True)
class FullSupervision:
    """The reference: scores by seed with all labels, and the mean number of these labels."""

    technique: Technique
    scores: Mapping[int, float]
    labels: float

    @property
    def mean(self) -> float:
        return math.fsum(self.scores.values()) / len(self.scores)


@dataclass(frozen=True)
class TechniqueCurve:
    """Scores of one technique by number of labels, as in the records.

    Attributes:
        points: scores by seed at each number of labels.
        curve: monotone fit and band; None with fewer than two numbers of labels above 0.
        efficiency: labels needed to reach full supervision; None without a reference, or for the reference itself.
    """

    technique: Technique
    points: LabelPoints
    curve: LabelCurve | None
    efficiency: LabelEfficiency | None


def full_supervision(comparison: Comparison, metric: Metric) -> FullSupervision | None:
    """Return the supervised technique with the best mean at 100 % of the labels, or None if none was tested there."""
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
    """Return the curve of each technique that was tested; deterministic for the same records."""
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
        efficiency = None
        if reference is not None and reference.technique != technique:
            efficiency = label_efficiency(
                _rising(points, metric),
                {seed: _sign(metric) * score for seed, score in reference.scores.items()},
                technique=technique.label,
                full=reference.labels,
                rng=np.random.default_rng(0),
            )
        curves.append(TechniqueCurve(technique, points, _curve(points, metric), efficiency))
    return tuple(curves)


def _curve(points: LabelPoints, metric: Metric) -> LabelCurve | None:
    """Monotone fit to the original scores; it falls if lower is better."""
    curve = label_curve(_rising(points, metric), rng=np.random.default_rng(0))
    if curve is None or metric.higher_is_better:
        return curve
    low = None if curve.high is None else -curve.high
    high = None if curve.low is None else -curve.low
    return LabelCurve(curve.labels, -curve.fit, low, high)


def _rising(points: LabelPoints, metric: Metric) -> LabelPoints:
    """The points, negated if lower is better."""
    sign = _sign(metric)
    return LabelPoints(points.labels, tuple({s: sign * score for s, score in cell.items()} for cell in points.scores))


def _sign(metric: Metric) -> int:
    return 1 if metric.higher_is_better else -1


def _by_seed(records: Sequence[RunRecord], metric: Metric) -> dict[int, float]:
    """Test scores by seed; runs without a score are skipped."""
    return {record.seed: score for record in records if (score := score_of(record, metric)) is not None}


def _labels(records: Sequence[RunRecord]) -> float:
    """Mean number of labelled training images; seeds may differ by one."""
    return sum(record.labels.train_labelled for record in records) / len(records)


@dataclass(frozen=True)
class LabelSaving:
    """Labels saved by one technique, as text."""

    technique: str
    labels: str
    percent: str


@dataclass(frozen=True)
class LabelsNeeded:
    """Statement on the labels needed to reach full supervision.

    Attributes:
        kind: reached: with fewer labels, including the whole interval. open: uncertain. never: with none of the tested
            numbers of labels. unknown: not estimable.
        best: of the techniques that reach it, the one with the fewest labels.
    """

    kind: Literal["reached", "open", "never", "unknown"]
    sentence: str
    best: LabelSaving | None = None


def labels_needed(reference: FullSupervision | None, curves: Sequence[TechniqueCurve]) -> LabelsNeeded:
    """Return the strongest statement that the curves support; curves without an efficiency belong to the reference."""
    if reference is None:
        return LabelsNeeded("unknown", "not estimable (no supervised technique was tested with all labels)")
    estimates = [curve.efficiency for curve in curves if curve.efficiency is not None]
    if not estimates:
        return LabelsNeeded("unknown", "not estimable (no other technique was tested)")
    known = [one for one in estimates if one.low is not None and one.high is not None]
    if not known:
        return LabelsNeeded("unknown", f"not estimable ({plural(estimates[0].n, 'seed')}; needs ≥ {FEWEST_SEEDS})")
    saving = [one for one in known if one.saved and one.high is not None and math.isfinite(one.high)]
    if saving:
        best = min(saving, key=lambda one: one.needed)
        text = best.sentence.removesuffix(".")
        if len(estimates) > 1:
            text += f" ({len(saving)} of {len(estimates)} techniques {'reaches' if len(saving) == 1 else 'reach'} it)"
        percent = f"{math.floor(100 * (best.saved or 0.0) + 1e-6)} %"
        return LabelsNeeded("reached", text, LabelSaving(best.technique, f"{math.ceil(best.needed - 1e-6)}", percent))
    uncertain = [one for one in known if one.low is not None and math.isfinite(one.low)]
    if uncertain:
        return LabelsNeeded("open", min(uncertain, key=_promise).sentence.removesuffix("."))
    if len(known) == 1:
        return LabelsNeeded("never", known[0].sentence.removesuffix("."))
    most, n = max(one.most for one in known), min(one.n for one in known)
    within = "without labels" if most == 0 else f"with up to {math.ceil(most - 1e-6)} labels"
    return LabelsNeeded("never", f"none of {len(known)} techniques reaches full supervision {within} (n = {n} seeds)")


def _promise(one: LabelEfficiency) -> tuple[float, float]:
    """Sort key: fewest labels on average, then the lower end of the interval."""
    return one.needed, math.inf if one.low is None else one.low
