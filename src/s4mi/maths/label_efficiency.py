"""How many labels a technique needs to be as good as full supervision.

    curve     the best monotone fit to the means over seeds, straight lines in the logarithm of the number of labels
    target    mean of a supervised reference with all labels
    answer    the fewest labels at which the curve meets the target

Both the curve and the target move with the seeds; `redrawn_means` redraws the two together for the intervals.
Scores are such that higher is better: negate those that are not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.bootstrap import redrawn_means

NOT_REACHED = "not reached"


@dataclass(frozen=True)
class LabelPoints:
    """What a technique scored, by number of labels.

    Attributes:
        labels: (F,) labelled images, fewest first; 0 is training without labels, and has no line to the next point.
        scores: (F,) scores by seed, at least one each.
    """

    labels: tuple[float, ...]
    scores: tuple[Mapping[int, float], ...]

    @property
    def n(self) -> int:
        """Seeds of the point that has fewest."""
        return min(len(cell) for cell in self.scores)

    @property
    def means(self) -> NDArray[np.float64]:
        """(F,) means over seeds."""
        return np.array([math.fsum(cell.values()) / len(cell) for cell in self.scores])

    @property
    def weights(self) -> NDArray[np.float64]:
        """(F,) numbers of seeds."""
        return np.array([float(len(cell)) for cell in self.scores])


@dataclass(frozen=True)
class LabelCurve:
    """A monotone fit at some numbers of labels (G,), and its band, None where a point has one seed alone."""

    labels: NDArray[np.float64]
    fit: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


@dataclass(frozen=True)
class LabelEfficiency:
    """The labels at which `technique` reaches what a supervised reference scores with all `full`; infinite: never.

    Attributes:
        needed: of the fit to the means.
        low: lower end of its interval, or None with one seed; `fewest` stands for that or less.
        high: upper end, or None; infinite where more than the tail's share of redrawn fits never reach.
        never: share of redrawn fits that never reach, or None.
        fewest: labels tested at the least. most: and at the most.
        n: seeds of the point, or of the reference, that has fewest.
    """

    technique: str
    needed: float
    low: float | None
    high: float | None
    never: float | None
    fewest: float
    most: float
    full: float
    n: int
    level: float = 0.95

    @property
    def saved(self) -> float | None:
        """Share of the labels that need not be made, or None where full supervision is not reached."""
        return None if math.isinf(self.needed) else max(0.0, 1 - _whole(self.needed) / self.full)

    @property
    def sentence(self) -> str:
        """What may be said, with its interval and n; with one seed nothing."""
        target = "full supervision (100 % of the labels)"
        if self.low is None or self.high is None:
            return f"{self.technique}: n = {self.n} seed gives no interval, so nothing is claimed about {target}."
        known = f"{100 * self.level:g} % interval {self._interval}, n = {self.n} seeds"
        if self.saved is not None:
            reached = f"{self.technique} reaches {target} at {self._number(self.needed)} of {_whole(self.full)} labels"
            if math.isinf(self.high):
                return f"{reached} on the mean, but that is not shown: {known}."
            return f"{reached}, {known}; labels saved: {math.floor(100 * self.saved + 1e-6)} %."
        within = "without labels" if self.most == 0 else f"with up to {_whole(self.most)} labels"
        if math.isinf(self.low):
            return f"{self.technique} does not reach {target} {within}: {NOT_REACHED}, n = {self.n} seeds."
        return f"{self.technique} does not reach {target} {within} on the mean, but may: {known}."

    @property
    def _interval(self) -> str:
        assert self.low is not None
        assert self.high is not None
        low, high = self._number(self.low), self._number(self.high)
        if math.isinf(self.high):
            return f"{low} to {high}"
        return low if low == high else f"{low}–{high}"

    def _number(self, labels: float) -> str:
        """`61`, `≤ 15` for the fewest that were tested, or that there is none."""
        if math.isinf(labels):
            return NOT_REACHED
        return f"≤ {_whole(labels)}" if 0 < labels <= self.fewest else f"{_whole(labels)}"


def label_efficiency(
    points: LabelPoints,
    target: Mapping[int, float],
    *,
    technique: str,
    full: float,
    rng: np.random.Generator,
    draws: int = 4000,
    level: float = 0.95,
) -> LabelEfficiency:
    """The labels that `technique` needs to reach the mean of `target`, the reference's scores by seed with all labels.

    With one seed, of a point or of the target, there is no interval. The interval is one of percentiles of
    redrawn curves that meet redrawn targets; a curve that meets none counts as infinitely many labels.

    Args:
        technique: what to call the curve. full: labels of the target.
    """
    needed = labels_reached(
        points.labels,
        monotone(points.means[None], points.weights),
        np.array([math.fsum(target.values()) / len(target)]),
    )
    n = min(points.n, len(target))
    low = high = never = None
    if n > 1:
        means = redrawn_means([*points.scores, target], rng=rng, draws=draws)
        drawn = labels_reached(points.labels, monotone(means[:, :-1], points.weights), means[:, -1])
        # Interpolated quantiles of infinite values are no numbers.
        low = float(np.quantile(drawn, (1 - level) / 2, method="lower"))
        high = float(np.quantile(drawn, (1 + level) / 2, method="higher"))
        never = float(np.isinf(drawn).mean())
    return LabelEfficiency(
        technique=technique,
        needed=float(needed[0]),
        low=low,
        high=high,
        never=never,
        fewest=points.labels[0],
        most=points.labels[-1],
        full=full,
        n=n,
        level=level,
    )


def label_curve(
    points: LabelPoints, *, rng: np.random.Generator, at: int = 60, draws: int = 4000, level: float = 0.95
) -> LabelCurve | None:
    """The fit at `at` numbers of labels from the fewest to the most, evenly in their logarithm, with its band.

    None with fewer than two numbers of labels above 0. The band is one of percentiles, number by number.
    """
    labels = np.array(points.labels)
    some = labels > 0
    if len(set(labels[some].tolist())) < 2:
        return None
    x = np.log(labels[some])
    grid = np.linspace(x[0], x[-1], at)
    between = np.stack([np.interp(grid, x, one) for one in np.eye(x.size)])  # (F, at): a fit @ this is its line
    fit = monotone(points.means[None], points.weights)[0, some] @ between
    low = high = None
    if points.n > 1:
        fits = monotone(redrawn_means(points.scores, rng=rng, draws=draws), points.weights)[:, some] @ between
        low, high = np.quantile(fits, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return LabelCurve(np.exp(grid), fit, low, high)


def monotone(means: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, F) least-squares fits to (B, F) `means` that never fall from left to right, each point of weight (F,).

    fit_i = max_{j ≤ i} min_{k ≥ i} (weighted mean of points j to k)    (Robertson, Wright & Dykstra 1988)
    """
    points = means.shape[1]
    fits = np.full(means.shape, -np.inf)
    for first in range(points):
        within = np.cumsum(means[:, first:] * weights[first:], axis=1) / np.cumsum(weights[first:])
        lowest = np.minimum.accumulate(within[:, ::-1], axis=1)[:, ::-1]
        fits[:, first:] = np.maximum(fits[:, first:], lowest)
    return fits


def labels_reached(
    labels: Sequence[float], fits: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B,) fewest labels at which each of (B, F) monotone fits reaches its target (B,); infinite where none does.

    Between two numbers of labels a fit is straight in their logarithm; between 0 and the next it is not known, and the
    next counts.
    """
    count = np.asarray(labels, dtype=np.float64)
    x = np.log(np.maximum(count, 1e-300))
    reached = fits >= targets[:, None]
    first = reached.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(fits))
    rise = fits[rows, first] - fits[rows, before]
    share = np.divide(targets - fits[rows, before], rise, out=np.ones_like(rise), where=rise > 0)
    between = np.exp(x[before] + share * (x[first] - x[before])).clip(count[before], count[first])  # rounding
    exact = (first == 0) | (count[before] == 0) | (share == 1)
    answer: NDArray[np.float64] = np.where(exact, count[first], between)
    answer[~reached.any(axis=1)] = np.inf
    return answer


def _whole(labels: float) -> int:
    """Labels come whole: 61 for 60.2."""
    return math.ceil(labels - 1e-6)
