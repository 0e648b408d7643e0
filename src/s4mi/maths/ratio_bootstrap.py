"""Intervals over patients of scores in [0, 1] that are means of ratios: a Bayesian bootstrap with pseudo-patients.

    score   1/R Σ_r f(Σ_g part_gr / Σ_g whole_gr)      over G patients; a mean score per image is one ratio
    draw    w_g ~ Exponential(1), u_r and v_r ~ Gamma(1/2):  f((Σ w part + u m) / (Σ w whole + (u + v) m))

To the weights of Rubin's Bayesian bootstrap (1981) are added those of a patient who has only the best, u, and of one
who has only the worst, v, both of mean size m. For proportions this is Jeffreys' interval; for others it keeps room
for what no patient has shown yet, such as a miss that one in ten has, and no interval leaves [0, 1]. Distances from
the score are multiplied by t(G - 1, q) / z(q); of several ratios, each first by t(m - 1, q) / z(q) ≤ 2 for the m
patients who have it. F1 is 2J / (1 + J) of the ratio J = TP / (TP + FP + FN) (Takahashi et al. 2022). With fewer than
`FEW_PATIENTS` patients, or `FEW_OF_A_CLASS` of a class, intervals are wide, cover more than promised and say so.
Simulated in docs/explanation/intervals.md.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # importing scipy.stats takes longer than writing a report

from s4mi.maths.stats import Interval

Floats = NDArray[np.float64]

FEW_PATIENTS: Final = 40
"""With fewer, a failure that one patient in ten has is often not seen: not in 12 % of cases with 20."""
FEW_OF_A_CLASS: Final = 10
_WIDEST: Final = 2.0
_BLOCK: Final = 2_000_000
"""Weights that are drawn at once, 16 MiB."""


def pseudo_patients(rng: np.random.Generator, draws: int, ratios: int) -> tuple[Floats, Floats]:
    """(draws, R) weights of the patients that have only the best, and only the worst."""
    best, worst = rng.gamma(0.5, size=(2, draws, ratios))
    return best, worst


def drawn_ratios(
    parts: Floats, wholes: Floats, weights: Floats, best: Floats, worst: Floats, *, jaccard: bool, level: float = 0.95
) -> Floats:
    """(D, R) drawn ratios of (G, R) parts and wholes with (D, G) weights of patients, each widened for its patients.

    Args:
        best: (D, R) and `worst`: from `pseudo_patients`. jaccard: turn each ratio J into the F1 that it stands for.
    """
    has = (wholes > 0).sum(axis=0)
    whole = wholes.sum(axis=0)
    size = np.where(has > 0, whole / np.maximum(has, 1), 1.0)
    with np.errstate(invalid="ignore"):
        ratios = (weights @ parts + best * size) / (weights @ wholes + (best + worst) * size)
        centre = np.where(whole > 0, parts.sum(axis=0) / np.where(whole > 0, whole, 1.0), 0.5)
    ratios = np.nan_to_num(ratios, nan=0.5)  # both gamma deviates of an unseen class may underflow
    if jaccard:
        ratios, centre = 2 * ratios / (1 + ratios), 2 * centre / (1 + centre)
    if parts.shape[1] > 1:
        upper = (1 + level) / 2
        wider = np.minimum(stdtrit(np.maximum(has - 1.0, 1.0), upper) / ndtri(upper), _WIDEST)
        ratios = np.clip(centre + np.where(has > 0, wider, 1.0) * (ratios - centre), 0.0, 1.0)
    return ratios


def ratio_interval(
    score: float,
    parts: Floats,
    wholes: Floats,
    *,
    rng: np.random.Generator,
    jaccard: bool = False,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Interval of `score`, the mean over R of the ratios of (G, R) parts and wholes; fewer than 2 patients give none.

    Raises:
        ValueError: a level outside (0, 1), or shapes that do not match.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95 (given {level})")
    if parts.ndim != 2 or parts.shape != wholes.shape:
        raise ValueError(f"parts and wholes must both be (G, R) (given {parts.shape} and {wholes.shape})")
    g, r = parts.shape
    if g < 2:
        return Interval(score, None, None, g)
    drawn = []
    for size in blocks(g, draws):
        best, worst = pseudo_patients(rng, size, r)
        weights = rng.standard_exponential(size=(size, g))
        drawn.append(drawn_ratios(parts, wholes, weights, best, worst, jaccard=jaccard, level=level).mean(axis=1))
    rare = r > 1 and bool(((wholes > 0).sum(axis=0) < FEW_OF_A_CLASS).any())
    return ends(score, np.concatenate(drawn), patients=g, few=g < FEW_PATIENTS or rare, level=level)


def ends(
    score: float, drawn: Floats, *, patients: int, few: bool, limits: tuple[float, float] = (0.0, 1.0), level: float
) -> Interval:
    """The score with quantiles of its draws, whose distances are multiplied by t / z, within the limits."""
    upper = (1 + level) / 2
    low, high = np.quantile(drawn, [1 - upper, upper])
    factor = float(stdtrit(patients - 1, upper) / ndtri(upper))
    low, high = score - factor * max(0.0, score - float(low)), score + factor * max(0.0, float(high) - score)
    return Interval(score, low, high, patients, few="patients" if few else "").within(*limits)


def blocks(patients: int, draws: int) -> list[int]:
    """Sizes of the blocks in which weights of patients are drawn."""
    most = max(1, _BLOCK // patients)
    return [min(most, draws - start) for start in range(0, draws, most)]
