"""Labels that a technique needs for a score, with an interval over seeds and patients, or the reason why none is given.

    within the tested numbers   monotone interpolation and the power law, where it fits: the wider of both intervals
    beyond them                 the power law, at most 4 × the largest number; its lower end is not above that of a
                                straight line in log n through the last three points, as learning curves flatten
    what more would bring       the power law; with 3 or 4 seeds its upper end is not below that of the straight line

An interval is refused if it spans more than a factor of 10 or if more redrawn curves than its tail holds do not reach
the score at all. With 3 or 4 seeds it is a 97.5 % interval, because variances of so few seeds are often too small by
chance; fewer seeds have none. Simulated with steep, flat, kinked and logarithmic curves in
docs/explanation/intervals.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.crossed import FEW_SEEDS
from s4mi.maths.label_efficiency import FEWEST_SEEDS, labels_reached, monotone
from s4mi.maths.learning_curve import FEWEST_POINTS, FURTHEST, PowerCurves, fit_power_curves
from s4mi.maths.stats import Interval

Floats = NDArray[np.float64]
Refusal = Literal["seeds", "points", "falls", "misfit", "wide", "far", "never"]
"""Why labels needed are not told: too few seeds or numbers of labels, a curve that falls or that the power law does not
fit, an interval wider than a factor of 10, more than 4 × the largest number of labels, a score above the asymptote."""

WIDEST: Final = 10.0
"""Largest ratio of the ends of an interval."""
MISFIT: Final = 0.1
"""The power law does not extrapolate where redrawn errors exceed that of its fit in a smaller share of cases."""


@dataclass(frozen=True)
class Needed:
    """Labels for a score.

    Attributes:
        labels: estimate; infinite if the curve never gets there. low, high: ends of the interval, None where refused;
            a `low` of 0 means fewer than the fewest tested, an infinite `high` more than 4 × the most tested.
        extrapolated: beyond the largest number of labels tested.
        refusal: empty if the answer stands.
    """

    labels: float
    low: float | None
    high: float | None
    extrapolated: bool
    refusal: Refusal | Literal[""] = ""


@dataclass(frozen=True, eq=False)
class LabelForecast:
    """Learning curve of one technique; scores are such that higher is better.

    Attributes:
        labels: (F,) numbers of labels above 0, ascending. means: (F,) scores. drawn: (B, F) redrawn scores; B is 0
            without intervals.
        curve: fit to the means. curves: fits to the redrawn means; both None with fewer than 4 numbers of labels.
        above: (F,) whether the power law has the point: leading ones that do not rise above the floor are left out.
        fit_p: share of redrawn fits with a larger error than this one.
        falls: whether a score is below an earlier one beyond chance.
        seeds: smallest number of a point.
    """

    labels: Floats
    means: Floats
    drawn: Floats
    weights: Floats
    curve: PowerCurves | None
    curves: PowerCurves | None
    above: NDArray[np.bool_]
    fit_p: float
    falls: bool
    seeds: int

    @property
    def most(self) -> float:
        return float(self.labels[-1])

    @property
    def tail(self) -> float:
        """Probability of each tail of an interval."""
        return 0.025 if self.seeds >= FEW_SEEDS else 0.0125

    @property
    def _unfit(self) -> Refusal | Literal[""]:
        """Why the power law says nothing beyond the tested numbers; empty if it does."""
        if self.seeds < FEWEST_SEEDS:
            return "seeds"
        if self.curve is None:
            return "points"
        if self.falls:
            return "falls"
        return "misfit" if self.fit_p < MISFIT else ""

    @property
    def _few(self) -> Literal["", "seeds"]:
        """Whether intervals are widened because seeds are few."""
        return "seeds" if self.seeds < FEW_SEEDS else ""

    def needed(self, target: float, drawn: Floats | None = None) -> Needed:
        """Labels at which the curve reaches `target`.

        Args:
            drawn: (B,) redrawn targets, where the target is itself a mean of runs; None: it is exact.
        """
        targets = np.full(len(self.drawn), target) if drawn is None else drawn
        inside = float(labels_reached(self.labels, self._monotone(self.means[None]), np.array([target]))[0])
        if math.isfinite(inside):
            return self._within(inside, targets)
        outside = math.inf if self.curve is None else float(self.curve.needed(np.array([target]))[0])
        if self._unfit:
            return Needed(outside, None, None, extrapolated=True, refusal=self._unfit)
        return self._beyond(max(outside, self.most), targets)

    def gain_at(self, labels: float) -> Interval | None:
        """Score expected at a number of labels minus that at the largest tested number.

        None where the curve does not hold, and beyond `FURTHEST` times the largest tested number.
        """
        if self.curve is None or self.curves is None or self._unfit or labels > FURTHEST * self.most:
            return None
        drawn = self.curves.at(labels) - self.curves.at(self.most)
        low, high = np.quantile(drawn, [self.tail, 1 - self.tail])
        gain = float((self.curve.at(labels) - self.curve.at(self.most))[0])
        if self._few:  # they often do not tell a power law from a curve that does not level off
            straight = self._straight()[0] * math.log(labels / self.most)
            high = max(float(high), float(np.quantile(straight, 1 - self.tail)))
        return Interval(gain, min(gain, float(low)), max(gain, float(high)), self.seeds, self._few)

    def asymptote(self) -> Interval | None:
        """The score that no number of labels exceeds, by the fit; None without one."""
        if self.curve is None or self.curves is None:
            return None
        low, high = np.quantile(self.curves.asymptote, [self.tail, 1 - self.tail])
        return Interval(float(self.curve.asymptote[0]), float(low), float(high), self.seeds, self._few)

    def _monotone(self, means: Floats) -> Floats:
        return monotone(means, self.weights)

    def _within(self, estimate: float, targets: Floats) -> Needed:
        """Answer within the tested numbers of labels."""
        if self.seeds < FEWEST_SEEDS:
            return Needed(estimate, None, None, extrapolated=False, refusal="seeds")
        drawn = labels_reached(self.labels, self._monotone(self.drawn), targets)
        ends = [self._ends(drawn)]
        if self.curves is not None and self.fit_p >= MISFIT / 2:
            smooth = self.curves.needed(targets)
            ends = [self._ends(np.where(np.isinf(drawn), smooth, drawn)), self._ends(smooth)]
        elif self.curves is None:
            ends.append((self._ends(self._last_below(targets))[0], ends[0][1]))
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        return self._answer(estimate, min(low, estimate), max(high, estimate), extrapolated=False)

    def _last_below(self, targets: Floats) -> Floats:
        """(B,) largest tested number of labels at which a redrawn curve is below its target; 0 if at none.

        Between two of few points a curve that flattens lies above the straight line, and reaches the target earlier.
        """
        below = self._monotone(self.drawn) < targets[:, None]
        largest: Floats = np.where(below, self.labels, 0.0).max(axis=1)
        return largest

    def _beyond(self, estimate: float, targets: Floats) -> Needed:
        """Answer by the power law, which fits."""
        assert self.curves is not None
        low, high = self._ends(self.curves.needed(targets))
        if math.isinf(low):
            return Needed(math.inf, None, None, extrapolated=True, refusal="never")
        slope, middle = self._straight()
        straight = np.exp(np.minimum(middle + (targets - self.drawn[:, -3:].mean(axis=1)) / slope, 50.0))
        low = min(low, estimate, self._ends(straight)[0])
        if estimate > FURTHEST * self.most:
            return Needed(estimate, None, None, extrapolated=True, refusal="far")
        return self._answer(estimate, low, max(high, estimate), extrapolated=True)

    def _straight(self) -> tuple[Floats, float]:
        """(B,) slopes above 0 of redrawn lines in log n through the last three points, and their mean log n."""
        x = np.log(self.labels[-3:])
        centred = x - x.mean()
        slopes: Floats = np.maximum((self.drawn[:, -3:] @ centred) / (centred @ centred), 1e-9)
        return slopes, float(x.mean())

    def _ends(self, drawn: Floats) -> tuple[float, float]:
        """Quantiles of labels that may be infinite, which must not be interpolated."""
        low = float(np.quantile(drawn, self.tail, method="lower"))
        return low, float(np.quantile(drawn, 1 - self.tail, method="higher"))

    def _answer(self, estimate: float, low: float, high: float, *, extrapolated: bool) -> Needed:
        fewest = float(self.labels[0])
        if high > WIDEST * max(low, fewest):
            return Needed(estimate, None, None, extrapolated=extrapolated, refusal="wide")
        low = 0.0 if low <= fewest else low
        return Needed(estimate, low, math.inf if high > FURTHEST * self.most else high, extrapolated=extrapolated)


def forecast(
    labels: Sequence[float],
    means: Floats,
    drawn: Floats,
    *,
    weights: Floats,
    seeds: int,
    ceiling: float,
    floor: float = -math.inf,
) -> LabelForecast:
    """Fit the curve of (F,) `means` and of (B, F) `drawn` ones, with (F,) `weights`, at ascending labels above 0.

    Leading points that do not rise above the floor say only that the curve begins later: the power law leaves them out.

    Args:
        seeds: smallest number of a point; with 1, `drawn` is (0, F).
        ceiling: best value of the score. floor: of no labels, or of chance.
    """
    x = np.asarray(labels, dtype=np.float64)
    spread = drawn.std(axis=0) if len(drawn) else np.zeros(len(x))
    above = np.logical_or.accumulate(means > floor + spread)
    curve = curves = None
    fit_p = 1.0
    if above.sum() >= FEWEST_POINTS:
        points, own = x[above], weights[above]
        curve = fit_power_curves(points, means[None, above], own, ceiling=ceiling, floor=floor)
        if len(drawn):
            curves = fit_power_curves(points, drawn[:, above], own, ceiling=ceiling, floor=floor)
            fit_p = _fit_p(points, means[above], drawn[:, above], own, curve, ceiling)
    falls = bool(len(drawn)) and _falls(means, drawn)
    return LabelForecast(x, means, drawn, weights, curve, curves, above, fit_p, falls, seeds)


def _fit_p(points: Floats, means: Floats, drawn: Floats, weights: Floats, curve: PowerCurves, ceiling: float) -> float:
    """Share of data redrawn around the curve whose own fit has an error at least as large (parametric bootstrap)."""
    fitted = np.array([curve.asymptote[0] - curve.slope[0] * n ** -curve.exponent[0] for n in points])
    around = fitted + (drawn - means)
    again = fit_power_curves(points, around, weights, ceiling=ceiling)
    predicted = np.stack([again.at(n) for n in points], axis=1)
    errors = ((around - predicted) ** 2) @ weights
    return float((errors >= ((means - fitted) ** 2) @ weights).mean())


def _falls(means: Floats, drawn: Floats) -> bool:
    """Whether a mean is below an earlier one beyond chance, with Bonferroni's correction for all pairs."""
    pairs = [(i, j) for i in range(len(means)) for j in range(i + 1, len(means))]
    level = 0.05 / max(1, len(pairs))
    return any(means[j] < means[i] and float(((drawn[:, j] - drawn[:, i]) >= 0).mean()) < level / 2 for i, j in pairs)
