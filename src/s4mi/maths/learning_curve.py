"""Learning curves of a score by number of labels, and the number of labels that a score takes.

    s(n) = max(floor, α - β n^(-γ)),    α ≤ ceiling,    β ≥ 0,    0 < γ ≤ 2

Weighted least squares on the means over seeds: for each γ of a grid, α and β are solved in closed form within their
limits, and the γ with the smallest error is taken. The same is done for every redrawn set of means, so that intervals
include the uncertainty of all three. Power laws with an asymptote describe the scores of networks by number of images
(Hestness et al. 2017; Figueroa et al. 2012, in medical texts); how far they hold beyond the data is limited to
`FURTHEST` times the largest number of labels. Higher scores must be better: negate those that are not.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FURTHEST: Final = 4.0
"""Largest extrapolation, in multiples of the largest number of labels."""
FEWEST_POINTS: Final = 4
"""Numbers of labels that a curve of three parameters needs so that its fit can be checked."""
_EXPONENTS: Final = np.geomspace(0.05, 2.0, 48)
_BLOCK: Final = 500
"""Redrawn curves that are fitted together, 1.5 MB of squared errors per number of labels."""


@dataclass(frozen=True, eq=False)
class PowerCurves:
    """B fitted curves: (B,) asymptotes, slopes and exponents, with their common floor."""

    asymptote: Floats
    slope: Floats
    exponent: Floats
    floor: float

    def at(self, labels: float) -> Floats:
        """(B,) scores at a number of labels above 0."""
        return np.maximum(self.floor, self.asymptote - self.slope * labels ** (-self.exponent))

    def needed(self, targets: Floats) -> Floats:
        """(B,) labels at which each curve reaches its target (B,); 0 at or below the floor, infinite if never."""
        gap = self.asymptote - targets
        with np.errstate(divide="ignore", over="ignore"):
            labels = (self.slope / np.where(gap > 0, gap, np.nan)) ** (1 / self.exponent)
        reached: Floats = np.where(np.isnan(labels), np.inf, labels)
        return np.where(targets <= self.floor, 0.0, reached)


def fit_power_curves(
    labels: Floats, means: Floats, weights: Floats, *, ceiling: float, floor: float = -math.inf
) -> PowerCurves:
    """Fit B curves to (B, F) `means` at (F,) `labels` above 0 with (F,) `weights`.

    Args:
        ceiling: the best value of the score, such as 1, which no asymptote exceeds.
        floor: score of no labels or of chance, below which no curve falls.

    Raises:
        ValueError: shapes that do not match, fewer than 2 numbers of labels, or labels that are not positive.
    """
    if means.ndim != 2 or labels.shape != weights.shape or labels.shape != means.shape[1:] or len(labels) < 2:
        raise ValueError(f"means must be (B, F) with F ≥ 2 labels and weights (given {means.shape}, {labels.shape})")
    if not (labels > 0).all():
        raise ValueError(f"numbers of labels must be positive (given {labels.min():g})")
    blocks = [
        _fit(labels, means[start : start + _BLOCK], weights / weights.sum(), ceiling)
        for start in range(0, len(means), _BLOCK)
    ]
    asymptote, slope, exponent = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return PowerCurves(asymptote, slope, exponent, floor)


def _fit(labels: Floats, means: Floats, weights: Floats, ceiling: float) -> tuple[Floats, Floats, Floats]:
    """(B,) α, β and γ of least weighted squared error; `weights` sum to 1."""
    powers = (labels / labels[0]) ** -_EXPONENTS[:, None]  # (E, F), relative to the smallest n, against underflow
    mean_power = powers @ weights  # (E,)
    centred = powers - mean_power[:, None]
    mean = means @ weights  # (B,)
    covariance = (means - mean[:, None]) @ (centred * weights).T  # (B, E)
    slope = np.maximum(0.0, -covariance / ((centred**2) @ weights))
    asymptote = mean[:, None] + slope * mean_power
    above = asymptote > ceiling  # then the best α within its limit is the limit
    at_ceiling = np.maximum(0.0, ((ceiling - means) * weights) @ powers.T / ((powers**2) @ weights))
    slope, asymptote = np.where(above, at_ceiling, slope), np.minimum(asymptote, ceiling)
    fits = asymptote[..., None] - slope[..., None] * powers  # (B, E, F)
    best = (((fits - means[:, None]) ** 2) @ weights).argmin(axis=1)
    rows, exponent = np.arange(len(means)), _EXPONENTS[best]
    return asymptote[rows, best], slope[rows, best] * labels[0] ** exponent, exponent
