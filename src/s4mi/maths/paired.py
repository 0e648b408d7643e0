"""Whether two techniques differ: tests on the differences of what they share, seeds or patients."""

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
"""Up to so many patients every way to flip their signs is tried; 2^12 are as many as a random test would try."""


_DUST = 1e-9
"""A spread of so small a share of the differences is what rounding leaves of none."""


@dataclass(frozen=True)
class PairedTest:
    """A mean difference and the evidence for it.

    Attributes:
        difference: mean of the differences with its interval; its `n` is the number of pairs.
        p: two-sided; None where the differences cannot tell: fewer than 2 of them, or 2 without spread.
        effect: the mean difference in standard deviations of the differences, free of the bias of few pairs; None
            where there is no such estimate.
    """

    difference: Interval
    p: float | None
    effect: float | None


def paired_seeds(differences: Sequence[float], *, level: float = 0.95) -> PairedTest:
    """Student's paired t over (n,) differences, one a seed that both techniques were trained with.

        t = mean / (s / √n),    effect = J(n - 1) · mean / s    (Cohen's d_z, corrected by Hedges 1981)

    With n = 2 there is no effect size: J(1) = 0. Without spread, neither test nor effect size: that two runs differ by
    the same to the last digit is an accident or a sign that seeds were not used, and no strong evidence.

    Raises:
        ValueError: no difference, or one that is not finite.
    """
    interval = mean_interval(differences, level=level)
    n = interval.n
    deviation = float(np.std(np.asarray(differences, dtype=np.float64), ddof=1)) if n > 1 else 0.0
    if n < 2 or deviation <= _DUST * max(abs(difference) for difference in differences):
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
    """Whether trained networks differ on other patients; (n,) differences of scores of images, and whose each is.

    The interval is that of `patient_interval`. p is that of a sign-flip test: were the techniques the same, either
    sign of all differences of a patient would be as likely; p is the share of such flips with a mean at least as far
    from 0. All 2^G of them are tried for few patients, `draws` for many. Why not Wilcoxon's test: it asks after ranks
    of one number a patient, where a table shows means over images; and a p read from bootstrap means finds 2 patients
    that agree as convincing as 2000, where this test never gives less than 2 / 2^G.

    Several seeds may be pooled, a patient then has differences from each: this is about these runs, and says nothing
    about training again.

    Raises:
        ValueError: no difference, one that is not finite, or not as many patients as differences.
    """
    interval = patient_interval(differences, patients, rng=rng, draws=draws, level=level)
    if interval.n < 2:
        return PairedTest(interval, p=None, effect=None)
    sums, _ = sums_by_patient(np.asarray(differences, dtype=np.float64), patients)
    far = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()  # the observed sum itself counts, however it is rounded
    if sums.size <= ENUMERATED:
        flips: NDArray[np.float64] = np.array(list(itertools.product((1.0, -1.0), repeat=sums.size)))
        return PairedTest(interval, p=float((np.abs(flips @ sums) >= far).mean()), effect=None)
    flips = rng.choice((1.0, -1.0), size=(draws, sums.size))
    further = int((np.abs(flips @ sums) >= far).sum())
    return PairedTest(interval, p=(further + 1) / (draws + 1), effect=None)


def hedges(freedom: int) -> float:
    """J(ν) = Γ(ν / 2) / (√(ν / 2) Γ((ν - 1) / 2)) takes the bias from a standardised mean; 0 for one degree of freedom.

    Raises:
        ValueError: there is no degree of freedom.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom; a standard deviation needs at least one")
    if freedom == 1:
        return 0.0
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """p values (m,) corrected for being m (Holm 1979), in their order; None is no test, stays None and is not counted.

    The smallest is multiplied by m, the next by m - 1 and so on; none falls below the one before it or exceeds 1.
    Rejecting what is at most α errs in any of the m with a chance of at most α.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[place] = least
    return tuple(corrected)
