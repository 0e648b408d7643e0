"""The number of labels at which a monotone learning curve reaches a score.

    curve     monotone least-squares fit to the means over seeds, linear in the logarithm of the number of labels
    needed    the fewest labels at which the curve reaches the target

Higher scores must be better: negate those that are not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST_SEEDS = 3
"""Two seeds leave intervals that reach from nothing to everything, or too little by chance."""


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
