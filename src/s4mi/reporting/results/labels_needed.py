"""Labels needed: how many a technique takes to reach a score, what more have brought, and what still more would bring.

    target     what full supervision reaches, if it was tested, or else the best mean; one point below it; a given score
    answer     "to reach full supervision (macro F1 0.842), frozen · vit needs 61 labels (95 %: 44–88)", or why not,
               with the setting that would tell
    gain       "21 → 104 masks brought IoU +0.026 (0.011–0.041); 208 would bring +0.009 (0.002–0.018) more"

Curves and intervals are those of `maths.label_forecast`, over seeds and test patients together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s4mi.maths.crossed import FEW_SEEDS
from s4mi.maths.label_forecast import Needed
from s4mi.maths.learning_curve import FURTHEST
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.few import FEW_SEEDS as FEW_WORDS
from s4mi.reporting.results.label_curves import Cell, LabelCurveOf, cell_of, label_curve_of, sign_of, whole_labels
from s4mi.reporting.results.label_efficiency import full_supervision
from s4mi.reporting.results.label_gains import LabelGain, gain_of
from s4mi.reporting.results.label_hints import hint_of, reason_of
from s4mi.reporting.results.patient_effects import Influences, influences_of, judged_over
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import Metric

POINT = 0.01
"""One point of a score in [0, 1]."""


@dataclass(frozen=True)
class LabelTarget:
    """A score to reach.

    Attributes:
        kind: full: of full supervision. best: the best mean of any cell. below: one point below one of these. given: by
            the user.
        score: as printed, not negated. source: the technique that reached it; None where given.
    """

    kind: Literal["full", "best", "below", "given"]
    score: float
    title: str
    source: Technique | None = None


@dataclass(frozen=True)
class LabelAnswer:
    """Labels that one technique needs for one target.

    Attributes:
        kind: told: within the numbers of labels tested. extrapolated: beyond them, at most 4 ×. refused: see `reason`.
        labels: whole labels; None where refused. low, high: of the 95 % interval; `low` 0 means the fewest tested or
            fewer, `high` None more than 4 × the most tested.
        span: the interval as text, without its level. sentence: without a full stop.
        reason: why it is refused, and hint: what to add; both empty if told.
        few_seeds: whether the interval was widened, as fewer than 5 seeds are few.
    """

    technique: Technique
    target: LabelTarget
    kind: Literal["told", "extrapolated", "refused"]
    labels: int | None
    low: int | None
    high: int | None
    sentence: str
    span: str = ""
    reason: str = ""
    hint: str = ""
    few_seeds: bool = False

    @property
    def told(self) -> bool:
        return self.kind != "refused"


@dataclass(frozen=True, eq=False)
class LabelAnswers:
    """All answers of one comparison.

    Attributes:
        noun: what is counted: labels or masks.
        targets: the leading one first. answers: by target, then fewest labels first, then refused ones.
        gains: one per technique with at least two numbers of labels. curves: those that were fitted.
        over: what the intervals are over.
    """

    metric: Metric
    noun: str
    targets: tuple[LabelTarget, ...]
    answers: tuple[LabelAnswer, ...]
    gains: tuple[LabelGain, ...]
    curves: tuple[LabelCurveOf, ...]
    over: str

    def to(self, target: LabelTarget) -> tuple[LabelAnswer, ...]:
        """Answers for one target, fewest labels first."""
        return tuple(answer for answer in self.answers if answer.target == target)

    def cheapest(self, target: LabelTarget) -> LabelAnswer | None:
        """The technique that needs the fewest labels for a target, of those with an answer."""
        return next((answer for answer in self.to(target) if answer.told), None)

    @property
    def best(self) -> LabelAnswer | None:
        """The first target that is answered, by its cheapest technique: the one sentence for a head."""
        return next((answer for target in self.targets if (answer := self.cheapest(target))), None)

    @property
    def sentence(self) -> str:
        """The one sentence for a head, with a full stop: an answer, or why there is none and what to add."""
        if self.best is not None:
            return f"{_capital(self.best.sentence)}."
        if not self.answers:
            why = "no other technique was tested" if self.curves else "nothing was tested with labels"
            return f"Labels needed: not estimable, {why}."
        closest = min(self.answers, key=_promise)
        hint = f"; {closest.hint}" if closest.hint else ""
        why = f"{closest.technique.label}: {closest.reason}"
        title = f"{self.noun.capitalize()} needed to reach {closest.target.title}"
        return f"{title}: not estimable for any technique ({why}){hint}."


def label_answers(
    comparison: Comparison,
    metric: Metric,
    runs: Sequence[ReportRun] = (),
    *,
    target: float | None = None,
    influences: Influences | None = None,
) -> LabelAnswers:
    """Answer how many labels each technique of a comparison needs; deterministic for the same records.

    Args:
        runs: with scores of test patients, as `load_runs` reads them; without, intervals are over seeds alone.
        target: one more score to reach, such as 0.9.
        influences: of the test patients of `runs`, where they are known already.
    """
    influences = influences_of(comparison, runs, metric) if influences is None else influences
    targets, reference = _targets(comparison, metric, given=target)
    own = None if reference is None else cell_of(comparison.at(*reference), metric, influences)
    noun = "masks" if comparison.task == "segmentation" else "labels"
    answers: list[LabelAnswer] = []
    gains: list[LabelGain] = []
    curves: list[LabelCurveOf] = []
    seeds = sorted({record.seed for record in comparison.records})
    asked = {fraction: count for fraction in comparison.fractions if (count := comparison.asked(fraction))}
    for technique in comparison.techniques:
        curve = label_curve_of(comparison, technique, metric, influences, reference=own)
        if not curve.cells:
            continue
        curves.append(curve)
        for one in targets:
            if one.kind in ("full", "best") and one.source == technique:
                continue  # it takes the labels with which it got there
            answers.append(_answer(curve, one, metric, noun, own, comparison.fractions, seeds, asked))
        gain = gain_of(curve, metric, noun)
        if gain is not None:
            gains.append(gain)
    order = {one: n for n, one in enumerate(targets)}
    answers.sort(key=lambda answer: (order[answer.target], *_promise(answer)))
    over = judged_over(comparison.records, metric, influences)
    return LabelAnswers(metric, noun, tuple(targets), tuple(answers), tuple(gains), tuple(curves), over)


def _targets(
    comparison: Comparison, metric: Metric, *, given: float | None
) -> tuple[list[LabelTarget], tuple[Technique, float] | None]:
    """The targets, and the technique and label fraction whose mean the first of them is."""
    targets: list[LabelTarget] = []
    name, digits = metric.label, metric.digits
    reference: tuple[Technique, float] | None = None
    full = full_supervision(comparison, metric)
    if full is not None:
        reference, score = (full.technique, 100.0), full.mean
        targets.append(LabelTarget("full", score, f"full supervision ({name} {score:.{digits}f})", full.technique))
    else:
        sign, found = sign_of(metric), []
        for technique in comparison.techniques:
            for fraction in comparison.fractions:
                interval = comparison.interval(technique, fraction, metric)
                if interval is not None:
                    found.append((sign * interval.mean, technique, fraction))
        if found:
            score, technique, fraction = max(found, key=lambda one: one[0])
            reference, score = (technique, fraction), sign * score
            targets.append(LabelTarget("best", score, f"the best mean ({name} {score:.{digits}f})", technique))
    if targets and metric.bounded:
        first = targets[0]
        score = first.score - sign_of(metric) * POINT
        of = "full supervision" if first.kind == "full" else "the best mean"
        side = "below" if metric.higher_is_better else "above"
        title = f"{name} {score:.{digits}f} (one point {side} {of})"
        targets.append(LabelTarget("below", score, title, first.source))
    if given is not None:
        targets.append(LabelTarget("given", given, f"{name} {given:.{digits}f}"))
    return targets, reference


def _answer(
    curve: LabelCurveOf,
    target: LabelTarget,
    metric: Metric,
    noun: str,
    reference: Cell | None,
    fractions: Sequence[float],
    seeds: Sequence[int],
    asked: Mapping[float, str],
) -> LabelAnswer:
    needed = _needed(curve, target, metric, reference)
    name = curve.technique.label
    if needed is None or needed.refusal:
        reason, hint = reason_of(curve, needed, metric), hint_of(curve, needed, fractions, seeds, asked=asked)
        sentence = f"{noun} needed to reach {target.title}: not estimable for {name}: {reason}"
        return LabelAnswer(curve.technique, target, "refused", None, None, None, sentence, reason=reason, hint=hint)
    assert curve.forecast is not None
    assert needed.low is not None
    assert needed.high is not None
    low, labels = whole_labels(needed.low), whole_labels(needed.labels)
    high = None if math.isinf(needed.high) else whole_labels(needed.high)
    few = curve.forecast.seeds < FEW_SEEDS
    most = whole_labels(curve.forecast.most)
    start = whole_labels(curve.cells[0].labels)
    count = f"at most {start} {noun}, the fewest tested" if labels <= start else f"{labels} {noun}"
    span = _span(low, high, most, start=start)
    caution = f"; {FEW_WORDS}, n = {curve.forecast.seeds}" if few else ""
    sentence = f"to reach {target.title}, {name} needs {count} (95 %: {span}{caution})"
    if needed.extrapolated:
        sentence += f", extrapolated from runs with {start}–{most}"
    kind: Literal["told", "extrapolated"] = "extrapolated" if needed.extrapolated else "told"
    return LabelAnswer(curve.technique, target, kind, labels, low, high, sentence, span, few_seeds=few)


def _needed(curve: LabelCurveOf, target: LabelTarget, metric: Metric, reference: Cell | None) -> Needed | None:
    if curve.forecast is None:
        return None
    sign = sign_of(metric)
    drawn = None
    if target.kind != "given" and curve.target is not None and reference is not None:
        drawn = curve.target + (sign * target.score - reference.mean)
    return curve.forecast.needed(sign * target.score, drawn)


def _span(low: int, high: int | None, most: int, *, start: int) -> str:
    """`44–88`, `at most 88` or `44 to more than 800`: open where an end lies beyond what was tested."""
    if high is None:
        return f"{low or f'fewer than {start}'} to more than {FURTHEST * most:g}"
    return f"{low}–{high}" if low else f"at most {high}"


def _promise(answer: LabelAnswer) -> tuple[bool, float, str]:
    return not answer.told, math.inf if answer.labels is None else answer.labels, answer.technique.label


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
