"""How far means can be trusted, by drawing again what they were made from: patients within a run, seeds of a study."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats takes a second to import, a report takes less

from s4mi.maths.stats import Interval


def patient_interval(
    scores: Sequence[float],
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Mean of `scores` (n,) of images, with an interval for other patients; `patients` (n,) names whose each image is.

    Patients are drawn with replacement, each with all their images (the cluster bootstrap, Davison & Hinkley 1997):
    images of one patient are alike, and counting them as so many patients makes an interval too narrow. The ends are
    percentiles of the drawn means, set further from the mean by

        t(G - 1, q) / z(q) · √(G / (G - 1)),    q = (1 + level) / 2

    for G patients, because plain percentiles are those of a known spread: simulated with 5 patients of 1 to 4 images
    they hold the truth in 82 of 100 cases, these in 93; with 100 patients the two are the same. A score between 0 and 1
    may so have an end outside. Fewer than 2 patients give no interval. The `n` of the answer is G.

    Raises:
        ValueError: no scores, one that is not finite, not as many patients as scores, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; a confidence level lies between 0 and 1, such as 0.95")
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or values.size != len(patients):
        raise ValueError(f"{values.shape} scores of {len(patients)} images; give one score for each, of at least one")
    if not np.isfinite(values).all():
        raise ValueError(f"scores hold {values[~np.isfinite(values)][0]}; leave undefined scores out of a mean")
    sums, counts = sums_by_patient(values, patients)
    mean, g = math.fsum(values) / values.size, sums.size
    if g < 2:
        return Interval(mean=mean, low=None, high=None, n=g)
    times = rng.multinomial(g, np.full(g, 1 / g), size=draws)  # (draws, G) how often each patient is drawn
    means = (times @ sums) / (times @ counts)
    return interval_of_draws(mean, means, patients=g, level=level)


def interval_of_draws(score: float, drawn: NDArray[np.float64], *, patients: int, level: float = 0.95) -> Interval:
    """A score with the interval that (draws,) scores of drawn sets of so many patients give; see `patient_interval`.

    Raises:
        ValueError: fewer than 2 patients, or a level outside (0, 1).
    """
    if not 0 < level < 1 or patients < 2:
        raise ValueError(f"level {level} and {patients} patients; give a level within (0, 1) and at least 2 patients")
    upper = (1 + level) / 2
    low, high = np.quantile(drawn, [1 - upper, upper])
    wider = float(stdtrit(patients - 1, upper) / ndtri(upper)) * math.sqrt(patients / (patients - 1))
    # Rounding of equal scores must not set an end on the wrong side of the score.
    low, high = score - wider * max(0.0, score - float(low)), score + wider * max(0.0, float(high) - score)
    return Interval(mean=score, low=low, high=high, n=patients)


def sums_by_patient(
    values: NDArray[np.float64], patients: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(G,) sums of the values and (G,) numbers of images of each patient, by name of patient."""
    _, of = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    sums: NDArray[np.float64] = np.bincount(of, weights=values).astype(np.float64)
    return sums, np.bincount(of).astype(np.int64)


def redrawn_means(
    cells: Sequence[Mapping[int, float]], *, rng: np.random.Generator, draws: int = 4000
) -> NDArray[np.float64]:
    """(draws, P) means over seeds of P cells of scores by seed, redrawn together: what other seeds might have given.

        mean_p + Σ_s g_s (x_sp - mean_p) / √(n_p (n_p - 1)) · √(ν / χ²_ν),    g_s ~ N(0, 1),    ν = min_p n_p - 1

    A seed's weight g_s is the same in every cell, so that what a seed does to all of them (its split, its order) stays
    in all of them. The last factor makes any weighted sum of the means as uncertain as Student's t says. Drawing the
    seeds themselves with replacement would leave that out and offer only three means of two seeds. Simulated for the
    labels that are needed, its 95 % interval holds the truth in 47 to 51 of 100 cases with 2 seeds, 71 to 77 with 3, 83
    with 5 and 91 with 10; this one in 91 to 96 with any of them.

    Raises:
        ValueError: a cell has fewer than 2 seeds, and so no spread to learn from.
    """
    fewest = min(len(cell) for cell in cells)
    if fewest < 2:
        raise ValueError(f"a cell has {fewest} seed; means are redrawn from the spread of at least 2")
    seeds = sorted({seed for cell in cells for seed in cell})
    scores = np.array([[cell.get(seed, math.nan) for cell in cells] for seed in seeds])  # (S, P)
    means = np.nanmean(scores, axis=0)
    n = np.array([len(cell) for cell in cells])
    away = np.nan_to_num(scores - means) / np.sqrt(n * (n - 1))
    tails = np.sqrt((fewest - 1) / rng.chisquare(fewest - 1, size=(draws, 1)))
    redrawn: NDArray[np.float64] = means + rng.standard_normal((draws, len(seeds))) @ away * tails
    return redrawn
