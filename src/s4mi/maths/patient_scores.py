"""Patient-level confidence intervals and permutation tests of classification scores.

A score is a function of the four counts (TN, FP, FN, TP) of each class, and counts add up over patients. The scores of
thousands of bootstrap samples of patients are therefore one matrix product, and exact.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.bootstrap import interval_of_draws
from s4mi.maths.paired import ENUMERATED, PairedTest
from s4mi.maths.stats import Interval

COUNTED: Final = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy")
"""Scores that are functions of the counts; others depend on probabilities."""
_BLOCK = 4_000_000
"""Number of values in a block of bootstrap samples, 32 MiB for any number of patients."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """(N, K) predictions of two runs on the same images, their (N, K) truth, and the (N,) patients of the images."""

    truth: Bools
    one: Bools
    other: Bools
    patients: Sequence[str]


def score_of_counts(name: str, counts: Floats, *, multilabel: bool) -> Floats:
    """(..., K, 4) counts of TN, FP, FN and TP of each class → (...) the score of this name in `ClassificationScores`.

    Classes for which the score is 0 / 0 are left out of the mean; if none remains, the score is 0.

    Raises:
        ValueError: not a score of counts.
    """
    tn, fp, fn, tp = (counts[..., i] for i in range(4))
    if name == "f1_macro":
        return _mean(_quotient(2 * tp, 2 * tp + fp + fn))
    if name == "f1_micro":
        return _mean(_quotient(2 * tp.sum(-1), (2 * tp + fp + fn).sum(-1))[..., None])
    if name == "recall_micro":
        return _mean(_quotient(tp.sum(-1), (tp + fn).sum(-1))[..., None])
    if name == "recall_macro" or (name == "balanced_accuracy" and not multilabel):
        return _mean(_quotient(tp, tp + fn))
    if name == "balanced_accuracy":
        return _mean((_quotient(tp, tp + fn) + _quotient(tn, tn + fp)) / 2)
    raise ValueError(f"{name} is not a score of counts; choose from {', '.join(COUNTED)}")


def patient_score(
    name: str,
    truth: Bools,
    predicted: Bools,
    patients: Sequence[str],
    *,
    multilabel: bool,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """A score of (N, K) predictions with an interval for other patients, given the (N,) `patients` of the images.

    Patients are drawn with replacement, each with all their images; the score of each bootstrap sample is computed as
    a whole, and the percentiles are widened as in `patient_interval`. `n` of the result is the number of patients.

    Simulated with 1 to 4 images per patient and a class that one patient in ten has, an interval of macro F1 covers the
    true value in 86 % of cases with 20 patients, 92 % with 50 and 93 % with 200, because two patients with a class
    represent it poorly.

    Raises:
        ValueError: no image, shapes that do not match, or not a score of counts.
    """
    index, g = _patient_index(patients)
    counts = _counts(truth, predicted, index, g)
    score = float(score_of_counts(name, counts.sum(axis=0), multilabel=multilabel))
    if g < 2:
        return Interval(score, None, None, g)
    drawn = np.concatenate(
        [score_of_counts(name, _weighted(times, counts), multilabel=multilabel) for times in _samples(rng, g, draws)]
    )
    return interval_of_draws(score, drawn, patients=g, level=level)


def paired_patient_scores(
    name: str,
    pairs: Sequence[PairedPredictions],
    *,
    multilabel: bool,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> PairedTest:
    """Permutation test of two trained techniques on other patients, over pairs of runs with the same seed.

    The difference is the mean over seeds of one run's score less the other's. A patient is resampled, or has
    predictions exchanged, in all seeds together. The interval is that of `patient_score`. Under the null hypothesis,
    the two predictions for a patient are exchangeable (Noreen 1989); p is the share of exchanges that leave the scores
    at least as far apart. All 2^G are enumerated for few patients G, `draws` random ones for many. For a score that is
    a mean over images this is the sign-flip test of `paired_patients`.

    Raises:
        ValueError: no pair, no image, shapes that do not match, or not a score of counts.
    """
    if not pairs:
        raise ValueError("at least one pair of runs is needed (given 0)")
    index, g = _patient_index([patient for pair in pairs for patient in pair.patients])
    ends = np.cumsum([len(pair.patients) for pair in pairs])
    indices = np.split(index, ends[:-1])
    ones = [_counts(pair.truth, pair.one, own, g) for pair, own in zip(pairs, indices, strict=True)]
    others = [_counts(pair.truth, pair.other, own, g) for pair, own in zip(pairs, indices, strict=True)]

    def score(counts: Floats) -> Floats:
        return score_of_counts(name, counts, multilabel=multilabel)

    def mean_difference(left: Sequence[Floats], right: Sequence[Floats]) -> Floats:
        """(D, K, 4) counts of each seed → (D,) mean difference over the seeds with an image in the sample."""
        differences = [
            np.where(one.sum(axis=(-1, -2)) > 0, score(one) - score(other), np.nan)
            for one, other in zip(left, right, strict=True)
        ]
        return _mean(np.stack(differences, axis=-1))

    def resampled(times: Floats) -> Floats:
        return mean_difference([_weighted(times, a) for a in ones], [_weighted(times, b) for b in others])

    difference = float(resampled(np.ones((1, g)))[0])
    if g < 2:
        return PairedTest(Interval(difference, None, None, g), p=None, effect=None)
    drawn = np.concatenate([resampled(times) for times in _samples(rng, g, draws)])
    interval = interval_of_draws(difference, drawn, patients=g, level=level)
    observed = abs(difference) * (1 - 1e-12) - 1e-15  # with a margin, so that rounding cannot exclude itself
    as_extreme = tried = 0
    for swap in _exchanges(rng, g, draws):
        left = [_weighted(1 - swap, a) + _weighted(swap, b) for a, b in zip(ones, others, strict=True)]
        right = [_weighted(swap, a) + _weighted(1 - swap, b) for a, b in zip(ones, others, strict=True)]
        as_extreme += int((np.abs(mean_difference(left, right)) >= observed).sum())
        tried += len(swap)
    p = as_extreme / tried if g <= ENUMERATED else (as_extreme + 1) / (tried + 1)
    return PairedTest(interval, p=p, effect=None)


def scores_without_each(
    name: str, truth: Bools, predicted: Bools, patients: Sequence[str], *, multilabel: bool
) -> dict[str, float]:
    """By patient, the score of the other patients' (N, K) predictions; empty with fewer than 2 patients.

    Raises:
        ValueError: no image, shapes that do not match, or not a score of counts.
    """
    index, g = _patient_index(patients)
    counts = _counts(truth, predicted, index, g)
    if g < 2:
        return {}
    scores = score_of_counts(name, counts.sum(axis=0) - counts, multilabel=multilabel)
    return dict(zip(sorted(set(map(str, patients))), scores.tolist(), strict=True))


def _patient_index(patients: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """(N,) index of the patient of each image, and the number of patients."""
    if not len(patients):
        raise ValueError("a score needs at least one image (given 0)")
    names, index = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    return index.astype(np.int64), names.size


def _counts(truth: Bools, predicted: Bools, index: NDArray[np.int64], g: int) -> Floats:
    """(G, K, 4) counts of TN, FP, FN and TP of each patient and class."""
    if truth.shape != predicted.shape or truth.ndim != 2 or len(truth) != len(index):
        raise ValueError(
            f"truth and predictions must both be (N, K) (given {truth.shape} and {predicted.shape}, "
            f"{len(index)} images)"
        )
    outcome = 2 * truth.astype(np.int64) + predicted  # 0 TN, 1 FP, 2 FN, 3 TP
    k = truth.shape[1]
    cell = (index[:, None] * k + np.arange(k)) * 4 + outcome
    return np.bincount(cell.ravel(), minlength=g * k * 4).reshape(g, k, 4).astype(np.float64)


def _weighted(times: Floats, counts: Floats) -> Floats:
    """(D, G) multiplicities of patients, (G, K, 4) counts → (D, K, 4) counts of the samples."""
    g, k, four = counts.shape
    summed: Floats = (times @ counts.reshape(g, k * four)).reshape(len(times), k, four)
    return summed


def _samples(rng: np.random.Generator, g: int, draws: int) -> Iterator[Floats]:
    """(D, G) multiplicities of patients in bootstrap samples, `draws` in all, in blocks."""
    for size in _blocks(g, draws):
        yield rng.multinomial(g, np.full(g, 1 / g), size=size).astype(np.float64)


def _exchanges(rng: np.random.Generator, g: int, draws: int) -> Iterator[Floats]:
    """(D, G) with 1 for patients whose predictions are exchanged, in blocks: all 2^G, or `draws` random ones."""
    if g <= ENUMERATED:
        yield np.array(list(itertools.product((0.0, 1.0), repeat=g)))
        return
    for size in _blocks(g, draws):
        yield rng.integers(0, 2, size=(size, g)).astype(np.float64)


def _blocks(g: int, draws: int) -> Iterator[int]:
    most = max(1, _BLOCK // g)
    for start in range(0, draws, most):
        yield min(most, draws - start)


def _quotient(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN for 0 / 0."""
    quotient: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return quotient


def _mean(values: Floats) -> Floats:
    """Mean over the last axis, ignoring NaN; 0 if all are NaN."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1)
    mean: Floats = total / np.maximum(count, 1)
    return mean
