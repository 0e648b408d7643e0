"""Intervals of mean scores over seeds and patients, which end where scores end.

    low  = m - √((m - low_s)² + (m - low_p)²),    high = m + √((high_s - m)² + (high_p - m)²)    (Zou & Donner 2008)

`s` is the interval over seeds (`stats.mean_interval`), `p` that over the patients whom the seeds share: a Bayesian
bootstrap of their pseudo-values (Tukey 1958), m + √(G(G - 1)) · influence, with half a patient at each end (see
`ratio_bootstrap`). Both ends are their own, because scores are skewed: with one miss in ten patients, 30 patients and
10 seeds, a symmetric interval holds the true mean in 90 % of cases.

Below `FEW_PATIENTS` patients, half a patient has the worst score that there is, and half a patient the best, for what
no patient has shown yet; from there on, the worst and the best of the pseudo-values. Distances have no worst score:
half a patient is added at as far above the largest as the smallest lies below it, and with so few patients the interval
has no upper end, as no sample bounds the mean of what has no limit (Bahadur & Savage 1956). Scores of classes take the
mean of the runs' own intervals over patients, where patients, or those who have a class, are few: pseudo-values do not
know that a class may be one of a few patients.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from s4mi.maths.crossed import FEW_SEEDS, CrossedMean, Influence, crossed_mean, influence_matrix
from s4mi.maths.ratio_bootstrap import FEW_PATIENTS, ratio_interval
from s4mi.maths.stats import Interval, mean_interval


def crossed_score_interval(
    values: Sequence[float],
    influences: Sequence[Influence],
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    of_few: Sequence[Interval] = (),
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Mean of (S,) scores of seeds, given the (S,) influences of patients on them, with an interval over both.

    Without patients whom seeds share it is over seeds alone; with one seed there is none. `n` is the number of seeds.

    Args:
        limits: range of the scores, where the interval ends; (0, inf) for distances.
        of_few: (S,) intervals of the scores of single runs over few patients, see `patient_scores`; none: not few.

    Raises:
        ValueError: no value, another number of influences, or a value that is not finite.
    """
    crossed = crossed_mean(values, influences)
    seeds = mean_interval(values, level=level, limits=limits)
    if seeds.low is None or seeds.high is None or not _share_patients(influences):
        return seeds
    few: Literal["", "seeds", "patients"] = "patients" if of_few or crossed.patients < FEW_PATIENTS else ""
    if crossed.seeds < FEW_SEEDS:
        few = "seeds"
    mean = seeds.mean
    if of_few:
        low = mean - math.fsum(one.mean - one.low for one in of_few if one.low is not None) / len(of_few)
        high = mean + math.fsum(one.high - one.mean for one in of_few if one.high is not None) / len(of_few)
    else:
        low, high = _over_patients(crossed, influences, limits, draws=draws, level=level)
    low, high = mean - math.hypot(mean - seeds.low, mean - low), mean + math.hypot(seeds.high - mean, high - mean)
    return Interval(mean, low, high, seeds.n, few).within(*limits)


def _over_patients(
    crossed: CrossedMean, influences: Sequence[Influence], limits: tuple[float, float], *, draws: int, level: float
) -> tuple[float, float]:
    """Ends of the interval of the mean over patients, of the variance that is theirs alone."""
    of_mean = influence_matrix(influences).mean(axis=0)
    g, total = int((of_mean != 0).sum()), float(of_mean @ of_mean)
    share = math.sqrt(crossed.over_patients / total) if total else 0.0  # the rest is of single runs: over seeds
    values = crossed.mean + math.sqrt(g * max(1, g - 1)) * of_mean
    shrunk = crossed.mean + share * (values - crossed.mean)
    least, most = limits
    few = crossed.patients < FEW_PATIENTS
    if not few or math.isinf(least):
        least = float(shrunk.min())
    if math.isinf(most):
        most = 2 * float(shrunk.max()) - least
    elif not few:
        most = float(shrunk.max())
    if most <= least and not few:  # nothing of the variance is theirs
        return crossed.mean, crossed.mean
    width = (most - least) or 1.0
    interval = ratio_interval(
        (crossed.mean - least) / width,
        ((shrunk - least) / width)[:, None],
        np.ones((len(shrunk), 1)),
        rng=np.random.default_rng(0),
        draws=draws,
        level=level,
    )
    if interval.low is None or interval.high is None:
        return crossed.mean, crossed.mean
    high = math.inf if few and math.isinf(limits[1]) else least + width * interval.high
    return least + width * interval.low, high


def _share_patients(influences: Sequence[Influence]) -> bool:
    """Whether any two seeds were tested on the same patient, who may add nothing to scores that nobody lowers."""
    return max(Counter(patient for one in influences for patient in one).values(), default=0) > 1
