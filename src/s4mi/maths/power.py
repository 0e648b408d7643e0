"""Power of a planned comparison: how small a difference its seeds, patients and pairs can tell.

    V = seeds² / S + patients² / P + single² / (S P)        one test set for all seeds
    V = (seeds² + (patients² + single²) / P) / S            other test patients with every seed
    power = P(|T'| > t(ν, 1 - α / 2m)),    T' noncentral with d / √V

for m tests, of which Holm's first compares with α / m, so that the power of the others is higher. ν is that of
`maths.crossed`. The spreads are standard deviations of the difference of two techniques.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, stdtrit

from s4mi.maths.crossed import CrossedMean

ALPHA: Final = 0.05
USUAL: Final = 0.8
"""Power that a plan is said to have for a difference."""

_QUANTILES: Final = 2000


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the difference of two techniques.

    Attributes:
        seeds: of the mean over endless patients, between seeds. patients: of the mean over endless seeds, between
            patients. single: what is left in one patient of one run.
    """

    seeds: float
    patients: float
    single: float


@dataclass(frozen=True)
class Design:
    """What a comparison is made of.

    Attributes:
        patients: test patients of a run. tests: pairs times label fractions that are tested together.
        one_test_set: whether all seeds are tested on the same patients.
    """

    seeds: int
    patients: int
    tests: int
    one_test_set: bool = True


def variance(spread: Spread, design: Design) -> tuple[float, float]:
    """Variance of a mean difference: its part from seeds, and that from shared patients."""
    s, p = design.seeds, design.patients
    if not design.one_test_set:
        return (spread.seeds**2 + (spread.patients**2 + spread.single**2) / p) / s, 0.0
    return (spread.seeds**2 + spread.single**2 / p) / s, spread.patients**2 / p


def power(difference: float, spread: Spread, design: Design) -> float:
    """Probability that a true difference is found significant; 0 with fewer than 2 seeds or patients."""
    if design.seeds < 2 or design.patients < 2:
        return 0.0
    from_seeds, from_patients = variance(spread, design)
    total = from_seeds + from_patients
    if total == 0:
        return 1.0 if difference else 0.0
    freedom = CrossedMean(difference, from_seeds, from_patients, design.seeds, design.patients).freedom
    critical = float(stdtrit(freedom, 1 - ALPHA / (2 * max(1, design.tests))))
    return _beyond(critical, abs(difference) / math.sqrt(total), freedom)


def smallest_difference(spread: Spread, design: Design) -> float:
    """The smallest difference that is found with the power `USUAL`; infinite if none is."""
    low, high = 0.0, 1.0
    if power(high, spread, design) < USUAL:
        return math.inf
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, spread, design) >= USUAL else (middle, high)
    return high


def _beyond(critical: float, shift: float, freedom: float) -> float:
    """P(|T'| > critical) of a noncentral t, by quantiles of its chi-squared; scipy's gives NaN for some shifts."""
    scale = _scale(freedom)
    return float((ndtr(shift - critical * scale) + ndtr(-shift - critical * scale)).mean())


@lru_cache(maxsize=256)
def _scale(freedom: float) -> NDArray[np.float64]:
    """Quantiles of sqrt(chi-squared / freedom), which all shifts share."""
    quantiles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return np.asarray(np.sqrt(2 * gammaincinv(freedom / 2, quantiles) / freedom))
