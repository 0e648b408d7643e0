"""What a handful of seeds says about a technique: a mean, and how far it can be trusted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # the quantile alone: scipy.stats takes a second to import, a report takes less


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval, in the unit of the values.

    Attributes:
        mean: arithmetic mean of the values.
        low: lower end, or None when there is only one value and so no spread to learn from.
        high: upper end, or None.
        n: how many values.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, or None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def clear_of(self, other: "Interval") -> bool:
        """Whether both intervals exist and share no point; touching ends count as shared."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low > other.high or self.high < other.low


def mean_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Mean of independent `values` (n,) with its Student t confidence interval; n = 1 gives a mean and no interval.

        mean ± t(n - 1, (1 + level) / 2) · s / √n,    s² = Σ(x - mean)² / (n - 1)

    The order of the values does not change a bit of the answer.

    Raises:
        ValueError: no values, a value that is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; a confidence level lies between 0 and 1, such as 0.95")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.ndim != 1 or ordered.size == 0:
        raise ValueError(f"values have the shape {ordered.shape}; a mean needs a flat sequence of at least one value")
    if not np.isfinite(ordered).all():
        raise ValueError(f"values hold {ordered[~np.isfinite(ordered)][0]}; leave undefined scores out of a mean")
    n = ordered.size
    # Equal values have exactly themselves as mean; a rounded sum would invent a spread of 1e-17.
    mean = float(ordered[0]) if ordered[0] == ordered[-1] else math.fsum(ordered) / n
    if n == 1:
        return Interval(mean=mean, low=None, high=None, n=1)
    deviation = math.sqrt(math.fsum((ordered - mean) ** 2) / (n - 1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)
