"""What more labels have brought to a technique, and what still more would bring."""

from dataclasses import dataclass, replace

from s4mi.maths.crossed import crossed_mean
from s4mi.maths.learning_curve import FURTHEST
from s4mi.maths.stats import Interval
from s4mi.reporting.results.comparison import Technique
from s4mi.reporting.results.few import and_few
from s4mi.reporting.results.label_curves import LabelCurveOf, sign_of, whole_labels
from s4mi.reporting.results.patient_effects import less
from s4mi.reporting.results.scores import Metric


@dataclass(frozen=True)
class LabelGain:
    """From the fewest to the most labels tested, and on to `more`.

    Attributes:
        brought: score with the most less with the fewest, over the seeds that both have, and their test patients.
        more: number of labels extrapolated to. would_bring: score with these less with the most tested; both None where
            the curve does not hold.
        sentence: without a full stop.
    """

    technique: Technique
    fewest: int
    most: int
    brought: Interval
    more: int | None
    would_bring: Interval | None
    sentence: str


def gain_of(curve: LabelCurveOf, metric: Metric, noun: str) -> LabelGain | None:
    """The gain of one technique; None without two numbers of labels that share a seed."""
    if curve.forecast is None:
        return None
    first, last = curve.cells[0], curve.cells[-1]
    shared = sorted(set(first.scores) & set(last.scores))
    if not shared:
        return None
    sign = sign_of(metric)
    parts = [less(last.influences[seed], first.influences[seed]) for seed in shared]
    known = all(first.influences[seed] and last.influences[seed] for seed in shared)
    mean = crossed_mean([last.scores[seed] - first.scores[seed] for seed in shared], parts if known else ())
    brought = _signed(mean.interval(), sign, metric)
    fewest, most = whole_labels(first.labels), whole_labels(last.labels)
    sentence = f"{fewest} → {most} {noun} brought {metric.label} {_told(brought, metric)}"
    more = _next(last.labels, last.fraction)
    would = curve.forecast.gain_at(more)
    if would is None:
        return LabelGain(curve.technique, fewest, most, brought, None, None, sentence)
    would = _signed(would, sign, metric)
    sentence += f"; {more} would bring {_told(would, metric)} more"
    return LabelGain(curve.technique, fewest, most, brought, more, would, sentence)


def gain_text(gain: Interval, metric: Metric) -> str:
    """`+0.026 (95 % +0.011 to +0.041)`; the mean alone without an interval."""
    text, ends = f"{gain.mean:+.{metric.digits}f}", _ends(gain, metric)
    return f"{text} ({ends})".replace("-", "−") if ends else text.replace("-", "−")


def _told(gain: Interval, metric: Metric) -> str:
    """The gain in a sentence, which says itself if it rests on few seeds or patients."""
    text, ends = f"{gain.mean:+.{metric.digits}f}", _ends(gain, metric)
    return f"{text} ({and_few(ends, gain)})".replace("-", "−") if ends else text.replace("-", "−")


def _ends(gain: Interval, metric: Metric) -> str:
    if gain.low is None or gain.high is None or gain.of_equals:
        return ""
    return f"95 % {gain.low:+.{metric.digits}f} to {gain.high:+.{metric.digits}f}"


def _next(labels: float, fraction: float) -> int:
    """All labels where the most tested are a quarter of them or more, or else twice as many."""
    everything = labels * 100 / fraction
    within = fraction < 100 and everything <= FURTHEST * labels
    return whole_labels(everything if within else 2 * labels)


def _signed(gain: Interval, sign: int, metric: Metric) -> Interval:
    """In the metric's own direction, and within the range of differences."""
    if gain.low is None or gain.high is None:
        return replace(gain, mean=sign * gain.mean)
    low, high = sorted((sign * gain.low, sign * gain.high))
    return replace(gain, mean=sign * gain.mean, low=low, high=high).within(*metric.difference_limits)
