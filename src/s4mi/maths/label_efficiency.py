"""Number of labels that a technique needs to match full supervision.

    curve     monotone least-squares fit to the means over seeds, linear in the logarithm of the number of labels
    target    mean over seeds of a supervised reference with all labels
    needed    the fewest labels at which the curve reaches the target

Curve and target both vary with the seeds; for the intervals `redrawn_means` redraws them jointly. Higher scores must be
better: negate those that are not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.formatting import plural
from s4mi.maths.bootstrap import redrawn_means

NOT_REACHED = "not reached"
FEWEST_SEEDS = 3
"""Two seeds leave intervals that reach from nothing to everything, or too little by chance."""
FEW_SEEDS = 5
"""Below this, intervals are widened, because variances of so few seeds are often too small by chance."""


@dataclass(frozen=True)
class LabelPoints:
    """Scores of a technique by number of labels.

    Attributes:
        labels: (F,) numbers of labelled images, ascending; 0 is training without labels, from which the curve is not
            interpolated to the next point.
        scores: (F,) scores by seed, at least one each.
    """

    labels: tuple[float, ...]
    scores: tuple[Mapping[int, float], ...]

    @property
    def n(self) -> int:
        """Smallest number of seeds of a point."""
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
    """A monotone fit at (G,) numbers of labels with its confidence band, None if a point has a single seed."""

    labels: NDArray[np.float64]
    fit: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


@dataclass(frozen=True)
class LabelEfficiency:
    """Number of labels at which `technique` reaches the score of a supervised reference with all labels.

    Attributes:
        needed: number of labels, from the fit to the means; infinite if the target is not reached.
        low: lower end of its interval, or None with fewer than 3 seeds; the value `fewest` means that number or less.
        high: upper end, or None; infinite if the target is not reached in more redrawn fits than the tail may hold.
        never: share of redrawn fits that do not reach the target, or None.
        fewest: smallest number of labels tested. most: largest number tested. full: labels of the reference.
        n: smallest number of seeds of a point or of the reference.
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
        """Share of the labels saved, or None if full supervision is not reached."""
        return None if math.isinf(self.needed) else max(0.0, 1 - _whole(self.needed) / self.full)

    @property
    def sentence(self) -> str:
        """The result in words, with its interval and n."""
        target = "full supervision (100 % of the labels)"
        if self.low is None or self.high is None:
            seeds = plural(self.n, "seed")
            why = f"not estimable ({seeds}; needs at least {FEWEST_SEEDS})"
            return f"{self.technique}: labels needed for {target} {why}."
        few = ", few seeds" if self.n < FEW_SEEDS else ""
        evidence = f"{100 * self.level:g} % interval {self._interval}, n = {self.n} seeds{few}"
        if self.saved is not None:
            reached = f"{self.technique} reaches {target} at {self._number(self.needed)} of {_whole(self.full)} labels"
            if math.isinf(self.high):
                return f"{reached} on average, but not reliably: {evidence}."
            return f"{reached}, {evidence}; labels saved: {math.floor(100 * self.saved + 1e-6)} %."
        within = "without labels" if self.most == 0 else f"with up to {_whole(self.most)} labels"
        if math.isinf(self.low):
            return f"{self.technique} does not reach {target} {within}: {NOT_REACHED}, n = {self.n} seeds."
        return f"{self.technique} does not reach {target} {within} on average, but may: {evidence}."

    @property
    def _interval(self) -> str:
        assert self.low is not None
        assert self.high is not None
        low, high = self._number(self.low), self._number(self.high)
        if math.isinf(self.high):
            return f"{low} to {high}"
        return low if low == high else f"{low}–{high}"

    def _number(self, labels: float) -> str:
        """`61`, `≤ 15` for the fewest labels tested, or `not reached`."""
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
    """Estimate the number of labels that a technique needs to reach the mean of `target`.

    The interval is made of percentiles over redrawn curves and targets, where a curve that never reaches its target
    counts as infinitely many labels. If a point or the target has fewer than 3 seeds, there is no interval; with 3 or 4
    its tails are half as large.

    Args:
        target: scores of the reference with all labels, by seed.
        technique: name of the technique. full: number of labels of the reference.
    """
    needed = labels_reached(
        points.labels,
        monotone(points.means[None], points.weights),
        np.array([math.fsum(target.values()) / len(target)]),
    )
    n = min(points.n, len(target))
    low = high = never = None
    if n >= FEWEST_SEEDS:
        tail = (1 - level) / 2 if n >= FEW_SEEDS else (1 - level) / 4
        means = redrawn_means([*points.scores, target], rng=rng, draws=draws)
        drawn = labels_reached(points.labels, monotone(means[:, :-1], points.weights), means[:, -1])
        # Interpolated quantiles of infinite values would be NaN.
        low = float(np.quantile(drawn, tail, method="lower"))
        high = float(np.quantile(drawn, 1 - tail, method="higher"))
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
    """The fit at `at` numbers of labels, spaced evenly in their logarithm, with its pointwise percentile band.

    None with fewer than two numbers of labels above 0.
    """
    labels = np.array(points.labels)
    labelled = labels > 0
    if len(set(labels[labelled].tolist())) < 2:
        return None
    x = np.log(labels[labelled])
    grid = np.linspace(x[0], x[-1], at)
    interpolation = np.stack([np.interp(grid, x, basis) for basis in np.eye(x.size)])  # (F, at)
    fit = monotone(points.means[None], points.weights)[0, labelled] @ interpolation
    low = high = None
    if points.n > 1:
        redrawn = redrawn_means(points.scores, rng=rng, draws=draws)
        fits = monotone(redrawn, points.weights)[:, labelled] @ interpolation
        low, high = np.quantile(fits, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return LabelCurve(np.exp(grid), fit, low, high)


def monotone(means: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, F) non-decreasing least-squares fits to (B, F) `means` with (F,) `weights` (isotonic regression).

    fit_i = max_{j ≤ i} min_{k ≥ i} (weighted mean of points j to k)    (Robertson, Wright & Dykstra 1988)
    """
    points = means.shape[1]
    fits = np.full(means.shape, -np.inf)
    for first in range(points):
        pooled = np.cumsum(means[:, first:] * weights[first:], axis=1) / np.cumsum(weights[first:])
        lowest = np.minimum.accumulate(pooled[:, ::-1], axis=1)[:, ::-1]
        fits[:, first:] = np.maximum(fits[:, first:], lowest)
    return fits


def labels_reached(
    labels: Sequence[float] | NDArray[np.float64], fits: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B,) fewest labels at which each of (B, F) monotone fits reaches its target (B,); infinite if it does not.

    Between two numbers of labels, a fit is linear in their logarithm. Between 0 and the next number it is unknown, and
    the next number counts.
    """
    count = np.asarray(labels, dtype=np.float64)
    x = np.log(np.maximum(count, 1e-300))
    reached = fits >= targets[:, None]
    first = reached.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(fits))
    rise = fits[rows, first] - fits[rows, before]
    share = np.divide(targets - fits[rows, before], rise, out=np.ones_like(rise), where=rise > 0)
    between = np.exp(x[before] + share * (x[first] - x[before])).clip(count[before], count[first])  # rounding errors
    exact = (first == 0) | (count[before] == 0) | (share == 1)
    needed: NDArray[np.float64] = np.where(exact, count[first], between)
    needed[~reached.any(axis=1)] = np.inf
    return needed


def _whole(labels: float) -> int:
    """Round up to whole labels: 61 for 60.2."""
    return math.ceil(labels - 1e-6)
