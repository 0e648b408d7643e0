"""Paired tests of two techniques, over the seeds or the patients that they share."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from s4mi.maths.bootstrap import sums_by_patient
from s4mi.maths.ratio_bootstrap import FEW_PATIENTS
from s4mi.maths.stats import Interval, mean_interval

ENUMERATED = 12
"""Up to this number of patients all 2^G sign flips are enumerated; 2^12 is about the number of random draws."""

_TOO_FEW = 5
"""2^5 subsets have no 2.5 % quantile."""
_NO_SPREAD = 1e-9
"""A standard deviation below this share of the largest difference is rounding error."""


@dataclass(frozen=True)
class PairedTest:
    """A mean difference and the evidence for it.

    Attributes:
        difference: mean of the differences with its interval; `n` is the number of pairs.
        p: two-sided p-value; None if it is not defined: fewer than 2 differences, or no spread over seeds.
        effect: standardised mean difference, corrected for the bias of few pairs; None if it is not estimable.
    """

    difference: Interval
    p: float | None
    effect: float | None


def paired_seeds(differences: Sequence[float], *, level: float = 0.95) -> PairedTest:
    """Student's paired t-test over (n,) differences, one per seed that both techniques were trained with.

        t = mean / (s / √n),    effect = J(n - 1) · mean / s    (Cohen's d_z, corrected by Hedges 1981)

    With n = 2 there is no effect size, because J(1) = 0. Without spread there is neither test nor effect size:
    differences that agree to the last digit suggest that the seeds had no effect, and are not strong evidence.

    Raises:
        ValueError: no difference, or one that is not finite.
    """
    interval = mean_interval(differences, level=level)
    n = interval.n
    deviation = float(np.std(np.asarray(differences, dtype=np.float64), ddof=1)) if n > 1 else 0.0
    if n < 2 or deviation <= _NO_SPREAD * max(abs(difference) for difference in differences):
        return PairedTest(interval, p=None, effect=None)
    t = interval.mean / (deviation / math.sqrt(n))
    effect = hedges(n - 1) * interval.mean / deviation if n > 2 else None
    return PairedTest(interval, p=float(2 * stdtr(n - 1, -abs(t))), effect=effect)


def paired_patients(
    differences: Sequence[float],
    patients: Sequence[str],
    *,
    rng: np.random.Generator,
    limits: tuple[float, float] = (-math.inf, math.inf),
    draws: int = 4000,
    level: float = 0.95,
) -> PairedTest:
    """Sign-flip permutation test of (n,) differences between scores of images, with the (n,) patients of the images.

    It tests whether these trained networks differ on other patients. Under the null hypothesis, the sign of all
    differences of a patient is arbitrary; p is the share of sign flips whose mean is at least as far from 0. All 2^G
    flips are enumerated for few patients G, `draws` random ones for many. The interval holds the differences that the
    same test does not reject: its ends are quantiles of the means of random subsets of the patients (Hartigan 1969),
    exact where differences are symmetric about their mean. Up to 5 patients have too few subsets; their interval
    is that of Student's t over patients, or from the least to the greatest if that is wider.

    Wilcoxon's test would rank one number per patient, where tables show means over images. A p-value from bootstrap
    means would find 2 patients that agree as convincing as 2000, while this test never goes below 2 / 2^G.

    Differences of several seeds may be pooled; a patient then has differences from each. The test is about these runs
    and not about training again.

    Args:
        limits: range of a difference, where the interval ends.

    Raises:
        ValueError: no difference, one that is not finite, or a different number of patients.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or values.size != len(patients):
        raise ValueError(f"differences must be one per image (shape {values.shape}, {len(patients)} images)")
    if not np.isfinite(values).all():
        raise ValueError(f"differences contain {values[~np.isfinite(values)][0]}; leave undefined scores out")
    sums, counts = sums_by_patient(values, patients)
    mean, g = math.fsum(values) / values.size, sums.size
    if g < 2:
        return PairedTest(Interval(mean, None, None, g), p=None, effect=None)
    observed = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()  # with a margin, so that rounding cannot exclude itself
    if g <= ENUMERATED:
        chosen: NDArray[np.float64] = np.array(list(itertools.product((0.0, 1.0), repeat=g)))
        p = float((np.abs((2 * chosen - 1) @ sums) >= observed).mean())
    else:
        chosen = rng.integers(0, 2, size=(draws, g)).astype(np.float64)
        p = (int((np.abs((2 * chosen - 1) @ sums) >= observed).sum()) + 1) / (draws + 1)
    interval = _of_subsets(mean, sums, counts.astype(np.float64), chosen, level=level)
    return PairedTest(interval.within(*limits), p=p, effect=None)


def _of_subsets(
    mean: float, sums: NDArray[np.float64], counts: NDArray[np.float64], chosen: NDArray[np.float64], *, level: float
) -> Interval:
    """The differences that a sign-flip test of (G,) patients does not reject, from (D, G) random subsets of them."""
    g = sums.size
    some = chosen[chosen.any(axis=1)]
    means = np.sort((some @ sums) / (some @ counts))
    few: Literal["", "patients"] = "patients" if g < FEW_PATIENTS else ""
    if g <= _TOO_FEW:
        deviation = math.sqrt(float(((sums - mean * counts) ** 2).sum()) * g / (g - 1)) / float(counts.sum())
        half = float(stdtrit(g - 1, (1 + level) / 2)) * deviation
        return Interval(mean, min(float(means[0]), mean - half), max(float(means[-1]), mean + half), g, few)
    # Of the 2^G - 1 means of all subsets, each gap between neighbours holds the centre with the same probability.
    rank = max(0, math.floor((1 - level) / 2 * (means.size + 1)) - 1)
    low, high = float(means[rank]), float(means[-1 - rank])
    return Interval(mean, min(low, mean), max(high, mean), g, few)


def hedges(freedom: int) -> float:
    """Bias correction of a standardised mean, J(ν) = Γ(ν / 2) / (√(ν / 2) Γ((ν - 1) / 2)); J(1) = 0 (Hedges 1981).

    Raises:
        ValueError: no degree of freedom.
    """
    if freedom < 1:
        raise ValueError(f"degrees of freedom must be at least 1 (given {freedom})")
    if freedom == 1:
        return 0.0
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's correction of m p-values for multiple testing (Holm 1979), in their order; None values are not counted.

    The smallest is multiplied by m, the next by m - 1 and so on; none falls below its predecessor or exceeds 1.
    Rejecting those of at most α keeps the family-wise error rate at most α.
    """
    tests = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    floor = 0.0
    for rank, (p, index) in enumerate(tests):
        floor = max(floor, min(1.0, (len(tests) - rank) * p))
        corrected[index] = floor
    return tuple(corrected)
