"""Mean and confidence interval over a few seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.special import expit, stdtrit  # the quantile alone: importing scipy.stats takes longer than writing a report

_FURTHEST: Final = 2.0
"""Ends on the scale of log-odds lie at most this many half-widths away: few scores close to 1 would reach far down."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, in the unit of the values.

    Attributes:
        mean: arithmetic mean of the values.
        low: lower end, or None if a single value leaves no spread to estimate.
        high: upper end, or None.
        n: number of values.
        few: of what there are so few that the interval was widened; empty if of nothing.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    few: Literal["", "seeds", "patients"] = ""

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, or None if there is no interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def of_equals(self) -> bool:
        """Whether all values are equal but for errors of rounding, so that nothing is known of their spread."""
        return self.low is not None and self.high is not None and self.high - self.low <= 1e-9 * max(1, abs(self.mean))

    def within(self, least: float, most: float) -> "Interval":
        """The interval without what lies outside the range of the score; a mean outside stays inside the interval."""
        if self.low is None or self.high is None or (self.low >= least and self.high <= most):
            return self
        low, high = min(max(self.low, least), most), max(min(self.high, most), least)
        return replace(self, low=min(low, self.mean), high=max(high, self.mean))

    @property
    def symmetric(self) -> bool:
        """Whether the mean is in the middle, so that ± describes the interval."""
        if self.low is None or self.high is None:
            return True
        return abs((self.high - self.mean) - (self.mean - self.low)) <= 1e-9 + 1e-6 * (self.high - self.low)


def mean_interval(
    values: Sequence[float], *, level: float = 0.95, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Mean of independent `values` (n,) with its Student t confidence interval; n = 1 gives a mean and no interval.

        mean ± t(n - 1, (1 + level) / 2) · s / √n,    s² = Σ(x - mean)² / (n - 1)

    The result does not depend on the order of the values, to the last bit. The interval ends at the `limits` of the
    values, such as 0 and 1: what lies beyond cannot be the mean. Values that lie between two limits are skewed away
    from the closer one: there the interval is the union with Student's interval of the log-odds of the mean, whose
    variance is that of the delta method. Simulated with 3 seeds of Beta(40, 2), Student's holds the mean in 92 % of
    cases, the union in 95.

    Raises:
        ValueError: no values, a value that is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95 (given {level})")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.ndim != 1 or ordered.size == 0:
        raise ValueError(f"values must be a flat sequence of at least one value (shape {ordered.shape})")
    if not np.isfinite(ordered).all():
        raise ValueError(f"values contain {ordered[~np.isfinite(ordered)][0]}; leave undefined scores out of a mean")
    n = ordered.size
    # The mean of equal values is exactly that value; a rounded sum would produce a spread of 1e-17.
    mean = float(ordered[0]) if ordered[0] == ordered[-1] else math.fsum(ordered) / n
    if n == 1:
        return Interval(mean=mean, low=None, high=None, n=1)
    deviation = math.sqrt(math.fsum((ordered - mean) ** 2) / (n - 1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)
    low, high = mean - half, mean + half
    if 0 <= limits[0] < mean < limits[1] < math.inf:
        by_odds = _by_log_odds(mean, half, *limits)
        low, high = min(low, by_odds[0]), max(high, by_odds[1])
    return Interval(mean=mean, low=low, high=high, n=n).within(*limits)


def _by_log_odds(mean: float, half: float, least: float, most: float) -> tuple[float, float]:
    """Ends of the interval that has `half` width on the scale of the log-odds between the limits."""
    width = most - least
    odds, step = math.log((mean - least) / (most - mean)), half * width / ((mean - least) * (most - mean))
    low, high = (least + width * float(expit(odds + sign * step)) for sign in (-1, 1))
    return max(low, mean - _FURTHEST * half), min(high, mean + _FURTHEST * half)


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined (neither None nor NaN); None if none is."""
    known = [value for value in values if value is not None and value == value]
    return sum(known) / len(known) if known else None
