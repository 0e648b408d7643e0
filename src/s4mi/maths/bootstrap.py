"""Confidence intervals by resampling: patients within a run, seeds of a study."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # importing scipy.stats takes longer than writing a report

from s4mi.maths.stats import Interval


def patient_interval(
    scores: Sequence[float],
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Mean of the (n,) `scores` of images with an interval for other patients, given the (n,) `patients` of the images.

    This is the cluster bootstrap (Davison & Hinkley 1997): patients are drawn with replacement, each with all their
    images. Images of one patient are correlated, and treating them as independent makes intervals too narrow. The ends
    are percentiles of the drawn means, whose distances from the mean are multiplied by

        t(G - 1, q) / z(q) · √(G / (G - 1)),    q = (1 + level) / 2

    for G patients, because plain percentiles assume a known spread. Simulated with 5 patients of 1 to 4 images, plain
    percentiles cover the true mean in 82 % of cases and these in 93 %; with 100 patients they are the same. An end may
    lie outside the range of the score. Fewer than 2 patients give no interval. `n` of the result is G.

    Raises:
        ValueError: no scores, one that is not finite, a different number of patients, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95 (given {level})")
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or values.size != len(patients):
        raise ValueError(f"scores must be one per image, at least one (shape {values.shape}, {len(patients)} images)")
    if not np.isfinite(values).all():
        raise ValueError(f"scores contain {values[~np.isfinite(values)][0]}; leave undefined scores out of a mean")
    sums, counts = sums_by_patient(values, patients)
    mean, g = math.fsum(values) / values.size, sums.size
    if g < 2:
        return Interval(mean=mean, low=None, high=None, n=g)
    times = rng.multinomial(g, np.full(g, 1 / g), size=draws)  # (draws, G) how often each patient is drawn
    means = (times @ sums) / (times @ counts)
    return interval_of_draws(mean, means, patients=g, level=level)


def interval_of_draws(score: float, drawn: NDArray[np.float64], *, patients: int, level: float = 0.95) -> Interval:
    """A score with the interval from the (draws,) scores of bootstrap samples of patients; see `patient_interval`.

    Raises:
        ValueError: fewer than 2 patients, or a level outside (0, 1).
    """
    if not 0 < level < 1 or patients < 2:
        raise ValueError(f"level must lie in (0, 1) and patients be at least 2 (given {level} and {patients})")
    upper = (1 + level) / 2
    low, high = np.quantile(drawn, [1 - upper, upper])
    factor = float(stdtrit(patients - 1, upper) / ndtri(upper)) * math.sqrt(patients / (patients - 1))
    # Rounding of equal scores must not put an end on the wrong side of the score.
    low, high = score - factor * max(0.0, score - float(low)), score + factor * max(0.0, float(high) - score)
    return Interval(mean=score, low=low, high=high, n=patients)


def sums_by_patient(
    values: NDArray[np.float64], patients: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(G,) sums of the values and (G,) numbers of images of each patient, in order of their names."""
    _, index = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    sums: NDArray[np.float64] = np.bincount(index, weights=values).astype(np.float64)
    return sums, np.bincount(index).astype(np.int64)


def redrawn_means(
    cells: Sequence[Mapping[int, float]], *, rng: np.random.Generator, draws: int = 4000
) -> NDArray[np.float64]:
    """(draws, P) means of P cells of scores by seed, redrawn jointly from the distribution over seeds.

        mean_p + Σ_s g_s (x_sp - mean_p) / √(n_p (n_p - 1)) · √(ν / χ²_ν),    g_s ~ N(0, 1),    ν = min_p n_p - 1

    The weight g_s of a seed is the same in every cell, which preserves the effects of a seed on all of them, such as
    its split and its epoch order. The last factor gives every weighted sum of the means the uncertainty of Student's t.
    A bootstrap of the seeds would lack it and yield only three different means of two seeds: simulated for the labels
    needed, its 95 % interval covers the true value in 47 to 51 % of cases with 2 seeds, 71 to 77 % with 3, 83 % with 5
    and 91 % with 10; this one in 91 to 96 % with any of them.

    Raises:
        ValueError: a cell has fewer than 2 seeds, and so no spread to estimate.
    """
    fewest = min(len(cell) for cell in cells)
    if fewest < 2:
        raise ValueError(f"redrawing means needs at least 2 seeds in every cell (found {fewest})")
    seeds = sorted({seed for cell in cells for seed in cell})
    scores = np.array([[cell.get(seed, math.nan) for cell in cells] for seed in seeds])  # (S, P)
    means = np.nanmean(scores, axis=0)
    n = np.array([len(cell) for cell in cells])
    deviations = np.nan_to_num(scores - means) / np.sqrt(n * (n - 1))
    tails = np.sqrt((fewest - 1) / rng.chisquare(fewest - 1, size=(draws, 1)))
    redrawn: NDArray[np.float64] = means + rng.standard_normal((draws, len(seeds))) @ deviations * tails
    return redrawn
