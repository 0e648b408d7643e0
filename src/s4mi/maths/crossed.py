"""Scores that vary with seeds and with patients: variances of a crossed design.

Every seed trains anew, and every run is tested on patients, often on the same ones. The mean over seeds then varies
with both, as the mean over readers does in studies of readers and cases (Obuchowski & Rockette 1995; Hillis 2007):

    V = s² / S + C,    ν = V² / ((s² / S)² / (S - 1) + C² / (G - 1)) ≤ (S - 1)²

s² is the variance over S seeds; C ≥ 0 the covariance of two seeds' scores that comes from testing on the same of G
patients, from the jackknife over patients. Seeds with different test patients have no such covariance, and V is that of
a t-test over seeds. Without C, a technique that suits the one test set by luck passes for better: with 5 seeds, 100
patients and equal variances, the t-test over seeds rejects a true null hypothesis in 28 % of cases, and this in 4 %
(docs/explanation/intervals.md). The limit of ν, which is not in the papers, is for 2 and 3 seeds, whose variance may
come out close to 0 by chance; with fewer than `FEW_PATIENTS`, C is drawn halfway to the variance of the mean over
patients, which also contains their interaction with the seeds (the pigeonhole bootstrap's, Owen 2007).

Patients may differ in a skewed way: a gain that few of them have. The t statistic T of such a mean is not Student's;
that of Hall's transformation (1992) nearly is, with a the skewness of the mean, of its patients alone:

    g(T) = T + a T² / 3 + a² T³ / 27 + a / 6
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from s4mi.maths.stats import Interval

Floats = NDArray[np.float64]
Influence = Mapping[str, float]
"""By patient, what this patient adds to a score; the sum of the squares is the jackknife variance of the score."""
FEW_PATIENTS = 20
FEW_SEEDS = 5
"""Below this, intervals are widened, because variances of so few seeds are often too small by chance."""
MOST_SKEWED = 0.6
_NO_SKEW = 1e-6


@dataclass(frozen=True)
class CrossedMean:
    """A mean over `seeds` seeds and `patients` patients.

    Attributes:
        over_seeds: variance of the mean from seeds. over_patients: from patients, at least 0.
        third: third central moment of the mean from patients.
        shared: whether any two seeds share a patient.
    """

    mean: float
    over_seeds: float
    over_patients: float
    seeds: int
    patients: int
    third: float = 0.0
    shared: bool = False

    @property
    def skewness(self) -> float:
        """Of the mean, from patients, within ± `MOST_SKEWED`; with few it is too uncertain to be used further."""
        return min(max(self.third / self.deviation**3, -MOST_SKEWED), MOST_SKEWED) if self.deviation else 0.0

    @property
    def deviation(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.over_seeds + self.over_patients)

    @property
    def freedom(self) -> float:
        """Degrees of freedom, by Satterthwaite and at most (S - 1)²."""
        total = self.over_seeds + self.over_patients
        if total == 0:
            return float(max(1, self.seeds - 1))
        parts = self.over_seeds**2 / (self.seeds - 1) + self.over_patients**2 / max(1, self.patients - 1)
        return min(total**2 / parts, float((self.seeds - 1) ** 2))

    def interval(self, *, level: float = 0.95) -> Interval:
        """Interval of the mean; with one seed none. `n` is the number of seeds. Student's, unless patients are skewed.

        With fewer than `FEW_SEEDS` seeds or `FEW_PATIENTS` patients it covers more than its level, and says so.
        """
        if self.seeds < 2:
            return Interval(self.mean, None, None, self.seeds)
        t, a = float(stdtrit(self.freedom, (1 + level) / 2)), self.skewness
        low, high = self.mean - _inverse(t, a) * self.deviation, self.mean - _inverse(-t, a) * self.deviation
        few: Literal["", "seeds", "patients"] = "patients" if 0 < self.patients < FEW_PATIENTS else ""
        if self.seeds < FEW_SEEDS:
            few = "seeds"
        return Interval(self.mean, min(low, self.mean), max(high, self.mean), self.seeds, few)

    @property
    def p(self) -> float | None:
        """Two-sided p-value of a mean of 0; None with fewer than 2 seeds or without spread."""
        if self.seeds < 2 or self.deviation == 0:
            return None
        return float(2 * stdtr(self.freedom, -abs(_hall(self.mean / self.deviation, self.skewness))))


def _hall(t: float, a: float) -> float:
    """g(T) of a mean of skewness a; T itself without."""
    return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6


def _inverse(t: float, a: float) -> float:
    """The T for which g(T) is t."""
    return t if abs(a) < _NO_SKEW else 3 / a * (math.cbrt(1 + a * (t - a / 6)) - 1)


def jackknife(without: Mapping[str, float]) -> dict[str, float]:
    """Influence of each patient from the (G,) scores without this patient; empty for fewer than 2 patients."""
    g = len(without)
    if g < 2:
        return {}
    mean = math.fsum(without.values()) / g
    scale = math.sqrt((g - 1) / g)
    return {patient: scale * (mean - score) for patient, score in without.items()}


def shared_covariance(influences: Sequence[Influence]) -> float:
    """C of (S,) runs: mean covariance of two runs' scores from testing on the same patients, at least 0."""
    s = len(influences)
    if s < 2:
        return 0.0
    matrix = influence_matrix(influences)
    if not _shared(matrix):
        return 0.0
    total, own = matrix.sum(axis=0), float((matrix**2).sum())
    shared = max(0.0, float(total @ total - own) / (s * (s - 1)))
    if matrix.shape[1] >= FEW_PATIENTS or s < 3:
        return shared
    return (shared + float(total @ total) / s**2) / 2


def influence_matrix(influences: Sequence[Influence]) -> Floats:
    """(S, G) influences of all patients of all runs; 0 for a patient that a run was not tested on."""
    patients = sorted({patient for one in influences for patient in one})
    return np.array([[one.get(patient, 0.0) for patient in patients] for one in influences]).reshape(
        len(influences), len(patients)
    )


def crossed_mean(values: Sequence[float], influences: Sequence[Influence] = ()) -> CrossedMean:
    """Mean of (S,) values, one per seed, with the (S,) influences of patients on them; none: over seeds alone.

    Raises:
        ValueError: no value, or another number of influences.
    """
    if not values or (influences and len(influences) != len(values)):
        raise ValueError(f"a mean needs values and as many influences (given {len(values)} and {len(influences)})")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    s = ordered.size
    variance = float(ordered.var(ddof=1)) if s > 1 else 0.0
    patients = min((len(one) for one in influences), default=0)
    mean = math.fsum(ordered) / s
    if patients < 2 or s < 2 or not _shared(matrix := influence_matrix(influences)):
        return CrossedMean(mean, variance / s, 0.0, s, patients)
    covariance = shared_covariance(influences)
    of_mean = matrix.mean(axis=0)
    total = float(of_mean @ of_mean)
    third = float((of_mean**3).sum()) * (covariance / total) ** 1.5 if total else 0.0
    return CrossedMean(mean, variance / s, covariance, s, patients, third, shared=total > 0)


def _shared(matrix: Floats) -> bool:
    """Whether any patient has an influence on two of (S, G)."""
    return bool(((matrix != 0).sum(axis=0) > 1).any())
