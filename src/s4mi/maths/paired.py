"""Paired tests of two techniques, over the seeds or the patients that they share."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from s4mi.maths.bootstrap import patient_interval, sums_by_patient
from s4mi.maths.stats import Interval, mean_interval

ENUMERATED = 12
"""Up to this number of patients all 2^G sign flips are enumerated; 2^12 is about the number of random draws."""

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
    draws: int = 2000,
    level: float = 0.95,
) -> PairedTest:
    """Sign-flip permutation test of (n,) differences between scores of images, with the (n,) patients of the images.

    It tests whether these trained networks differ on other patients. Under the null hypothesis, the sign of all
    differences of a patient is arbitrary; p is the share of sign flips whose mean is at least as far from 0. All 2^G
    flips are enumerated for few patients G, `draws` random ones for many. The interval is that of `patient_interval`.

    Wilcoxon's test would rank one number per patient, where tables show means over images. A p-value from bootstrap
    means would find 2 patients that agree as convincing as 2000, while this test never goes below 2 / 2^G.

    Differences of several seeds may be pooled; a patient then has differences from each. The test is about these runs
    and not about training again.

    Raises:
        ValueError: no difference, one that is not finite, or a different number of patients.
    """
    interval = patient_interval(differences, patients, rng=rng, draws=draws, level=level)
    if interval.n < 2:
        return PairedTest(interval, p=None, effect=None)
    sums, _ = sums_by_patient(np.asarray(differences, dtype=np.float64), patients)
    observed = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()  # with a margin, so that rounding cannot exclude itself
    if sums.size <= ENUMERATED:
        flips: NDArray[np.float64] = np.array(list(itertools.product((1.0, -1.0), repeat=sums.size)))
        return PairedTest(interval, p=float((np.abs(flips @ sums) >= observed).mean()), effect=None)
    flips = rng.choice((1.0, -1.0), size=(draws, sums.size))
    as_extreme = int((np.abs(flips @ sums) >= observed).sum())
    return PairedTest(interval, p=(as_extreme + 1) / (draws + 1), effect=None)


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
